"""Sizes of the networks that the papers describe, taken from the networks that leukkit builds.

Building takes minutes in all and the largest half a gigabyte, so what ``measure`` and
``head_layers`` found is kept here in ``SIZES`` and ``HEADS``; a test builds networks again and
compares.
"""

import dataclasses
import math

IMAGENET_CLASSES = 1000  # what published numbers of parameters refer to
_BUILT_FOR = {"inceptionv3": 299, "xception": 299}  # pixels; all others: 224
_NO_STEP = ("InputLayer", "Identity", "Normalize", "Rescaling")


@dataclasses.dataclass(frozen=True)
class Size:
    """What a network has; layers with weights are convolutions and dense layers.

    Attributes:
        parameters: All of them, with an output for the 1,000 classes of ImageNet.
        trainable: Those that training changes.
        weight_layers: Number of layers with weights.
        weight_depth: Layers with weights on the longest way from the image to the output.
        depth: All layers on that way, with the input: activations, normalization, pooling too.
        convolutions: Number of convolutions.
        blocks: Convolutions between one max pooling and the next, in order.
    """

    parameters: int
    trainable: int
    weight_layers: int
    weight_depth: int
    depth: int
    convolutions: int
    blocks: tuple


SIZES = {
    "densenet121": Size(8062504, 7978856, 121, 121, 429, 120, (1, 119)),
    "densenet201": Size(20242984, 20013928, 201, 201, 709, 200, (1, 199)),
    "efficientnetb0": Size(5330571, 5288548, 82, 82, 238, 81, (81,)),
    "efficientnetb7": Size(66658687, 66347960, 274, 274, 814, 273, (273,)),
    "inceptionv3": Size(23851784, 23817352, 95, 48, 159, 94, (3, 2, 25, 46, 18)),
    "resnet50": Size(25636712, 25583592, 54, 50, 169, 53, (1, 52)),
    "vgg16": Size(138357544, 138357544, 16, 16, 23, 13, (2, 2, 3, 3, 3)),
    "vgg19": Size(143667240, 143667240, 19, 19, 28, 16, (2, 2, 4, 4, 4)),
    "xception": Size(22910480, 22855952, 41, 37, 126, 40, (5, 3, 3, 27, 2)),
}
"""Network -> ``Size``, as ``measure`` gives it."""

HEADS = {
    "vgg16-cnn": (
        *("Conv2D", "MaxPooling2D") * 3,
        "Flatten",
        *("Dense", "BatchNormalization", "Dropout") * 2,
        "Dense",
    )
}
"""Network -> types of the layers on top of its backbone, as ``head_layers`` gives them."""


def measure(name):
    """Build the network called ``name`` for 1,000 classes and return its ``Size``."""
    import keras

    if name == "vgg16":  # the papers compare with it; leukkit itself uses its convolutions only
        network = keras.applications.VGG16(weights=None)
        graphs = [network]
    else:
        from leukkit import models

        head_name = "vgg_dense" if name == "vgg19" else "pooled"
        network = models.build(name, IMAGENET_CLASSES, _BUILT_FOR.get(name, 224), head=head_name)
        head = network.get_layer("head")
        graphs = [keras.Model(network.input, network.get_layer("features").output), head]
    layers = [layer for graph in graphs for layer in graph.layers]
    blocks = [0]
    for layer in layers:
        blocks[-1] += _is_convolution(layer)
        if type(layer).__name__ == "MaxPooling2D":
            blocks.append(0)
    return Size(
        parameters=network.count_params(),
        trainable=sum(math.prod(weight.shape) for weight in network.trainable_weights),
        weight_layers=sum(map(_has_weights, layers)),
        weight_depth=sum(_longest(graph, _has_weights) for graph in graphs),
        depth=1 + sum(_longest(graph, _is_step) for graph in graphs),
        convolutions=sum(map(_is_convolution, layers)),
        blocks=tuple(count for count in blocks if count),
    )


def head_layers(name):
    """Build the head of the network called ``name`` and return the types of its layers."""
    from leukkit import models

    kinds = {"vgg16-cnn": "convolutions", "efficientnetb0-attention": "attention"}
    head = models.heads.build_head(kinds[name], (7, 7, 512), 4)
    return tuple(type(layer).__name__ for layer in head.layers if _is_step(layer))


def _is_convolution(layer):
    return "Conv" in type(layer).__name__


def _has_weights(layer):
    return _is_convolution(layer) or type(layer).__name__ == "Dense"


def _is_step(layer):
    return type(layer).__name__ not in _NO_STEP


def _longest(graph, counts):
    """The largest number of counted layers on a way through the graph."""
    depths = {}
    for operation in graph.operations:
        before = [
            depths.get(id(parent.operation), 0)
            for node in operation._inbound_nodes
            for parent in node.parent_nodes
        ]
        depths[id(operation)] = max(before, default=0) + int(counts(operation))
    return max(depths.values())
