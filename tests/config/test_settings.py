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
    ("name", "text", "value"),
    [
        ("rate", "1e-3", 0.001),
        ("sizes", "1,2,3", (1, 2, 3)),
        ("kind", "b", "b"),
        ("on", "F", False),
    ],
)
def test_texts_and_values(name, text, value):
    found = settings.from_text(FIELDS[name], text)
    assert found == value
    settings.check(FIELDS[name], found)
    assert settings.from_text(FIELDS[name], settings.to_text(found)) == value


@pytest.mark.parametrize(
    ("name", "text", "right"),
    [
        ("rate", "fast", "a number"),
        ("rate", "0.0", "0, 1"),
        ("rate", "nan", "finite"),
        ("sizes", "1,two", "whole number"),
        ("sizes", "1,1001", "1, 1000"),
        ("kind", "c", "a, b"),
        ("on", "maybe", "true or false"),
    ],
)
def test_errors_name_the_flag_its_value_and_what_is_right(name, text, right):
    with pytest.raises(ConfigError, match=f"--{name}={text}: .*{right}"):
        settings.check(FIELDS[name], settings.from_text(FIELDS[name], text))
