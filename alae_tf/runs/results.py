"""results.jsonl, one measured value per line, and a table of the values."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from collections.abc import Sequence
from pathlib import Path

from alae_tf.system import schema
from alae_tf.system.errors import report

FILE = "results.jsonl"
LINE = {  # see `schema`; the fields of a Result
    "metric": str,
    "value": (float, None),
    "better": str,
    "protocol": {str: object},
    "data": str,
    "counts": {str: int},
    "networks": {str: object},
    "model": {"images_seen": (int, None), "baseline?": str},
    "seconds": float,
    "versions": {str: str},
    "date": str,
}
SHARES = (  # shown in per cent; beginnings of names
    *("representation/", "precision", "recall", "same_digit", "found"),
    *("identity/within", "identity/found", "projection_identity/found"),
    *("identity/same_person_within", "identity/two_people_within"),
)


@dataclasses.dataclass(frozen=True)
class Result:
    """One value, with everything that it depends on."""

    metric: str  # "METRIC/VALUE" for a metric of several values
    value: float
    better: str  # "lower", "higher" or "neither"
    protocol: dict[str, typing.Any]  # the fields of `Protocol`, and settings fixed by the metric
    data: str  # URI of the images
    counts: dict[str, int]  # images by kind
    networks: dict[str, typing.Any]  # SHA-256 of the weights by name; the classifier's accuracy
    model: dict[str, typing.Any]  # run directory, images_seen, level, blend, weights
    seconds: float  # without the work that earlier metrics had done already
    versions: dict[str, str]  # of packages
    date: str  # UTC


def append(path: Path, result: Result) -> None:
    """Appends a result on a line of its own, even if a kill cut the last line short; raises OSError
    if the disk is full, unreachable or write-protected."""
    with open(path, "a+b") as file:
        file.seek(0, 2)
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(line(result).encode() + b"\n")


def line(result: Result) -> str:
    """A result as JSON, with null for NaN and infinity, which JSON lacks."""
    return json.dumps(schema.finite(dataclasses.asdict(result)))


def read(path: Path) -> list[Result]:
    """The results in a file; none if it is missing. Other lines, for example truncated ones, are
    ignored, and their number is reported."""
    if not path.is_file():
        return []
    results, ignored = [], 0
    for text in filter(bytes.strip, path.read_bytes().split(b"\n")):
        try:
            values = schema.parse(text, LINE)
        except ValueError:
            ignored += 1
            continue
        if values["value"] is None:
            values["value"] = math.nan
        results.append(Result(**{name: values[name] for name in LINE}))
    if ignored:
        report(str(path), f"{ignored:,} lines that are not results are ignored.")
    return results


def table(results: Sequence[Result]) -> str:
    """The values: one row per metric, one column per checkpoint and for the baseline."""
    heads = list(dict.fromkeys(_head(result) for result in results))
    metrics = list(dict.fromkeys(result.metric for result in results))
    values = {(result.metric, _head(result)): result for result in results}
    rows = [["metric", *heads, "better", "measured on"]]
    for name in metrics:
        of = [values.get((name, head)) for head in heads]
        first = next(result for result in of if result is not None)
        counted = ", ".join(f"{count:,} {kind}" for kind, count in first.counts.items())
        rows.append([name, *map(cell, of), first.better, counted])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = ["<", *">" * len(heads), "<", "<"]
    form = "  ".join(f"{{:{side}{width}}}" for side, width in zip(sides, widths, strict=True))
    return "\n".join(form.format(*row).rstrip() for row in rows)


def _head(result: Result) -> str:
    seen = result.model["images_seen"]
    return result.model.get("baseline") or ("value" if seen is None else f"{seen:,} images")


def cell(result: Result | None) -> str:
    if result is None:
        return "–"
    if result.metric.startswith(SHARES):
        return f"{100 * result.value:.2f} %"
    return f"{result.value:.4g}"
