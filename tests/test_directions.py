"""`alae directions`: which columns of labels become directions."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from alae_tf import directions
from alae_tf.data import open_source
from alae_tf.latents import LatentError

COLUMNS = """file,light,hair,Male,Female
1.png,dark,red,1,-1
2.png,dark,fair,-1,1
3.png,light,fair,1,-1
4.png,light,black,1,-1
"""


@pytest.fixture
def table(tmp_path):
    """Chooses columns of a table of four images."""
    for i in range(1, 5):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{i}.png")
    (tmp_path / "l.csv").write_text(COLUMNS)
    source = open_source(f"folder:{tmp_path}")
    return lambda names, given: directions.chosen_columns(
        source, f"{tmp_path}/l.csv", names.split(), given.split()
    )


@pytest.mark.parametrize(
    ("columns", "given", "expected", "left_out"),
    [
        ("", "", "light=dark hair=black hair=fair hair=red Male", ["light=light", "Female"]),
        ("light", "", "light=dark", ["light=light"]),
        ("light=light", "", "light=light", []),
        ("light=light light=dark", "", "light=light light=dark", []),
        ("hair", "Female", "hair=black hair=fair hair=red Female", []),
        ("", "Female", "light=dark hair=black hair=fair hair=red Female", ["light=light", "Male"]),
    ],
)
def test_one_direction_for_two_classes(table, capsys, columns, given, expected, left_out):
    assert list(table(columns, given)) == expected.split()
    err = capsys.readouterr().err.splitlines()
    for name in left_out:
        assert sum(f"{name}: " in line and "left out" in line for line in err) == 1
    assert sum("opposite" in line for line in err) == len(left_out)


@pytest.mark.parametrize(("columns", "given"), [("li", ""), ("", "hair")])
def test_columns_that_do_not_exist(table, columns, given):
    with pytest.raises(LatentError, match=f"={columns or given}: .*hair=red"):
        table(columns, given)


def test_chance_is_said():
    random = np.random.default_rng(0)
    w, model = random.normal(size=(200, 4)), SimpleNamespace(fingerprint="0123")
    columns = {"seen": w[:, 1] > 0, "guessed": random.random(200) > 0.5}
    columns = {name: column.astype(float) for name, column in columns.items()}
    arguments = (columns, 0, "l.csv", "folder:a", ["seen"], False)
    found = directions.labelled(model, w, *arguments)  # pyright: ignore[reportArgumentType]
    assert [each.is_chance for each in found] == [False, True]
    assert all(list(each.measure) == ["held-out balanced accuracy of w·n"] for each in found)
    seen, guessed = directions.table(found).splitlines()
    assert "chance" in guessed and "chance" not in seen
    assert abs(found[1].vector @ found[0].vector) < 1e-6
