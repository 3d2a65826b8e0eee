"""The health of a run: numbers that are computed with each sample grid, and warnings about them.

To add a number, append a `Quantity`; to add a warning, append a `Verdict`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from alae_tf.config import Config
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.runs.directory import RunDirectory
from alae_tf.system.errors import report
from alae_tf.training.health_sample import Sample, some_images
from alae_tf.training.progress import Progress

GRADIENTS = ("gradient_E", "gradient_D", "gradient_F", "gradient_G")
PREFIX = "health/"  # of the names in metrics.csv and TensorBoard

Values = Mapping[str, float]  # the quantities at one sample grid, by name; NaN: cannot be computed


def spread(x: np.ndarray) -> float:
    """How far the rows of x [N, …] lie apart: the root of the mean variance of an entry."""
    return math.sqrt(x.astype(np.float64).var(axis=0).mean())


def ratio(a: np.ndarray, b: np.ndarray) -> float:
    """The spread of a relative to that of b; NaN if all rows of b are equal."""
    return spread(a) / (spread(b) or math.nan)


def overfitting(sample: Sample) -> float:
    """(D(train) − D(test)) / (D(train) − D(generated)), where D(…) are mean logits, and the
    numerator is reduced by two standard errors. 0: D knows no more about training images than about
    held-out ones; 1: it takes held-out images for generated ones. NaN without held-out images.

    Reference: r_v of Karras et al. 2020 (arXiv 2006.06676), section 3.
    """
    if "test" not in sample.logits:
        return math.nan
    train, test, generated = (sample.logits[kind] for kind in ("train", "test", "generated"))
    lead = train.mean() - test.mean()
    lead -= 2 * math.sqrt(train.var() / len(train) + test.var() / len(test))
    return float(max(0.0, lead) / max(train.mean() - generated.mean(), 1e-6))


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A number about a run."""

    name: str  # in metrics.csv and TensorBoard, after `PREFIX`
    about: str  # its meaning
    of: Callable[[Sample], float]  # NaN if it cannot be computed


QUANTITIES = [
    Quantity(
        "spread",
        "spread of E(x) over photographs, relative to that of w over generated images",
        lambda s: ratio(s.e, s.w),
    ),
    Quantity(
        "latent_cycle",
        "error of E(G(w)), relative to the spread of w; an E that always gives the mean has 1",
        lambda s: math.sqrt(((s.recovered - s.w) ** 2).mean()) / (spread(s.w) or math.nan),
    ),
    Quantity(
        "dependence",
        "spread of G(E(x)) relative to that of the photographs x; 0: the same image for all",
        lambda s: ratio(s.again, s.x),
    ),
    Quantity(
        "variety",
        "spread of generated images relative to that of photographs; 0: always the same image",
        lambda s: ratio(s.new, s.x),
    ),
    *(
        Quantity(
            f"logit_{kind}",
            f"D's mean logit of {images} images; positive: taken for real",
            lambda s, kind=kind: float(np.mean(s.logits.get(kind, math.nan))),
        )
        for kind, images in {
            "train": "training",
            "test": "held-out",
            "generated": "generated",
        }.items()
    ),
    Quantity(
        "overfitting",
        "how far D's logits of held-out images are from those of training images, towards those of "
        "generated images; best: 0",
        overfitting,
    ),
    Quantity(
        "saturated",
        "share of the values of generated images outside [−1.1, 1.1]",
        lambda s: float((np.abs(s.new) > 1.1).mean()),
    ),
    *(
        Quantity(
            name,
            f"recent norm of the gradient of {name[-1]}",
            lambda s, name=name: s.gradient(name[-1]),
        )
        for name in GRADIENTS
    ),
    Quantity(
        "ema_older",
        "share of the EMA that stems from before the run",
        lambda s: s.older_now,
    ),
    Quantity(
        "ema_age",
        "mean age of the weights in the EMA, in images, at most the age of the run",
        lambda s: (1 - s.older_now) * s.progress.config.ema_images / math.log(2),
    ),
    Quantity(
        "ema_older_at_end",
        "share of the final EMA that will stem from before the run or, for the newest layers, from "
        "before the last level",
        Sample.older_at_end,
    ),
]
NAMES = [PREFIX + each.name for each in QUANTITIES]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """A warning about a run."""

    name: str  # one or two words
    # (values at a sample grid, values at the earlier grids of its level) → whether to warn
    holds: Callable[[Values, Sequence[Values]], bool]
    # (config, level, values) → what is wrong, and which flag to change
    sentence: Callable[[Config, int, Values], str]
    grids: int = 1  # number of successive grids at which `holds` must be true


def _collapsed(now: Values, before: Sequence[Values]) -> bool:
    """Whether all images look alike. The beginning of a run does not count: E learns more slowly
    than G, and at first G(E(x)) hardly depends on x in a healthy run, too."""
    return now["ema_older"] < 0.25 and min(now["dependence"], now["variety"]) < 0.1


