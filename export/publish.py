"""How an export reaches its directory: written in a hidden folder beside, renamed when whole."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from alae_tf.files import Lock, check_directory
from export import ExportError

MANIFEST = "manifest.json"
PACKAGES = (
    "alae-tf",
    "tensorflow",
    "keras",
    "numpy",
    "tf2onnx",
    "onnx",
    "onnxruntime",
    "ai-edge-litert",
    "litert-quantizer",
)
VALUE_RANGES = {
    "images": "float32 in [-1, 1] (those that come out are not clipped)",
    "pixels": "uint8 in [0, 255]",
    "image_bytes": "PNG, JPEG, BMP or GIF files",
    "w": "float32, unbounded",
    "z": "float32, N(0, 1)",
    "psi": "float32, truncation; 1 for none",
}


def check_out(out: Path) -> None:
    """Tells before any work whether an export may be written here.

    Raises:
        AlaeError: a file, or a directory that holds something else.
    """
    check_directory("--out", out, "an export", MANIFEST, lambda name: name.startswith("."))


@contextlib.contextmanager
def hidden_folder(out: Path) -> Iterator[Path]:
    """A folder inside `out`, which is made and locked meanwhile; it is gone afterwards, and so
    are directories that were made for it and stayed empty.

    Raises:
        ExportError: another export is writing there.
    """
    made = [path for path in (out, *out.parents) if not path.exists()]
    out.mkdir(parents=True, exist_ok=True)
    try:
        lock = Lock(out / ".lock")
    except BlockingIOError:
        raise ExportError(f"--out={out}: another export is writing there.") from None
    with lock:
        for left in out.glob(".partial-*"):  # of an export that was killed
            shutil.rmtree(left, ignore_errors=True)
        folder = out / f".partial-{os.getpid()}"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            (out / ".lock").unlink()
            for path in made:
                with contextlib.suppress(OSError):  # it holds something
                    path.rmdir()


def next_version(out: Path) -> int:
    """The version of the next SavedModel: 1, or one more than the newest."""
    versions = [int(p.name) for p in out.glob("saved_model/*") if p.name.isdecimal()]
    return max(versions, default=0) + 1


def manifest(model, graphs, formats: list[str], trained: bool, files: dict) -> dict[str, object]:
    """What an export is made of.

    Args:
        model: an `Autoencoder`.
        graphs: its `Graphs`.
        formats: those written.
        trained: whether the weights are a run's.
        files: as `describe_files` gives them.
    """
    signatures = {}
    if "saved_model" in formats:
        signatures |= graphs.signatures()
    if {"tflite", "onnx"} & set(formats):
        signatures |= graphs.device_signatures()
    return {
        "complete": True,
        "weights": "trained" if trained else "random",
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "config": dataclasses.asdict(model.config),
        "level": model.level,
        "blend": model.blend,
        "resolution": model.resolution,
        "value_ranges": VALUE_RANGES,
        "graphs": {
            name: {
                "inputs": {spec.name: _describe(spec) for spec in inputs},
                "outputs": _outputs(name, graphs),
            }
            for name, (_, inputs) in signatures.items()
        },
        "versions": {
            name: importlib.metadata.version(name) for name in PACKAGES if installed(name)
        },
        "files": files,
    }


def _outputs(graph: str, graphs) -> dict[str, object]:
    """Names, types and shapes of a graph's outputs."""
    if graph.startswith("enc"):
        return {"w": {"dtype": "float32", "shape": [None, graphs.config.latent_size]}}
    images = {"images": {"dtype": "float32", "shape": list(graphs.shape)}}
    return images if graph == "decoder" else images | {"pixels": _describe(graphs.pixels_spec)}


def _describe(spec) -> dict[str, object]:
    shape = None if spec.shape.rank is None else spec.shape.as_list()
    return {"dtype": spec.dtype.name, "shape": shape}


def describe_files(folder: Path, names: list[str]) -> dict[str, dict[str, object]]:
    """Size and sha256 of files, and of all files in directories, by path relative to `folder`."""
    paths = [path for name in names for path in _all_files(folder / name)]
    return {
        str(path.relative_to(folder)): {
            "size": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in paths
    }


def _all_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


def published_files(out: Path) -> dict[str, object]:
    """The files of the export that is there; none if there is none or its manifest is damaged."""
    try:
        return dict(json.loads((out / MANIFEST).read_text())["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def publish(folder: Path, names: list[str], out: Path) -> None:
    """Renames files and directories of `folder` into place, its manifest last.

    SavedModel versions never replace one another; TFLite and ONNX files of an earlier export
    go when this one made none of their name, so that all files are of one model.

    Raises:
        ExportError: something of another kind has the name of a file; nothing was renamed.
    """
    for name in names:
        if (out / name).exists() and (out / name).is_dir() != (folder / name).is_dir():
            raise ExportError(f"--out={out}: {name} there is of another kind; move it away.")
    before = published_files(out)
    write_json(folder / "begun.json", {"complete": False, "files": before})
    os.replace(folder / "begun.json", out / MANIFEST)
    for name in before.keys() - set(names):
        if name.endswith((".tflite", ".onnx")):
            (out / name).unlink(missing_ok=True)
    for name in names:
        source, target = folder / name, out / name
        if name == "saved_model":
            target.mkdir(exist_ok=True)
            for version in source.iterdir():
                os.rename(version, target / version.name)
        elif source.is_dir():
            target.mkdir(exist_ok=True)
            for file in source.iterdir():
                os.replace(file, target / file.name)
        else:
            os.replace(source, target)
    os.replace(folder / MANIFEST, out / MANIFEST)


def write_json(path: Path, value: object) -> None:
    """Writes a JSON file for people to read too."""
    path.write_text(json.dumps(value, indent=1) + "\n")


def installed(package: str) -> bool:
    """Whether a distribution is installed."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
