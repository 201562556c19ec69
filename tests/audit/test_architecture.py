"""Printed sizes of networks, and the recorded ones against networks that are built."""

import math

import keras
import pytest

from leukkit import models
from leukkit.audit import architecture

NO_STEP = ("InputLayer", "Identity", "Normalize", "Rescaling")


def longest(graph, is_counted):
    """Return the largest number of layers of counted kinds on a way through the graph."""
    depths = {}
    for operation in graph.operations:
        before = [
            depths.get(id(parent.operation), 0)
            for node in operation._inbound_nodes
            for parent in node.parent_nodes
        ]
        depths[id(operation)] = max(before, default=0) + is_counted(type(operation).__name__)
    return max(depths.values())


def has_weights(kind):
    return "Conv" in kind or kind == "Dense"


def measure(network, side):
    """Build a network for the 1,000 classes of ImageNet and return its size."""
    built = models.build(network, 1000, side)
    features = keras.Model(built.input, built.get_layer("features").output)
    graphs = [features, built.get_layer("head")]
    kinds = [type(layer).__name__ for graph in graphs for layer in graph.layers]
    parts = " ".join(kinds).split("MaxPooling2D")
    blocks = tuple(part.count("Conv") for part in parts if "Conv" in part)
    return architecture.Size(
        parameters=built.count_params(),
        trainable=sum(math.prod(weight.shape) for weight in built.trainable_weights),
        weight_layers=sum(map(has_weights, kinds)),
        weight_depth=sum(longest(graph, has_weights) for graph in graphs),
        depth=1 + sum(longest(graph, lambda kind: kind not in NO_STEP) for graph in graphs),
        blocks=blocks,
    )


@pytest.mark.parametrize(("network", "side"), [("resnet50", 224), ("xception", 299)])
def test_recorded_sizes_are_those_of_the_built_networks(network, side):
    # ResNet-50 has skips, Xception more than one kind of convolution.
    assert measure(network, side) == architecture.SIZES[network]


def test_recorded_sizes_are_those_that_keras_states_and_builds():
    assert architecture.SIZES["vgg16"].parameters == 138_357_544
    assert architecture.SIZES["vgg19"].parameters == 143_667_240
    head = models.build("vgg16", 4, 32, head="convolutions").get_layer("head")
    kinds = [type(layer).__name__ for layer in head.layers]
    assert architecture.HEADS["vgg16-cnn"] == tuple(k for k in kinds if k not in NO_STEP)
