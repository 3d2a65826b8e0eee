"""metrics.csv: a row of losses and speed at intervals, against images seen; and what the run
measured of itself since the row before, in further columns."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
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

    Attributes:
        path: as given.
        columns: those of every row, then those that a run adds; such a cell may be empty.
    """

    def __init__(self, path: Path):
        self.path, self.columns = path, COLUMNS
        self._unwritten: list[str] = []  # lines of rows while the directory is away

    def rows(self) -> list[dict[str, str]]:
        """The whole rows of the file; what is damaged or cut short by a kill is passed over."""
        return self._read()[0]

    def rewind(self, images_seen: int, added: Sequence[str] = ()) -> None:
        """Drops rows later than a checkpoint, which the resumed run will write again.

        A damaged file is kept beside under another name, and said.

        Args:
            images_seen: at the checkpoint.
            added: columns that the run adds from now on; those of rows before are kept.
        """
        rows, damaged = self._read()
        self.columns = tuple(dict.fromkeys([*self._header(), *added]))
        if damaged:
            aside = self.path.with_name(f"metrics-damaged-{images_seen}.csv")
            write_atomic(aside, self.path.read_bytes())
            print(
                f"{self.path}: {damaged} of its lines are no rows of a run's metrics; "
                f"{len(rows)} rows are kept, the file as it was is {aside.name}.",
                file=sys.stderr,
            )
        rows = [row for row in rows if int(row["images_seen"]) <= images_seen]
        lines = [",".join(self.columns), *(self._line(row) for row in rows)]
        write_atomic(self.path, ("\n".join(lines) + "\n").encode())

    def add(self, row: Mapping[str, object]) -> None:
        """Takes a row, numbers to six digits, for the next `write`."""
        texts = {
            name: f"{value:.6g}" if isinstance(value, float) else str(value)
            for name, value in row.items()
        }
        self._unwritten.append(self._line(texts) + "\n")

    def write(self) -> None:
        """Appends the rows that are not written yet."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write("".join(self._unwritten))
        self._unwritten.clear()

    def _line(self, row: Mapping[str, str]) -> str:
        return ",".join(row.get(name, "") for name in self.columns)

    def _header(self) -> list[str]:
        """The columns of the file; of none or a damaged one, those of every row."""
        if self.path.exists():
            with open(self.path, encoding="utf-8", errors="replace") as file:
                names = file.readline().rstrip("\r\n").split(",")
            if tuple(names[: len(COLUMNS)]) == COLUMNS:
                return names
        return list(COLUMNS)

    def _read(self) -> tuple[list[dict[str, str]], int]:
        """The whole rows, and the number of damaged lines."""
        if not self.path.exists():
            return [], 0
        *lines, last = self.path.read_text(encoding="utf-8", errors="replace").split("\n")
        columns = self._header()
        headless = not ",".join(columns).startswith([*lines, last][0].rstrip("\r"))
        rows = [_row(line.rstrip("\r"), columns) for line in lines]
        if not headless or (rows and rows[0] is None):
            del rows[:1]  # the header, or what stands in its place
        if (row := _row(last, columns)) is not None:
            rows.append(row)  # whole but for its end of line; else a kill cut it short
        whole = [row for row in rows if row is not None]
        return whole, len(rows) - len(whole) + headless


def _row(line: str, columns: Sequence[str]) -> dict[str, str] | None:
    """A line as a row; None if it is none."""
    texts = line.split(",")
    if len(texts) != len(columns):
        return None
    try:
        for i, text in enumerate(texts):
            if i < 2:
                int(text)
            elif text or i < len(COLUMNS):
                float(text)
    except ValueError:
        return None
    return dict(zip(columns, texts, strict=True))
