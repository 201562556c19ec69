"""ResNet-18, GoogLeNet, ShuffleNet and SE-ResNet-152: size, cost, and PyTorch's very numbers."""

import functools
import math

import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

from leukkit.models import BACKBONES, torch_networks
from leukkit.models.weights import load_torch_weights
from tests.models import torch_reference

# Trainable parameters with a 1,000-class head: torchvision's and timm's documentation; for
# ShuffleNet that of pytorchcv (shufflenet_g3_w1), which rounds to the authors' 1.9 million.
PARAMETERS = {
    "resnet18": 11_689_512,
    "googlenet": 6_624_904,
    "shufflenet": 1_865_728,
    "seresnet152": 66_821_848,
}
# Multiplications at 224 px and half of the last printed digit: He et al. 2016, Table 1; Table of
# torchvision's documentation; the authors' list of ShuffleNets; He et al. for ResNet-152, to which
# squeeze and excitation add a few millions.
MULTIPLICATIONS = {
    "resnet18": (1.8e9, 0.05e9),
    "googlenet": (1.50e9, 0.005e9),
    "shufflenet": (138e6, 1e6),
    "seresnet152": (11.3e9, 0.05e9),
}
SHORT = ((16, 1), (32, 2), (64, 1), (128, 1))  # stages of an SE-ResNet that builds at once
FUNCTIONS = torch_networks.NETWORKS | {
    "seresnet": functools.partial(torch_networks.seresnet152, stages=SHORT)
}
REFERENCES = {
    "resnet18": torch_reference.resnet18,
    "googlenet": torch_reference.googlenet,
    "shufflenet": torch_reference.shufflenet,
    "seresnet": functools.partial(torch_reference.seresnet, stages=SHORT),
}
EACH = pytest.mark.parametrize("name", PARAMETERS)
CONVOLUTIONS = ("Conv2D", "DepthwiseConv2D", "GroupedConv2D")


@functools.cache
def build(name, size=64):
    image = keras.Input((size, size, 3))
    return keras.Model(image, FUNCTIONS[name](image), name=name)


@EACH
def test_the_number_of_parameters_is_the_published_one(name):
    trainable = sum(math.prod(variable.shape) for variable in build(name).trainable_variables)
    assert trainable + 1000 * (BACKBONES[name].features + 1) == PARAMETERS[name]


@EACH
def test_the_number_of_multiplications_is_the_published_one(name):
    total = 0
    for layer in build(name).layers:
        if type(layer).__name__ in CONVOLUTIONS and "se_module" not in layer.name:
            total += math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:3])
    # every map at 224 px is 3.5 times as wide as at 64 px
    at_224 = total * 3.5**2 + 1000 * BACKBONES[name].features
    published, rounding = MULTIPLICATIONS[name]
    assert at_224 == pytest.approx(published, abs=rounding)


# Each pooling and each stride sees an odd map in one of them, an even one in the other.
@pytest.mark.parametrize("size", [75, 80])
@pytest.mark.parametrize("name", REFERENCES)
def test_numbers_are_those_of_torch(name, size, tmp_path):
    image = np.random.default_rng(1).standard_normal((2, 3, size, size))
    reference = torch_reference.Reference()
    expected = REFERENCES[name](reference, image)
    path = tmp_path / "weights.safetensors"
    save_file(reference.state, path)

    network = build(name, size)
    load_torch_weights(network, path, torch_networks.torch_names(name))
    found = np.asarray(network(image.transpose(0, 2, 3, 1).astype(np.float32), training=False))
    found = found.transpose(0, 3, 1, 2)
    assert found.shape == expected.shape and found.min() >= 0
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.max())


@pytest.mark.parametrize("name", ["shufflenet", "seresnet"])
def test_a_training_step_reaches_every_weight(name):
    """Grouped convolutions had no gradient on CPUs in older TensorFlows."""
    backbone = build(name)
    averages = keras.layers.GlobalAveragePooling2D()(backbone.output)
    network = keras.Model(backbone.input, keras.layers.Dense(2, activation="softmax")(averages))
    before = [variable.numpy() for variable in network.trainable_variables]
    network.compile("sgd", "categorical_crossentropy", run_eagerly=True)
    noise = np.random.default_rng(0).standard_normal((4, 64, 64, 3), dtype=np.float32)
    loss = network.train_on_batch(noise, np.eye(2, dtype=np.float32)[[0, 1, 0, 1]])
    assert np.isfinite(loss)
    after = zip(network.trainable_variables, before, strict=True)
    assert not [variable.path for variable, old in after if (variable.numpy() == old).all()]


def test_pooling_that_rounds_up_wants_square_maps():
    with pytest.raises(ValueError, match="the input of maxpool1 is 16 x 24; give square images"):
        torch_networks.googlenet(keras.Input((32, 48, 3)))
