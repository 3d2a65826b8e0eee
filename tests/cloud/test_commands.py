"""Wrong URLs on the command line: one message that names the flag, exit code 2, nothing written."""

import pytest

from alae_tf import align, directions, evaluate, prepare, train
from alae_tf.cloud.storage import Storage
from alae_tf.figures import __main__ as figures
from alae_tf.official import __main__ as official
from export import __main__ as export
from tests.paths import ROOT

pytest.importorskip("fsspec", reason="the extra cloud is not installed")
PREPARE = ["--data=mnist5k:", "--max_resolution=8"]


@pytest.mark.parametrize(
    ("main", "flags", "wrong"),
    [
        (train.main, [], "--run_dir=nowhere://x/run"),
        (train.main, ["--run_dir=unused"], "--data=folder:nowhere://x"),
        (train.main, ["--run_dir=unused"], "--init_from=nowhere://x"),
        (evaluate.main, [], "--run_dir=nowhere://x/run"),
        (prepare.main, PREPARE, "--out=nowhere://x"),
        (export.main, ["--run_dir=digits"], "--out=nowhere://x"),
        (export.main, ["--out=unused"], "--run_dir=nowhere://x"),
    ],
)
def test_an_unknown_kind_of_storage(main, flags, wrong, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALAE_TF_CACHE", str(tmp_path / "cache"))
    assert main([*flags, wrong]) == 2
    message = capsys.readouterr().err
    assert f"{wrong}: " in message and "nowhere" in message and message.count("\n") == 1
    assert not (tmp_path / "unused").exists()


@pytest.mark.parametrize(
    ("main", "flags", "wrong"),
    [
        (train.main, ["--data=mnist5k:"], "--run_dir"),
        (prepare.main, PREPARE, "--out"),
        (export.main, ["--run_dir=digits"], "--out"),
    ],
)
def test_a_url_with_one_slash(main, flags, wrong, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    try:
        code = main([*flags, f"{wrong}=s3:/bucket/x"])
    except SystemExit as end:  # of argparse
        code = end.code
    assert code == 2
    assert f"{wrong}: s3:/bucket/x: " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("folder", ["s3://nowhere/x", "{cloud}/missing"])
def test_a_bucket_or_run_that_does_not_exist(folder, cloud, capsys):
    run_dir = f"--run_dir={folder.format(cloud=cloud)}"
    assert evaluate.main([run_dir]) == 2
    if "nowhere" in folder:
        assert train.main([run_dir]) == 2
    assert capsys.readouterr().err.count(run_dir) == 1 + ("nowhere" in folder)


@pytest.mark.parametrize("main", [train.main, prepare.main, export.main])
def test_a_folder_with_other_content_is_left_alone(main, cloud, capsys):
    storage = Storage("", f"{cloud}/photos")
    storage.write("photo.jpg", b"1")
    flag = "--run_dir" if main is train.main else "--out"
    others = {train.main: [], prepare.main: PREPARE, export.main: ["--run_dir=digits"]}[main]
    assert main([*others, f"{flag}={cloud}/photos"]) == 2
    assert f"{flag}={cloud}/photos: holds files" in capsys.readouterr().err
    assert storage.list().keys() == {"photo.jpg"}


@pytest.mark.parametrize(
    ("main", "flags"),
    [
        (figures.main, ["generate", "--run_dir=digits", "--out=s3://b/x.png"]),
        (directions.main, ["--run_dir=digits", "--labels=components", "--out=s3://b/x.json"]),
        (align.main, [f"{ROOT}/docs/pictures/digits.png", "--out=s3://b/x"]),
        (official.main, ["import", "x.pth", "--run_dir=s3://b/x"]),
    ],
)
def test_flags_that_take_only_paths_say_that(main, flags, capsys):
    assert main(flags) == 2
    message = capsys.readouterr().err
    assert flags[-1].partition("=")[0] in message and "not a URL" in message
