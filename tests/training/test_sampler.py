import types

import numpy as np

from alae_tf.config import Config
from alae_tf.images import canvas
from alae_tf.model.autoencoder import Autoencoder
from alae_tf.networks.alae import build_alae
from alae_tf.runs.directory import SOFTWARE, RunDirectory
from alae_tf.system.errors import WarnOnce
from alae_tf.training import sampler


def test_grid_shows_originals_over_reconstructions_with_captions(small):
    model = Autoencoder(small, build_alae(small))
    originals = np.full((12, 8, 8, 1), 77, np.uint8)
    grid = sampler.sample_grid(model, originals)
    again, new = model.reconstruct(originals), model.generate(12)
    rows = [list(each) for each in (originals, again, new)]
    captions = ["photograph", "reconstruction", "generated"]
    np.testing.assert_array_equal(grid, canvas.table(rows, captions))
    cells = grid[canvas.MARGIN :, -canvas.MARGIN - 64 : -canvas.MARGIN]  # the last column
    assert (cells[:64] == 77).all()
    assert (cells[66:130] == again[-1].repeat(8, 0).repeat(8, 1)).all()
    assert (grid[: canvas.MARGIN + 64, :100] < 128).any()  # the first caption


def test_rows_that_cannot_be_drawn_do_not_end_a_run(tmp_path, monkeypatch, capsys):
    def fail(*arguments):
        raise OverflowError("int too large")

    progress = types.SimpleNamespace(
        growth=types.SimpleNamespace(start=lambda level: 0), config=Config(levels=1),
        trainer=types.SimpleNamespace(updates=[types.SimpleNamespace(name="d", label="D")]),
    )  # fmt: skip
    run = types.SimpleNamespace(
        _progress=progress, _directory=RunDirectory(tmp_path), _warn_once=WarnOnce("train", "x")
    )
    assert sampler.Sampler.loss_plot(run) is None  # no rows yet
    head = "images_seen,level,blend,loss_d\n"
    for cells in ("8,0,1,0.5", "8,0,1,", "8,0,1,text", "8,0"):
        (tmp_path / "metrics.csv").write_text(f"{head}4,0,1,0.25\n{cells}\n")
        assert SOFTWARE.encode() in sampler.Sampler.loss_plot(run)
    monkeypatch.setattr(sampler.plots, "loss_plot", fail)
    assert sampler.Sampler.loss_plot(run) is None
    assert "losses.png" in capsys.readouterr().err
