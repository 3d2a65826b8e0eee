"""report.html of a run: whether it is going well, in one file that needs no network."""

from __future__ import annotations

import base64
import contextlib
import functools
import html
import io
import json
import math
import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from PIL import Image

from alae_tf.runs.directory import RunDirectory
from alae_tf.training.health import PREFIX, QUANTITIES, Health
from alae_tf.training.progress import Progress

TEMPLATE = Path(__file__).with_suffix(".html")
MOST_GRIDS, MOST_POINTS = 24, 500
SIDE = 1200  # pixels of a grid, at most
COLOURS = ("#2563c9", "#c0392b", "#2e8b57", "#b8860b", "#7b4fa3", "#008b8b")
WIDTH, HEIGHT, EDGE = 440, 180, 8  # of a plot

Rows = Sequence[Mapping[str, str]]  # of metrics.csv


def page(
    directory: RunDirectory, progress: Progress, health: Health, values: Sequence[str]
) -> bytes:
    """The report of a run; `values` are the names of the measured metrics."""
    rows, seen = directory.metrics.rows(), progress.images_seen
    text = string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=html.escape(directory.path.resolve().name),
        state=html.escape(state(rows, progress)),
        verdicts=verdicts(health),
        curves="".join(curves(rows, [each.name for each in progress.trainer.updates], values)),
        settings=html.escape(progress.config.to_flagfile()),
        grids=json.dumps(grids(directory.samples, seen)).replace("<", "\\u003c"),
    )
    return text.encode(errors="replace")  # names of folders


def state(rows: Rows, progress: Progress) -> str:
    seen, total = progress.images_seen, progress.growth.total
    text = f"{seen:,} of {total:,} images; level {progress.level} of {progress.config.levels - 1}"
    text += f" ({progress.config.level_resolution(progress.level)} px), "
    text += f"{100 * progress.blend:.0f} % faded in."
    if rows:
        speed = float(rows[-1].get("images_per_second") or 0)
        building = sum(float(row.get("building_seconds") or 0) for row in rows)
        text += f" {speed:,.1f} images/s; building graphs took {building:,.0f} s in all."
        if speed > 0 and not progress.finished:
            text += f" The rest takes {(total - seen) / speed / 3600:.1f} h at this level's speed."
    return text


def verdicts(health: Health) -> str:
    """The verdicts on a run as list items; those that hold at the last grid are marked."""
    found = [
        f'<li class="{"now" if name in health.now else "before"}">{html.escape(sentence)}</li>'
        for name, sentence in health.found.items()
    ]
    return "".join(found) or "<li>No problem was found.</li>"


def grids(folder: Path, images_seen: int) -> list[tuple[str, str]]:
    """Sample grids, evenly spread over the run: (images seen, data URI). Damaged ones are left
    out."""
    paths = sorted(folder.glob(f"images-{'[0-9]' * 12}.png"))
    paths = [path for path in paths if int(path.stem[7:]) <= images_seen and path.is_file()]
    count = min(MOST_GRIDS, len(paths))
    chosen = [paths[round(i * (len(paths) - 1) / max(1, count - 1))] for i in range(count)]
    found = []
    for path in chosen:
        with contextlib.suppress(Exception):  # Pillow raises many classes for damaged bytes
            found.append((f"{int(path.stem[7:]):,} images", picture(path, path.stat().st_mtime_ns)))
    return found


@functools.lru_cache(4 * MOST_GRIDS)
def picture(path: Path, changed: int) -> str:
    """A picture as a data URI; `changed`, when it was written, distinguishes it in the cache."""
    file = io.BytesIO()
    with Image.open(path) as image:
        image.thumbnail((SIDE, SIDE))
        image.save(file, "WEBP", quality=85)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode()}"


def curves(rows: Rows, updates: Sequence[str], values: Sequence[str]) -> Iterator[str]:
    """The plots of `points`, as HTML."""
    groups: list[tuple[str, Mapping[str, str], bool]] = [
        ("Losses", {f"loss_{name}": name for name in updates}, True),
        *((name, {name: name}, False) for name in values),
        ("D's logits", {f"{PREFIX}logit_{k}": k for k in ("train", "test", "generated")}, False),
        ("Norms of the gradients", {f"{PREFIX}gradient_{k}": k for k in "EDFG"}, True),
        *(
            (each.about[0].upper() + each.about[1:], {PREFIX + each.name: each.name}, False)
            for each in QUANTITIES
            if not each.name.startswith(("logit_", "gradient_"))
        ),
        ("Images per second", {"images_per_second": "speed"}, False),
    ]
    for title, columns, log in groups:
        lines = {label: points(rows, column, log) for column, label in columns.items()}
        lines = {label: line for label, line in lines.items() if line}
        if lines:
            yield plot(title, lines, log)


def points(rows: Rows, column: str, log: bool) -> list[tuple[float, float]]:
    """(images seen, value) of a column, at most `MOST_POINTS`."""
    found = [(float(row["images_seen"]), float(row[column])) for row in rows if row.get(column)]
    found = [(x, y) for x, y in found if math.isfinite(y) and (y > 0 or not log)]
    return found[:: 1 + len(found) // MOST_POINTS]


def plot(title: str, lines: Mapping[str, Sequence[tuple[float, float]]], log: bool) -> str:
    """Curves by their names in the legend, as a figure with an SVG."""
    scale = math.log10 if log else float
    xs, ys = zip(*(point for line in lines.values() for point in line), strict=True)
    low, high, last = scale(min(ys)), scale(max(ys)), max(xs)

    def at(x: float, y: float) -> str:
        right, up = x / (last or 1), (scale(y) - low) / (high - low or 1)
        left, top = EDGE + (WIDTH - 2 * EDGE) * right, HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * up
        return f"{left:.1f},{top:.1f}"

    drawn, legend = [], []
    for colour, (label, line) in zip(COLOURS, lines.items(), strict=False):
        path = " ".join(at(*point) for point in line)
        style = f'fill="none" stroke="{colour}" stroke-width="1.5"'
        drawn.append(f'<polyline points="{path}" {style}/>')
        latest = f"{label}: {line[-1][1]:.3g}"
        legend.append(f'<span style="color:{colour}">{html.escape(latest)}</span>')
    ends = f"{min(ys):.3g} to {max(ys):.3g}{', logarithmic' * log}; to {last:,.0f} images"
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(drawn)}</svg>'
        f"<figcaption>{html.escape(title)} ({ends})<br>{' · '.join(legend)}</figcaption></figure>\n"
    )
