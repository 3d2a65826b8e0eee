"""Reads PyTorch's checkpoint files without PyTorch, and runs nothing that is written in them.

A checkpoint is a pickle, a small program that may name any function and call it. Here only the few
names that make tensors and plain containers mean anything; nothing that a file names is ever
imported. Both formats are read: the zip archive, and the older row of pickles with the numbers
behind them.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from alae_tf.system.errors import AlaeError

ZIP = b"PK\x03\x04"
LEGACY = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)  # how every file of that format begins
LEGACY_VERSION = 1001
DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "|i1",
    "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}
# Modules of which a class could do something, were it imported. The last are Python 2's.
KNOWN_MODULES = sys.stdlib_module_names | {
    *("torch", "torchvision", "numpy", "tensorflow", "keras", "alae_tf", "export"),
    *("pip", "setuptools", "pkg_resources"),
    *("__builtin__", "cPickle", "commands", "copy_reg", "exceptions", "popen2", "urllib2"),
}
# Of those, what loggers and schedulers keep beside the weights; skipped like unknown classes.
SKIPPED = {
    *(("collections", "Counter"), ("collections", "defaultdict")),
    *(("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar")),
    *(("numpy", "dtype"), ("_codecs", "encode"), ("torch", "device"), ("torch", "Size")),
}
# Types of a dict's keys. Others could make hashing or printing them endless: nested tuples do.
KEYS = (str, bytes, int, float, bool, type(None))
LONGEST_INT = 64  # bits of an int among them: longer ones can be chosen to have one hash
MOST_AXES = 8  # of a tensor
# Opcodes that reach beyond the file (a process' own registry and buffers), or take memory first.
WITHOUT = pickle.EXT1 + pickle.EXT2 + pickle.EXT4 + pickle.BYTEARRAY8
WITHOUT += pickle.NEXT_BUFFER + pickle.READONLY_BUFFER


class PytorchFileError(AlaeError):
    """A file is no PyTorch checkpoint, is damaged or is refused; the message names it."""


class Contents(NamedTuple):
    """What was read.

    Attributes:
        data: dicts, lists, tuples, numbers and texts; tensors are read-only NumPy arrays, and
            objects of classes that are not known here are empty `Skipped`.
        skipped: names of those classes, sorted.
    """

    data: Any
    skipped: tuple[str, ...]


class Skipped:
    """Stands for an object of a class that is not known here; takes everything, keeps nothing."""

    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def _ignore(self, *args):
        pass

    __setitem__ = append = extend = add = _ignore


class Storage(NamedTuple):
    """The numbers behind tensors. No tensor can pass for one, whose memory has other bounds.

    Attributes:
        values: [count].
        limit: most elements that a tensor may have: bytes of the file.
    """

    values: np.ndarray
    limit: int


def read_pytorch(path: str | Path) -> Contents:
    """Reads a file that `torch.save` wrote.

    Raises:
        PytorchFileError: no such file, none of `torch.save`, damaged, or naming anything but
            tensors, plain containers and classes that are not known here.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(len(LEGACY))
            file.seek(0)
            if head.startswith(ZIP):
                return read_zip(file)
            if head == LEGACY:
                return read_legacy(file)
        raise PytorchFileError("not a PyTorch checkpoint; give a .pth file that torch.save wrote")
    except PytorchFileError as error:
        raise PytorchFileError(f"{path}: {error}.") from None
    except OSError as error:
        raise PytorchFileError(f"{path}: {error.strerror or error}.") from None
    except Exception as error:  # damaged bytes make zipfile and pickle raise nearly anything
        why = f"{type(error).__name__}: {error}"
        raise PytorchFileError(f"{path}: damaged or cut short ({why}); fetch it again.") from None