def _diverging(now: Values, before: Sequence[Values]) -> bool:
    least = {name: min((each[name] for each in before), default=math.inf) for name in GRADIENTS}
    grown = any(now[name] > 100 * least[name] for name in GRADIENTS)
    return grown or abs(now["logit_train"]) > 100 or now["variety"] > 20


VERDICTS = [
    Verdict(
        "collapsed",
        _collapsed,
        lambda config, level, now: (
            "training has collapsed: all images look alike, whatever the photograph or z; lower "
            f"--r1_gamma (now {config.r1_gamma:g}) or start from a trained model (--init_from)"
        ),
        grids=4,
    ),
    Verdict(
        "overfitting",
        lambda now, before: now["overfitting"] > 0.5,
        lambda config, level, now: (
            "D overfits: it has memorised the training images, and takes held-out ones for "
            f"generated ones; {'set --augment=ada, ' * (config.augment == 'none')}add images to "
            f"--data, or raise --r1_gamma (now {config.r1_gamma:g})"
        ),
        grids=2,
    ),
    Verdict(
        "diverging",
        _diverging,
        lambda config, level, now: (
            "training diverges: gradients, logits or images grow too large; lower "
            f"--learning_rate_by_level (now {config.learning_rate(level):g}) and continue from an "
            "earlier checkpoint"
        ),
    ),
    Verdict(
        "EMA too slow",
        lambda now, before: now["ema_older_at_end"] > 0.25,
        lambda config, level, now: (
            f"the EMA is too slow: at the end of the run, {100 * now['ema_older_at_end']:.0f} % of "
            "it would stem from earlier weights; lower --ema_images (now "
            f"{config.ema_images:,.0f}) or raise --epochs"
        ),
    ),
]


def ill(history: Sequence[Values]) -> list[Verdict]:
    """The verdicts that hold at the last sample grid; `history`: of all grids, oldest first."""

    def holds(verdict: Verdict, last: int) -> bool:
        now = history[last]
        before = [each for each in history[:last] if each["level"] == now["level"]]
        return verdict.holds(now, before)

    end = len(history)
    return [
        verdict
        for verdict in VERDICTS
        if end >= verdict.grids
        and all(holds(verdict, last) for last in range(end - verdict.grids, end))
    ]


def history_of(rows: Sequence[Mapping[str, str]]) -> list[Values]:
    """The quantities in the rows of metrics.csv; rows without any are left out."""
    return [
        {name.removeprefix(PREFIX): float(row.get(name) or "nan") for name in (*NAMES, "level")}
        | {"images_seen": float(row["images_seen"])}
        for row in rows
        if row.get(NAMES[0])
    ]


class Health:
    """Examines a run with each sample grid, and prints each verdict once."""

    def __init__(self, progress: Progress, directory: RunDirectory):
        self._progress, self._directory = progress, directory
        # Name → sentence of each verdict that has held, with the images seen when it first held.
        self.found: dict[str, str] = {}
        self.now: set[str] = set()  # names of the verdicts that hold at the last grid
        self._said: set[str] = set()
        self._history: list[Values] = []  # the quantities at each sample grid
        self._level = -1  # of the images

    def open(self) -> None:
        """Reads the earlier grids of a run that continues."""
        rows = self._directory.metrics.rows()
        for values in history_of(rows):
            self._add(values)
        self._begun = 0 if rows else self._progress.images_seen

    def examine(self, model: Autoencoder) -> dict[str, float]:
        """The quantities of `QUANTITIES` by their names in metrics.csv, without those that cannot
        be computed; `model` has the EMA weights. Raises DataError if an image cannot be read."""
        progress, config = self._progress, self._progress.config
        if self._level != progress.level:
            side, held_out = config.level_resolution(progress.level), progress.source.held_out
            self._train = some_images(progress.source, side)
            self._test = some_images(held_out, side) if held_out else None
            self._level = progress.level
        model.blend = progress.blend
        sample = Sample(progress, model, self._train, self._test, self._begun)
        found = {each.name: each.of(sample) for each in QUANTITIES}
        self._add({"images_seen": progress.images_seen, "level": progress.level} | found)
        for name, sentence in self.found.items():
            if name in self.now - self._said:
                self._said.add(name)
                report("train", sentence)
        return {PREFIX + name: value for name, value in found.items() if math.isfinite(value)}

    def _add(self, values: Values) -> None:
        """Judges the run by the quantities at the next sample grid."""
        self._history.append(values)
        verdicts = ill(self._history)
        self.now = {verdict.name for verdict in verdicts}
        for verdict in verdicts:
            if verdict.name not in self.found:
                sentence = verdict.sentence(self._progress.config, int(values["level"]), values)
                self.found[verdict.name] = f"after {values['images_seen']:,.0f} images: {sentence}."
