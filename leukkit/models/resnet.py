"""ResNet-18 (He et al. 2016, Table 1 and Fig. 5 left), one of patel2025's comparators.

Layers are named as in torchvision, whose weights fit: projection shortcuts where the size changes
(option B of Section 3.3), no bias before batch normalization. 11,689,512 trainable parameters with
a 1,000-class head.
"""

from leukkit.models.torch_layers import batch_normalize, convolve, pad, relu

NORMALIZATION = "torch"  # RGB in 0..1, less ImageNet's mean, by its standard deviation
STAGES = (64, 128, 256, 512)  # channels; each stage has two blocks, the later ones halve the map
BLOCK_LAYERS = ("conv1", "bn1", "conv2", "bn2")
PROJECTION_LAYERS = ("downsample.0", "downsample.1")


def feature_map(image):
    """Return the last feature map of ResNet-18.

    Args:
        image: KerasTensor (n, s, s, 3), normalized as ``NORMALIZATION`` says.

    Returns:
        KerasTensor (n, ceil(s / 32), ceil(s / 32), 512), at least 0.
    """
    import keras

    outputs = convolve(image, 64, 7, stride=2, name="conv1")
    outputs = relu(batch_normalize(outputs, name="bn1"), name="relu")
    # The map is nowhere below zero here, so that zeros around it never are a maximum.
    outputs = keras.layers.MaxPooling2D(3, 2, name="maxpool")(pad(outputs, 1, name="maxpool"))
    for name, channels, stride in _blocks():
        outputs = _block(outputs, channels, stride, name)
    return outputs


def torch_names():
    """Return the name in torchvision of every layer with weights: {layer: module}."""
    layers = ["conv1", "bn1"]
    for name, _, stride in _blocks():
        parts = BLOCK_LAYERS + (PROJECTION_LAYERS if stride == 2 else ())
        layers += [f"{name}.{part}" for part in parts]
    return {layer: layer for layer in layers}


def _blocks():
    """Yield name, channels and stride of every block."""
    for stage, channels in enumerate(STAGES, start=1):
        for index in range(2):
            yield f"layer{stage}.{index}", channels, 2 if stage > 1 and index == 0 else 1


def _block(inputs, channels, stride, name):
    """Return the sum of two convolutions and of the shortcut around them, rectified."""
    import keras

    outputs = convolve(inputs, channels, 3, stride=stride, name=f"{name}.conv1")
    outputs = relu(batch_normalize(outputs, name=f"{name}.bn1"), name=f"{name}.relu1")
    outputs = convolve(outputs, channels, 3, name=f"{name}.conv2")
    outputs = batch_normalize(outputs, name=f"{name}.bn2")
    shortcut = inputs
    if stride == 2:
        shortcut = convolve(inputs, channels, 1, stride=2, name=f"{name}.downsample.0")
        shortcut = batch_normalize(shortcut, name=f"{name}.downsample.1")
    outputs = keras.layers.Add(name=f"{name}.add")([outputs, shortcut])
    return relu(outputs, name=f"{name}.relu2")
