"""SE-ResNet-152 (Hu et al. 2018, Fig. 3 and Table 1), one of sultana's baselines.

The network that its authors trained in Caffe: the first 1 x 1 convolution of a block halves the
map, not the 3 x 3 one, and the first pooling rounds up. Layers are named as in timm's
``legacy_seresnet152``, whose weights fit. 66,821,848 trainable parameters with a 1,000-class head.
"""

from leukkit.models.torch_layers import batch_normalize, convolve, max_pool_rounding_up, relu

NORMALIZATION = "torch"  # RGB in 0..1, less ImageNet's mean, by its standard deviation
STAGES = ((64, 3), (128, 8), (256, 36), (512, 3))  # channels inside a block, and blocks
EXPANSION = 4  # channels of a block's output, by those inside it
REDUCTION = 16  # channels of a block's output, by those its squeeze leaves
BLOCK_LAYERS = ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "se_module.fc1", "se_module.fc2")
PROJECTION_LAYERS = ("downsample.0", "downsample.1")


def feature_map(image):
    """Return the last feature map of SE-ResNet-152.

    Args:
        image: KerasTensor (n, s, s, 3), normalized as ``NORMALIZATION`` says; s known.

    Returns:
        KerasTensor (n, about s / 32, about s / 32, 2048), at least 0.
    """
    outputs = convolve(image, 64, 7, stride=2, name="layer0.conv1")
    outputs = relu(batch_normalize(outputs, name="layer0.bn1"), name="layer0.relu1")
    outputs = max_pool_rounding_up(outputs, 3, name="pool0")
    for name, channels, stride, projects in _blocks():
        outputs = _block(outputs, channels, stride, projects, name)
    return outputs


def torch_names():
    """Return the name in timm of every layer with weights: {layer: module}."""
    layers = ["layer0.conv1", "layer0.bn1"]
    for name, _, _, projects in _blocks():
        parts = BLOCK_LAYERS + (PROJECTION_LAYERS if projects else ())
        layers += [f"{name}.{part}" for part in parts]
    return {layer: layer for layer in layers}


def _blocks():
    """Yield name, channels and stride of every block, and whether its shortcut is projected."""
    for stage, (channels, count) in enumerate(STAGES, start=1):
        for index in range(count):
            stride = 2 if stage > 1 and index == 0 else 1
            yield f"layer{stage}.{index}", channels, stride, index == 0


def _block(inputs, channels, stride, projects, name):
    """Return a bottleneck of three convolutions, reweighted, plus its shortcut, rectified."""
    import keras

    wide = EXPANSION * channels
    outputs = convolve(inputs, channels, 1, stride=stride, name=f"{name}.conv1")
    outputs = relu(batch_normalize(outputs, name=f"{name}.bn1"), name=f"{name}.relu1")
    outputs = convolve(outputs, channels, 3, name=f"{name}.conv2")
    outputs = relu(batch_normalize(outputs, name=f"{name}.bn2"), name=f"{name}.relu2")
    outputs = convolve(outputs, wide, 1, name=f"{name}.conv3")
    outputs = batch_normalize(outputs, name=f"{name}.bn3")
    outputs = _squeeze_and_excite(outputs, f"{name}.se_module")
    shortcut = inputs
    if projects:
        shortcut = convolve(inputs, wide, 1, stride=stride, name=f"{name}.downsample.0")
        shortcut = batch_normalize(shortcut, name=f"{name}.downsample.1")
    outputs = keras.layers.Add(name=f"{name}.add")([outputs, shortcut])
    return relu(outputs, name=f"{name}.relu3")


def _squeeze_and_excite(inputs, name):
    """Weigh every channel between 0 and 1 by what all channels are on average (Eqs. 2 to 4)."""
    import keras

    channels = inputs.shape[-1]
    weights = keras.layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}.squeeze")(inputs)
    weights = convolve(weights, channels // REDUCTION, 1, bias=True, name=f"{name}.fc1")
    weights = relu(weights, name=f"{name}.relu")
    weights = convolve(weights, channels, 1, bias=True, name=f"{name}.fc2")
    weights = keras.layers.Activation("sigmoid", name=f"{name}.sigmoid")(weights)
    return keras.layers.Multiply(name=f"{name}.scale")([inputs, weights])
