# For pyright, instead of typeshed's stubs of TensorFlow. Those accept no NumPy array as a tensor,
# no list as a shape or a seed, and no dimension but None, so that nearly every line of a network
# fails. With this file, pyright does not check TensorFlow itself, but checks all code around it.
from typing import Any, TypeAlias

Tensor: TypeAlias = Any

def __getattr__(name: str) -> Any: ...
