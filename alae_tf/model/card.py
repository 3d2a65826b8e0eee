"""The page that goes with a trained model: what it is, of which data, how good, for what."""

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

UNTOLD = "Not told by the author."


@dataclasses.dataclass(frozen=True)
class Card:
    """What only the author knows; Markdown, a paragraph each.

    Attributes:
        data: what the model was trained on, and what was held out.
        licence: of the weights, as "apache-2.0", and what is known of the data's.
        use: what the model is for, and what it must not be used for.
        limits: where it fails.
    """

    data: str = ""
    licence: str = ""
    use: str = ""
    limits: str = ""

    def text(self, name: str, model: Autoencoder, results: Sequence[Result] = ()) -> str:
        """The card, Markdown.

        Args:
            name: of the model.
            model: what it is, its config and its images seen are told.
            results: of any checkpoints; those of this model and of the baseline are shown.

        Raises:
            AlaeError: a part is no text.
        """
        for field in dataclasses.fields(self):
            if not isinstance(getattr(self, field.name), str):
                raise AlaeError(f"card: {field.name} is no text.")
        config, side = model.config, model.resolution
        name = printable(name.replace("\n", " "))
        typed = shlex.quote(name)
        seen = f"{model.images_seen:,}" if model.images_seen else "unknown"
        colour = "in colour" if config.image_channels == 3 else "in grey"
        return "\n".join(
            [
                f"# {_escaped(name)}",
                "",
                f"{config.kind.title}, {side} px, {colour}; w has {config.latent_size} numbers; "
                f"the EMA of {model.alae.count_params():,} weights. Images seen: {seen}. "
                "Its settings: `config.cfg`.",
                "",
                f"    alae_tf.from_pretrained({json.dumps(name, ensure_ascii=False)})",
                f"    python -m alae_tf.figures generate --run_dir={typed} --out={typed}.png",
                "",
                "## Data",
                self.data or f"{_code(config.data)}. {UNTOLD}",
                "",
                "## Licence",
                self.licence or UNTOLD,
                "",
                "## Figures",
                *_figures(model, results),
                "",
                "## Use",
                self.use or UNTOLD,
                "",
                "## Limits",
                self.limits or UNTOLD,
                "",
            ]
        )


def _figures(model: Autoencoder, results: Sequence[Result]) -> list[str]:
    """A table of the newest values, on held-out images, of this checkpoint's EMA weights; beside
    them the baseline's."""
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
        return ["None measured: `python -m alae_tf.evaluate` writes `results.jsonl`."]
    heads = ["", "model", *(["PCA"] if theirs else []), "better", "measured on"]
    rows = [heads, ["---"] * len(heads)]
    for name, result in ours.items():
        counted = ", ".join(f"{count:,} {kind}" for kind, count in result.counts.items())
        beside = [cell(theirs.get(name))] if theirs else []
        rows.append(
            [_code(name), cell(result), *beside, _escaped(result.better), _escaped(counted)]
        )
    note = "The lines, with all that each value depends on, stand in `results.jsonl`."
    return [*(f"| {' | '.join(row)} |" for row in rows), "", note]


def _escaped(text: str) -> str:
    """Text as Markdown that shows it as it is, in one line."""
    return re.sub(r"([\\`*_\[\]<>&|~#])", r"\\\1", printable(" ".join(text.split())))


def _code(text: str) -> str:
    """Text as code in Markdown, in one line; as plain text where code could not show it."""
    return _escaped(text) if re.search(r"[`|\s\\]|^$", text) else f"`{printable(text)}`"
