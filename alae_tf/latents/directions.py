"""Named directions in w, and their file format."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alae_tf.latents import LatentError
from alae_tf.system import schema
from alae_tf.system.errors import printable
from alae_tf.system.files import write_atomic

FORMAT = "alae_tf directions 1"
ABOUT = (
    "Edits move w along vector; span is the range of w·vector over the data, from the 2nd to the "
    "98th percentile. If the direction was found from labels, w·normal predicts them, measure says "
    "how well, and in 95 % of cases random labels measure below chance. Then vector is Σ·normal "
    "(Σ: the covariance of w), made orthogonal to other vectors if some were given."
)
LARGEST = float(np.finfo(np.float32).max)  # w is float32
CONTENTS = {  # see `schema`
    "directions": [
        {
            "name": str,
            "source": str,
            "measure": {str: float},
            "span": ([float], None),
            "model": str,
            "vector": [float],
            "normal?": ([float], None),  # older files have neither this nor the next
            "chance?": (float, None),
        }
    ],
}


@dataclasses.dataclass(frozen=True)
class Direction:
    """A direction in w along which one property of images changes."""

    name: str  # for example "smile"
    vector: np.ndarray  # unit vector, float32 [latent], along which codes are moved
    source: str = ""  # a description of how it was found
    # Measured values by name, for example {"held-out correlation of w·n": 0.97}. If the direction
    # was found from labels, they belong to the normal n.
    measure: dict[str, float] = dataclasses.field(default_factory=dict)
    # 2nd and 98th percentile of w·vector over the images it was found with.
    span: tuple[float, float] | None = None
    model: str = ""  # checksum of the weights it was found with, "" if unknown
    # Unit vector n, float32 [latent]: w·n predicts the labels; `vector` is Σn. None if unknown, or
    # if the direction was not found from labels.
    normal: np.ndarray | None = None
    chance: float | None = None  # the measure that random labels stay below in 95 % of cases

    @property
    def is_chance(self) -> bool:
        """Whether its measure is no better than that of random labels."""
        return self.chance is not None and max(self.measure.values(), default=0) <= self.chance

    def position(self, w: np.ndarray) -> np.ndarray:
        """Position of codes along the direction: w [N, latent] → w·vector [N]."""
        return np.asarray(w, np.float32) @ self.vector


def orthogonal(vector: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """The part of a direction that is orthogonal to others, as a unit vector; raises LatentError if
    it lies in their span."""
    left = np.asarray(vector, np.float64)
    if others:
        basis, _ = np.linalg.qr(np.stack([np.asarray(each, np.float64) for each in others], axis=1))
        left = left - basis @ (basis.T @ left)
    length = np.linalg.norm(left)
    if length < 1e-4 * np.linalg.norm(vector) or not length:
        raise LatentError("the direction lies in the span of those that it should be orthogonal to")
    return (left / length).astype(np.float32)


def write(path: Path, directions: Sequence[Direction]) -> None:
    """Writes directions to a JSON file, one per line; raises LatentError if a number is not
    finite."""
    records = []
    for each in directions:
        record = dataclasses.asdict(each)
        for name in ("normal", "vector"):  # after the short fields
            values = record.pop(name)
            record[name] = None if values is None else [float(f"{value:.9g}") for value in values]
        try:
            records.append(json.dumps(record, ensure_ascii=False, allow_nan=False))
        except ValueError:
            raise LatentError(f"{each.name}: not finite; its labels may be too large") from None
    text = f'{{"format": "{FORMAT}",\n"about": {json.dumps(ABOUT, ensure_ascii=False)},\n'
    text += '"directions": [\n' + ",\n".join(records) + "\n]}\n"
    write_atomic(path, text.encode())


def read(path: str | Path, latent_size: int, model: str = "") -> list[Direction]:
    """Reads a file of directions, or one direction of ALAE's authors (`direction_N.npy`).

    Args:
        path: a .json file written by `write`, or a .npy array of `latent_size` floats.
        latent_size: length of the model's w.
        model: checksum of the model's weights; "" accepts directions of any model.

    Raises:
        LatentError: the file cannot be read, or a direction has another size or model.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise ValueError("no such file")
        found = [_read_array(path)] if path.suffix == ".npy" else _read_json(path)
    except (ValueError, TypeError, KeyError, EOFError) as error:
        raise LatentError(f"{path}: not a file of directions ({printable(str(error))})") from None
    except OSError as error:
        raise LatentError(f"{path}: {error.strerror or error}") from None
    for each in found:
        for vector in (each.vector, each.normal):
            if vector is not None and vector.shape != (latent_size,):
                raise LatentError(
                    f"{path}: direction {each.name!r} has {vector.size} numbers, but w of this "
                    f"model has {latent_size}; it belongs to another model"
                )
        if model and each.model and each.model != model:
            raise LatentError(
                f"{path}: direction {each.name!r} was found with other weights (checksum "
                f"{each.model}, this model's is {model}) and means something else; find it again "
                "with alae directions"
            )
    return found


def choose(
    directions: Sequence[Direction], names: Sequence[str], path: str | Path = "directions"
) -> list[Direction]:
    """The directions with these names, in this order; raises LatentError if one is unknown."""
    known = {each.name: each for each in directions}
    for name in names:
        if name not in known:
            raise LatentError(f"{path}: no direction {name!r}; it has {', '.join(known)}")
    return [known[name] for name in names]


def _read_array(path: Path) -> Direction:
    if not path.is_file():
        raise ValueError("not a regular file")
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.size > 2**20:
        raise ValueError("not an array of floats, or too large")
    return Direction(path.stem, _unit(array.reshape(-1)), f"file {path.name}")


def _read_json(path: Path) -> list[Direction]:
    contents = schema.load(path, {"format": str})
    if contents["format"] != FORMAT:
        raise ValueError(f'"format" is not "{FORMAT}"')
    schema.check(contents, CONTENTS)
    found: dict[str, Direction] = {}
    for record in contents["directions"]:
        name, span = record["name"], record["span"]
        if not name or name in found:
            raise ValueError(f"name {name!r} is empty or repeated")
        if span is not None and not (len(span) == 2 and -LARGEST <= span[0] < span[1] <= LARGEST):
            raise ValueError(f"{name}: its span must be two float32 numbers in ascending order")
        values = {each.name: record.get(each.name) for each in dataclasses.fields(Direction)}
        vector = _unit(record["vector"])
        normal = None if values["normal"] is None else _unit(values["normal"])
        span = span and (float(span[0]), float(span[1]))
        found[name] = Direction(**values | {"vector": vector, "normal": normal, "span": span})
    return list(found.values())


def _unit(values: Sequence[float] | np.ndarray) -> np.ndarray:
    vector = np.asarray(values, np.float64)
    length = np.linalg.norm(vector)
    if not (np.isfinite(length) and length > 0):
        raise ValueError("a vector is zero or not finite")
    return (vector / length).astype(np.float32)
