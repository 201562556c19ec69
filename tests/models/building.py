"""What the tests of the built networks share."""

import hashlib

import numpy as np


def images(count=2, size=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def predict(network, pixels):
    return np.asarray(network(np.float32(pixels), training=False))


def digest(network):
    digest = hashlib.sha256()
    for values in network.get_weights():
        digest.update(np.asarray(values).tobytes())
    return digest.hexdigest()


def trunk(network):
    import keras

    return keras.Model(network.input, network.get_layer("features").output)
