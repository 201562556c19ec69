"""The loss, the same whatever the number of devices."""


def cross_entropy(batch_size):
    """Return categorical cross-entropy, averaged over the whole batch.

    Keras averages over the images of each device, then over the devices: with 17 images on two
    devices an image would count more on one than on the other. The sum over all devices, divided
    by the batch, weighs each image alike.
    """
    import keras

    class CrossEntropy(keras.losses.Loss):
        """Categorical cross-entropy of soft-max outputs, mean over the images of all devices."""

        def call(self, y_true, y_pred):
            return keras.losses.categorical_crossentropy(y_true, y_pred) / batch_size

    return CrossEntropy(reduction="sum", name="cross_entropy")  # devices are summed, too
