"""Ranges of levels, by number or by name."""

from __future__ import annotations

import re

from alae_tf.latents import LatentError

NAMES = ("coarse", "middle", "fine")


def named(levels: int) -> dict[str, range]:
    """The levels that the names mean in a model of so many.

    From 64 px on as in StyleGAN: coarse 4 and 8 px, middle 16 and 32, fine from 64 on. Smaller
    models have one level less in each, the coarse one first: 4–8, 16 and 32 px at 32 px; 4, 8
    and 16 at 16. At 8 px and below there is nothing to name.
    """
    fine = min(4, levels - 1)
    middle = min(2, fine - 1)
    if middle < 1:
        return {}
    parts = range(middle), range(middle, fine), range(fine, levels)
    return dict(zip(NAMES, parts, strict=True))


def parse(text: str, levels: int) -> range:
    """A range of levels as people write it.

    Args:
        text: "all", a name ("coarse"), a level ("2") or several ("2-4"), level 0 being 4 px.
        levels: how many the model has.

    Raises:
        LatentError: there are no such levels.
    """
    names = {"all": range(levels), **named(levels)}
    text = str(text)
    if text in names:
        return names[text]
    match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", text)
    if match:
        first, last = int(match[1]), int(match[2] or match[1])
        if first <= last < levels:
            return range(first, last + 1)
    raise LatentError(
        f"levels {text!r}: expected {', '.join(names)}, a level from 0 (4 px) to {levels - 1} "
        f"({4 * 2 ** (levels - 1)} px), or several as 0-{levels - 1}"
    )


def rows(levels: range) -> slice:
    """The styles of a range of levels: two a level."""
    return slice(2 * levels.start, 2 * levels.stop)
