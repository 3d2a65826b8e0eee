# For pyright: protobuf creates its message classes at import.
from typing import Any

def __getattr__(name: str) -> Any: ...
