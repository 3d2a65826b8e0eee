"""Publishes an export: it is written into a hidden folder and renamed when complete."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alae_tf.config import RENAMED
from alae_tf.runs.directory import CHANGEABLE
from alae_tf.system import schema
from alae_tf.system.errors import report
from alae_tf.system.files import (
    Lock,
    check_directory,
    move,
    replacements,
    sha256,
    sweep,
    temporary_folder,
    unchanged,
)

from . import ExportError, registry

if TYPE_CHECKING:  # a wrong --out is reported before TensorFlow is imported
    from alae_tf.model.autoencoder import Autoencoder

    from .exporter import Exporter
    from .graphs import Graphs
    from .loading import Weights

PATTERN = "*?[\\"  # characters that TensorFlow expands in paths
MANIFEST = "manifest.json"
PACKAGES = ("alae-tf", "tensorflow", "keras", "numpy")  # besides those of the formats
CONTENTS = {  # the schema of those fields of a manifest that are read
    # before: checksum of the file that this file replaces, until every file is in its place
    "files": {str: {"weights?": str, "sha256?": str, "before?": str}},
    "config": {str: object},
    "level": int,
    "weights?": ({"trained?": bool}, str),
}
VALUE_RANGES = {
    "images": "float32 in [-1, 1] (outputs are not clipped)",
    "pixels": "uint8 in [0, 255]",
    "image_bytes": "PNG, JPEG, BMP or GIF files",
    "w": "float32, unbounded",
    "styles": "float32, unbounded",
    "z": "float32, N(0, 1)",
    "psi": "float32, truncation; 1 for none",
}


def check_out(out: Path, what: str = "export", mark: str = MANIFEST) -> None:
    """Raises an AlaeError, before any work, if `out` is a file, holds something other than `what`,
    which has the file `mark`, or has characters that TensorFlow, which writes SavedModels,
    expands."""
    if set(PATTERN) & set(str(out)):
        why = f"TensorFlow expands {' '.join(PATTERN)} in paths; give another name"
        raise ExportError(f"--out={out}: {why}.")
    check_directory("--out", out, what, mark)


def rank(name: str) -> int:
    """The order in which files are uploaded. A server that polls storage takes a SavedModel as
    complete once it has a saved_model.pb; everyone else takes an export as complete once it has a
    manifest."""
    return 2 if name == MANIFEST else int(name.endswith("saved_model.pb"))


@contextlib.contextmanager
def hidden_folder(out: Path) -> Iterator[Path]:
    """A temporary folder inside `out`, which is created if missing, and locked; if nothing is
    published, the directories that were created are deleted. Raises ExportError if another export
    is writing to `out`, or its .lock is not empty."""
    made = [path for path in (out, *out.parents) if not path.exists()]
    out.mkdir(parents=True, exist_ok=True)
    file = out / ".lock"
    try:
        lock = Lock(file)
    except BlockingIOError:
        raise ExportError(f"--out={out}: another export is writing to it.") from None
    with lock:
        if file.stat().st_size:  # ours are empty
            raise ExportError(f"--out={out}: its .lock is that of another program.")
        sweep(out)
        try:
            with temporary_folder(out) as folder:
                yield folder
        finally:
            if lock.holds:
                file.unlink()
            else:
                how = "make sure that no other export wrote to it"
                report(f"--out={out}", f"its .lock was deleted; {how}.")
            for path in made:
                with contextlib.suppress(OSError):  # not empty
                    path.rmdir()


def read_manifest(out: Path) -> dict[str, Any] | None:
    """The manifest in a directory, None if it has none; raises ExportError if it is damaged."""
    try:
        return schema.load(out / MANIFEST, CONTENTS)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = f"{MANIFEST} is damaged ({error}); give another directory"
        raise ExportError(f"--out={out}: {why}.") from None


def check_same_model(out: Path, model: Autoencoder, weights: Weights) -> None:
    """Raises an ExportError, before any work, if `out` holds an export of another run or level. (A
    server takes the newest SavedModel as a better version of the same model.)"""
    old = read_manifest(out)
    if old is None:
        return
    config = {RENAMED.get(name, name): value for name, value in old["config"].items()}
    ours = json.loads(json.dumps(dataclasses.asdict(model.config)))  # tuples become lists
    theirs = old.get("weights")  # the first version recorded a word
    trained = theirs.get("trained", True) if isinstance(theirs, dict) else theirs != "random"
    kinds = {True: "trained", False: "random"}
    compared = [
        *((name, config[name], ours[name]) for name in ours if name in config.keys() - CHANGEABLE),
        ("level", old["level"], model.level),
        ("weights", kinds[trained], kinds[weights.trained]),
    ]
    differ = [
        f"\n  {name}: {theirs} in the directory, {value} in this model"
        for name, theirs, value in compared
        if theirs != value
    ]
    if differ:
        why = "holds another model; give another directory."
        raise ExportError(f"--out={out}: {why}{''.join(differ)}")


def next_version(out: Path) -> int:
    """The version of the next SavedModel, counted from 1."""
    versions = [int(p.name) for p in out.glob("saved_model/*") if p.name.isdecimal()]
    return max(versions, default=0) + 1


def manifest(work: Exporter, weights: Weights, names: list[str]) -> dict[str, object]:
    """Describes --out as it will be after publishing the written files and directories `names`,
    without the earlier files that depend on other weights."""
    model, graphs = work.model, work.graphs
    before = (read_manifest(work.options.out) or {"files": {}})["files"]
    files = {
        name: file
        for name, file in before.items()
        if not _of_weights(name) or file.get("weights") == weights.sha256
    }
    for name, file in describe_files(work.folder, names).items():
        files[name] = file | {"weights": weights.sha256}
    packages = (*PACKAGES, *(name for each in registry.FORMATS for name in each.packages))
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
                "inputs": {spec.name: _tensor(spec.dtype.name, spec.shape) for spec in inputs},
                "outputs": _outputs(name, graphs),
            }
            for each in registry.found(files)
            for name, (_, inputs) in each.graphs(graphs).items()
        },
        "versions": {
            name: importlib.metadata.version(name) for name in packages if registry.installed(name)
        },
        "files": files,
    }


def _of_weights(name: str) -> bool:
    """Whether a file is deleted when other weights are exported."""
    return "/" not in name and any(not each.lasting for each in registry.found([name]))


def _outputs(graph: str, graphs: Graphs) -> dict[str, Any]:
    """Names, types and shapes of a graph's outputs."""
    latent, styles = graphs.config.latent_size, graphs.config.styles
    if graph.startswith("enc"):
        name, rows = ("styles", (styles,)) if "styles" in graph else ("w", ())
        return {name: _tensor("float32", (None, *rows, latent))}
    types = {"images": "float32"} | ({} if graph.startswith("decoder") else {"pixels": "uint8"})
    return {name: _tensor(dtype, (None, *graphs.shape)) for name, dtype in types.items()}


