"""Compares the speed of training with that of the authors' PyTorch code, measured in pairs.

python docs/measurements/against_authors.py --authors=ALAE --torch=torch/bin/python [SHAPE …]

ALAE is a clone of podgorskiy/ALAE; torch/bin/python is a Python with torch, numpy and yacs. Prints
a row of the table in speed.md for each shape: medians and ranges. Run nothing else meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
# Shape → (our config, the authors', level, batch). The authors' MLP works at their level 3.
SHAPES = {
    "mlp": ("mnist_mlp", "mnist_fc", 3, 128),
    "mnist3": ("mnist_style", "mnist", 3, 32),
    "celeba3": ("celeba128", "celeba", 3, 16),
    "celeba4": ("celeba128", "celeba", 4, 8),
    "celeba5": ("celeba128", "celeba", 5, 4),
    "hq6": ("celebahq256", "celeba-hq256", 6, 2),
}


def authors(arguments: argparse.Namespace, name: str, level: int, batch: int) -> float:
    """Seconds of the authors' iteration."""
    command = [arguments.torch, str(HERE / "authors.py"), "time", arguments.authors, name]
    command += [str(level), str(batch)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def ours(name: str, level: int, batch: int, given: Sequence[str]) -> dict[str, float]:
    """What `alae_tf.benchmark` measured."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        command = [sys.executable, "-m", "alae_tf.benchmark", f"--flagfile=configs/{name}.cfg"]
        command += [f"--batch={batch}", f"--json={path}", *given]
        command += [] if name == "mnist_mlp" else [f"--level={level}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return json.loads(path.read_text(encoding="utf-8"))


def middle(values: Sequence[float], form: str) -> str:
    """Median and range."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):{form}} ({low:{form}} to {high:{form}})"


def main() -> None:
    """Measures the shapes named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shapes", nargs="*", default=list(SHAPES), metavar="SHAPE")
    parser.add_argument("--authors", required=True, type=os.path.abspath, metavar="DIR")
    parser.add_argument("--torch", required=True, metavar="PYTHON")
    parser.add_argument("--pairs", type=int, default=5, metavar="N")
    parser.add_argument("--flag", action="append", default=[], help="a further flag of ours")
    arguments = parser.parse_args()
    head = ("shape", "authors, s", "alae_tf, s", "ratio", "page faults", "peak, MiB")
    print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|")
    for shape in arguments.shapes:
        config, theirs, level, batch = SHAPES[shape]
        pairs = [
            (authors(arguments, theirs, level, batch), ours(config, level, batch, arguments.flag))
            for _ in range(arguments.pairs)
        ]
        seconds = [found["iteration_seconds"] for _, found in pairs]
        ratios = [one / two for (one, _), two in zip(pairs, seconds, strict=True)]
        cells = middle([one for one, _ in pairs], ".3f"), middle(seconds, ".3f")
        rest = (max(found[key] for _, found in pairs) for key in ("page_faults", "peak_memory_mib"))
        more = " | ".join(f"{value:,.0f}" for value in rest)
        print(f"| {shape} | {' | '.join(cells)} | {middle(ratios, '.2f')} | {more} |", flush=True)


if __name__ == "__main__":
    main()
