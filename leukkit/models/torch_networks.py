"""The four networks that Keras lacks, with the layers' names and the arithmetic of PyTorch.

So weights trained there give the same numbers here. Keras's "same" padding of a strided convolution
differs on even sizes (it pads below and to the right alone), and so do its defaults for batch
normalization. Each network is a function from normalized pixels, a Keras tensor (n, s, s, 3), to
the last feature map (n, about s / 32, about s / 32, channels), which is nowhere below 0.
"""

from collections.abc import Sequence

import keras
from keras import layers, ops

MOMENTUM = 0.9  # of the moving averages of batch normalization; PyTorch calls it 0.1


def _pad(inputs, width, name):
    """Put ``width`` rows and columns of zeros on every side, for the layer called ``name``."""
    return layers.ZeroPadding2D(width, name=f"{name}.padding")(inputs) if width else inputs


def _convolve(inputs, channels, size, name, *, stride=1, groups=1, bias=False):
    """Convolve with zeros around the image, ``size // 2`` on every side."""
    kind = layers.Conv2D if groups == 1 else GroupedConv2D
    convolution = kind(channels, size, strides=stride, groups=groups, use_bias=bias, name=name)
    return convolution(_pad(inputs, size // 2, name))


def _normalize(inputs, name, epsilon=1e-5):
    """Normalize over the batch."""
    return layers.BatchNormalization(momentum=MOMENTUM, epsilon=epsilon, name=name)(inputs)


def _relu(inputs, name):
    return layers.ReLU(name=name)(inputs)


def _max_pool(inputs, name):
    """Take maxima over 3 x 3 windows 2 apart, beginning one row and column outside.

    No input is below zero, so that the zeros around it never are a maximum.
    """
    return layers.MaxPooling2D(3, 2, name=name)(_pad(inputs, 1, name))


def _max_pool_rounding_up(inputs, size, name):
    """Take maxima over windows 2 apart; the last window may reach over the edge (``ceil_mode``).

    From (n, h, h, c) to (n, k, k, c) with k = ceil((h - size) / 2) + 1.
    """
    # Where windows end at the edge, "same" would move them by one; where they do not, it lets
    # the last one reach over the lower and right edge alone, which is what is wanted.
    height, width = inputs.shape[1:3]
    if height != width:
        raise ValueError(f"the input of {name} is {height} x {width}; give square images")
    padding = "same" if (height - size) % 2 else "valid"
    return layers.MaxPooling2D(size, strides=2, padding=padding, name=name)(inputs)


def resnet18(image: keras.KerasTensor) -> keras.KerasTensor:
    """ResNet-18 (He et al. 2016, Table 1 and Fig. 5 left), one of patel2025's comparators.

    Named as in torchvision: projection shortcuts where the size changes (option B of Section 3.3),
    no bias before batch normalization. 11,689,512 trainable parameters with a 1,000-class head.
    """
    outputs = _convolve(image, 64, 7, "conv1", stride=2)
    outputs = _relu(_normalize(outputs, "bn1"), "relu")
    outputs = _max_pool(outputs, "maxpool")
    for stage, channels in enumerate((64, 128, 256, 512), start=1):
        outputs = _basic_block(outputs, channels, 1 if stage == 1 else 2, f"layer{stage}.0")
        outputs = _basic_block(outputs, channels, 1, f"layer{stage}.1")
    return outputs


def _basic_block(inputs, channels, stride, name):
    """Return the sum of two convolutions and of the shortcut around them, rectified."""
    outputs = _convolve(inputs, channels, 3, f"{name}.conv1", stride=stride)
    outputs = _relu(_normalize(outputs, f"{name}.bn1"), f"{name}.relu1")
    outputs = _convolve(outputs, channels, 3, f"{name}.conv2")
    outputs = _normalize(outputs, f"{name}.bn2")
    shortcut = inputs if stride == 1 else _project(inputs, channels, stride, name)
    return _relu(layers.Add(name=f"{name}.add")([outputs, shortcut]), f"{name}.relu2")


def _project(inputs, channels, stride, name):
    """Return the shortcut around a block whose output has another shape than its input."""
    shortcut = _convolve(inputs, channels, 1, f"{name}.downsample.0", stride=stride)
    return _normalize(shortcut, f"{name}.downsample.1")


SERESNET152_STAGES = ((64, 3), (128, 8), (256, 36), (512, 3))  # channels inside a block, blocks


def seresnet152(
    image: keras.KerasTensor, stages: Sequence[Sequence[int]] = SERESNET152_STAGES
) -> keras.KerasTensor:
    """SE-ResNet-152 (Hu et al. 2018, Fig. 3 and Table 1), one of sultana's baselines.

    The network that its authors trained in Caffe: the first 1 x 1 convolution of a block halves the
    map, not the 3 x 3 one, and the first pooling rounds up. Named as in timm's
    ``legacy_seresnet152``. 66,821,848 trainable parameters with a 1,000-class head.
    """
    outputs = _convolve(image, 64, 7, "layer0.conv1", stride=2)
    outputs = _relu(_normalize(outputs, "layer0.bn1"), "layer0.relu1")
    outputs = _max_pool_rounding_up(outputs, 3, "pool0")
    for stage, (channels, blocks) in enumerate(stages, start=1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            outputs = _se_block(outputs, channels, stride, block == 0, f"layer{stage}.{block}")
    return outputs


def _se_block(inputs, channels, stride, projects, name):
    """Return a bottleneck of three convolutions, reweighted, plus its shortcut, rectified."""
    outputs = _convolve(inputs, channels, 1, f"{name}.conv1", stride=stride)
    outputs = _relu(_normalize(outputs, f"{name}.bn1"), f"{name}.relu1")
    outputs = _convolve(outputs, channels, 3, f"{name}.conv2")
    outputs = _relu(_normalize(outputs, f"{name}.bn2"), f"{name}.relu2")
    outputs = _convolve(outputs, 4 * channels, 1, f"{name}.conv3")
    outputs = _normalize(outputs, f"{name}.bn3")
    outputs = _squeeze_and_excite(outputs, f"{name}.se_module")
    shortcut = _project(inputs, 4 * channels, stride, name) if projects else inputs
    return _relu(layers.Add(name=f"{name}.add")([outputs, shortcut]), f"{name}.relu3")


def _squeeze_and_excite(inputs, name):
    """Weigh every channel between 0 and 1 by what all channels are on average (Eqs. 2 to 4)."""
    channels = inputs.shape[-1]
    weights = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}.squeeze")(inputs)
    weights = _convolve(weights, channels // 16, 1, f"{name}.fc1", bias=True)
    weights = _relu(weights, f"{name}.relu")
    weights = _convolve(weights, channels, 1, f"{name}.fc2", bias=True)
    weights = layers.Activation("sigmoid", name=f"{name}.sigmoid")(weights)
    return layers.Multiply(name=f"{name}.scale")([inputs, weights])


# Table 1 of the paper: filters of the four branches, "reduce" before the convolution it feeds.
#         1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool projection
INCEPTIONS = {
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64),
    "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128),
    "inception5a": (256, 160, 320, 32, 128, 128),
    "inception5b": (384, 192, 384, 48, 128, 128),
}
INCEPTION_POOLS = {"inception3b": ("maxpool3", 3), "inception4e": ("maxpool4", 2)}  # name, width


def googlenet(image: keras.KerasTensor) -> keras.KerasTensor:
    """GoogLeNet (Szegedy et al. 2015, Table 1), one of patel2025's comparators.

    In the form in which trained weights can be had outside of MATLAB, torchvision's: batch
    normalization after every convolution in place of local response normalization, and the branch
    that the paper gives 5 x 5 filters has 3 x 3 ones. Without the auxiliary classifiers, which only
    help training from scratch. 6,624,904 trainable parameters with a 1,000-class head.
    """
    outputs = _convolve_and_rectify(image, 64, 7, "conv1", stride=2)
    outputs = _max_pool_rounding_up(outputs, 3, "maxpool1")
    outputs = _convolve_and_rectify(outputs, 64, 1, "conv2")
    outputs = _convolve_and_rectify(outputs, 192, 3, "conv3")
    outputs = _max_pool_rounding_up(outputs, 3, "maxpool2")
    for name, channels in INCEPTIONS.items():
        outputs = _inception(outputs, channels, name)
        if name in INCEPTION_POOLS:
            pool, size = INCEPTION_POOLS[name]
            outputs = _max_pool_rounding_up(outputs, size, pool)
    return outputs


def _inception(inputs, channels, name):
    """Return four branches side by side (Fig. 2b): each sees the same map at another scale."""
    one, three_reduce, three, five_reduce, five, projection = channels
    pooled = layers.MaxPooling2D(3, 1, padding="same", name=f"{name}.branch4.0")(inputs)
    reduced_for_three = _convolve_and_rectify(inputs, three_reduce, 1, f"{name}.branch2.0")
    reduced_for_five = _convolve_and_rectify(inputs, five_reduce, 1, f"{name}.branch3.0")
    branches = [
        _convolve_and_rectify(inputs, one, 1, f"{name}.branch1"),
        _convolve_and_rectify(reduced_for_three, three, 3, f"{name}.branch2.1"),
        _convolve_and_rectify(reduced_for_five, five, 3, f"{name}.branch3.1"),
        _convolve_and_rectify(pooled, projection, 1, f"{name}.branch4.1"),
    ]
    return layers.Concatenate(name=f"{name}.concatenate")(branches)


def _convolve_and_rectify(inputs, channels, size, name, stride=1):
    outputs = _convolve(inputs, channels, size, f"{name}.conv", stride=stride)
    return _relu(_normalize(outputs, f"{name}.bn", epsilon=1e-3), f"{name}.relu")


@keras.saving.register_keras_serializable(package="leukkit")
class GroupedConv2D(layers.Conv2D):
    """A convolution that takes its groups one by one.

    Keras's own goes through XLA on a CPU, where a training step takes six times as long.
    """

    def convolution_op(self, inputs, kernel):
        """Return the outputs of all groups, one after the other."""
        convolve = super().convolution_op
        parts = (ops.split(both, self.groups, axis=-1) for both in (inputs, kernel))
        return ops.concatenate([convolve(*pair) for pair in zip(*parts, strict=True)], axis=-1)


GROUPS = 3
STEM = 24  # channels before the first unit
SHUFFLENET_STAGES = ((240, 4), (480, 8), (960, 4))  # channels, units; the first halves the map
SHUFFLENET_UNIT = {  # our names of the layers in a unit, and the authors'
    "compress": "branch_main_1.0",
    "compress.bn": "branch_main_1.1",
    "depthwise": "branch_main_1.3",
    "depthwise.bn": "branch_main_1.4",
    "expand": "branch_main_2.0",
    "expand.bn": "branch_main_2.1",
}


def shufflenet(image: keras.KerasTensor) -> keras.KerasTensor:
    """ShuffleNet v1, 3 groups, width 1.0 (Zhang et al. 2018, Table 1), a comparator of patel2025.

    Built like the authors' own implementation (megvii-model/ShuffleNet-Series, ShuffleNetV1), which
    fixes what the paper leaves open: a unit's bottleneck has a quarter of the stage's channels,
    also where the unit halves the map. 1,865,728 trainable parameters with a 1,000-class head (the
    authors' 1.9 million; their head has no bias, which is 1,000 less).

    No weights are published as safetensors. The authors' were trained on raw BGR values: they fit
    with "z-score", mean 0 and deviation 1, after the input channels of ``first_conv.0.weight`` are
    put into reverse order.
    """
    outputs = _convolve(image, STEM, 3, "first", stride=2)
    outputs = _relu(_normalize(outputs, "first.bn"), "first.relu")
    outputs = _max_pool(outputs, "maxpool")
    for name, channels, halves in _shufflenet_units():
        outputs = _shufflenet_unit(outputs, channels, halves, name)
    return outputs


def _shufflenet_units():
    """Yield name and channels of every unit, and whether it halves the map."""
    for stage, (channels, count) in enumerate(SHUFFLENET_STAGES, start=2):
        for index in range(count):
            yield f"stage{stage}.{index}", channels, index == 0


def _shufflenet_unit(inputs, channels, halves, name):
    """Return a unit as in Fig. 2b, or one that halves the map as in Fig. 2c."""
    bottleneck, stride = channels // 4, 2 if halves else 1
    # The few channels before the first unit are not split (Section 3.2).
    groups = 1 if inputs.shape[-1] == STEM else GROUPS
    outputs = _convolve(inputs, bottleneck, 1, f"{name}.compress", groups=groups)
    outputs = _relu(_normalize(outputs, f"{name}.compress.bn"), f"{name}.compress.relu")
    outputs = layers.DepthwiseConv2D(3, stride, use_bias=False, name=f"{name}.depthwise")(
        _pad(outputs, 1, f"{name}.depthwise")
    )
    outputs = _normalize(outputs, f"{name}.depthwise.bn")
    outputs = _shuffle(outputs, f"{name}.shuffle")
    added = channels - inputs.shape[-1] if halves else channels
    outputs = _convolve(outputs, added, 1, f"{name}.expand", groups=GROUPS)
    outputs = _normalize(outputs, f"{name}.expand.bn")
    if not halves:
        return _relu(layers.Add(name=f"{name}.add")([inputs, outputs]), f"{name}.relu")
    shortcut = layers.AveragePooling2D(3, 2, name=f"{name}.average")(
        _pad(inputs, 1, f"{name}.average")
    )
    outputs = _relu(outputs, f"{name}.relu")
    return layers.Concatenate(name=f"{name}.concatenate")([shortcut, outputs])


def _shuffle(inputs, name):
    """Deal the channels out to the groups in turn, so that each group sees all of the others.

    As in the authors' implementation: channel i goes to group i mod 3. The paper's text deals the
    other way round (Section 3.1), which serves equally and would need weights of its own.
    """
    height, width = inputs.shape[1:3]
    in_turn = (height, width, -1, GROUPS)  # -1: so that a narrower copy deals out its own channels
    outputs = layers.Reshape(in_turn, name=f"{name}.split")(inputs)
    outputs = layers.Permute((1, 2, 4, 3), name=f"{name}.deal")(outputs)
    return layers.Reshape((height, width, -1), name=name)(outputs)


NETWORKS = {network.__name__: network for network in (resnet18, seresnet152, googlenet, shufflenet)}


def torch_names(name: str) -> dict[str, str]:
    """Return the PyTorch modules of those layers of a network that have another name there."""
    if name != "shufflenet":
        return {}
    names = {"first": "first_conv.0", "first.bn": "first_conv.1"}
    for position, (unit, _, _) in enumerate(_shufflenet_units()):
        for layer, module in SHUFFLENET_UNIT.items():
            names[f"{unit}.{layer}"] = f"features.{position}.{module}"
    return names
