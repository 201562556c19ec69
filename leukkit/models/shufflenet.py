"""ShuffleNet v1, 3 groups, width 1.0 (Zhang et al. 2018, Table 1), one of patel2025's comparators.

Built like the authors' own implementation (megvii-model/ShuffleNet-Series, ShuffleNetV1), which
fixes what the paper leaves open: a unit's bottleneck has a quarter of the stage's channels, also
where the unit halves the map. 1,865,728 trainable parameters with a 1,000-class head (the
authors' 1.9 million; their head has no bias, which is 1,000 less).

No weights are published as safetensors. A file must hold a network trained on images normalized
as ``NORMALIZATION`` says, under the authors' names. Their own weights were trained on raw BGR
values: they fit with "z-score", mean 0 and deviation 1, after the input channels of
``first_conv.0.weight`` are put into reverse order.
"""

from leukkit.models.torch_layers import batch_normalize, convolve, convolve_depthwise, pad, relu

NORMALIZATION = "torch"  # RGB in 0..1, less ImageNet's mean, by its standard deviation
GROUPS = 3
STEM = 24  # channels before the first unit
STAGES = ((240, 4), (480, 8), (960, 4))  # channels and units; a stage's first unit halves the map
UNIT_NAMES = {
    "compress": "branch_main_1.0",
    "compress.bn": "branch_main_1.1",
    "depthwise": "branch_main_1.3",
    "depthwise.bn": "branch_main_1.4",
    "expand": "branch_main_2.0",
    "expand.bn": "branch_main_2.1",
}


def feature_map(image):
    """Return the last feature map of ShuffleNet.

    Args:
        image: KerasTensor (n, s, s, 3), normalized as ``NORMALIZATION`` says; s known.

    Returns:
        KerasTensor (n, ceil(s / 32), ceil(s / 32), 960), at least 0.
    """
    import keras

    outputs = convolve(image, STEM, 3, stride=2, name="first")
    outputs = relu(batch_normalize(outputs, name="first.bn"), name="first.relu")
    # The map is nowhere below zero here, so that zeros around it never are a maximum.
    outputs = keras.layers.MaxPooling2D(3, 2, name="maxpool")(pad(outputs, 1, name="maxpool"))
    for name, channels, halves in _units():
        outputs = _unit(outputs, channels, halves, name)
    return outputs


def torch_names():
    """Return the authors' name of every layer with weights: {layer: module}."""
    names = {"first": "first_conv.0", "first.bn": "first_conv.1"}
    for position, (unit, _, _) in enumerate(_units()):
        for layer, module in UNIT_NAMES.items():
            names[f"{unit}.{layer}"] = f"features.{position}.{module}"
    return names


def _units():
    """Yield name and channels of every unit, and whether it halves the map."""
    for stage, (channels, count) in enumerate(STAGES, start=2):
        for index in range(count):
            yield f"stage{stage}.{index}", channels, index == 0


def _unit(inputs, channels, halves, name):
    """Return a unit as in Fig. 2b, or one that halves the map as in Fig. 2c."""
    import keras

    bottleneck, stride = channels // 4, 2 if halves else 1
    # The few channels before the first unit are not split (Section 3.2).
    groups = 1 if inputs.shape[-1] == STEM else GROUPS
    outputs = convolve(inputs, bottleneck, 1, groups=groups, name=f"{name}.compress")
    outputs = batch_normalize(outputs, name=f"{name}.compress.bn")
    outputs = relu(outputs, name=f"{name}.compress.relu")
    outputs = convolve_depthwise(outputs, 3, stride=stride, name=f"{name}.depthwise")
    outputs = batch_normalize(outputs, name=f"{name}.depthwise.bn")
    outputs = _shuffle(outputs, f"{name}.shuffle")
    added = channels - inputs.shape[-1] if halves else channels
    outputs = convolve(outputs, added, 1, groups=GROUPS, name=f"{name}.expand")
    outputs = batch_normalize(outputs, name=f"{name}.expand.bn")
    if not halves:
        outputs = keras.layers.Add(name=f"{name}.add")([inputs, outputs])
        return relu(outputs, name=f"{name}.relu")
    shortcut = keras.layers.AveragePooling2D(3, 2, name=f"{name}.average")(
        pad(inputs, 1, name=f"{name}.average")
    )
    outputs = relu(outputs, name=f"{name}.relu")
    return keras.layers.Concatenate(name=f"{name}.concatenate")([shortcut, outputs])


def _shuffle(inputs, name):
    """Deal the channels out to the groups in turn, so that each group sees all of the others.

    As in the authors' implementation: channel i goes to group i mod 3. The paper's text deals the
    other way round (Section 3.1), which serves equally and would need weights of its own.
    """
    import keras

    height, width, channels = inputs.shape[1:]
    in_turn = (height, width, channels // GROUPS, GROUPS)
    outputs = keras.layers.Reshape(in_turn, name=f"{name}.split")(inputs)
    outputs = keras.layers.Permute((1, 2, 4, 3), name=f"{name}.deal")(outputs)
    return keras.layers.Reshape((height, width, channels), name=name)(outputs)
