"""Named directions in w, and the file that keeps them."""

from __future__ import annotations

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
        }
    ],
}


@dataclasses.dataclass(frozen=True)
class Direction:
    """A direction in w along which one thing changes.

    Attributes:
        name: for people and for flags, as "smile".
        vector: of unit length, float32 [latent].
        source: how it was found, in words.
        measure: what was measured of it, by name, as {"held-out accuracy": 0.97}.
        span: w·vector of the images that it was found on, from the 2nd to the 98th percentile.
        model: checksum of the weights that it was found with, or "" if it is not known.
    """

    name: str
    vector: np.ndarray
    source: str = ""
    measure: dict[str, float] = dataclasses.field(default_factory=dict)
    span: tuple[float, float] | None = None
    model: str = ""

    def position(self, w: np.ndarray) -> np.ndarray:
        """Where codes stand along it: w [N, latent] → w·vector [N]."""
        return np.asarray(w, np.float32) @ self.vector


def orthogonal(vector: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
    """A direction without what it has in common with others: of unit length, at right angles to
    all of them.

    Raises:
        LatentError: nothing is left of it.
    """
    left = np.asarray(vector, np.float64)
    if others:
        basis, _ = np.linalg.qr(np.stack([np.asarray(each, np.float64) for each in others], axis=1))
        left = left - basis @ (basis.T @ left)
    length = np.linalg.norm(left)
    if length < 1e-4 * np.linalg.norm(vector) or not length:
        raise LatentError("the direction lies within those that it is to be made orthogonal to")
    return (left / length).astype(np.float32)


def write(path: Path, directions: Sequence[Direction]) -> None:
    """Writes a file of directions, which people can read.

    Raises:
        LatentError: numbers that are not finite.
        OSError: it cannot be written; what was there is untouched.
    """
    records = []
    for each in directions:
        numbers = [*each.measure.values(), *(each.span or ()), *each.vector]
        if not np.isfinite(numbers).all():
            raise LatentError(f"{each.name}: has numbers that are not finite; labels so large?")
        record = {
            "name": each.name,
            "source": each.source,
            "measure": {name: float(f"{value:.6g}") for name, value in each.measure.items()},
            "span": each.span and [float(f"{value:.6g}") for value in each.span],
            "model": each.model,
        }
        head = json.dumps(record, ensure_ascii=False, indent=1)[:-2]
        vector = ", ".join(f"{value:.9g}" for value in each.vector)
        records.append(f'{head},\n "vector": [{vector}]\n}}')
    text = f'{{"format": "{FORMAT}",\n"directions": [\n' + ",\n".join(records) + "\n]}\n"
    write_atomic(path, text.encode())


def read(path: str | Path, latent_size: int, model: str = "") -> list[Direction]:
    """Reads a file of directions, or one direction of the authors (`direction_N.npy`).

    Args:
        path: .json as `write` wrote it, or .npy: an array of `latent_size` numbers.
        latent_size: of the model that they are for.
        model: checksum of its weights; "" takes directions of any.

    Raises:
        LatentError: it cannot be read, or holds directions of another length or model.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise ValueError("no such file")
        found = _read_array(path) if path.suffix == ".npy" else _read_json(path)
    except (ValueError, TypeError, KeyError, EOFError) as error:
        raise LatentError(f"{path}: no file of directions ({printable(str(error))})") from None
    except OSError as error:
        raise LatentError(f"{path}: {error.strerror or error}") from None
    for each in found:
        if each.vector.shape != (latent_size,):
            raise LatentError(
                f"{path}: direction {each.name!r} has {each.vector.size} numbers, and w of this "
                f"model {latent_size}; it is of another model"
            )
        if model and each.model and each.model != model:
            raise LatentError(
                f"{path}: direction {each.name!r} was found with other weights (checksum "
                f"{each.model}, here {model}), where it means something else; find it anew with "
                "alae_tf.directions"
            )
    return found


def choose(
    directions: Sequence[Direction], names: Sequence[str], path: str | Path = "directions"
) -> list[Direction]:
    """The directions with these names, in this order.

    Raises:
        LatentError: there is none of a name; lists them.
    """
    known = {each.name: each for each in directions}
    for name in names:
        if name not in known:
            raise LatentError(f"{path}: no direction {name!r}; it has {', '.join(known)}")
    return [known[name] for name in names]


def _read_array(path: Path) -> list[Direction]:
    if not path.is_file():
        raise ValueError("not a regular file")
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or array.size > 2**20:
        raise ValueError("no array of numbers, or a very large one")
    return [Direction(path.stem, _unit(array.reshape(-1)), f"file {path.name}")]


def _read_json(path: Path) -> list[Direction]:
    contents = schema.load(path, {"format": str})
    if contents["format"] != FORMAT:
        raise ValueError(f'"format" is not "{FORMAT}"')
    schema.check(contents, CONTENTS)
    found: dict[str, Direction] = {}
    for record in contents["directions"]:
        name, span = record["name"], record["span"]
        if not name or name in found:
            raise ValueError(f"name {name!r} is empty, or there twice")
        if span is not None and not (len(span) == 2 and -LARGEST <= span[0] < span[1] <= LARGEST):
            raise ValueError(f"{name}: its span is not two float32 numbers, the smaller one first")
        vector = _unit(np.array(record["vector"], np.float64))
        span = span and (float(span[0]), float(span[1]))
        found[name] = Direction(
            name, vector, record["source"], record["measure"], span, record["model"]
        )
    return list(found.values())


def _unit(vector: np.ndarray) -> np.ndarray:
    vector = np.asarray(vector, np.float64)
    length = np.linalg.norm(vector)
    if not (np.isfinite(length) and length > 0):
        raise ValueError("a direction of length 0, or one that is not finite")
    return (vector / length).astype(np.float32)
