"""Ranges of levels, by number or by name."""

import re

from alae_tf.latents import LatentError

NAMES = ("coarse", "middle", "fine")


def named(levels: int) -> dict[str, range]:
    """The levels that each name means in a model with `levels` levels.

    From 64 px on as in StyleGAN: coarse is 4 and 8 px, middle 16 and 32 px, fine 64 px and more.
    In a model of 32 px, coarse is 4 and 8 px, middle 16 px, fine 32 px; in a model of 16 px, they
    are 4, 8 and 16 px. Models of 8 px and below have no names.
    """
    fine = min(4, levels - 1)
    middle = min(2, fine - 1)
    if middle < 1:
        return {}
    parts = range(middle), range(middle, fine), range(fine, levels)
    return dict(zip(NAMES, parts, strict=True))


def parse(text: str, levels: int) -> range:
    """A range of levels in a model with `levels` levels: "all", a name ("coarse"), a level ("2") or
    several ("2-4"); level 0 is 4 px. Raises LatentError if the model does not have them."""
    names = {"all": range(levels), **named(levels)}
    text = str(text)
    if text in names:
        return names[text]
    if match := re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", text):
        first, last = int(match[1]), int(match[2] or match[1])
        if first <= last < levels:
            return range(first, last + 1)
    raise LatentError(
        f"levels {text!r}: expected {', '.join(names)}, a level from 0 (4 px) to {levels - 1} "
        f"({4 * 2 ** (levels - 1)} px), or several such as 0-{levels - 1}"
    )


def rows(levels: range) -> slice:
    """The styles of a range of levels, two per level."""
    return slice(2 * levels.start, 2 * levels.stop)
