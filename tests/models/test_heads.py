"""The papers' heads layer by layer, heads of one's own, and which of them can be saved."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from leukkit import models
from leukkit.models.heads import build_head
from leukkit.models.weights import set_random_weights
from tests.models.building import digest, images, predict


def dropout_rates(head):
    return [layer.rate for layer in head.layers if type(layer).__name__ == "Dropout"]


def test_vgg19_has_as_many_parameters_as_patel2025_says():
    head = build_head("vgg_dense", (7, 7, 512), 2)  # a 224-pixel image, halved five times
    assert head.count_params() + 20_024_384 == 139_578_434  # with the 16 convolutions


def test_the_head_of_mishra_reaches_one_position_and_512_units():
    head = build_head("convolutions", (7, 7, 512), 4)
    assert head.get_layer("head_pool3").output.shape[1:] == (1, 1, 64)
    convolutions = 9 * 512 * 256 + 256 + 9 * 256 * 128 + 128 + 9 * 128 * 64 + 64
    dense = (64 * 512 + 512) + (512 * 512 + 512) + 2 * 4 * 512 + (512 * 4 + 4)
    assert head.count_params() == convolutions + dense
    assert dropout_rates(head) == [0.1, 0.2]


def test_the_head_of_samhitha_attends_over_all_positions():
    head = build_head("attention", (3, 3, 8), 2)
    attention = 3 * (8 * 256 + 256) + 256 * 8 + 8  # 4 heads of 64: query, key, value; output
    dense = (8 * 128 + 128) + 4 * 128 + (128 * 256 + 256) + 4 * 256 + (256 * 2 + 2)  # IV.F.6
    assert head.count_params() == attention + dense
    assert dropout_rates(head) == [0.5, 0.3]
    assert head.get_layer("dense1_leaky_relu").negative_slope == pytest.approx(0.1)
    set_random_weights(head, 0)
    maps = np.random.default_rng(0).normal(size=(1, 3, 3, 8))
    moved = np.roll(maps, 1, axis=1)  # without position codes the order says nothing
    np.testing.assert_allclose(predict(head, maps), predict(head, moved), rtol=1e-5)


def test_a_name_and_its_function_are_the_same_head():
    heads = [build_head(head, (2, 2, 8), 2) for head in ("attention", models.heads.attention)]
    names = [[layer.name for layer in head.layers] for head in heads]
    assert names[0] == names[1]
    assert build_head(None, (2, 2, 8), 2).layers[1].name == "global_average"


def own_head(features):
    values = layers.Conv2D(4, 1, activation="relu")(features)
    return layers.Dense(5)(ops.mean(values, axis=(1, 2)))


def test_a_head_of_ones_own_has_random_weights_of_the_seed_alone():
    first, again = (models.build("resnet18", 2, 32, head=own_head) for _ in range(2))
    assert digest(first) == digest(again)  # though Keras now counts conv2d_1, dense_1
    head = first.get_layer("head")
    kinds = [type(layer).__name__ for layer in head.layers]
    assert kinds == ["InputLayer", "Conv2D", "Dense", "Dense"]  # operations are no layers
    assert head.count_params() == (512 * 4 + 4) + (4 * 5 + 5) + (5 * 2 + 2)


@pytest.mark.parametrize("head", [lambda features: features, lambda features: 3])
def test_a_head_that_gives_no_vectors(head):
    with pytest.raises(ValueError, match=r"the head <lambda> gives .*expected .*\(n, values\)"):
        build_head(head, (2, 2, 8), 2)


class Unknown(layers.Layer):
    def call(self, inputs):
        return inputs + 1.0


class Silent(Unknown):
    def get_config(self):
        raise RuntimeError("not written")


@keras.saving.register_keras_serializable(package="tests")
class Registered(Unknown):
    pass


@keras.saving.register_keras_serializable(package="tests")
def registered(inputs):
    return inputs**2


def unknown(inputs):
    return inputs**3


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (Registered, True),
        (lambda: layers.Dense(3, activation=registered), True),
        (Unknown, False),
        (Silent, False),
        (lambda: keras.Sequential([Unknown()]), False),
        (lambda: layers.Dense(3, activation=unknown), False),
        (lambda: layers.Lambda(lambda values: values + 1.0), False),
    ],
    ids=["layer", "function", "unknown", "silent", "nested", "unknown-function", "lambda"],
)
def test_whether_a_network_can_be_saved_is_known_before(make, expected, tmp_path):
    network = models.build("resnet18", 2, 32, head=lambda features: make()(own_head(features)))
    assert models.can_be_saved(network) == expected
    if expected:
        network.save(tmp_path / "model.keras")
        again = models.load(tmp_path / "model.keras")
        np.testing.assert_allclose(predict(again, images()), predict(network, images()), rtol=1e-5)
        return
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        network.save(tmp_path / "model.keras")
        models.load(tmp_path / "model.keras")
