"""The first layer of every network: from RGB values 0..255 to what the network wants to see."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
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
    """(pixel - mean) / standard deviation of each channel.

    The numbers belong to the layer's configuration, so that a saved network takes raw pixels; those
    of ``"z-score"`` are a variable, too, so that one graph serves folds with other statistics.
    Computes in float32 also where the network computes in float16.

    Args:
        mode: A name in ``MODES``, or ``"z-score"`` (patel2025, Eq. 1) with the two that follow.
        mean: Of the red, green and blue values of the training images, scale 0..255.
        deviation: Their standard deviations, above 0.

    Raises:
        ValueError: Unknown mode, or statistics missing, not wanted, or not three usable numbers.
    """

    def __init__(
        self,
        mode: str,
        mean: Sequence[float] | None = None,
        deviation: Sequence[float] | None = None,
        **settings,
    ):
        settings.setdefault("dtype", "float32")
        super().__init__(**settings)
        if mode != "z-score" and mode not in MODES:
            raise ValueError(
                f"unknown normalization {mode!r}; choose one of: {', '.join(MODES)}, z-score"
            )
        if (mode == "z-score") != (mean is not None and deviation is not None):
            raise ValueError(
                f"normalization {mode!r} with mean {mean} and deviation {deviation}; the mean and "
                "the standard deviation of the training images go with 'z-score', and with it alone"
            )
        self.mode = mode
        self.mean: list[float] | None = None
        self.deviation: list[float] | None = None
        if mean is not None and deviation is not None:
            # Not one of the layer's weights, or every file of weights would have to hold it.
            object.__setattr__(
                self, "_numbers", keras.Variable(np.zeros((2, 3)), trainable=False, dtype="float32")
            )
            self.set_statistics(mean, deviation)

    def set_statistics(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        """Take the statistics of other training images; for ``"z-score"``.

        Raises:
            ValueError: They are not three usable numbers each.
        """
        self.mean = [float(value) for value in mean]
        self.deviation = [float(value) for value in deviation]
        if not len(self.mean) == len(self.deviation) == 3 or not np.min(self.deviation) > 0:
            raise ValueError(
                f"statistics: mean {self.mean}, standard deviation {self.deviation}; expected "
                "three of each, for red, green and blue on the scale 0..255, and deviations above "
                "0. Take them from the pixels of the training images"
            )
        self._numbers.assign([self.mean, self.deviation])

    def call(self, images: keras.KerasTensor) -> keras.KerasTensor:
        """Return float32 of the shape of ``images`` (n, height, width, 3)."""
        pixels = ops.cast(images, self.compute_dtype)
        if self.mode == "z-score":
            return (pixels - self._numbers[0]) / self._numbers[1]
        reverse, mean, deviation = MODES[self.mode]
        if reverse:
            pixels = ops.flip(pixels, axis=-1)
        mean = ops.convert_to_tensor(mean, dtype=self.compute_dtype)
        return (pixels - mean) / ops.convert_to_tensor(deviation, dtype=self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Return ``input_shape``."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return what ``from_config`` needs to make the same layer."""
        own = {"mode": self.mode, "mean": self.mean, "deviation": self.deviation}
        return {**super().get_config(), **own}
