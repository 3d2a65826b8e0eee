"""Turns a run into files for others to run, and proves each against the Keras model."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import sys
from pathlib import Path

from alae_tf.errors import guarded
from export import QUANTIZATIONS, ExportError, publish

FORMATS = ("saved_model", "tflite", "onnx")
GRAPHS = ("encoder", "decoder")
CALIBRATION_IMAGES = 500  # those compared among them; 100 above 64 px, where each takes longer


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line; lists are checked here."""
    parser = argparse.ArgumentParser(
        prog="python -m export",
        description=__doc__,
        epilog="Example: python -m export --run_dir=runs/quickstart --out=exported",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run_dir", type=Path, help="the run; its EMA weights are exported")
    what.add_argument(
        "--untrained",
        type=Path,
        metavar="CONFIG",
        help="instead: a config with random weights, to try sizes and speeds before training",
    )
    parser.add_argument("--out", type=Path, required=True, help="new directory, or an export's")
    parser.add_argument("--formats", default=",".join(FORMATS), help="default: %(default)s")
    parser.add_argument(
        "--graphs",
        default=",".join(GRAPHS),
        help="what TFLite and ONNX files are made of; default: %(default)s",
    )
    parser.add_argument(
        "--quantize",
        default=",".join(QUANTIZATIONS),
        help="TFLite files to write: none (float32), float16, dynamic_int8 (int8 kernels), int8 "
        "(int8 activations too; uint8 pixels in, float w out). Default: %(default)s",
    )
    parser.add_argument(
        "--representative_data",
        metavar="URI",
        help="real images, as --data of training, to compare on and to calibrate int8 with; "
        "default: the run's own",
    )
    parser.add_argument("--level", type=int, help="level of a growing model; default: as trained")
    parser.add_argument(
        "--max_int8_error",
        type=float,
        default=0.10,
        help="int8 encoders further off (root mean square error of w, against the spread of w "
        "between images) are not written. Default: %(default)s",
    )
    args = parser.parse_args(arguments)
    args.formats = _list(parser, "--formats", args.formats, FORMATS)
    args.graphs = _list(parser, "--graphs", args.graphs, GRAPHS)
    args.quantize = _list(parser, "--quantize", args.quantize, QUANTIZATIONS)
    if not 0 <= args.max_int8_error < float("inf"):
        parser.error(f"--max_int8_error={args.max_int8_error}: must be 0 or more.")
    return args


def _list(parser, flag: str, text: str, known: tuple[str, ...]) -> list[str]:
    values = text.split(",")
    for value in values:
        if value not in known:
            parser.error(f"{flag}={text}: {value!r} is none of {', '.join(known)}.")
    return [value for value in known if value in values]


def load(run_dir: Path | None, untrained: Path | None, level: int | None):
    """The model to export, an `Autoencoder` in float32.

    Raises:
        ExportError: no run or config, no checkpoint, or a level that it has not reached.
    """
    import tensorflow as tf
    from absl import logging

    from alae_tf.autoencoder import Autoencoder
    from alae_tf.config import Config, ConfigError
    from alae_tf.networks.alae import build_alae
    from alae_tf.runs.checkpoint import CheckpointError, load_ema

    logging.set_verbosity(logging.ERROR)  # converters warn of gradients that nobody will ask for
    tf.get_logger().setLevel("ERROR")
    try:
        if untrained:
            config = Config.load(untrained).replace(precision="float32")
            alae, state = build_alae(config), {"level": config.levels - 1, "blend": 1.0}
        else:
            config, alae, state = load_ema(run_dir, precision="float32")
    except (CheckpointError, ConfigError) as error:
        raise ExportError(str(error)) from None
    reached = state["level"]
    if level is not None and not 0 <= level <= reached:
        raise ExportError(f"--level={level}: must be 0 to {reached}, which the run has reached.")
    if level is None or level == reached:
        return Autoencoder(config, alae, reached, state["blend"])
    return Autoencoder(config, alae, level)


def real_images(uri: str, resolution: int, channels: int, count: int):
    """The first images of a source, fitted: uint8 [count, H, W, C]; few images are repeated.

    Raises:
        ExportError: the data cannot be read, or has other channels.
    """
    import numpy as np

    from alae_tf.data import DataError, open_source

    flag = "--representative_data"
    try:
        source = open_source(uri)
        source = source.held_out or source
        if source.channels != channels:
            raise ExportError(
                f"{flag}={uri}: images of {source.channels} channels, the model takes {channels}."
            )
        indices = np.linspace(0, len(source), count, endpoint=False).astype(int)
        return np.stack([source.fitted(i, resolution) for i in indices.tolist()])
    except DataError as error:
        message = str(error).replace("--data=", f"{flag}=")
        raise ExportError(f"{message}\nName real images for the comparison by {flag}.") from None


class Export:
    """One export: files are written and checked in a hidden folder beside their final places.

    Args:
        model: an `Autoencoder`.
        args: as `parse` gives them.
        pixels: real images, uint8 [n, H, W, C].
        folder: the hidden one.

    Attributes:
        reference: Keras' results on some of the images, to compare with.
        pixels: the other images, to calibrate int8 with.
        rows: the comparisons so far.
        files: relative paths of what is to be published.
        refused: messages on int8 files that are too far off.
        float32: TFLite files in float32, by signature.
    """

    def __init__(self, model, args: argparse.Namespace, pixels, folder: Path):
        import numpy as np

        from alae_tf.images import picture
        from export.graphs import Graphs
        from export.parity import Reference

        self.model, self.args, self.folder = model, args, folder
        self.graphs = Graphs(model)
        shown = min(len(pixels), picture.columns(model.resolution))
        compared = np.arange(shown) * (len(pixels) // shown)
        self.reference = Reference(self.graphs, pixels[compared])
        # Others than those compared, which would look better than new images do.
        self.pixels = np.delete(pixels, compared, axis=0) if len(pixels) > shown else pixels
        self.rows, self.files, self.refused = [], [], []
        self.float32: dict[str, bytes] = {}

    def run(self, version: int) -> None:
        """Writes and checks everything.

        Raises:
            ExportError: a float file does not agree with Keras.
        """
        from tqdm import tqdm

        steps = []
        if "saved_model" in self.args.formats:
            steps.append(("SavedModel", lambda: self.saved_model(version)))
        for graph in self.args.graphs:
            if "onnx" in self.args.formats:
                steps.append((f"{graph}.onnx", lambda graph=graph: self.onnx(graph)))
            if "tflite" in self.args.formats:
                for kind in self.args.quantize:
                    name = f"{graph}.tflite {kind}"
                    steps.append((name, lambda graph=graph, kind=kind: self.tflite(graph, kind)))
        with tqdm(steps, "export", leave=False) as bar:
            for name, step in bar:
                bar.set_postfix_str(name)
                step()

    def saved_model(self, version: int) -> None:
        """The SavedModel with six signatures, its warm-up requests, and TF Serving's files."""
        from alae_tf.images.picture import png
        from export import parity, saved_model, serving

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
        self.accept(parity.check_saved_model(path, self.folder, self.reference))
        serving.write(self.folder / "serving")
        self.files += ["saved_model", "serving"]

    def onnx(self, graph: str) -> None:
        """encoder.onnx or decoder.onnx."""
        from export import onnx, parity

        path = self.folder / f"{graph}.onnx"
        path.write_bytes(onnx.convert(self.graphs.device_signatures()[graph]))
        self.accept([parity.check_onnx(path, self.folder, graph, self.reference)])
        self.files.append(path.name)

    def tflite(self, graph: str, quantization: str) -> None:
        """One TFLite file; an int8 encoder beyond the gate is refused."""
        from alae_tf.networks import ops
        from export import parity, tflite

        path = self.folder / f"{graph}{tflite.SUFFIX[quantization]}.tflite"
        signature = graph
        if graph == "encoder" and quantization == "int8":
            signature = "encoder_uint8"
        model = self.converted(signature)
        if quantization != "none":
            inputs = self.pixels if signature == "encoder_uint8" else ops.to_unit(self.pixels)
            if graph == "decoder" and quantization == "int8":
                inputs = parity.in_parts(self.model.encode, self.pixels)
            batches = [inputs[i : i + 1] for i in range(len(self.pixels))]
            mlp = self.model.config.architecture == "mlp"
            model = tflite.quantize(model, quantization, batches, mlp)
        path.write_bytes(model)
        row = parity.check_tflite(
            path, self.folder, graph, self.reference, self.args.max_int8_error
        )
        if "int8" in quantization and not row.holds:
            path.unlink()
            self.rows.append(row)
            self.refused.append(
                f"{path.name}: refused, its w is {row.spread_error:.3f} of the spread between "
                f"images off (--max_int8_error={self.args.max_int8_error:g})."
            )
            return
        self.accept([row])
        self.files.append(path.name)

    def converted(self, signature: str) -> bytes:
        """One graph as a float32 TFLite file; the converter reads it from a SavedModel."""
        from export import saved_model, tflite

        if signature in self.float32:
            return self.float32[signature]
        path = self.folder / f"device_{signature}"
        endpoint = self.graphs.device_signatures()[signature]
        saved_model.write(self.model.alae, {signature: endpoint}, path)
        self.float32[signature] = tflite.convert(path, signature)
        shutil.rmtree(path)
        return self.float32[signature]

    def accept(self, rows) -> None:
        """Keeps the comparisons of a file, all of which must hold."""
        from export import parity

        rows = list(rows)
        self.rows += rows
        parity.require(rows)

    def finish(self) -> None:
        """Writes parity.json, parity.png and manifest.json."""
        from alae_tf.images.picture import png
        from export import parity

        picture = parity.picture(self.folder, self.files, self.reference)
        (self.folder / "parity.png").write_bytes(png(picture))
        rows = [dataclasses.asdict(row) | {"holds": row.holds} for row in self.rows]
        publish.write_json(self.folder / "parity.json", rows)
        self.files += ["parity.png", "parity.json"]
        before = publish.published_files(self.args.out)
        older = {name: file for name, file in before.items() if name.startswith("saved_model/")}
        manifest = publish.manifest(
            self.model,
            self.graphs,
            self.args.formats,
            trained=not self.args.untrained,
            files=older | publish.describe_files(self.folder, self.files),
        )
        publish.write_json(self.folder / publish.MANIFEST, manifest)


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed or a file refused, 2 a wrong flag."""
    args = parse(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return guarded("export", lambda: export(args))


def export(args: argparse.Namespace) -> int:
    """Loads, writes, checks and publishes; returns the exit code."""
    publish.check_out(args.out)
    import tensorflow as tf

    missing = [name for name in _needed(args) if not publish.installed(name)]
    if missing:
        raise ExportError(f"{', '.join(missing)} not installed: pip install -e '.[export]'")
    model = load(args.run_dir, args.untrained, args.level)
    uri = args.representative_data or model.config.data
    count = CALIBRATION_IMAGES if model.resolution <= 64 else CALIBRATION_IMAGES // 5
    pixels = real_images(uri, model.resolution, model.config.image_channels, count)
    try:
        work = write(model, args, pixels)
    except (OSError, tf.errors.OpError) as error:
        why = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise ExportError(f"--out={args.out}: {why}; nothing was published.") from None
    for message in work.refused:
        print(f"export: {message}", file=sys.stderr)
    print(f"export: {args.out} holds {', '.join(work.files)}")
    return 1 if work.refused else 0


def write(model, args: argparse.Namespace, pixels) -> Export:
    """Writes and checks everything in a hidden folder in --out, then publishes it."""
    from export import parity

    with publish.hidden_folder(args.out) as folder:
        work = Export(model, args, pixels, folder)
        try:
            work.run(publish.next_version(args.out))
        finally:
            if work.rows:
                print(parity.table(work.rows))
        work.finish()
        publish.publish(folder, work.files, args.out)
    return work


def _needed(args: argparse.Namespace) -> list[str]:
    packages = {
        "saved_model": ["tensorflow-serving-api"],
        "tflite": ["ai-edge-litert", "litert-quantizer"],
        "onnx": ["tf2onnx", "onnx", "onnxruntime"],
    }
    return [name for format_ in args.formats for name in packages[format_]]


if __name__ == "__main__":
    sys.exit(main())
