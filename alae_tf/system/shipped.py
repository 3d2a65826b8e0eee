"""The configs and trained models that ship with the project. No TensorFlow."""

from pathlib import Path

HERE = Path(__file__).parents[1]  # the package


def folder(name: str) -> Path:
    """The folder `configs` or `models`: in the package if it was installed from a wheel, beside it
    in a clone."""
    return HERE / name if (HERE / name).is_dir() else HERE.parent / name
