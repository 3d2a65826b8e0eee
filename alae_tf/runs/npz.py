"""Reads the `.npz` files that `np.savez` writes, without trusting their headers."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path

import numpy as np


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of numbers in a file, by name; read-only.

    Unlike `np.load`, it does not allocate the size that an entry declares before reading it. Raises
    exceptions of many classes if the file is damaged or is not an `.npz`.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError("not a regular file")
    with open(path, "rb") as stream, zipfile.ZipFile(stream) as archive:
        size = stream.seek(0, os.SEEK_END)
        infos = archive.infolist()
        if len({info.filename.removesuffix(".npy") for info in infos}) < len(infos):
            raise ValueError("two of its entries have the same name")
        return {info.filename.removesuffix(".npy"): _array(archive, info, size) for info in infos}


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> np.ndarray:
    """An entry; raises ValueError if it declares a size that it cannot have."""
    if info.compress_type != zipfile.ZIP_STORED or not 0 < info.file_size < size:
        raise ValueError(f"{info.filename} declares {info.file_size:,} bytes of {size:,}")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"{info.filename} is of version {version}")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        data = file.read()  # checks the CRC
    # In Python's integers: declared sizes may exceed 64 bits.
    declared = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "fiu" or fortran and len(shape) > 1 or declared != len(data):
        held = f"{dtype} {list(shape)} and has {len(data):,} bytes"
        raise ValueError(f"{info.filename} declares {held}")
    return np.frombuffer(data, dtype).reshape(shape)
