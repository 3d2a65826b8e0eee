import dataclasses
import json

import numpy as np
import pytest

from alae_tf.latents import LatentError, directions
from alae_tf.latents.directions import Direction


@pytest.fixture
def two():
    a, b = np.array([0.6, 0.8, 0.0], np.float32), np.array([0.0, 0.0, 1.0], np.float32)
    return [
        Direction("smile", a, "least squares", {"r of w·n": 0.5}, (-1.5, 2.0), "0123", b, 0.6),
        Direction("größer", b, "Möbius ✓"),
    ]


def test_a_file_gives_back_what_was_written(two, tmp_path):
    directions.write(tmp_path / "d.json", two)
    read = directions.read(tmp_path / "d.json", 3, "0123")
    for there, here in zip(two, read, strict=True):
        assert (there.name, there.source, there.measure, there.span, there.model) == (
            here.name, here.source, here.measure, here.span, here.model,
        )  # fmt: skip
        assert there.chance == here.chance
        np.testing.assert_allclose(there.vector, here.vector, rtol=1e-6)
    np.testing.assert_array_equal(read[0].normal, two[0].normal)
    assert read[1].normal is None
    assert [each.is_chance for each in read] == [True, False]
    text = (tmp_path / "d.json").read_text()
    assert "größer" in text and json.loads(text)["directions"][0]["span"] == [-1.5, 2.0]
    chosen = directions.choose(read, ["größer"], "d.json")
    assert [each.name for each in chosen] == ["größer"]
    with pytest.raises(LatentError, match="d.json: .*'frown'.*smile, größer"):
        directions.choose(read, ["frown"], "d.json")


def test_those_of_other_models_are_refused(two, tmp_path):
    directions.write(tmp_path / "d.json", two)
    with pytest.raises(LatentError, match="d.json: .*'smile'"):
        directions.read(tmp_path / "d.json", 4)
    with pytest.raises(LatentError, match="d.json: .*0123.*99"):
        directions.read(tmp_path / "d.json", 3, "99")


def test_the_authors_files(tmp_path):
    np.save(tmp_path / "direction_4.npy", np.array([[3.0, 4.0]]))
    (direction,) = directions.read(tmp_path / "direction_4.npy", 2, "99")
    assert direction.name == "direction_4"
    np.testing.assert_allclose(direction.vector, [0.6, 0.8])
    np.testing.assert_allclose(direction.position(np.array([[1.0, 1.0], [0.0, 5.0]])), [1.4, 4])


def test_older_files_without_normals(tmp_path):
    contents = {"format": directions.FORMAT, "directions": [RECORD | {"measure": {"r": 0.5}}]}
    (tmp_path / "d.json").write_text(json.dumps(contents))
    (direction,) = directions.read(tmp_path / "d.json", 2)
    assert (direction.measure, direction.normal, direction.chance) == ({"r": 0.5}, None, None)
    assert not direction.is_chance


RECORD = dict(name="a", source="", measure={}, span=None, model="", vector=[1.0, 0.0])


@pytest.mark.parametrize(
    ("contents", "why"),
    [
        (b"", "Expecting value"),
        (b"\x00\xff", ""),
        (b"[]", "an object"),
        (b"[" * 100_000, "nested"),
        ({"format": "other"}, "format"),
        ({"format": directions.FORMAT}, "directions is missing"),
        ([RECORD | {"vector": [0.0, 0.0]}], "vector"),
        ([RECORD | {"vector": [1.0, float("nan")]}], "vector"),
        ([RECORD | {"vector": ["1", "0"]}], "vector"),
        ([RECORD | {"normal": [0.0, 0.0]}], "vector"),
        ([RECORD | {"normal": [1.0, 0.0, 0.0]}], "3 numbers"),
        ([RECORD | {"normal": ["1", "0"]}], "normal"),
        ([RECORD | {"chance": "0.5"}], "chance"),
        ([RECORD | {"span": [2, 1]}], "span"),
        ([RECORD | {"span": 3}], "span"),
        ([RECORD | {"span": [-1e308, 1e308]}], "span"),
        ([RECORD | {"span": [0, 1, 2]}], "span"),
        ([RECORD | {"span": [0, 10**400]}], "span"),
        ([RECORD | {"vector": [1e999, 0.0]}], "vector"),
        ([RECORD | {"vector": [10**400, 0]}], "vector"),
        ([RECORD | {"measure": [1]}], "measure"),
        ([RECORD, 5], "directions/1"),
        ([RECORD | {"name": 7}], "name"),
        ([RECORD | {"name": "x" * 5000}], "name"),
        ([RECORD, RECORD], "name"),
        ([{"name": "a"}], "missing"),
        ([RECORD | {"measure": {"x": "y"}}], "measure"),
    ],
)
def test_malformed_files_are_refused(tmp_path, contents, why):
    if isinstance(contents, list):
        contents = {"format": directions.FORMAT, "directions": contents}
    data = contents if isinstance(contents, bytes) else json.dumps(contents).encode()
    (tmp_path / "d.json").write_bytes(data)
    with pytest.raises(LatentError, match=f"d.json: .*{why}"):
        directions.read(tmp_path / "d.json", 2)


def test_wrong_arrays_are_refused(tmp_path):
    path = tmp_path / "d.npy"
    for array in (np.zeros(2), np.array([1.0, np.inf]), np.array([1, 2]), np.array(["a", "b"])):
        np.save(path, array)
        with pytest.raises(LatentError, match="d.npy"):
            directions.read(path, 2)
    path.write_bytes(b"\x93NUMPY\x01")
    with pytest.raises(LatentError, match="d.npy"):
        directions.read(path, 2)
    with pytest.raises(LatentError, match="none.json"):
        directions.read(tmp_path / "none.json", 2)


def test_orthogonal():
    left = directions.orthogonal(np.array([1.0, 1.0, 1.0]), [np.array([0.0, 0.0, 2.0])])
    np.testing.assert_allclose(left, [0.5**0.5, 0.5**0.5, 0], atol=1e-7)
    np.testing.assert_allclose(directions.orthogonal(np.array([0.0, 2.0]), []), [0, 1])
    with pytest.raises(LatentError, match="span"):
        directions.orthogonal(np.array([1.0, 2.0]), [np.array([1.0, 0.0]), np.array([1.0, 1.0])])


def test_numbers_that_are_not_finite_are_not_written(two, tmp_path):
    (tmp_path / "d.json").write_text("before")
    wrong = [dataclasses.replace(two[0], measure={"share of variance": float("nan")})]
    with pytest.raises(LatentError, match="smile"):
        directions.write(tmp_path / "d.json", wrong)
    assert (tmp_path / "d.json").read_text() == "before"
