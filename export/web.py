"""A page that runs E, F and G on the visitor's device, for any static web host.

index.html, style.css, *.js    the page
models.json                    the names of its models
model/NAME/                    TFLite files for one image at a time, and model.json; those of faces
                               that the page can find also have face_detector and face_mesh
runtime/                       LiteRT.js, which runs them: from npm, at a fixed version
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alae_tf.images.alignment import CROPS
from alae_tf.images.faces import FaceError, model_folder
from alae_tf.latents import directions, levels
from alae_tf.latents.directions import Direction
from alae_tf.runs.directory import existing_run
from alae_tf.system import npm, schema
from alae_tf.system.environment import cache
from alae_tf.system.errors import report

from . import ExportError, tflite
from .formats import File, Format, Options

if TYPE_CHECKING:
    from alae_tf.model.autoencoder import Autoencoder

    from .exporter import Exporter

PAGE = Path(__file__).parent / "page"
# The runtime (Apache 2.0), copied to runtime/: only the files without threads (they brought no gain
# and need special headers), for browsers with and without relaxed SIMD.
WASM = [
    f"wasm/litert_wasm_{kind}internal.{end}" for kind in ("", "compat_") for end in ("js", "wasm")
]
CORE = npm.Package(
    "@litertjs/core@2.5.3",
    "sha512-PlGmbMOq9WitX7FO"
    "0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
    {"dist/index.js": "core.js"} | {name: name for name in WASM},
)
UTILS = npm.Package(
    "@litertjs/wasm-utils@2.5.3",
    "sha512-4fJiw6tBQnIs+0jH"
    "/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
    {"dist/index.js": "wasm-utils.js"},
)
RUNTIME = (CORE, UTILS)
NAMES = [name for package in RUNTIME for name in package.files.values()]
CACHED = "litertjs-" + "-".join(each.name.rpartition("@")[2] for each in RUNTIME)  # in the cache
CDN = "https://cdn.jsdelivr.net/npm"  # has every package of npm, by name and version
GRAPHS = {  # files of a model → their graphs and quantisations
    "encoder": ("encoder_styles", ("none", "dynamic_int8")),
    "decoder": ("decoder_styles", ("none", "dynamic_int8")),
    "mapping": ("mapping", ("none",)),
}
DIRECTIONS = "directions.json"  # in a run's directory
PAGE_FILE = "page.json"  # in a run's directory: what the page says about the model, and its crop
FACES = {  # files of the page → MediaPipe's, in the package of the extra `align`
    "face_detector.tflite": "face_detection_short_range.tflite",
    "face_mesh.tflite": "face_landmark.tflite",
}
SPAN = 4.0  # of a slider whose direction has no span of the data, in unit lengths


def name_of(source: Path | str) -> str:
    """The name of the model of a run or config: letters, digits, dots, underscores, dashes."""
    path = Path(source)
    return re.sub(r"[^\w.-]+", "-", path.resolve().stem if path.is_file() else path.name) or "model"


def host_of(runtime: str | None) -> str | None:
    """The host that visitors load the runtime from; None if the page has its own copy."""
    if runtime is None or runtime == "cdn":
        return runtime and CDN
    return runtime.rstrip("/") if runtime.startswith(("https:", "http:")) else None


def check_runtime(given: str | None) -> None:
    """Raises an ExportError, before any work, if npm is needed and not installed, or if the folder
    lacks a file."""
    if given is None:
        if _missing(cache() / CACHED) and not npm.command():
            why = "--formats=web: needs npm, to fetch the browser's runtime"
            raise ExportError(f"{why}. Install Node.js, or give --web_runtime=DIR.")
    elif not host_of(given) and (missing := _missing(Path(given))):
        raise ExportError(f"--web_runtime={given}: has no {missing}; give runtime/ of an export.")


def write_page(folder: Path, names: Sequence[str], runtime: str | None) -> None:
    """Writes the page, its runtime (see --web_runtime) and the list of the models in folder/model.
    Raises ExportError if npm fails, or fetches something else."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in PAGE.iterdir():
        shutil.copy(file, folder / file.name)
    if host := host_of(runtime):
        imports = {
            "@litertjs/core": f"{host}/{CORE.name}/dist/index.js",
            "@litertjs/core/wasm/": f"{host}/{CORE.name}/wasm/",
            "@litertjs/wasm-utils": f"{host}/{UTILS.name}/dist/index.js",
        }
        page, script = folder / "index.html", '<script type="importmap">'
        before, _, rest = page.read_text(encoding="utf-8").partition(script)
        after = rest[rest.index("</script>") :]
        text = f"{before}{script}{json.dumps({'imports': imports})}{after}"
        page.write_text(text, encoding="utf-8")
    else:
        source = _fetch() if runtime is None else Path(runtime)
        for name in NAMES:
            target = folder / "runtime" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, target)
    (folder / "models.json").write_text(json.dumps(list(names)), encoding="utf-8")


