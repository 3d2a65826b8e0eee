"""One export: files are written and checked beside their final places, then published."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from alae_tf.autoencoder import Autoencoder
from alae_tf.errors import reason
from alae_tf.images import picture
from alae_tf.images.picture import png
from alae_tf.networks import ops
from alae_tf.runs.directory import existing_run, images_of

from . import ExportError, ExportFailed, parity, publish
from .graphs import Graphs
from .litert import images_at_once
from .loading import Weights, load, real_images
from .parity import Reference, Row

CALIBRATION_IMAGES = 500  # those compared among them; 100 above 64 px, where each takes longer
PACKAGES = {
    "saved_model": ("tensorflow-serving-api",),
    "tflite": ("ai-edge-litert", "litert-quantizer"),
    "onnx": ("tf2onnx", "onnx", "onnxruntime"),
    "keras": (),
    "web": ("ai-edge-litert", "litert-quantizer"),
}


def check_packages(formats: Sequence[str]) -> None:
    """Raises an ExportError if what writes these formats is not installed."""
    needed = [name for format_ in formats for name in PACKAGES[format_]]
    missing = [name for name in needed if not publish.installed(name)]
    if missing:
        raise ExportError(
            f"{', '.join(missing)} not installed: the extra `export` brings them "
            "(in a clone: pip install -e '.[export]')."
        )


def export(args: argparse.Namespace) -> int:
    """Loads, writes, checks and publishes.

    Args:
        args: as `export.__main__.parse` gives them.

    Returns:
        The exit code: 0, or 1 if a file was left out.

    Raises:
        AlaeError: a wrong flag.
        ExportFailed: no file holds, or the disk failed; nothing is published.
    """
    check_packages(args.formats)
    model, weights = load(args.run_dir, args.untrained, args.level)
    if "web" in args.formats:
        from . import web

        web.check_runtime(args.web_runtime)
        web.directions_of(model, args)
    own = model.config.data
    own = images_of(existing_run(args.run_dir), own) if args.run_dir else own
    uri = args.representative_data or own
    count = CALIBRATION_IMAGES if model.resolution <= 64 else CALIBRATION_IMAGES // 5
    pixels = real_images(uri, model.resolution, model.config.image_channels, count)
    try:
        work = write(model, weights, args, pixels)
    except (OSError, tf.errors.OpError) as error:
        why = getattr(error, "strerror", None) or reason(str(error))
        raise ExportFailed(f"--out={args.out}: {why}; nothing was published.") from None
    for message in work.left_out:
        print(f"export: {message}", file=sys.stderr)
    print(f"export: {args.out} holds {', '.join(work.files)}")
    return 1 if work.left_out else 0


def write(
    model: Autoencoder, weights: Weights, args: argparse.Namespace, pixels: np.ndarray
) -> Exporter:
    """Writes and checks everything in a hidden folder in --out, then publishes what holds."""
    with publish.hidden_folder(args.out) as folder:
        publish.check_same_model(args.out, model, weights)
        work = Exporter(model, weights, args, pixels, folder)
        try:
            work.run(publish.next_version(args.out))
        finally:
            if work.rows:
                print(parity.table(work.rows))
        if not work.files:
            raise ExportFailed("\n".join([*work.left_out, "Nothing was published."]))
        work.finish()
        publish.publish(folder, work.files, args.out)
    return work


class Exporter:
    """Writes the files of one export into a folder, and checks each.

    Args:
        model: what to export.
        weights: which it has.
        args: as `export.__main__.parse` gives them.
        pixels: real images, uint8 [n, H, W, C].
        folder: to write into.

    Attributes:
        reference: Keras' results on some of the images, to compare with.
        pixels: the other images, to calibrate int8 with.
        rows: the comparisons so far.
        files: relative paths of what holds and is to be published.
        left_out: a message for each file that does not, with the flag that does without it.
        float32: TFLite files in float32, by signature.
    """

    def __init__(
        self,
        model: Autoencoder,
        weights: Weights,
        args: argparse.Namespace,
        pixels: np.ndarray,
        folder: Path,
    ):
        self.model, self.weights, self.args, self.folder = model, weights, args, folder
        self.graphs = Graphs(model)
        shown = min(len(pixels), picture.columns(model.resolution))
        compared = np.arange(shown) * (len(pixels) // shown)
        self.reference = Reference(self.graphs, pixels[compared])
        # Others than those compared, which would look better than new images do.
        self.pixels = np.delete(pixels, compared, axis=0) if len(pixels) > shown else pixels
        self.rows: list[Row] = []
        self.files: list[str] = []
        self.left_out: list[str] = []
        self.float32: dict[str, bytes] = {}

    def run(self, version: int) -> None:
        """Writes and checks everything; `version` is the SavedModel's."""
        with tqdm(self.steps(version), "export", leave=False) as bar:
            for name, step, without in bar:
                bar.set_postfix_str(name)
                self.attempt(name, step, without)

    def steps(self, version: int) -> list[tuple[str, Callable[[], Iterable[Row]], str]]:
        """What is written: (name in the folder, function that writes and checks it, the flag that
        does without it)."""
        args, steps = self.args, []
        formats = {name: flag("formats", args.formats, name) for name in args.formats}
        graphs = {name: flag("graphs", args.graphs, name) for name in args.graphs}
        if "saved_model" in formats:
            step = functools.partial(self.saved_model, version)
            steps.append(("saved_model", step, formats["saved_model"]))
        for graph in graphs:
            if "onnx" in formats:
                step = functools.partial(self.onnx, graph)
                steps.append((f"{graph}.onnx", step, graphs[graph] or formats["onnx"]))
            for kind in args.quantize if "tflite" in formats else ():
                step = functools.partial(self.tflite, graph, kind)
                flags = (flag("quantize", args.quantize, kind), graphs[graph], formats["tflite"])
                without = " or ".join([text for text in flags if text][:2])
                steps.append((f"{graph}{publish.SUFFIX[kind]}.tflite", step, without))
            if "tflite" in formats:
                step = functools.partial(self.single, f"{graph}_batch1.tflite", f"{graph}_one")
                steps.append((f"{graph}_batch1.tflite", step, graphs[graph] or formats["tflite"]))
        if "keras" in formats:
            steps.append(("model.keras", self.keras, formats["keras"]))
        if "web" in formats:
            steps.append(("web", self.web, formats["web"]))
        return steps

    def attempt(self, name: str, step: Callable[[], Iterable[Row]], without: str) -> None:
        """Writes and checks one file or directory; what does not hold goes, and is told of."""
        faults = []
        try:
            rows = list(step())
            self.rows += rows
            faults = [row.fault for row in rows if not row.holds]
        except (OSError, tf.errors.OpError):  # the disk: no other file would fare better
            raise
        except ExportFailed as error:
            faults = [str(error)]
        except Exception as error:  # of a converter or a quantiser: the others' files are good
            faults = [f"{type(error).__name__}: {reason(str(error))}"]
        if not faults:
            self.files.append(name)
            return
        path = self.folder / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        told = f" To do without it: {without}." if without else ""
        self.left_out.append(f"{name}: left out: {faults[0]}.{told}")

    def saved_model(self, version: int) -> Iterable[Row]:
        """The SavedModel with six signatures and its warm-up requests."""
        from . import saved_model, serving

        path = self.folder / "saved_model" / str(version)
        path.parent.mkdir()
        saved_model.write(self.model.alae, self.graphs.signatures(), path)
        one = self.reference
        requests = {
            "encode": {"images": one.images[:1]},
            "encode_uint8": {"pixels": one.pixels[:1]},
            "encode_bytes": {"image_bytes": [png(one.pixels[0])]},
            "decode": {"w": one.w[:1]},
            "reconstruct": {"images": one.images[:1]},
            "generate": {"z": one.z[:1], "psi": one.psi[:1]},
        }
        saved_model.write_warm_up(path, requests, serving.MODEL_NAME)
        return parity.check_saved_model(path, self.folder, self.reference)

    def onnx(self, graph: str) -> Iterable[Row]:
        """encoder.onnx or decoder.onnx."""
        from . import onnx

        path = self.folder / f"{graph}.onnx"
        path.write_bytes(onnx.convert(self.graphs.device_signatures()[graph]))
        return [parity.check_onnx(path, self.folder, graph, self.reference)]

    def tflite(self, graph: str, quantization: str) -> Iterable[Row]:
        """One TFLite file."""
        from . import tflite

        path = self.folder / f"{graph}{publish.SUFFIX[quantization]}.tflite"
        signature = graph
        if graph == "encoder" and quantization == "int8":
            signature = "encoder_uint8"
        model = self.converted(signature)
        if quantization != "none":
            inputs = self.pixels if signature == "encoder_uint8" else ops.to_unit(self.pixels)
            if graph == "decoder" and quantization == "int8":
                inputs = self.model.encode(self.pixels)
            mlp = self.model.config.architecture == "mlp"
            inputs, step = np.asarray(inputs), images_at_once(self.model.resolution)
            parts = [inputs[i : i + step] for i in range(0, len(inputs), step)]
            model = tflite.quantize(model, quantization, parts, mlp)
        path.write_bytes(model)
        limit = self.args.max_int8_error
        return [parity.check_tflite(path, self.folder, graph, self.reference, limit)]

    def single(self, name: str, signature: str, quantization: str = "none") -> Iterable[Row]:
        """One TFLite file for one image at a time."""
        from . import tflite

        path = self.folder / name
        model = self.converted(signature)
        if quantization != "none":
            model = tflite.quantize(
                model, quantization, [], self.model.config.architecture == "mlp"
            )
        path.write_bytes(model)
        limit = self.args.max_int8_error
        return [parity.check_single(path, self.folder, signature, self.reference, limit)]

    def keras(self) -> Iterable[Row]:
        """Keras' own file, which `alae_tf.from_pretrained` takes too."""
        from alae_tf import keras_file

        path = self.folder / "model.keras"
        keras_file.save(self.model, path)
        return parity.check_keras(path, self.folder, self.reference)

    def web(self) -> Iterable[Row]:
        """The page, with this model in it."""
        from . import web

        name = web.name_of(self.args.run_dir or self.args.untrained)
        web.write_page(self.folder / "web", [name], self.args.web_runtime)
        return self.web_model(name)

    def web_model(self, name: str) -> list[Row]:
        """This model as one of a page's."""
        from . import web

        folder = self.folder / "web" / "model" / name
        folder.mkdir(parents=True)
        about = web.describe(self.model, web.directions_of(self.model, self.args))
        (folder / "model.json").write_text(json.dumps(about), encoding="utf-8")
        rows: list[Row] = []
        for file, signature in web.GRAPHS.items():
            for quantization in ("none", "dynamic_int8") if file != "mapping" else ("none",):
                path = f"web/model/{name}/{file}{publish.SUFFIX[quantization]}.tflite"
                rows += self.single(path, signature, quantization)
        return rows

    def converted(self, signature: str) -> bytes:
        """One graph as a float32 TFLite file; the converter reads it from a SavedModel."""
        from . import saved_model, tflite

        if signature in self.float32:
            return self.float32[signature]
        path = self.folder / f"device_{signature}"
        signatures = self.graphs.device_signatures() | self.graphs.single_signatures()
        endpoint = signatures[signature]
        saved_model.write(self.model.alae, {signature: endpoint}, path)
        self.float32[signature] = tflite.convert(path, signature)
        shutil.rmtree(path)
        return self.float32[signature]

    def finish(self) -> None:
        """Writes parity.json, parity.png, TF Serving's files and manifest.json."""
        rows = parity.picture(self.folder, self.files, self.reference)
        (self.folder / "parity.png").write_bytes(png(rows))
        rows = [dataclasses.asdict(row) | {"holds": row.holds} for row in self.rows]
        publish.write_json(self.folder / "parity.json", rows)
        if "saved_model" in self.files:
            from . import serving

            serving.write(self.folder / "serving")
            self.files.append("serving")
        self.files += ["parity.png", "parity.json"]
        manifest = publish.manifest(
            self.args.out, self.model, self.weights, self.graphs, self.folder, self.files
        )
        publish.write_json(self.folder / publish.MANIFEST, manifest)


def flag(name: str, values: list[str], without: str) -> str:
    """The flag that lists all values but one; "" if none is left."""
    left = [value for value in values if value != without]
    return f"--{name}={','.join(left)}" if left else ""
