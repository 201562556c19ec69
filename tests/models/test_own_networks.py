"""ResNet-18, GoogLeNet, ShuffleNet and SE-ResNet-152: size, cost, and PyTorch's very numbers."""

import math

import numpy as np
import pytest
from safetensors.numpy import save_file

from leukkit.models import googlenet, resnet, seresnet, shufflenet
from leukkit.models.torch_weights import load_torch_weights
from tests.models import torch_reference

# Trainable parameters with a 1,000-class head: torchvision's and timm's documentation; for
# ShuffleNet that of pytorchcv (shufflenet_g3_w1), which rounds to the authors' 1.9 million.
PARAMETERS = {
    resnet: 11_689_512,
    googlenet: 6_624_904,
    shufflenet: 1_865_728,
    seresnet: 66_821_848,
}
# Multiplications at 224 px and half of the last printed digit: He et al. 2016, Table 1; Table of
# torchvision's documentation; the authors' list of ShuffleNets; He et al. for ResNet-152, to which
# squeeze and excitation add a few millions.
MULTIPLICATIONS = {
    resnet: (1.8e9, 0.05e9),
    googlenet: (1.50e9, 0.005e9),
    shufflenet: (138e6, 1e6),
    seresnet: (11.3e9, 0.05e9),
}
CHANNELS = {resnet: 512, googlenet: 1024, shufflenet: 960, seresnet: 2048}
OWN = pytest.mark.parametrize("module", PARAMETERS, ids=lambda module: module.__name__[15:])
CONVOLUTIONS = ("Conv2D", "DepthwiseConv2D")


def build(module, size):
    import keras

    image = keras.Input((size, size, 3))
    return keras.Model(image, module.feature_map(image), name=module.__name__[15:])


@pytest.fixture(scope="module")
def networks():
    """Return each network at 64 px: SE-ResNet-152 takes seconds to build."""
    return {module: build(module, 64) for module in PARAMETERS}


def multiplications(network):
    total = 0
    for layer in network.layers:
        if type(layer).__name__ in CONVOLUTIONS and "se_module" not in layer.name:
            total += math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:3])
    return total


@OWN
def test_the_number_of_parameters_is_the_published_one(networks, module):
    features = networks[module].output_shape[-1]
    assert features == CHANNELS[module]
    trainable = sum(math.prod(variable.shape) for variable in networks[module].trainable_variables)
    assert trainable + 1000 * (features + 1) == PARAMETERS[module]


@OWN
def test_the_number_of_multiplications_is_the_published_one(networks, module):
    # every map at 224 px is 3.5 times as wide as at 64 px
    at_224 = multiplications(networks[module]) * 3.5**2 + 1000 * CHANNELS[module]
    published, rounding = MULTIPLICATIONS[module]
    assert at_224 == pytest.approx(published, abs=rounding)


@OWN
def test_every_layer_with_weights_has_a_torch_name_of_its_own(networks, module):
    names = module.torch_names()
    assert set(names) == {layer.name for layer in networks[module].layers if layer.weights}
    assert len(set(names.values())) == len(names)


@OWN
def test_a_feature_map_comes_out(networks, module):
    images = np.random.default_rng(0).standard_normal((2, 64, 64, 3), dtype=np.float32)
    features = np.asarray(networks[module](images, training=False))
    assert features.shape == (2, 2, 2, CHANNELS[module])
    assert np.isfinite(features).all() and features.min() >= 0
    assert not np.allclose(features[0], features[1])


SHORT = ((16, 1), (32, 2), (64, 1), (128, 1))  # stages of an SE-ResNet that builds at once


# Each pooling and each stride sees an odd map in one of them, an even one in the other.
@pytest.mark.parametrize("size", [75, 80])
@OWN
def test_numbers_are_those_of_torch(module, size, tmp_path, monkeypatch):
    image = np.random.default_rng(1).standard_normal((2, 3, size, size))
    reference = torch_reference.Reference()
    if module is seresnet:
        monkeypatch.setattr(seresnet, "STAGES", SHORT)
        expected = torch_reference.seresnet(reference, image, SHORT)
    else:
        run = {
            resnet: torch_reference.resnet18,
            googlenet: torch_reference.googlenet,
            shufflenet: torch_reference.shufflenet,
        }[module]
        expected = run(reference, image)
    path = tmp_path / "weights.safetensors"
    save_file(reference.state, path)

    network = build(module, size)
    load_torch_weights(network, path, module.torch_names())
    found = np.asarray(network(image.transpose(0, 2, 3, 1).astype(np.float32), training=False))
    found = found.transpose(0, 3, 1, 2)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.max())


@pytest.mark.parametrize("module", [shufflenet, seresnet], ids=["shufflenet", "seresnet"])
def test_a_training_step_reaches_every_weight(module, monkeypatch):
    """Grouped convolutions had no gradient on CPUs in older TensorFlows."""
    import keras

    monkeypatch.setattr(seresnet, "STAGES", SHORT)
    backbone = build(module, 64)
    averages = keras.layers.GlobalAveragePooling2D()(backbone.output)
    network = keras.Model(backbone.input, keras.layers.Dense(2, activation="softmax")(averages))
    before = [variable.numpy() for variable in network.trainable_variables]
    network.compile("sgd", "categorical_crossentropy", run_eagerly=True)
    images = np.random.default_rng(0).standard_normal((4, 64, 64, 3), dtype=np.float32)
    loss = network.train_on_batch(images, np.eye(2, dtype=np.float32)[[0, 1, 0, 1]])
    assert np.isfinite(loss)
    still = [
        variable.path
        for variable, values in zip(network.trainable_variables, before, strict=True)
        if (variable.numpy() == values).all()
    ]
    assert not still


def test_a_saved_network_comes_back(networks, tmp_path):
    import keras

    images = np.random.default_rng(0).standard_normal((1, 64, 64, 3), dtype=np.float32)
    network = networks[shufflenet]
    network.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(again(images), network(images))


def test_channels_are_dealt_to_the_groups_in_turn(networks):
    import keras

    network = networks[shufflenet]
    shuffled = keras.Model(
        network.get_layer("stage2.1.depthwise.bn").output,
        network.get_layer("stage2.1.shuffle").output,
    )
    numbers = np.broadcast_to(np.arange(60, dtype=np.float32), (1, 8, 8, 60))
    dealt = np.asarray(shuffled(numbers))[0, 3, 5].astype(int).tolist()
    assert dealt == [*range(0, 60, 3), *range(1, 60, 3), *range(2, 60, 3)]


def test_pooling_that_rounds_up_wants_square_maps():
    import keras

    with pytest.raises(ValueError, match="the input of maxpool1 is 16 x 24; give square images"):
        googlenet.feature_map(keras.Input((32, 48, 3)))
