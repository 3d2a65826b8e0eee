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
from typing import TYPE_CHECKING, Any

from alae_tf.config import RENAMED
from alae_tf.files import Lock, check_directory
from alae_tf.runs.directory import CHANGEABLE

from . import ExportError

if TYPE_CHECKING:  # so that a wrong --out is told before TensorFlow is imported
    from alae_tf.autoencoder import Autoencoder

    from .graphs import Graphs
    from .loading import Weights

PATTERN = "*?[\\"
MANIFEST = "manifest.json"
# Ends of TFLite files' names, by quantisation.
SUFFIX = {"none": "", "float16": "_float16", "dynamic_int8": "_dynamic_int8", "int8": "_int8"}
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
        AlaeError: a file, a directory that holds something else, or a path that TensorFlow, which
            writes SavedModels, reads as a pattern.
    """
    if set(PATTERN) & set(str(out)):
        raise ExportError(
            f"--out={out}: TensorFlow reads {' '.join(PATTERN)} as a pattern; give another name."
        )
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


def read_manifest(out: Path) -> dict[str, Any] | None:
    """The manifest of the export that is there; None if there is none.

    Raises:
        ExportError: it is damaged.
    """
    try:
        read = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
        known = {"files": dict(read["files"]), "config": dict(read["config"])}
        return read | known | {"level": int(read["level"])}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ExportError(
            f"--out={out}: {MANIFEST} there is damaged, so that nobody knows which model it is; "
            "give another directory."
        ) from None


def check_same_model(out: Path, model: Autoencoder, weights: Weights) -> None:
    """Tells before any work whether what is exported there is another model.

    An export directory holds one model, since its files are used together and a server takes the
    newest SavedModel as the same model, only better. So a later checkpoint of the same run at the
    same level is welcome, and nothing else.

    Raises:
        ExportError: it is of another run or level.
    """
    there = read_manifest(out)
    if there is None:
        return
    config = {RENAMED.get(name, name): value for name, value in there["config"].items()}
    ours = json.loads(json.dumps(dataclasses.asdict(model.config)))  # tuples become lists
    differ = [
        f"{name}: {config[name]} there, {value} here"
        for name, value in ours.items()
        if name in config and name not in CHANGEABLE and config[name] != value
    ]
    if there["level"] != model.level:
        differ.append(f"level: {there['level']} there, {model.level} here")
    if trained(there) != weights.trained:
        kinds = {True: "of a run", False: "random"}
        differ.append(f"weights: {kinds[trained(there)]} there, {kinds[weights.trained]} here")
    if differ:
        raise ExportError(
            f"--out={out}: holds another model; give another directory.\n  " + "\n  ".join(differ)
        )


def trained(manifest: dict) -> bool:
    """Whether the weights of an export are a run's; the first version wrote a word."""
    kind = manifest.get("weights")
    return kind.get("trained", True) if isinstance(kind, dict) else kind != "random"


def next_version(out: Path) -> int:
    """The version of the next SavedModel: 1, or one more than the newest."""
    versions = [int(p.name) for p in out.glob("saved_model/*") if p.name.isdecimal()]
    return max(versions, default=0) + 1


def manifest(
    out: Path,
    model: Autoencoder,
    weights: Weights,
    graphs: Graphs,
    folder: Path,
    names: list[str],
) -> dict[str, object]:
    """What is in an export's directory, once this export is published too.

    Args:
        out: where it is to be.
        model: what is exported.
        weights: which it has.
        graphs: its graphs.
        folder: where the files are still.
        names: of files and directories in it.
    """
    new = describe_files(folder, names)
    files = kept(out, weights)
    files |= {name: file | {"weights": weights.sha256} for name, file in new.items()}
    signatures = {}
    if any(name.startswith("saved_model/") for name in files):
        signatures |= graphs.signatures()
    if any(name.endswith((".tflite", ".onnx")) for name in files):
        signatures |= graphs.device_signatures()
    return {
        "complete": True,
        "weights": dataclasses.asdict(weights),
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


def kept(out: Path, weights: Weights) -> dict[str, Any]:
    """The files of the export before that stay: SavedModels and what serves them; TFLite and ONNX
    files of the same weights."""
    before = (read_manifest(out) or {"files": {}})["files"]
    return {
        name: file
        for name, file in before.items()
        if name.startswith(("saved_model/", "serving/")) or file.get("weights") == weights.sha256
    }


def _outputs(graph: str, graphs) -> dict[str, Any]:
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


def publish(folder: Path, names: list[str], out: Path) -> None:
    """Renames files and directories of `folder` into place, its manifest last.

    SavedModel versions never replace one another; files of an earlier export that the manifest no
    longer lists, being of older weights, go.

    Raises:
        ExportError: something of another kind has the name of a file; nothing was renamed.
    """
    for name in names:
        if (out / name).exists() and (out / name).is_dir() != (folder / name).is_dir():
            raise ExportError(f"--out={out}: {name} there is of another kind; move it away.")
    before = (read_manifest(out) or {"files": {}})["files"]
    after = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    begun = after | {"complete": False, "files": before | after["files"]}
    write_json(folder / "begun.json", begun)
    os.replace(folder / "begun.json", out / MANIFEST)
    for name in before.keys() - after["files"].keys():
        if name.endswith((".tflite", ".onnx")):  # no manifest can ask for more to be deleted
            (out / Path(name).name).unlink(missing_ok=True)
    for name in names:
        source, target = folder / name, out / name
        if name == "saved_model":
            target.mkdir(exist_ok=True)
            for version in source.iterdir():
                os.rename(version, target / version.name)
        elif source.is_dir():
            for file in _all_files(source):
                (target / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
                os.replace(file, target / file.relative_to(source))
        else:
            os.replace(source, target)
    os.replace(folder / MANIFEST, out / MANIFEST)


def write_json(path: Path, value: object) -> None:
    """Writes a JSON file for people to read too, into a folder that is not published yet."""
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def installed(package: str) -> bool:
    """Whether a distribution is installed."""
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
