"""metrics.csv: a row of losses and speed at intervals, against images seen."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from alae_tf.files import write_atomic

COLUMNS = (
    "images_seen",
    "level",
    "blend",
    "loss_d",
    "loss_g",
    "loss_latent",
    "learning_rate",
    "images_per_second",
    "data_wait",
)
HEADER = ",".join(COLUMNS)


class Metrics:
    """The rows of one run.

    Args:
        path: the file.
    """

    def __init__(self, path: Path):
        self.path = path
        self._unwritten: list[str] = []  # lines of rows while the directory is away

    def rows(self) -> list[dict[str, str]]:
        """The whole rows of the file; what is damaged or cut short by a kill is passed over."""
        return self._read()[0]

    def rewind(self, images_seen: int) -> None:
        """Drops rows later than a checkpoint, which the resumed run will write again.

        A damaged file is kept beside under another name, and said.
        """
        rows, damaged = self._read()
        if damaged:
            aside = self.path.with_name(f"metrics-damaged-{images_seen}.csv")
            write_atomic(aside, self.path.read_bytes())
            print(
                f"{self.path}: {damaged} of its lines are no rows of a run's metrics; "
                f"{len(rows)} rows are kept, the file as it was is {aside.name}.",
                file=sys.stderr,
            )
        rows = [row for row in rows if int(row["images_seen"]) <= images_seen]
        lines = [HEADER, *(",".join(row.values()) for row in rows)]
        write_atomic(self.path, ("\n".join(lines) + "\n").encode())

    def add(self, row: Mapping[str, object]) -> None:
        """Takes a row, numbers to six digits, for the next `write`."""
        texts = [
            f"{value:.6g}" if isinstance(value, float) else str(value)
            for value in (row[name] for name in COLUMNS)
        ]
        self._unwritten.append(",".join(texts) + "\n")

    def write(self) -> None:
        """Appends the rows that are not written yet."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write("".join(self._unwritten))
        self._unwritten.clear()

    def _read(self) -> tuple[list[dict[str, str]], int]:
        """The whole rows, and the number of damaged lines."""
        if not self.path.exists():
            return [], 0
        *lines, last = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        rows = [_row(line.rstrip("\r")) for line in lines[1:]]
        if (row := _row(last)) is not None:
            rows.append(row)  # whole but for its end of line; else a kill cut it short
        whole = [row for row in rows if row is not None]
        headless = not HEADER.startswith([*lines, last][0].rstrip("\r"))
        return whole, len(rows) - len(whole) + headless


def _row(line: str) -> dict[str, str] | None:
    """A line as a row; None if it is none."""
    texts = line.split(",")
    if len(texts) != len(COLUMNS):
        return None
    try:
        for text, kind in zip(texts, (int, int, *[float] * len(COLUMNS)), strict=False):
            kind(text)
    except ValueError:
        return None
    return dict(zip(COLUMNS, texts, strict=True))
