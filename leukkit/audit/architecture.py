"""Printed numbers of parameters and layers against the networks that leukkit builds.

Building takes minutes in all and the largest half a gigabyte, so what was measured is kept here in
``SIZES`` and ``HEADS``; a test builds networks again and compares.
"""

import dataclasses
from collections.abc import Iterator

from leukkit.audit.printed import Finding
from leukkit.audit.sources import Paper


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

HEADS = {
    "vgg16-cnn": (
        *("Conv2D", "MaxPooling2D") * 3,
        "Flatten",
        *("Dense", "BatchNormalization", "Dropout") * 2,
        "Dense",
    )
}
"""Network -> types of the layers on top of its backbone."""


def check(paper: Paper) -> Iterator[Finding]:
    """Yield a finding per printed number of parameters, layers, convolutions or blocks."""
    for number in paper.numbers:
        network = number.keys.get("model") or number.keys.get("backbone")
        if counts := _counts(network, number.keys.get("block")).get(number.quantity):
            yield _finding(number, network, counts)


def _counts(network, block):
    """What a printed quantity can mean -> what the built network has of it."""
    if network in HEADS:
        return _head_counts(HEADS[network])
    if network not in SIZES:
        return {}
    size = SIZES[network]
    convolutions = {f"in block {block}": size.blocks[block - 1]} if block else {}
    return {
        "parameters": {"for 1,000 classes": size.parameters, "trainable": size.trainable},
        "layers": {
            "with weights": size.weight_layers,
            "with weights on the longest way": size.weight_depth,
            "of any kind on the longest way, input included": size.depth,
        },
        "convolutional layers": {"convolutions": size.convolutions},
        "convolutions": convolutions,
        "blocks": {"of convolutions": len(size.blocks)},
    }


def _head_counts(kinds):
    with_weights = kinds.count("Conv2D") + kinds.count("Dense")
    added = {
        "of any kind": len(kinds),
        "with weights or statistics": with_weights + kinds.count("BatchNormalization"),
        "with weights": with_weights,
    }
    return {
        "added layers": added,
        "layers of the custom architecture": added,
        "added convolutions": {"convolutions": kinds.count("Conv2D")},
        "dense layers": {"dense": kinds.count("Dense")},
    }


def _finding(number, network, counts):
    is_in_millions = number.unit == "millions"
    recomputed = ", ".join(
        f"{f'{value / 1e6:.2f} million' if is_in_millions else value} {text}"
        for text, value in counts.items()
    )
    claim = f"{network}: {number.text} {'million ' if is_in_millions else ''}{number.quantity}"
    claim += f" in block {number.keys['block']}" if "block" in number.keys else ""
    if not number.is_number:
        reason = f"{number.text!r} is not one number"
        return Finding.on([number], claim, recomputed, None, reason)
    fitting = [text for text, value in counts.items() if number.is_met(value)]
    others = [
        other
        for other, size in SIZES.items()
        if number.quantity == "parameters" and number.is_met(size.parameters)
    ]
    evidence = f"layers of the network that leukkit builds ({network})"
    if fitting:
        evidence += f"; met: {', '.join(fitting)}"
    elif others:
        evidence += f"; it would be met by {', '.join(others)}"
    return Finding.on([number], claim, recomputed, bool(fitting), evidence)
