"""PyTorch's layers written out in numpy from its documentation, to hold our networks to.

Arrays are (n, channels, height, width), as there.
"""

import numpy as np


class Reference:
    """Runs layers, drawing the weights of each as PyTorch would name and shape them.

    Attributes:
        state: {name: array}, what ``state_dict`` gives, after the layers have run.
    """

    def __init__(self, seed=0):
        self.state = {}
        self.generator = np.random.default_rng(seed)

    def convolve(self, x, channels, size, name, *, stride=1, groups=1, bias=False):
        """Convolve, padded by half the kernel, as all layers of these networks are."""
        shape = (channels, x.shape[1] // groups, size, size)
        deviation = np.sqrt(2 / np.prod(shape[1:]))
        if bias:  # those of a squeeze: small, so that the logistic function is not saturated
            deviation /= 10
        weight = self._draw(f"{name}.weight", deviation * self.generator.standard_normal(shape))
        seen = windows(pad(x, size // 2, 0), size, stride)
        outputs = [
            np.tensordot(part, filters, axes=([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2)
            for part, filters in zip(
                np.split(seen, groups, 1), np.split(weight, groups), strict=True
            )
        ]
        outputs = np.concatenate(outputs, axis=1)
        if bias:
            values = self._draw(f"{name}.bias", self.generator.normal(0, 0.3, channels))
            outputs = outputs + values[:, np.newaxis, np.newaxis]
        return outputs

    def batch_normalize(self, x, name, epsilon=1e-5):
        channels = x.shape[1]
        weight = self._draw(f"{name}.weight", self.generator.uniform(0.5, 1.5, channels))
        bias = self._draw(f"{name}.bias", self.generator.normal(0, 0.3, channels))
        mean = self._draw(f"{name}.running_mean", self.generator.normal(0, 0.3, channels))
        # some are small, which tells one epsilon from another
        variance = self._draw(f"{name}.running_var", self.generator.uniform(0.02, 2, channels))
        self.state[f"{name}.num_batches_tracked"] = np.array(7)
        mean, bias = mean[:, np.newaxis, np.newaxis], bias[:, np.newaxis, np.newaxis]
        factor = weight / np.sqrt(variance + epsilon)
        return (x - mean) * factor[:, np.newaxis, np.newaxis] + bias

    def _draw(self, name, values):
        assert name not in self.state
        self.state[name] = np.ascontiguousarray(values, dtype=np.float32)
        return self.state[name].astype(float)


def pad(x, width, value):
    return np.pad(x, ((0, 0), (0, 0), (width, width), (width, width)), constant_values=value)


def windows(x, size, stride):
    every = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))
    return every[:, :, ::stride, ::stride]


def relu(x):
    return np.maximum(x, 0)


def max_pool(x, size, stride, *, padding=0, ceil_mode=False):
    x = pad(x, padding, -np.inf)
    if ceil_mode:
        missing = -(x.shape[2] - size) % stride
        x = np.pad(x, ((0, 0), (0, 0), (0, missing), (0, missing)), constant_values=-np.inf)
    return windows(x, size, stride).max(axis=(4, 5))


def average_pool(x, size, stride, *, padding=0):
    return windows(pad(x, padding, 0), size, stride).mean(axis=(4, 5))


def resnet18(reference, image):
    x = reference.convolve(image, 64, 7, "conv1", stride=2)
    x = max_pool(relu(reference.batch_normalize(x, "bn1")), 3, 2, padding=1)
    for block in range(8):
        channels, stride = 64 * 2 ** (block // 2), 2 if block in (2, 4, 6) else 1
        name = f"layer{block // 2 + 1}.{block % 2}"
        y = reference.convolve(x, channels, 3, f"{name}.conv1", stride=stride)
        y = relu(reference.batch_normalize(y, f"{name}.bn1"))
        y = reference.convolve(y, channels, 3, f"{name}.conv2")
        y = reference.batch_normalize(y, f"{name}.bn2")
        if stride == 2:
            x = reference.convolve(x, channels, 1, f"{name}.downsample.0", stride=2)
            x = reference.batch_normalize(x, f"{name}.downsample.1")
        x = relu(x + y)
    return x


def googlenet(reference, image):
    def unit(x, channels, size, name, stride=1):
        x = reference.convolve(x, channels, size, f"{name}.conv", stride=stride)
        return relu(reference.batch_normalize(x, f"{name}.bn", epsilon=0.001))

    def inception(x, name, c1, c3_reduce, c3, c5_reduce, c5, c_pool):
        branch1 = unit(x, c1, 1, f"{name}.branch1")
        branch2 = unit(unit(x, c3_reduce, 1, f"{name}.branch2.0"), c3, 3, f"{name}.branch2.1")
        branch3 = unit(unit(x, c5_reduce, 1, f"{name}.branch3.0"), c5, 3, f"{name}.branch3.1")
        branch4 = unit(max_pool(x, 3, 1, padding=1), c_pool, 1, f"{name}.branch4.1")
        return np.concatenate([branch1, branch2, branch3, branch4], axis=1)

    x = max_pool(unit(image, 64, 7, "conv1", stride=2), 3, 2, ceil_mode=True)
    x = unit(unit(x, 64, 1, "conv2"), 192, 3, "conv3")
    x = max_pool(x, 3, 2, ceil_mode=True)
    x = inception(x, "inception3a", 64, 96, 128, 16, 32, 32)
    x = inception(x, "inception3b", 128, 128, 192, 32, 96, 64)
    x = max_pool(x, 3, 2, ceil_mode=True)
    x = inception(x, "inception4a", 192, 96, 208, 16, 48, 64)
    x = inception(x, "inception4b", 160, 112, 224, 24, 64, 64)
    x = inception(x, "inception4c", 128, 128, 256, 24, 64, 64)
    x = inception(x, "inception4d", 112, 144, 288, 32, 64, 64)
    x = inception(x, "inception4e", 256, 160, 320, 32, 128, 128)
    x = max_pool(x, 2, 2, ceil_mode=True)
    x = inception(x, "inception5a", 256, 160, 320, 32, 128, 128)
    return inception(x, "inception5b", 384, 192, 384, 48, 128, 128)


def shufflenet(reference, image):
    def shuffle(x):
        n, channels, height, width = x.shape
        x = x.reshape(n, channels // 3, 3, height, width).transpose(0, 2, 1, 3, 4)
        return x.reshape(n, channels, height, width)

    def unit(x, channels, name, *, stride, first_groups=3):
        middle = channels // 4
        y = reference.convolve(x, middle, 1, f"{name}.branch_main_1.0", groups=first_groups)
        y = relu(reference.batch_normalize(y, f"{name}.branch_main_1.1"))
        y = reference.convolve(
            y, middle, 3, f"{name}.branch_main_1.3", stride=stride, groups=middle
        )
        y = shuffle(reference.batch_normalize(y, f"{name}.branch_main_1.4"))
        channels -= x.shape[1] if stride == 2 else 0
        y = reference.convolve(y, channels, 1, f"{name}.branch_main_2.0", groups=3)
        y = reference.batch_normalize(y, f"{name}.branch_main_2.1")
        if stride == 1:
            return relu(x + y)
        return np.concatenate([average_pool(x, 3, 2, padding=1), relu(y)], axis=1)

    x = reference.convolve(image, 24, 3, "first_conv.0", stride=2)
    x = relu(reference.batch_normalize(x, "first_conv.1"))
    x = max_pool(x, 3, 2, padding=1)
    channels = [240] * 4 + [480] * 8 + [960] * 4
    for position, wanted in enumerate(channels):
        stride = 2 if position in (0, 4, 12) else 1
        groups = 1 if position == 0 else 3
        x = unit(x, wanted, f"features.{position}", stride=stride, first_groups=groups)
    return x


def seresnet(reference, image, stages):
    """``stages``: (channels, blocks) of each stage, so that a short one can be run."""
    x = reference.convolve(image, 64, 7, "layer0.conv1", stride=2)
    x = relu(reference.batch_normalize(x, "layer0.bn1"))
    x = max_pool(x, 3, 2, ceil_mode=True)
    for stage, (channels, blocks) in enumerate(stages, start=1):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = reference.convolve(x, channels, 1, f"{name}.conv1", stride=stride)
            y = relu(reference.batch_normalize(y, f"{name}.bn1"))
            y = reference.convolve(y, channels, 3, f"{name}.conv2")
            y = relu(reference.batch_normalize(y, f"{name}.bn2"))
            y = reference.convolve(y, 4 * channels, 1, f"{name}.conv3")
            y = reference.batch_normalize(y, f"{name}.bn3")
            z = y.mean(axis=(2, 3), keepdims=True)
            z = relu(reference.convolve(z, channels // 4, 1, f"{name}.se_module.fc1", bias=True))
            z = reference.convolve(z, 4 * channels, 1, f"{name}.se_module.fc2", bias=True)
            y = y * (1 + np.tanh(z / 2)) / 2  # the logistic function, which cannot overflow here
            if block == 0:
                x = reference.convolve(x, 4 * channels, 1, f"{name}.downsample.0", stride=stride)
                x = reference.batch_normalize(x, f"{name}.downsample.1")
            x = relu(x + y)
    return x
