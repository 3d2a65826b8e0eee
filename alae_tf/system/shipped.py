"""What the project carries with it: configs and trained models. No TensorFlow here."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parents[1]  # the package `alae_tf`


def folder(name: str) -> Path:
    """`configs` or `models`: in the package if it was installed from a wheel, beside it in a
    clone."""
    return HERE / name if (HERE / name).is_dir() else HERE.parent / name
