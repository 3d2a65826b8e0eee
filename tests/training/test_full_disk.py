"""A disk that fills at any write of a run: one message, and nothing lost that was saved."""

import builtins
import contextlib
import errno
import io
import sys
from pathlib import Path

import numpy as np
import pytest

from alae_tf.runs.checkpoint import list_checkpoints
from alae_tf.runs.directory import RunDirectory
from alae_tf.system.errors import AlaeError
from alae_tf.training import loop


class Disk:
    """Files below a directory go to a disk with room for so many bytes more.

    TensorBoard's files, which C++ writes, are on another one.
    """

    def __init__(self, root, room=float("inf")):
        self.root, self.room, self.written = Path(root), room, 0

    def open(self, file, mode="r", *args, **kwargs):
        below = isinstance(file, str | Path) and Path(file).is_relative_to(self.root)
        if not below or not set(mode) & set("wax+"):
            return REAL_OPEN(file, mode, *args, **kwargs)
        raw = Limited(self, str(file), mode.replace("t", "").replace("b", ""))
        buffered = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, kwargs.get("encoding"), newline=kwargs.get("newline"))

    @contextlib.contextmanager
    def mounted(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(builtins, "open", self.open)
            patch.setattr(io, "open", self.open)  # pathlib's
            yield self


class Limited(io.FileIO):
    def __init__(self, disk, file, mode):
        super().__init__(file, mode)
        self.disk = disk

    def write(self, data):
        size = memoryview(data).nbytes
        if size > self.disk.room:
            raise OSError(errno.ENOSPC, "No space left on device", self.name)
        self.disk.room -= size
        self.disk.written += size
        return super().write(data)


REAL_OPEN = builtins.open


@pytest.mark.slow
def test_a_disk_that_fills_at_any_write(small_mlp, tmp_path, capsys, one_device):
    config = small_mlp.replace(
        data="mnist5k:", image_size=28, epochs=0.01, checkpoint_minutes=1e-9, sample_images=16,
        flip=False,
    )  # fmt: skip

    def train(run_dir):
        try:
            return loop.train(config, RunDirectory(run_dir))
        except (AlaeError, OSError) as error:  # the command tells them in the same way
            print(f"train: {error}", file=sys.stderr)
            return 1

    def weights(run_dir):
        with np.load(list_checkpoints(run_dir)[-1]) as file:
            return {name: file[name] for name in file.files}

    with Disk(tmp_path / "whole").mounted() as disk:
        assert train(tmp_path / "whole") == 0
    expected = weights(tmp_path / "whole")
    rooms = np.linspace(0, disk.written, 5, endpoint=False)
    nearly = disk.written - 1000  # texts of two runs may differ by some digits
    for i, room in enumerate([*rooms, nearly]):
        run_dir = tmp_path / f"run{i}"
        capsys.readouterr()
        with Disk(run_dir, room).mounted():
            assert train(run_dir) == 1
        told = capsys.readouterr().err
        assert told.count("No space left on device") == 1, told
        assert "Traceback" not in told
        kept = len(list_checkpoints(run_dir)) if run_dir.exists() else 0
        assert kept or room < disk.written / 2
        with Disk(run_dir).mounted():
            assert train(run_dir) == 0
        again = weights(run_dir)
        assert again.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(again[name], value, err_msg=f"{name}, room {room}")
