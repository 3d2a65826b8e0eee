import json
import os

import pytest

from alae_tf.system import schema

PATTERN = {
    "name": str,
    "count": int,
    "value": (float, None),
    "flag?": bool,
    "list": [{"x": float}],
    "by_name": {str: {"size?": int}},
    "any": object,
}
GOOD = {
    "name": "a",
    "count": 3,
    "value": None,
    "flag": True,
    "list": [{"x": 1}, {"x": -0.5}],
    "by_name": {"a/b": {"size": 7}, "c": {}},
    "any": [None, {"k": "text"}],
    "further": 1.5,
}


def test_what_matches_comes_back():
    assert schema.parse(json.dumps(GOOD), PATTERN) == GOOD
    del GOOD["flag"]
    assert schema.parse(json.dumps(GOOD), PATTERN) == GOOD


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": 7}, "/name"),
        ({"name": None}, "/name"),
        ({"name": "x" * 5000}, "/name"),
        ({"count": True}, "/count"),
        ({"count": 1.5}, "/count"),
        ({"count": 10**400}, "/count"),
        ({"count": float("inf")}, "/count"),
        ({"value": "1"}, "/value"),
        ({"value": 10**310}, "/value"),
        ({"value": float("nan")}, "/value"),
        ({"flag": 1}, "/flag"),
        ({"list": {}}, "/list"),
        ({"list": [{"x": 1}, {"y": 1}]}, "/list/1/x"),
        ({"list": [{"x": 1}, [2]]}, "/list/1"),
        ({"by_name": {"a/b": {"size": "7"}}}, "/by_name/a/b/size"),
        ({"by_name": {"c": 5}}, "/by_name/c"),
        ({"by_name": {"x" * 5000: {}}}, "/by_name/xxx"),
        ({"any": {"deep": [float("-inf")]}}, "/any/deep/0"),
        ({"further": float("nan")}, "/further"),
    ],
)
def test_the_message_names_the_field_that_does_not_match(change, field):
    with pytest.raises(ValueError, match=f"^{field}"):
        schema.parse(json.dumps(GOOD | change), PATTERN)


@pytest.mark.parametrize(
    "text",
    ["", "[1", b"\xff", "9" * 5000, "1e999", "[" * 100_000, "[" * 50 + "]" * 50],
)
def test_texts_that_are_refused(text):
    with pytest.raises(ValueError):
        schema.parse(text, object)


def test_files(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    with pytest.raises(FileNotFoundError):
        schema.load(path, object)
    path.write_text('{"a": 1}')
    assert schema.load(path, {"a": int}) == {"a": 1}
    monkeypatch.setattr(schema, "LARGEST_FILE", 4)
    with pytest.raises(ValueError, match="larger"):
        schema.load(path, object)
    os.mkfifo(tmp_path / "pipe")
    for other in (tmp_path, tmp_path / "pipe"):
        monkeypatch.undo()
        with pytest.raises(ValueError, match="regular"):
            schema.load(other, object)


def test_numbers_that_json_lacks():
    value = {"a": [1, float("nan"), (float("inf"), -1.5)], "b": None, "c": "nan", "d": True}
    assert schema.finite(value) == {"a": [1, None, [None, -1.5]], "b": None, "c": "nan", "d": True}
