"""Printed numbers of parameters and layers against the networks that leukkit builds.

Building takes minutes in all and the largest half a gigabyte, so what was measured is kept here in
``SIZES`` and ``HEADS``; a test builds networks again and compares.
"""

from collections.abc import Iterator
from typing import NamedTuple

from leukkit.audit.printed import Finding, Paper


class Size(NamedTuple):
    """What a network has; layers with weights are convolutions and dense layers.

    Attributes:
        parameters: All of them, with an output for the 1,000 classes of ImageNet.
        trainable: Those that training changes.
        weight_layers: Number of layers with weights.
        weight_depth: Layers with weights on the longest way from the image to the output.
        depth: All layers on that way, with the input: activations, normalization, pooling too.
        blocks: Convolutions between one max pooling and the next, in order.
    """

    parameters: int
    trainable: int
    weight_layers: int
    weight_depth: int
    depth: int
    blocks: tuple[int, ...]


SIZES = {
    "densenet121": Size(8062504, 7978856, 121, 121, 429, (1, 119)),
    "densenet201": Size(20242984, 20013928, 201, 201, 709, (1, 199)),
    "efficientnetb0": Size(5330571, 5288548, 82, 82, 238, (81,)),
    "efficientnetb7": Size(66658687, 66347960, 274, 274, 814, (273,)),
    "inceptionv3": Size(23851784, 23817352, 95, 48, 159, (3, 2, 25, 46, 18)),
    "resnet50": Size(25636712, 25583592, 54, 50, 169, (1, 52)),
    "vgg16": Size(138357544, 138357544, 16, 16, 23, (2, 2, 3, 3, 3)),
    "vgg19": Size(143667240, 143667240, 19, 19, 28, (2, 2, 4, 4, 4)),
    "xception": Size(22910480, 22855952, 41, 37, 126, (5, 3, 3, 27, 2)),
}

ELSEWHERE = {"inceptionv3": {"counted by Chollet 2017, Table 3": 23626728}}
"""Network -> what others count otherwise -> parameters."""

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
        network, block = number.get("model") or number.get("backbone"), number.get("block")
        built = _built(network, block).get(number.quantity)
        if not built:
            continue
        million = "million " if number.unit == "millions" else ""
        counts = [f"{n / 1e6:.2f} {million}" if million else f"{n} " for n in built.values()]
        recomputed = ", ".join(map("".join, zip(counts, built, strict=True)))
        claim = f"{network}: {number.text} {million}{number.quantity}"
        claim += f" in block {block}" if block else ""
        if not number.is_number:
            reason = f"{number.text!r} is not one number"
            yield Finding([number], claim, recomputed, None, reason)
            continue
        fitting = [text for text, count in built.items() if number.is_met(count)]
        sizes = SIZES if number.quantity == "parameters" else {}
        others = [other for other, size in sizes.items() if number.is_met(size.parameters)]
        evidence = f"layers of the network that leukkit builds ({network})"
        if fitting or others:
            evidence += "; met: " if fitting else "; it would be met by "
            evidence += ", ".join(fitting or others)
        yield Finding([number], claim, recomputed, bool(fitting), evidence)


def _built(network, block):
    """Printed quantity -> what it can mean -> how many of that the built network has."""
    if kinds := HEADS.get(network):
        convolutions, dense = kinds.count("Conv2D"), kinds.count("Dense")
        added = {
            "of any kind": len(kinds),
            "with weights or statistics": convolutions + dense + kinds.count("BatchNormalization"),
            "with weights": convolutions + dense,
        }
        return {
            "added layers": added,
            "layers of the custom architecture": added,
            "added convolutions": {"convolutions": convolutions},
            "dense layers": {"dense": dense},
        }
    if not (size := SIZES.get(network)):
        return {}
    parameters = {"for 1,000 classes": size.parameters, "trainable": size.trainable}
    return {
        "parameters": parameters | ELSEWHERE.get(network, {}),
        "layers": {
            "with weights": size.weight_layers,
            "with weights on the longest way": size.weight_depth,
            "of any kind on the longest way, input included": size.depth,
        },
        "convolutional layers": {"convolutions": sum(size.blocks)},
        "convolutions": {f"in block {block}": size.blocks[block - 1]} if block else {},
        "blocks": {"of convolutions": len(size.blocks)},
    }