def _tensor(dtype: str, shape: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape) if shape else None}  # an unknown shape is false


def describe_files(folder: Path, names: list[str]) -> dict[str, dict[str, object]]:
    """Size and sha256 of files, and of all files in directories, by path relative to `folder`."""
    return {
        str(path.relative_to(folder)): {"size": path.stat().st_size, "sha256": sha256(path)}
        for name in names
        for path in all_files(folder / name)
    }


def all_files(path: Path) -> list[Path]:
    """A file, or the files in a directory."""
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


def exported(out: Path) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """The files that the manifest in a directory lists, and the names of those that are still as
    they were exported. Only these may be replaced or deleted: the others may be the user's.
    Versions of the SavedModel, which are never replaced or deleted, are not read."""
    files = (read_manifest(out) or {"files": {}})["files"]
    sums = {
        name: (file.get("sha256"), file.get("before"))
        for name, file in files.items()
        if not name.startswith("saved_model/")
    }
    return files, unchanged(out, sums)


def check_replaceable(out: Path, names: Iterable[str]) -> None:
    """Raises an ExportError, before any work, if files and directories of these names cannot be
    published because `out` holds files of the same names that no export wrote."""
    files, ours = exported(out)
    for name in set(names) - {"saved_model"}:
        inside = [each for each in files if each == name or each.startswith(f"{name}/")]
        for each in inside or [name]:
            path = out / each
            is_part = path.is_dir() and not path.suffix  # web/, for example
            if each not in ours and os.path.lexists(path) and not is_part:
                why = f"{each} was changed after the export, or was not exported"
                raise ExportError(f"--out={out}: {why}; move it away, or give another directory.")


def publish(folder: Path, names: list[str], out: Path) -> None:
    """Renames files and directories of `folder` into place, the manifest last.

    Files that the old manifest lists are replaced, or deleted if they depend on other weights;
    versions of the SavedModel stay. Files that were changed after the export are not deleted, which
    is reported. All files are renamed or none: raises AlaeError if another file has the name of a
    new file, OSError if a file cannot be renamed.
    """
    before, ours = exported(out)
    after = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    new = [str(path.relative_to(folder)) for name in names for path in all_files(folder / name)]
    versions = [f"saved_model/{path.name}" for path in folder.glob("saved_model/*")]  # as a whole
    new = versions + [name for name in new if not name.startswith("saved_model/")]
    gone = {name for name in before.keys() - after["files"].keys() if _of_weights(name)}
    old = {name for name in ours if name in new or name in gone}
    moves = replacements(folder, new, out, old, folder / "old")
    for name in sorted(gone - ours):
        if os.path.lexists(out / name):
            report(f"--out={out}", f"{name} was changed after the export; it is kept.")
    # A later export must recognise both the old and the new file if this one is killed.
    begun = {
        name: file | ({"before": sha256(out / name)} if name in old else {})
        for name, file in after["files"].items()
    }
    write_json(folder / "begun.json", after | {"complete": False, "files": before | begun})
    os.replace(folder / "begun.json", out / MANIFEST)
    move(moves)
    os.replace(folder / MANIFEST, out / MANIFEST)


def write_json(path: Path, value: object) -> None:
    """Writes an indented JSON file into a folder that is not published yet; raises ValueError if a
    number is not finite, which JSON cannot hold."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n", encoding="utf-8")
