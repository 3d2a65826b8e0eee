from alae_tf.data import is_uri
from alae_tf.figures.interpolate import paths


def test_what_names_a_set_and_what_a_file(tmp_path, monkeypatch):
    assert is_uri("folder:photos") and is_uri("mnist5k:")
    assert not is_uri("photo.png") and not is_uri("c:photo.png")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "idx:1.png").touch()
    assert not is_uri("idx:1.png")  # a file of that name goes first


def test_a_path_of_two_codes_in_two_steps_is_its_ends():
    class Model:
        def sample_z(self, count, seed):
            return [[float(i), 1.0] for i in range(count)]

        def map(self, z):
            return z

    (path,) = paths(Model(), 2, 2, 0, "w")  # pyright: ignore[reportArgumentType]
    assert path.tolist() == [[0, 1], [1, 1]]
