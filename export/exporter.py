"""Exports a model: files are written and checked in a hidden folder of --out, then published."""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from alae_tf.images.picture import columns, png
from alae_tf.latents import LatentError
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.runs.directory import existing_run, images_of
from alae_tf.system.errors import reason, report
from alae_tf.system.schema import finite

from . import ExportFailed, parity, publish, registry, web
from .formats import File, Format, Options
from .graphs import Graphs
from .loading import Weights, load, real_images
from .parity import Reference, Row

PARITY = ("parity.png", "parity.json")
IMAGES = 500  # for calibration and comparison; 100 above 64 px, where each takes longer


def export(options: Options) -> int:
    """Loads a model; writes, checks and publishes its files. Returns 0, or 1 if a file was left
    out. If every file was rejected, or the disk failed, nothing is published, and ExportFailed is
    raised."""
    formats = registry.chosen(options.formats)
    registry.check_packages(formats)
    model, weights = load(options)
    for each in formats:
        each.ready(options, model)
    uri = options.representative_data or model.config.data
    if options.run_dir and not options.representative_data:
        uri = images_of(existing_run(options.run_dir), uri, "--representative_data")
    count = IMAGES if model.resolution <= 64 else IMAGES // 5
    pixels = real_images(uri, model.resolution, model.config.image_channels, count)
    try:
        with publish.hidden_folder(options.out) as folder:
            publish.check_same_model(options.out, model, weights)
            options = dataclasses.replace(options, version=publish.next_version(options.out))
            written = [name for _, file in registry.steps(options) for name in file.names]
            publish.check_replaceable(options.out, [*written, *PARITY])
            work = Exporter(model, options, pixels, folder)
            work.run()
            names = work.finish(weights)
            publish.publish(folder, names, options.out)
    except (OSError, tf.errors.OpError) as error:
        why = getattr(error, "strerror", None) or reason(str(error))
        raise ExportFailed(f"--out={options.out}: {why}; nothing was published.") from None
    for message in work.left_out:
        report("export", message)
    print(f"export: {options.url or options.out} holds {', '.join(names)}")
    return 1 if work.left_out else 0


class Exporter:
    """Writes the files of an export into a folder, and checks each on real images, uint8
    [n, H, W, C]: some are compared, the others calibrate int8."""

    def __init__(self, model: Autoencoder, options: Options, pixels: np.ndarray, folder: Path):
        self.model, self.options, self.folder = model, options, folder
        self.graphs = Graphs(model)
        shown = min(len(pixels), columns(model.resolution))
        compared = np.arange(shown) * (len(pixels) // shown)
        try:
            self.directions = web.directions_of(model, options)
        except LatentError as error:  # if a page is exported, `ready` raised it earlier
            report("export", f"{error}; decoders are calibrated and compared without directions.")
            self.directions = []
        self.reference = Reference(self.graphs, pixels[compared], self.directions)
        # Calibrated on the compared images, int8 would look better than it is.
        self.pixels = np.delete(pixels, compared, axis=0) if len(pixels) > shown else pixels
        self.float32: dict[str, bytes] = {}  # converted TFLite files, by signature
        self.rows: list[Row] = []
        self.files: list[tuple[Format, File]] = []  # accepted
        self.left_out: list[str] = []  # a message for each rejected file

    def run(self) -> None:
        """Writes and checks all files, and prints the comparisons."""
        try:
            with tqdm(registry.steps(self.options), "export", leave=False) as bar:
                for format_, file in bar:
                    bar.set_postfix_str(file.name)
                    self.attempt(format_, file)
        finally:
            if self.rows:
                print(parity.table(self.rows))

    def attempt(self, format_: Format, file: File) -> None:
        """Writes and checks one file or directory; deletes it if it is rejected."""
        try:
            format_.write(self, file)
            rows = list(parity.check(format_, file, self.folder, self.reference))
            self.rows += rows
            faults = [row.fault for row in rows if not row.holds]
        except (OSError, tf.errors.OpError):  # the disk; other files would fail too
            raise
        except ExportFailed as error:
            faults = [str(error)]
        except Exception as error:  # a fault of a converter, which other files may not have
            faults = [f"{type(error).__name__}: {reason(str(error))}"]
        if not faults:
            self.files.append((format_, file))
            return
        for name in file.names:
            if (self.folder / name).is_dir():
                shutil.rmtree(self.folder / name)
            (self.folder / name).unlink(missing_ok=True)
        flags = self.without(format_, file)
        advice = f" To export the others only: {flags}." if flags else ""
        self.left_out.append(f"{file.name}: left out: {faults[0]}.{advice}")

    def without(self, format_: Format, file: File) -> str:
        """Flags that exclude a file, or ""."""
        options, (graph, *_) = self.options, (*file.graphs, "")
        kind = flag("quantize", options.quantize, file.quantization)
        network = flag("graphs", options.graphs, graph.removesuffix("_uint8"))
        either = " or ".join(filter(None, (kind, network)))
        return either or flag("formats", options.formats, format_.name)

    def finish(self, weights: Weights) -> list[str]:
        """Writes parity.json, parity.png and manifest.json; returns the names to publish. Raises
        ExportFailed if every file was rejected."""
        if not self.files:
            raise ExportFailed("\n".join([*self.left_out, "Nothing was published."]))
        names = [*(name for _, file in self.files for name in file.names), *PARITY]
        picture = parity.picture(self.folder, self.files, self.reference)
        (self.folder / "parity.png").write_bytes(png(picture))
        rows = [dataclasses.asdict(row) | {"holds": row.holds} for row in self.rows]
        # The errors of a rejected file may be infinite.
        publish.write_json(self.folder / "parity.json", finite(rows))
        manifest = publish.manifest(self, weights, names)
        publish.write_json(self.folder / publish.MANIFEST, manifest)
        return names


def flag(name: str, values: Sequence[str], without: str) -> str:
    """The flag with all values but one; "" if that one is missing or the only value."""
    left = [value for value in values if value != without]
    return f"--{name}={','.join(left)}" if 0 < len(left) < len(values) else ""
