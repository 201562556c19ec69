"""What a fold costs before it trains: Keras' ``fit`` anew for each fold, against one kept network.

Three folds of one step each, and the predictions of a validation batch: nearly all of the time goes
into building the network and tracing its graphs.
"""

import gc

import numpy as np

from benchmarks import seconds
from leukkit import training
from leukkit.training import network

FOLDS, SIDE, BATCH = 3, 64, 8


def main():
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, SIDE, SIDE, 3)).astype(np.float32)
    targets = np.eye(2, dtype=np.float32)[np.arange(BATCH) % 2]
    for name in ("vgg19", "densenet201"):
        recipe = training.Recipe(
            network=name,
            image_size=SIDE,
            batch_size=BATCH,
            phases=[{"epochs": 1, "learning_rate": 1e-4}],
        )
        theirs = [seconds(lambda r=recipe: _with_fit(r, pixels, targets))[0] for _ in range(FOLDS)]
        ours = [seconds(lambda r=recipe: _kept(r, pixels, targets))[0] for _ in range(FOLDS)]
        print(
            f"{name}, {SIDE} px, {FOLDS} folds of one step: {sum(ours):.0f} s "
            f"({', '.join(f'{one:.1f}' for one in ours)}), with fit and a new network for each "
            f"{sum(theirs):.0f} s ({', '.join(f'{one:.1f}' for one in theirs)}): "
            f"{sum(theirs) / sum(ours):.1f}x, {sum(theirs) - sum(ours):.0f} s saved"
        )


def _with_fit(recipe, pixels, targets):
    import keras

    keras.utils.clear_session()
    gc.collect()
    model = network.build(recipe, 2, None, 0)
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
    model.fit(pixels, targets, batch_size=BATCH, verbose=0)
    model.predict(pixels, batch_size=BATCH, verbose=0)


def _kept(recipe, pixels, targets):
    with network.quick_graphs():
        model = network.compiled(recipe, 2, None, 0, training.strategy())
        model.begin_phase("all", 1e-4)
        model.step(pixels, targets)
        model.predict(pixels)
