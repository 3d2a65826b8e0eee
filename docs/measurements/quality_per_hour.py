"""How good is a model after some minutes of training? The authors' code and alae_tf, in turn.

python docs/measurements/quality_per_hour.py digits --data=idx:mnist --authors=ALAE --torch=PYTHON
python docs/measurements/quality_per_hour.py plot

ALAE is a clone of podgorskiy/ALAE, PYTHON a Python with torch, numpy and yacs. Trains with the
authors' code, with alae_tf and the published settings, and with its config for two cores, each for
--minutes; then measures the models of every --every minutes and adds the values to
quality_per_hour.jsonl. All times include starting up and building graphs. Models that have not
grown to the last level are measured at full size: their images are enlarged by repeating pixels.
Run nothing else meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
RESULTS = HERE / "quality_per_hour.jsonl"
OF_FACES = ["--levels=4", "--max_channels=64", "--latent_size=64", "--learning_rate_by_level=.006"]
OF_FACES.append("--epochs_by_level=.5,1.5,3,35")
# Kind of images → the authors' config and changes of it, our flags with the published settings, our
# flags with the recipe for two cores, the metrics.
KINDS = {
    "digits": (
        ("mnist",),
        ["--flagfile=configs/mnist_style.cfg"],
        ["--flagfile=configs/mnist_style_small.cfg"],
        "fd_digits,same_digit",
    ),
    "faces": (
        ("celeba", "MODEL.LAYER_COUNT", "4"),
        ["--flagfile=configs/celeba128.cfg", "--levels=4"],
        ["--flagfile=configs/faces64_small.cfg", *OF_FACES],
        "fd_lpips,lpips_reconstruction",
    ),
}


class Enlarged:
    """An `Autoencoder` whose images have the size of its last level, whatever level it is at."""

    level: int
    images_seen: int

    def __init__(self, model):
        self._model, self.resolution = model, model.config.resolution
        self._factor = self.resolution // model.resolution
        for name in ("config", "level", "blend", "images_seen", "sample_w", "truncate"):
            setattr(self, name, getattr(model, name))

    def encode(self, images: np.ndarray, layers: bool = False) -> np.ndarray:
        """As `Autoencoder.encode`, for images that are first averaged down."""
        n, side, _, channels = images.shape
        small, each = side // self._factor, self._factor
        parts = images.reshape(n, small, each, small, each, channels).mean((2, 4))
        return self._model.encode((parts / 127.5 - 1).astype(np.float32), layers)

    def decode(self, *arguments, **named) -> np.ndarray:
        """As `Autoencoder.decode`, enlarged."""
        images = self._model.decode(*arguments, **named)
        return images.repeat(self._factor, axis=1).repeat(self._factor, axis=2)


def authors(args: argparse.Namespace, folder: Path) -> None:
    """Trains with the authors' code."""
    from alae_tf.data import open_source

    theirs, published = KINDS[args.kind][:2]
    source = open_source(args.data)
    pixels = source.take(range(len(source)), config_of(published).resolution)
    np.save(folder / "images.npy", pixels.transpose(0, 3, 1, 2))
    command = [args.torch, str(HERE / "authors.py"), "train", args.authors, theirs[0]]
    command += [str(folder / "images.npy"), str(folder / "weights")]
    subprocess.run([*command, f"{args.minutes}", f"{args.every}", *theirs[1:]], check=True)


def ours(args: argparse.Namespace, folder: Path, flags: list[str]) -> None:
    """Trains with alae_tf; exit code 75 means that the time is over."""
    command = [sys.executable, "-m", "alae_tf.train", *flags, f"--data={args.data}"]
    command += [f"--run_dir={folder / 'run'}", "--evaluate_metrics=none", "--keep_checkpoints=1000"]
    command += [f"--max_hours={args.minutes / 60}", f"--checkpoint_minutes={args.every}"]
    assert subprocess.run(command).returncode in (0, 75)


def config_of(flags: list[str]):
    """The config of flags of `alae_tf.train`."""
    from alae_tf.config import flags as config_flags

    return config_flags.Parser("", "").parse(flags)[1]


