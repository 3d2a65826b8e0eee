import pytest

from alae_tf.runs.metrics import FIRST, SPEED, Metrics

LOSSES = ["loss_d", "loss_g", "loss_latent"]
COLUMNS = [*FIRST, *LOSSES, *SPEED]
HEADER = ",".join(COLUMNS)


def row(images, **values):
    return dict.fromkeys(COLUMNS, 0.123456789) | {"images_seen": images, "level": 0} | values


def write(metrics, *images, losses=LOSSES):
    for each in images:
        metrics.add(row(each))
    metrics.write()


def test_metrics_rewind_to_a_checkpoint(tmp_path, capsys):
    metrics = Metrics(tmp_path / "metrics.csv")
    assert metrics.rows() == []
    metrics.rewind(0, LOSSES)
    write(metrics, 10, 20, 30)
    with open(metrics.path, "a") as file:
        file.write("40,0")  # cut short by a kill
    metrics.rewind(20, LOSSES)
    rows = metrics.rows()
    assert [row["images_seen"] for row in rows] == ["10", "20"]
    assert rows[0]["loss_d"] == "0.123457"
    assert capsys.readouterr().err == ""
    assert list(tmp_path.iterdir()) == [metrics.path]


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (lambda text: text.replace(b"20,0", b"2o,0", 1), ["10", "30"]),
        (lambda text: text.replace(b"20,0", b"-20,0", 1), ["10", "30"]),
        (lambda text: text.replace(b"20,0", b"9" * 400 + b",0", 1), ["10", "30"]),
        (lambda text: text.replace(b",", b";"), []),
        (lambda text: text.replace(b"20,0", bytes(range(256)), 1), ["10", "30"]),
        (lambda text: bytes(100), []),
        (lambda text: text.partition(b"\n")[2], []),
    ],
)
def test_a_damaged_file_is_kept_aside_and_reported(tmp_path, capsys, damage, kept):
    metrics = Metrics(tmp_path / "metrics.csv")
    metrics.rewind(0, LOSSES)
    write(metrics, 10, 20, 30)
    damaged = damage(metrics.path.read_bytes())
    metrics.path.write_bytes(damaged)
    assert [row["images_seen"] for row in metrics.rows()] == kept  # and so can be drawn
    metrics.rewind(40, LOSSES)
    write(metrics, 50)
    assert [row["images_seen"] for row in metrics.rows()] == [*kept, "50"]
    assert metrics.path.read_text().startswith(HEADER + "\n")
    said = capsys.readouterr().err
    assert str(metrics.path) in said and "metrics-damaged-40.csv" in said
    assert (tmp_path / "metrics-damaged-40.csv").read_bytes() == damaged
    metrics.path.write_bytes(damaged)
    metrics.rewind(40, LOSSES)
    assert (tmp_path / "metrics-damaged-40-2.csv").read_bytes() == damaged


def test_rows_wait_until_they_can_be_written(tmp_path):
    metrics = Metrics(tmp_path / "away" / "metrics.csv")
    metrics.add(row(10))
    with pytest.raises(FileNotFoundError):
        metrics.write()
    metrics.path.parent.mkdir()
    metrics.rewind(0, LOSSES)
    write(metrics, 20)
    assert [row["images_seen"] for row in metrics.rows()] == ["10", "20"]


def test_columns_that_a_run_adds(tmp_path):
    """Rows before have empty cells; columns that are not added any more are kept."""
    metrics = Metrics(tmp_path / "metrics.csv")
    metrics.rewind(0, LOSSES)
    write(metrics, 10)
    metrics.rewind(10, LOSSES, ["psnr", "fd"])
    metrics.add(row(20, psnr=12.5))
    metrics.write()
    metrics.rewind(20, LOSSES, ["ssim"])
    metrics.add(row(30, ssim=0.5))
    metrics.write()
    rows = metrics.rows()
    assert [(r["psnr"], r["fd"], r["ssim"]) for r in rows] == [
        ("", "", ""),
        ("12.5", "", ""),
        ("", "", "0.5"),
    ]
    assert metrics.path.read_text().startswith(HEADER + ",psnr,fd,ssim\n")
    assert list(tmp_path.iterdir()) == [metrics.path]


def test_losses_of_other_updates_have_columns(tmp_path):
    metrics = Metrics(tmp_path / "metrics.csv")
    metrics.rewind(0, ["loss_d"])
    metrics.rewind(0, ["loss_d", "loss_reconstruction"])
    write(metrics, 10)
    assert metrics.rows()[0]["loss_reconstruction"] == ""
    assert metrics.columns == (*FIRST, "loss_d", *SPEED, "loss_reconstruction")
