"""metrics.csv: rows of losses and speed by images seen, with the metrics measured since the last
row in further columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from alae_tf.system.errors import report
from alae_tf.system.files import unused, write_atomic

FIRST = ("images_seen", "level", "blend")  # the columns that identify the file
MOST = 2**53  # images; larger numbers are not exact as floats
SPEED = ("learning_rate", "images_per_second", "data_wait")


class Metrics:
    """The rows of one run; `columns` are those of the next row. Cells of values that were not
    measured are empty."""

    def __init__(self, path: Path):
        self.path, self.columns = path, (*FIRST, *SPEED)
        self._unwritten: list[Mapping[str, object]] = []  # while the directory is unreachable

    def rows(self) -> list[dict[str, str]]:
        """The whole rows of the file; damaged and truncated lines are ignored."""
        return self._read()[1]

    def rewind(self, images_seen: int, losses: Sequence[str], added: Sequence[str] = ()) -> None:
        """Drops rows after a checkpoint, which the resumed run will write again.

        A copy of a damaged file is kept under another name, which is reported. The columns are
        those of the file, followed by any of `losses` and `added` that it lacks.
        """
        columns, rows, damaged = self._read()
        columns = columns or [*FIRST, *losses, *SPEED]
        self.columns = tuple(dict.fromkeys([*columns, *losses, *added]))
        if damaged:
            aside = unused(self.path.with_name(f"metrics-damaged-{images_seen}.csv"))
            write_atomic(aside, self.path.read_bytes())
            kept = f"{len(rows)} rows are kept. A copy of the damaged file is {aside.name}."
            report(str(self.path), f"{damaged} of its lines are damaged; {kept}")
        rows = [row for row in rows if int(row["images_seen"]) <= images_seen]
        write_atomic(self.path, self._text(rows, header=True).encode())

    def add(self, row: Mapping[str, object]) -> None:
        """Keeps a row, with numbers to six digits, for the next `write`."""
        self._unwritten.append(
            {name: f"{v:.6g}" if isinstance(v, float) else v for name, v in row.items()}
        )

    def write(self) -> None:
        """Appends the rows since the last `write`."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(self._text(self._unwritten))
        self._unwritten.clear()

    def _text(self, rows: Sequence[Mapping[str, object]], header: bool = False) -> str:
        file = io.StringIO()
        writer = csv.DictWriter(
            file, self.columns, restval="", extrasaction="ignore", lineterminator="\n"
        )
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return file.getvalue()

    def _read(self) -> tuple[list[str], list[dict[str, str]], int]:
        """Columns, whole rows, and the number of damaged lines. With a damaged first line there are
        neither columns nor rows."""
        if not self.path.exists():
            return [], [], 0
        *lines, last = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        columns, *texts = csv.reader([*lines, last], quoting=csv.QUOTE_NONE)
        if tuple(columns[: len(FIRST)]) != FIRST:
            return [], [], max(1, len(lines))
        rows = [dict(zip(columns, row, strict=False)) for row in texts if _is_row(row, columns)]
        # The last text is empty, or a line cut short by a kill.
        damaged = sum(not _is_row(row, columns) for row in texts[:-1])
        return columns, rows, damaged


def _is_row(texts: Sequence[str], columns: Sequence[str]) -> bool:
    """Whether a line has a number in each column; measured values may be missing."""
    try:
        counts = [int(text) for text in texts[:2]]
        [float(text) for text in texts[2:] if text]
    except ValueError:
        return False
    return len(texts) == len(columns) and all(0 <= count < MOST for count in counts)