def models(args: argparse.Namespace, folder: Path) -> Iterator[tuple[dict, Enlarged]]:
    """(what is known of a model, the model) at each time."""
    from alae_tf import load_model
    from alae_tf.model.autoencoder import Autoencoder
    from alae_tf.networks.alae import build_alae
    from alae_tf.official.weights import load_weights
    from alae_tf.runs.directory import checkpoint_numbers

    config = config_of(KINDS[args.kind][1])
    for path in sorted((folder / "weights").glob("*.json"), key=lambda path: int(path.stem)):
        about, alae = json.loads(path.read_text()), build_alae(config)
        with np.load(path.with_suffix(".npz")) as file:
            load_weights(alae, dict(file))
        state = about["level"], float(about["blend"]), about["images_seen"]
        yield {"minutes": about["minutes"]}, Enlarged(Autoencoder(config, alae, *state))
    run = folder / "run"
    for number in checkpoint_numbers(run) if run.exists() else ():
        written = (run / f"checkpoints/images-{number:012d}.npz").stat().st_mtime
        minutes = (written - float((folder / "begun").read_text())) / 60
        yield {"minutes": minutes}, Enlarged(load_model(run, checkpoint=number))


def accuracy(model: Enlarged, source) -> float:
    """1-NN on w: 10,000 training images, 2,000 held-out ones."""
    from alae_tf.evaluation.representation import nearest_neighbour_accuracy

    sets = []
    for part, count in ((source, 10_000), (source.held_out, 2_000)):
        sets += [model.encode(part.take(range(count), model.resolution)), part.labels[:count]]
    return nearest_neighbour_accuracy(*sets)


def measure(args: argparse.Namespace, code: str, folder: Path) -> None:
    """Measures a code's models and adds the values to the file of results."""
    from alae_tf.data import open_source
    from alae_tf.evaluation import registry
    from alae_tf.evaluation.samples import Protocol

    source, metrics = open_source(args.data), KINDS[args.kind][3].split(",")
    protocol = Protocol(images=args.images)
    for about, model in models(args, folder):
        found = registry.evaluate(model, source, metrics, protocol)
        values = {result.metric: result.value for result in found}
        if source.labels is not None:
            values["1nn_short"] = accuracy(model, source)
        about |= {"images_seen": model.images_seen, "level": model.level}
        line = json.dumps({"kind": args.kind, "code": code, **about, **values})
        print(line)
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def plot() -> None:
    """Draws the file of results: a row for each kind of images, a column for each value."""
    from matplotlib.figure import Figure

    rows = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    kinds = sorted({row["kind"] for row in rows})
    figure = Figure(figsize=(10, 3 * len(kinds)), layout="constrained")
    axes = figure.subplots(len(kinds), 3, squeeze=False)
    for kind, line in zip(kinds, axes, strict=True):
        of_kind = [row for row in rows if row["kind"] == kind]
        known = {"kind", "code", "minutes", "images_seen", "level"}
        for axis, value in zip(line, [key for key in of_kind[0] if key not in known], strict=False):
            for code in dict.fromkeys(row["code"] for row in of_kind):
                of_code = [row for row in of_kind if row["code"] == code]
                points = sorted((row["minutes"], row[value]) for row in of_code)
                axis.plot(*zip(*points, strict=True), "o-", label=code)
            axis.set(title=f"{kind}: {value}", xlabel="minutes", ylim=(0, None))
            axis.legend()
    figure.savefig(HERE.parent / "pictures" / "quality_per_hour.png", dpi=100)


def main() -> None:
    """Trains and measures, or draws the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=[*KINDS, "plot"])
    parser.add_argument("--data", metavar="URI")
    parser.add_argument("--authors", type=os.path.abspath, metavar="DIR")
    parser.add_argument("--torch", metavar="PYTHON")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=10)
    parser.add_argument("--images", type=int, default=2000, help="real images to measure with")
    parser.add_argument("--codes", default="authors,published,small")
    parser.add_argument("--out", type=Path, default=Path("runs/quality"))
    args = parser.parse_args()
    if args.kind == "plot":
        return plot()

    for code in args.codes.split(","):
        folder = args.out / f"{args.kind}_{code}"
        folder.mkdir(parents=True)
        (folder / "begun").write_text(str(time.time()))
        if code == "authors":
            authors(args, folder)
        else:
            ours(args, folder, KINDS[args.kind][1 if code == "published" else 2])
    for code in args.codes.split(","):
        measure(args, code, args.out / f"{args.kind}_{code}")


if __name__ == "__main__":
    main()