def directions_of(model: Autoencoder, options: Options) -> list[Direction]:
    """The directions for sliders: of --directions, or of the run; none if both are missing. Raises
    LatentError if the file is missing or damaged, or of another model."""
    file = options.directions
    if file is None:
        file = existing_run(options.run_dir) / DIRECTIONS if options.run_dir else None
        if file is None or not file.is_file():
            return []
    return directions.read(file, model.config.latent_size, model.fingerprint)


def about(run: Path | str | None) -> dict[str, str]:
    """The contents of a run's page.json, {} if it is missing: `purpose`, a sentence, and, for a
    model of faces, `crop`, the key of `CROPS` by which its training images were cropped. Raises
    ExportError if the file is damaged."""
    if run is None:
        return {}
    file = existing_run(run) / PAGE_FILE
    try:
        found = schema.load(file, {"purpose?": str, "crop?": str})
        if found.get("crop", "lfw") not in CROPS:
            raise ValueError(f"crop: got {found['crop']!r}, expected {', '.join(CROPS)}")
        return found
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ExportError(f"{file}: {getattr(error, 'strerror', None) or error}.") from None


def face_files(run: Path | str | None) -> dict[str, Path]:
    """The networks that find faces, by their names in the page; none if the model is not one of
    faces. Without the extra `align`, they are left out with a warning."""
    if "crop" not in about(run):
        return {}
    try:
        return {name: model_folder() / file for name, file in FACES.items()}
    except FaceError as error:
        report("left out", f"{run}: the page will not find faces: {error}")
        return {}


def describe(
    model: Autoencoder, moves: Sequence[Direction], purpose: str, crop: str | None
) -> dict[str, object]:
    """The contents of model.json, which describes a model to the page: what it is for, and the key
    of `CROPS` for the faces that the page finds, None if it finds none."""
    config = model.config
    named = levels.named(model.level + 1) if config.styles > 1 else {}
    return {
        "purpose": purpose,
        "crop": dataclasses.asdict(CROPS[crop]) if crop else None,
        "resolution": model.resolution,
        "channels": config.image_channels,
        "latent": config.latent_size,
        "styles": config.styles,
        "cutoff": config.truncation_cutoff,
        "w_avg": np.asarray(model.alae.w_avg, np.float64).reshape(-1).tolist(),
        "ranges": {
            name: list(range(config.styles))[levels.rows(where)] for name, where in named.items()
        },
        "directions": [
            {
                "name": each.name,
                "vector": each.vector.astype(float).tolist(),
                "span": float(each.span[1] - each.span[0]) if each.span else SPAN,
            }
            for each in moves
        ],
        "images_seen": model.images_seen,
    }


def files(options: Options) -> list[File]:
    """The page, and the files of its model as parts."""
    source = options.run_dir or options.untrained
    assert source is not None  # the command line requires one of the two
    folder = f"web/model/{name_of(source)}"
    parts = [
        tflite.file(f"{folder}/{name}{tflite.QUANTIZATIONS[kind]}", graph, kind, options, batch=1)
        for name, (graph, kinds) in GRAPHS.items()
        for kind in kinds
    ]
    return [File("web", parts=tuple(parts))]


def write_model(work: Exporter, file: File) -> None:
    """Writes the model of a page, with model.json."""
    folder = (work.folder / file.parts[0].name).parent
    folder.mkdir(parents=True)
    found, faces = about(work.options.run_dir), face_files(work.options.run_dir)
    moves, crop = directions_of(work.model, work.options), found["crop"] if faces else None
    description = describe(work.model, moves, found.get("purpose", ""), crop)
    (folder / "model.json").write_text(json.dumps(description), encoding="utf-8")
    for name, source in faces.items():
        shutil.copyfile(source, folder / name)
    for part in file.parts:
        tflite.write(work, part)


def write(work: Exporter, file: File) -> None:
    """Writes the page with its model."""
    write_model(work, file)
    name = Path(file.parts[0].name).parent.name
    write_page(work.folder / "web", [name], work.options.web_runtime)


def ready(options: Options, model: Autoencoder) -> None:
    """Raises an AlaeError if the runtime is missing, page.json is damaged, or the directions are of
    another model."""
    check_runtime(options.web_runtime)
    about(options.run_dir)
    directions_of(model, options)


def _missing(folder: Path) -> str | None:
    """A file of the runtime that a folder lacks; None if it is complete."""
    return next((name for name in NAMES if not (folder / name).is_file()), None)


def _fetch() -> Path:
    """The runtime in the cache, fetched at the first use; raises ExportError if npm fails, or if an
    archive has another checksum."""
    folder = cache() / CACHED
    try:
        if _missing(folder):
            npm.fetch(RUNTIME, folder)
    except npm.NpmError as error:
        raise ExportError(f"{error} Or give --web_runtime=DIR.") from None
    return folder


FORMAT = Format(
    "web",
    "a page that runs the model in the browser",
    patterns=("web/*",),
    files=files,
    write=write,
    runtimes=tflite.FORMAT.runtimes,
    packages=tflite.FORMAT.packages,
    default=False,
    ready=ready,
)
