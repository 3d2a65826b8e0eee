import pytest

from alae_tf.config import Config
from alae_tf.training.schedule import Growth, Stage


def test_blend_is_half_way_at_a_quarter_of_the_level():
    growth = Growth((1000,), levels=3, total=3000)
    assert growth.at(1250).blend == pytest.approx(0.5)  # level 1 fades over its first 500
    assert growth.at(1000).blend == 0.0
    assert growth.at(1125).blend == pytest.approx(0.5 - 0.5 * 0.5**0.5)
    assert growth.at(1500) == Stage(level=1, blend=1.0)


def test_levels_follow_each_other():
    growth = Growth((100, 200), levels=3, total=1000)
    assert [growth.at(n).level for n in (0, 99, 100, 299, 300, 999, 5000)] == [0, 0, 1, 1, 2, 2, 2]
    assert growth.at(0) == Stage(level=0, blend=1.0)
    assert growth.total == 1000


def test_epochs_become_images():
    config = Config(levels=4, epochs=60.0, epochs_by_level=(10.0,))
    growth = Growth.of(config, dataset_size=60000)
    assert growth.start(3) == 1_800_000
    assert growth.total == 3_600_000


def test_negative_images_are_refused():
    with pytest.raises(ValueError, match="expected 0 or more"):
        Growth((10,), levels=1, total=10).at(-1)


def test_a_level_is_faded_in_at_its_half():
    growth = Growth((100, 25), levels=3, total=150)
    assert [growth.faded_in(level) for level in range(3)] == [0, 113, 138]
    assert growth.at(113).blend == growth.at(138).blend == 1.0
    assert growth.at(112).blend < 1.0 and growth.at(137).blend < 1.0


def test_no_batch_is_cut():
    growth = Growth((450,), levels=2, total=900)
    assert growth.end(lambda level: 8) == 904  # 456, then 448 more
    assert growth.end(lambda level: 8, images_seen=896) == 904
    assert growth.end(lambda level: (100, 400)[level]) == 900
    assert growth.end(lambda level: 2000) == 2000
    assert growth.end(lambda level: 8, images_seen=1000) == 1000


def test_a_run_with_trained_weights_begins_at_their_level():
    growth = Growth((100, 200, 300, 400), levels=4, total=1000, first=2)
    assert growth.at(0) == growth.at(299) == Stage(2, 1.0)
    assert growth.at(300) == Stage(3, 0.0)
    assert growth.at(400).blend == pytest.approx(0.5)
    assert growth.path(500) == (Stage(3, 1.0), [0, 300])
    assert growth.end(lambda level: (0, 0, 64, 100)[level]) == 1020  # 5 · 64 + 7 · 100
    fading = Growth((100, 200, 300, 400), levels=4, total=1000, first=2, fades=True)
    assert fading.at(0) == Stage(2, 0.0)
    assert fading.at(75).blend == pytest.approx(0.5)
    assert fading.at(150) == Stage(2, 1.0)
