"""The first layer of every network: from RGB values 0..255 to what the network wants to see."""

import keras
from keras import ops

# Channel order reversed?, mean and standard deviation per channel in that order, scale 0..255.
# The first four are the modes of ``keras.applications``.
MODES = {
    "caffe": (True, (103.939, 116.779, 123.68), (1.0, 1.0, 1.0)),
    "tf": (False, (127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "torch": (False, (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "none": (False, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "unit": (False, (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
}


@keras.saving.register_keras_serializable(package="leukkit")
class Normalize(keras.layers.Layer):
    """(pixel - mean) / standard deviation of each channel; has no weights.

    The numbers belong to the layer's configuration, so that a saved network takes raw pixels.
    Computes in float32 also where the network computes in float16.

    Args:
        mode: A name in ``MODES``, or ``"z-score"`` (patel2025, Eq. 1) with the two that follow.
        mean: Of the red, green and blue values of the training images, scale 0..255.
        deviation: Their standard deviations, above 0.

    Raises:
        ValueError: Unknown mode, or statistics missing, not wanted, or not three usable numbers.
    """

    def __init__(self, mode, mean=None, deviation=None, **settings):
        settings.setdefault("dtype", "float32")
        super().__init__(**settings)
        if mode != "z-score" and mode not in MODES:
            raise ValueError(
                f"unknown normalization {mode!r}; choose one of: {', '.join(MODES)}, z-score"
            )
        given = mean is not None and deviation is not None
        if given != (mode == "z-score"):
            raise ValueError(
                f"normalization {mode!r} with mean {mean} and deviation {deviation}; the mean and "
                "the standard deviation of the training images go with 'z-score', and with it alone"
            )
        self.mode = mode
        self.mean = [float(value) for value in mean] if given else None
        self.deviation = [float(value) for value in deviation] if given else None
        if given:
            _check_statistics(self.mean, self.deviation)

    def call(self, images):
        """Return float32 of the shape of ``images`` (n, height, width, 3)."""
        reverse, mean, deviation = MODES.get(self.mode, (False, self.mean, self.deviation))
        pixels = ops.cast(images, self.compute_dtype)
        if reverse:
            pixels = ops.flip(pixels, axis=-1)
        mean = ops.convert_to_tensor(mean, dtype=self.compute_dtype)
        return (pixels - mean) / ops.convert_to_tensor(deviation, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """Return ``input_shape``."""
        return input_shape

    def get_config(self):
        """Return what ``from_config`` needs to make the same layer."""
        own = {"mode": self.mode, "mean": self.mean, "deviation": self.deviation}
        return {**super().get_config(), **own}


def _check_statistics(mean, deviation):
    """Raise ValueError unless there are three means and three deviations above 0."""
    if len(mean) != 3 or len(deviation) != 3 or not all(value > 0 for value in deviation):
        raise ValueError(
            f"statistics: mean {mean}, standard deviation {deviation}; expected three of each, for "
            "red, green and blue on the scale 0..255, and deviations above 0. Take them from the "
            "pixels of the training images"
        )
