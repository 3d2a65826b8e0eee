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
    ("name", "kind", "text", "message"),
    [
        ("rate", float, "fast", "--rate=fast: must be a number"),
        ("rate", float, "0", "--rate=0.0: must be more than 0, and at most 1"),
        ("rate", float, "nan", "--rate=nan: must be a finite number"),
        ("sizes", int, "1,two", "must be a whole number, or several with commas between"),
        ("sizes", int, "1,1001", "--sizes=1,1001: must be 1 to 1,000 throughout"),
        ("kind", str, "c", "--kind=c: must be one of a, b"),
        ("on", bool, "maybe", "--on=maybe: must be true or false"),
    ],
)
def test_what_is_wrong_is_told(name, kind, text, message):
    with pytest.raises(ConfigError) as error:
        settings.check(FIELDS[name], kind, settings.from_text(FIELDS[name], kind, text))
    assert message in str(error.value)
