"""Do two machines compute the same digits? A fingerprint of this one's arithmetic.

Libraries choose their code by the processor, so that sums are added in another order and the
seventh digit differs. Training and trees turn that into other predictions: a table of scores can
only be compared digit by digit between machines that have the same fingerprint.
"""

import functools
import hashlib
import os
import subprocess
import sys


@functools.cache
def fingerprint():
    """Return 16 hexadecimal digits that depend on how this machine and its packages compute.

    They are the hash of what one network and a gradient give for fixed images and weights, computed
    in a process of its own (some seconds). Equal fingerprints make equal tables likely, unequal
    ones make unequal digits certain.

    Raises:
        subprocess.CalledProcessError: The computation failed; its output says why.
    """
    command = [sys.executable, "-m", "leukkit.numerics"]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        command, env=quiet, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()[-1]


def _compute():
    import keras
    import numpy as np
    import tensorflow

    from leukkit import models

    keras.utils.set_random_seed(0)
    tensorflow.config.experimental.enable_op_determinism()
    images = np.random.RandomState(0).randint(0, 256, (8, 48, 48, 3)).astype(np.float32)
    digest = hashlib.sha256()
    # separable and full convolutions, normalization
    for name, head in (("mobilenetv2", "pooled"), ("vgg16", "convolutions")):
        network = models.build(name, 2, 48, head=head)
        with tensorflow.GradientTape() as tape:
            probabilities = network(images, training=True)
            loss = tensorflow.reduce_sum(probabilities[:, 0] ** 2)
        for value in (probabilities, *tape.gradient(loss, network.trainable_variables)):
            digest.update(np.asarray(value).tobytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    print(_compute())
