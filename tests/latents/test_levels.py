import pytest

from alae_tf.latents import LatentError, levels


@pytest.mark.parametrize(
    ("count", "coarse", "middle", "fine"),
    [
        (9, [0, 1], [2, 3], [4, 5, 6, 7, 8]),  # 1024 px, as in StyleGAN
        (5, [0, 1], [2, 3], [4]),  # 64 px
        (4, [0, 1], [2], [3]),
        (3, [0], [1], [2]),
    ],
)
def test_names(count, coarse, middle, fine):
    assert {name: list(r) for name, r in levels.named(count).items()} == {
        "coarse": coarse,
        "middle": middle,
        "fine": fine,
    }
    assert levels.parse("middle", count) == range(middle[0], middle[-1] + 1)


def test_small_models_have_no_names():
    assert levels.named(2) == levels.named(1) == {}
    assert levels.parse("all", 1) == range(1)


def test_numbers():
    assert levels.parse("2", 4) == range(2, 3)
    assert levels.parse("1-3", 4) == range(1, 4)
    assert levels.rows(range(1, 4)) == slice(2, 8)


@pytest.mark.parametrize(
    "text", ["4", "2-9", "3-2", "-1", "", "rough", "1-", "1,2", "²", "9" * 5000]
)
def test_what_there_is_not_is_told(text):
    with pytest.raises(LatentError, match=r"expected all, coarse, middle, fine, .* 3 \(32 px\)"):
        levels.parse(text, 4)
