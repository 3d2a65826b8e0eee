# For pyright: the messages of protobuf are made when they are imported.
from typing import Any

def __getattr__(name: str) -> Any: ...
