"""Reads the `.npz` files that `np.savez` writes, and trusts nothing that they declare."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path

import numpy as np


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of numbers in a file, by name; read-only.

    `np.load` allocates what an entry declares before it reads it, which may be terabytes.

    Raises:
        OSError, ValueError, zipfile.BadZipFile …: it cannot be read, is another thing, or damaged
            (then nearly anything is raised).
    """
    with open(path, "rb") as stream, zipfile.ZipFile(stream) as archive:
        size = stream.seek(0, os.SEEK_END)
        infos = archive.infolist()
        if len({info.filename.removesuffix(".npy") for info in infos}) < len(infos):
            raise ValueError("two of its entries have the same name")
        return {info.filename.removesuffix(".npy"): _array(archive, info, size) for info in infos}


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> np.ndarray:
    """An entry, no larger than the file that it is in."""
    if info.compress_type != zipfile.ZIP_STORED or not 0 < info.file_size < size:
        raise ValueError(f"{info.filename} declares {info.file_size:,} bytes of {size:,}")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{info.filename} is of version {version}")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        data = file.read()  # checks the sum
    # By Python's own numbers: what an entry declares may be beyond 64 bits.
    declared = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "fiu" or fortran and len(shape) > 1 or declared != len(data):
        raise ValueError(
            f"{info.filename} declares {dtype} {list(shape)} and has {len(data):,} bytes"
        )
    return np.frombuffer(data, dtype).reshape(shape)
