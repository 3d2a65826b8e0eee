# For pyright, instead of typeshed's stubs of TensorFlow: those know no NumPy array as a tensor, no
# list as a shape or a seed and no dimension that is not None, so that nearly every line of a
# network fails. Here TensorFlow is checked for nothing, and all around it is.
from typing import Any, TypeAlias

Tensor: TypeAlias = Any

def __getattr__(name: str) -> Any: ...
