"""The networks build and predict on another Keras backend than TensorFlow: JAX."""

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from leukkit import models
from leukkit.models.networks import DEX
from tests.models.building import images, predict

# Compiling each operation of all networks for JAX takes minutes.
PREDICTED = ("mobilenet-0.25", "resnet18", "vgg16")
HEADS = {"vgg19": "vgg_dense", "vgg16": "convolutions", "efficientnetb0": "attention"}
NAMES = [name for name in models.NAMES if name not in DEX]  # dex holds those three
SIZE = 75  # the smallest that all can see
SCRIPT = """
import json, sys
import jax, keras, numpy as np
from leukkit import models
from leukkit.models.networks import DEX
from tests.models.building import images, predict

# Initial values are drawn anew by the seed's rule, and JAX would compile them shape by shape.
def filled(value):
    return lambda self, shape, dtype=None, **others: np.full(shape, value, dtype or "float32")

keras.initializers.VarianceScaling.__call__ = filled(0)
keras.initializers.Zeros.__call__ = filled(0)
keras.initializers.Ones.__call__ = filled(1)

assert keras.backend.backend() == "jax" and "tensorflow" not in sys.modules
results = {}
for name in NAMES:
    network = models.build(name, 3, SIZE, head=HEADS.get(name))
    values = [[v.value for v in some] for some in
              (network.trainable_variables, network.non_trainable_variables)]
    traced = jax.eval_shape(
        lambda pixels: network.stateless_call(*values, pixels, training=False)[0],
        jax.ShapeDtypeStruct((2, SIZE, SIZE, 3), "float32"))
    results[name] = {"shape": traced.shape, "dtype": str(traced.dtype)}
    if name in PREDICTED:
        results[name]["values"] = predict(network, images(1, SIZE)).tolist()
print(json.dumps(results))
"""


def test_every_network_on_jax():
    """All are traced from pixels to probabilities; some also predict what they do here."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed (pip install jax)")
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
    }
    ran = subprocess.run(
        [sys.executable, "-c", f"{NAMES=}; {PREDICTED=}; {HEADS=}; {SIZE=}" + SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    results = json.loads(ran.stdout.splitlines()[-1])
    assert list(results) == NAMES
    for name, result in results.items():
        assert (result["shape"], result["dtype"]) == ([2, 3], "float32"), name
    for name in PREDICTED:
        here = predict(models.build(name, 3, SIZE, head=HEADS.get(name)), images(1, SIZE))
        np.testing.assert_allclose(results[name]["values"], here, rtol=1e-3, atol=1e-5)
