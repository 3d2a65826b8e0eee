import json
from pathlib import Path

import pytest

from alae_tf.runs import results
from alae_tf.runs.results import Result
from tests.paths import ROOT

GOOD = {
    "metric": "psnr",
    "value": 20.0,
    "better": "higher",
    "protocol": {"split": "test"},
    "data": "mnist5k:",
    "counts": {"real": 10},
    "networks": {},
    "model": {"images_seen": 100},
    "seconds": 1,
    "versions": {"numpy": "2.0"},
    "date": "2026-01-01T00:00:00+00:00",
}
MALFORMED = [
    b"[" * 100_000,
    b"\xff",
    b"7",
    b"null",
    b'{"metric": "ps',
    *(
        json.dumps(GOOD | change).encode()
        for change in (
            {"metric": ["psnr"]},
            {"metric": "x" * 5000},
            {"value": "20"},
            {"value": float("nan")},
            {"value": 10**400},
            {"better": None},
            {"protocol": []},
            {"counts": {"real": "ten"}},
            {"counts": {"real": float("inf")}},
            {"counts": [10]},
            {"model": None},
            {"model": {}},
            {"model": {"images_seen": "100"}},
            {"model": {"images_seen": 100, "baseline": 1}},
            {"networks": "none"},
            {"versions": 1},
        )
    ),
]


@pytest.mark.parametrize("line", MALFORMED, ids=lambda line: line[:40])
def test_malformed_lines_are_counted_and_the_table_is_of_the_others(line, tmp_path, capsys):
    path = tmp_path / "results.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + line + b"\n\n" + line)
    found = results.read(path)
    assert found == [Result(**GOOD)]
    err = capsys.readouterr().err
    assert err.startswith(f"{path}: ") and err.count("\n") == 1 and "2" in err
    assert "psnr" in results.table(found)


@pytest.mark.parametrize(
    "path", [*ROOT.glob("models/*/results.jsonl")], ids=lambda p: p.parent.name
)
def test_published_results_are_whole(path: Path, capsys):
    assert len(results.read(path)) == len(path.read_text().splitlines())
    assert capsys.readouterr().err == ""
