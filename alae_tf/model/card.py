"""Model cards: a page about a trained model, its data, quality and purpose."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import typing
from collections.abc import Sequence

from alae_tf.runs.results import cell
from alae_tf.system.errors import AlaeError, printable

if typing.TYPE_CHECKING:
    from alae_tf.model.autoencoder import Autoencoder
    from alae_tf.runs.results import Result

UNKNOWN = "Not stated by the author."


@dataclasses.dataclass(frozen=True)
class Card:
    """The parts of a model card that only the author knows, each as Markdown.

    Attributes:
        data: the training data, and which images were held out.
        licence: of the weights, for example "apache-2.0", and of the data if known.
        use: what the model is for, and what it must not be used for.
        limits: where it fails.
    """

    data: str = ""
    licence: str = ""
    use: str = ""
    limits: str = ""

    def text(self, name: str, model: Autoencoder, results: Sequence[Result] = ()) -> str:
        """The whole card as Markdown; raises AlaeError if a part is not a string.

        `results` may be of any checkpoints; those of this model and of the baseline are shown.
        """
        for field in dataclasses.fields(self):
            if not isinstance(getattr(self, field.name), str):
                raise AlaeError(f"card: {field.name} must be a string.")
        config, side = model.config, model.resolution
        name = printable(name.replace("\n", " "))
        typed = shlex.quote(name)
        seen = f"{model.images_seen:,}" if model.images_seen else "unknown"
        colour = "in colour" if config.image_channels == 3 else "in grey"
        sections = {
            "Data": self.data or f"{_code(config.data)}. {UNKNOWN}",
            "Licence": self.licence or UNKNOWN,
            "Results": "\n".join(_table(model, results)),
            "Use": self.use or UNKNOWN,
            "Limits": self.limits or UNKNOWN,
        }
        blocks = [
            f"# {_escaped(name)}",
            f"{config.kind.title} for images of {side} px, {colour}. w has {config.latent_size} "
            f"numbers. The files hold the EMA of {model.alae.count_params():,} weights; images "
            f"seen in training: {seen}. `config.cfg` holds the settings. To use the model, in "
            "Python and from the command line:",
            f"    alae_tf.from_pretrained({json.dumps(name, ensure_ascii=False)})\n"
            f"    python -m alae_tf.figures generate --run_dir={typed} --out={typed}.png",
            *(f"## {head}\n{text}" for head, text in sections.items()),
        ]
        return "\n\n".join(blocks) + "\n"


def _table(model: Autoencoder, results: Sequence[Result]) -> list[str]:
    """The newest values of this checkpoint's EMA weights on held-out images, as a table, beside
    those of the baseline."""
    ours = {
        r.metric: r
        for r in results
        if r.model["images_seen"] == model.images_seen
        and r.model.get("weights", "ema") == "ema"
        and not r.model.get("baseline")
        and r.protocol.get("split", "test") == "test"
    }
    theirs = {r.metric: r for r in results if r.model.get("baseline")}
    if not ours:
        return ["Nothing has been measured; `python -m alae_tf.evaluate` writes `results.jsonl`."]
    heads = ["", "model", *(["PCA"] if theirs else []), "better", "measured on"]
    rows = [heads, ["---"] * len(heads)]
    for name, result in ours.items():
        counted = ", ".join(f"{count:,} {kind}" for kind, count in result.counts.items())
        beside = [cell(theirs.get(name))] if theirs else []
        rows.append(
            [_code(name), cell(result), *beside, _escaped(result.better), _escaped(counted)]
        )
    note = "`results.jsonl` holds these values, and everything that each depends on."
    return [*(f"| {' | '.join(row)} |" for row in rows), "", note]


def _escaped(text: str) -> str:
    """Text as Markdown that shows it literally, in one line."""
    return re.sub(r"([\\`*_\[\]<>&|~#])", r"\\\1", printable(" ".join(text.split())))


def _code(text: str) -> str:
    """Text as Markdown code, in one line; escaped text where code could not show it."""
    return _escaped(text) if re.search(r"[`|\s\\]|^$", text) else f"`{printable(text)}`"
