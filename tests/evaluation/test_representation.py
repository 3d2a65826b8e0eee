import numpy as np

from alae_tf.evaluation import representation


def test_nearest_neighbour_by_hand():
    train, labels = np.array([[0.0], [10.0], [20.0]]), np.array([0, 1, 2])
    test = np.array([[1.0], [9.0], [16.0], [4.0]])
    accuracy = representation.nearest_neighbour_accuracy(
        train, labels, test, np.array([0, 1, 2, 1])
    )
    assert accuracy == 0.75


def test_features_are_encoded_in_batches():
    sizes = []

    def encode(images):
        sizes.append(len(images))
        return images.reshape(len(images), -1)[:, :2]

    images = np.arange(1100 * 4).reshape(1100, 2, 2, 1)
    features = representation.features(encode, images)
    assert sizes == [100] * 11
    assert features[1099].tolist() == [4396, 4397]