def read_zip(file: BinaryIO) -> Contents:
    """The format since PyTorch 1.6: NAME/data.pkl, and NAME/data/KEY for each storage."""
    size = os.fstat(file.fileno()).st_size
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        pickles = [name for name in entries if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise PytorchFileError(
                "a zip archive without data.pkl (of NumPy?); give a .pth file that torch.save wrote"
            )
        folder = pickles[0].removesuffix("data.pkl")

        def read(name: str) -> bytes:
            entry = entries[folder + name]
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > size:
                raise PytorchFileError(f"{folder}{name} is compressed; PyTorch stores it as it is")
            return archive.read(entry)

        if folder + "byteorder" in entries and read("byteorder") != b"little":
            raise PytorchFileError("written on a big-endian machine, which cannot be read here")
        unpickler = Unpickler(io.BytesIO(read("data.pkl")), size)
        data = unpickler.load()
        for key, storage in unpickler.storages.items():
            fill(storage.values, key, read(f"data/{key}"))
    return Contents(data, tuple(sorted(unpickler.skipped)))


def read_legacy(file: BinaryIO) -> Contents:
    """The format before: five pickles, then count and numbers of each storage."""
    size = os.fstat(file.fileno()).st_size
    _, version, system = (Unpickler(file, size).load() for _ in range(3))
    # Nothing of what the file holds is printed before it is known to be a text: it may be endless.
    if type(version) is not int or version != LEGACY_VERSION:
        raise PytorchFileError(f"of another version than {LEGACY_VERSION}, which is read here")
    if system["little_endian"] is not True:
        raise PytorchFileError("written on a big-endian machine, which cannot be read here")
    unpickler = Unpickler(file, size)
    data = unpickler.load()
    keys = Unpickler(file, size).load()
    texts = type(keys) is list and all(type(key) is str for key in keys)
    if not texts or sorted(keys) != sorted(unpickler.storages):
        raise PytorchFileError("damaged: its list of storages is not that of its tensors")
    for key in keys:
        values = unpickler.storages[key].values
        count = int.from_bytes(file.read(8), "little")
        if count != values.size:
            raise PytorchFileError(f"damaged: storage {key} has {count} numbers, not {values.size}")
        fill(values, key, file.read(values.nbytes))
    return Contents(data, tuple(sorted(unpickler.skipped)))


def fill(values: np.ndarray, key: str, data: bytes) -> None:
    """Writes a storage's bytes where its tensors look for them."""
    if len(data) != values.nbytes:
        raise PytorchFileError(
            f"damaged or cut short: storage {key} has {len(data):,} bytes, not {values.nbytes:,}"
        )
    values[:] = np.frombuffer(data, values.dtype)


# Any, because type checkers know it as the one in C, without a stack.
PYTHONS_UNPICKLER: Any = pickle._Unpickler


class Unpickler(PYTHONS_UNPICKLER):
    """Builds plain containers and tensors, and nothing else.

    It is Python's own in Python: the one in C takes any amount of memory if five bytes ask for it,
    and has no place to leave BUILD out.

    Args:
        file: to read one pickle from.
        size: bytes of the whole file, which no number in it may exceed.

    Attributes:
        storages: by key; their values are still to be filled.
        skipped: names of classes that are not known here.
    """

    def __init__(self, file: BinaryIO, size: int):
        super().__init__(file)
        self.storages: dict[str, Storage] = {}
        self.skipped: set[str] = set()
        self._size = self._left = self._pairs_left = size

    def find_class(self, module: str, name: str) -> object:
        """What a name in the file stands for. Nothing is imported."""
        if (module, name) == ("collections", "OrderedDict"):
            return self.make_dict
        if (module, name) in (
            ("torch._utils", "_rebuild_tensor"),
            ("torch._utils", "_rebuild_tensor_v2"),
        ):
            return make_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return make_parameter
        if module == "torch" and name in DTYPES:
            return np.dtype(DTYPES[name])
        full = f"{module}.{name}"
        known = module.partition(".")[0] in KNOWN_MODULES or not (module and full.isprintable())
        if known and (module, name) not in SKIPPED:
            raise PytorchFileError(
                f"refused, nothing was run: it names {full!a}; only plain containers and tensors "
                f"are read ({', '.join(DTYPES)})"
            )
        self.skipped.add(full)
        return Skipped

    def persistent_load(self, pid: object) -> Storage:
        """A storage, empty as yet: ("storage", type, key, device, count), and in the older format
        a part of it: None, or (key of the part, first, count)."""
        if not (isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage"):
            raise PytorchFileError("refers to something other than a storage; a whole module?")
        _, dtype, key, _, count, *part = pid
        if not (isinstance(dtype, np.dtype) and type(key) is str and is_counts(count)):
            raise PytorchFileError("damaged: a reference to a storage of no type or size")
        if key not in self.storages:
            self._left -= count * dtype.itemsize
            if self._left < 0:
                raise PytorchFileError("damaged or cut short: its storages are longer than itself")
            self.storages[key] = Storage(np.empty(count, dtype), self._size)
        values = self.storages[key].values
        if values.dtype != dtype or values.size != count:
            raise PytorchFileError(f"damaged: storage {key} has two sizes")
        if not part or part[0] is None:
            return self.storages[key]
        _, first, count = part[0]
        if not is_counts(first, count) or first + count > values.size:
            raise PytorchFileError(f"damaged: a part of storage {key} lies outside of it")
        return Storage(values[first : first + count], self._size)

    def make_dict(self, pairs: list | tuple = ()) -> dict:
        """An ordered dict: empty and filled later, or of a list of pairs, as Python 2 wrote it."""
        if not (
            isinstance(pairs, list | tuple)
            and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs)
        ):
            raise PytorchFileError("damaged: an ordered dict of something other than pairs")
        self._pairs_left -= len(pairs)  # of all together: a list can be named again and again
        if self._pairs_left < 0:
            raise PytorchFileError("damaged: its dicts have more entries than itself has bytes")
        check_keys(key for key, _ in pairs)
        return dict(pairs)

    def load_dict(self) -> None:
        """DICT makes a dict of what stands after the mark: key, value, key, value …"""
        check_keys(self.stack[::2])
        super().load_dict()

    def load_setitem(self) -> None:
        """SETITEM: a dict, a key and a value on the stack."""
        self._check_items(self.stack[-3], self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        """SETITEMS: a dict before the mark; key, value, key, value … after it."""
        self._check_items(self.metastack[-1][-1], self.stack[::2])
        super().load_setitems()

    def _check_items(self, container: object, keys: Iterable[object]) -> None:
        if isinstance(container, Skipped):
            return
        if not isinstance(container, dict):
            raise PytorchFileError("damaged: entries of something other than a dict")
        check_keys(keys)

    def load_additems(self) -> None:
        """ADDITEMS: a set before the mark, its elements after it."""
        check_keys(self.stack)
        super().load_additems()

    def load_frozenset(self) -> None:
        """FROZENSET of what stands after the mark."""
        check_keys(self.stack)
        super().load_frozenset()

    def load_build(self) -> None:
        """BUILD gives an object its state. Containers and tensors need none (a state dict's version
        numbers, a logger's losses), and so no object's own code is run."""
        self.stack.pop()

    dispatch = {k: load for k, load in PYTHONS_UNPICKLER.dispatch.items() if k not in WITHOUT}
    dispatch |= {
        pickle.BUILD[0]: load_build,
        pickle.DICT[0]: load_dict,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.ADDITEMS[0]: load_additems,
        pickle.FROZENSET[0]: load_frozenset,
    }


def check_keys(keys: Iterable[object]) -> None:
    """Raises PytorchFileError unless all are numbers and texts, which are hashed in a moment."""
    for key in keys:
        if type(key) not in KEYS or (type(key) is int and key.bit_length() > LONGEST_INT):
            raise PytorchFileError(
                f"refused: a dict or set has a key of type {type(key).__name__}; only texts and "
                f"numbers of at most {LONGEST_INT} bits are read"
            )


def is_counts(*values: object) -> bool:
    """Whether all of them are whole numbers, 0 or more."""
    return all(type(value) is int and value >= 0 for value in values)


def make_tensor(storage: Storage, first: int, shape: tuple, strides: tuple, *_) -> np.ndarray:
    """A view of a storage, wholly within it; gradients, hooks and metadata are left out.

    Args:
        storage: of the numbers.
        first: int. Number of the first element.
        shape, strides: tuples of ints; strides in elements.
    """
    if not (
        isinstance(storage, Storage)
        and isinstance(shape, tuple)
        and isinstance(strides, tuple)
        and len(shape) == len(strides) <= MOST_AXES
        and is_counts(first, *shape, *strides)
        and math.prod(shape) <= storage.limit
    ):
        raise PytorchFileError("damaged: a tensor of no storage or shape")
    values = storage.values
    steps = sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if 0 in shape:
        return np.zeros(shape, values.dtype)
    if first + steps >= values.size:
        raise PytorchFileError("damaged: a tensor reaches beyond its storage")
    in_bytes = [stride * values.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(values[first:], shape, in_bytes, writeable=False)


def make_parameter(tensor: np.ndarray, *_) -> np.ndarray:
    """A parameter is its tensor."""
    return tensor
