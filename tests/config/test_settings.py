import dataclasses

import pytest

from alae_tf.config import settings
from alae_tf.config.settings import setting
from alae_tf.system.errors import ConfigError


@dataclasses.dataclass
class Some:
    rate: float = setting("model", 0.5, "A rate.", within="(0, 1]")
    sizes: tuple[int, ...] = setting("model", (4, 8), "Sizes.", within="[1, 1000]")
    kind: str = setting("model", "a", "Kind.", choices=("a", "b"))
    on: bool = setting("model", True, "Whether.")


FIELDS = {field.name: field for field in dataclasses.fields(Some)}


@pytest.mark.parametrize(
    ("name", "kind", "text", "value"),
    [
        ("rate", float, "1e-3", 0.001),
        ("sizes", int, "1,2,3", (1, 2, 3)),
        ("kind", str, "b", "b"),
        ("on", bool, "F", False),
    ],
)
def test_texts_and_values(name, kind, text, value):
    found = settings.from_text(FIELDS[name], kind, text)
    assert found == value
    settings.check(FIELDS[name], kind, found)
    assert settings.from_text(FIELDS[name], kind, settings.to_text(found)) == value


@pytest.mark.parametrize(
    ("name", "kind", "text", "right"),
    [
        ("rate", float, "fast", "a number"),
        ("rate", float, "0.0", "more than 0, and at most 1"),
        ("rate", float, "nan", "finite"),
        ("sizes", int, "1,two", "whole number"),
        ("sizes", int, "1,1001", "1 to 1,000"),
        ("kind", str, "c", "a, b"),
        ("on", bool, "maybe", "true or false"),
    ],
)
def test_errors_name_the_flag_its_value_and_what_is_right(name, kind, text, right):
    with pytest.raises(ConfigError, match=f"--{name}={text}: .*{right}"):
        settings.check(FIELDS[name], kind, settings.from_text(FIELDS[name], kind, text))
