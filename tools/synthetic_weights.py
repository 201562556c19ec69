"""Train the kit's own small weights again: ``python -m tools.synthetic_weights [network …]``.

They stand in for ImageNet's in the sample profile (``weights = "synthetic"``): a frozen network
with them sees cells, not noise, and needs no download. They are trained on drawn cells of all three
kinds, of other subjects than those of the built-in samples.

The committed files, but for EfficientNet-B7's, were made when `sample.VERSION` was 3, whose cells
among red cells had pale cytoplasm: the drawing of today gives other weights.
"""

import argparse
import pathlib
import time
from collections.abc import Callable, Sequence

import cv2
import keras
import numpy as np
import tensorflow as tf
from safetensors.numpy import save as as_bytes

from leukkit import models
from leukkit.datasets import sample
from leukkit.models.weights import SYNTHETIC, synthetic_variables

WIDTHS = {  # all files together stay below 8 MB
    "vgg16": 1 / 8,
    "vgg19": 1 / 8,
    "resnet18": 1 / 8,
    "resnet50": 1 / 8,
    "inceptionv3": 1 / 8,
    "efficientnetb0": 1 / 8,
    "efficientnetb7": 1 / 16,
    "mobilenetv2": 1 / 4,
    "xception": 1 / 8,
    "densenet121": 1 / 8,
    "densenet201": 1 / 8,
    "seresnet152": 1 / 16,
}
KINDS = ("sample-cells", "sample-idb", "sample-smears")
SEED = 1003  # of the drawn subjects; that of the built-in samples is another
SIDE = 80  # of the training images in pixels
SUBJECTS, PICTURES = 120, 4  # of each kind; of each subject, half of them whole, half a part
HELD_OUT = 5  # every fifth subject of a class
BATCH, EPOCHS = 32, 20
SLOW = {"efficientnetb0", "efficientnetb7", "inceptionv3", "mobilenetv2"}  # thrice as many epochs
RATE = 2e-3  # at the beginning; it falls to 0 along a cosine
MOMENTUM = 0.9  # of the moving averages: with Keras' 0.99 they lag behind in so short a training


def draw(subjects: int = SUBJECTS, side: int = SIDE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw cells of subjects that are in no built-in sample.

    Returns:
        uint8 (n, side, side, 3); the class of each, numbered over all kinds; whether its subject is
        held out.
    """
    pictures, labels, held_out, first = [], [], [], 0
    for kind in KINDS:
        names = [*sample.PLANS[kind].patients]
        for subject in range(1, subjects + 1):
            number, turn = (subject - 1) % len(names), (subject - 1) // len(names)
            for image in range(1, PICTURES + 1):
                record = {"label": names[number], "streams": (subject, image, image)}
                rgb, _ = sample.draw(kind, record, SEED)
                if image % 2:
                    rgb = _crop(rgb, np.random.default_rng([SEED, subject, image]))
                pictures.append(cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA))
                labels.append(first + number)
                held_out.append(turn % HELD_OUT == 0)
        first += len(names)
    return np.stack(pictures), np.array(labels), np.array(held_out)


def _crop(rgb: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return a square part with the middle of the picture in it."""
    side = int(len(rgb) * random.uniform(0.6, 0.9))
    top, left = random.integers(0, len(rgb) - side, 2, endpoint=True)
    return rgb[top : top + side, left : left + side]


def vary(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return a batch turned, mirrored and in other colors, float32; black stays black."""
    turned = [
        np.rot90(image, turns)[:, ::flip]
        for image, turns, flip in zip(
            images,
            random.integers(0, 4, len(images)),
            random.choice([-1, 1], len(images)),
            strict=True,
        )
    ]
    colors = random.uniform(0.9, 1.1, (len(images), 1, 1, 3))
    colors *= random.uniform(0.85, 1.1, (len(images), 1, 1, 1))
    return np.minimum(np.stack(turned) * colors, 255).astype(np.float32)


def trained_variables(network: keras.Model) -> list[keras.Variable]:
    """Return what is trained: all but biases.

    They stay 0, so that a network without batch normalization, VGG, sees the same whatever scale
    its input has: the papers feed it pixels divided by 255 and z-scores.
    """
    return [variable for variable in network.trainable_variables if variable.name != "bias"]


def make_step(network: keras.Model, optimizer: keras.optimizers.Optimizer) -> Callable:
    """Return a compiled training step, from images and classes to the loss.

    Written out because ``fit`` takes three times as long until the first step of a deep network.
    """
    variables = trained_variables(network)

    @tf.function(autograph=False)
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            values = network(images, training=True)
            loss = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(labels, values))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return step


def train(
    network: keras.Model, images: np.ndarray, labels: np.ndarray, epochs: int
) -> tuple[int, float]:
    """Train for so many epochs; return the steps and the last epoch's mean loss."""
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = MOMENTUM
    steps = len(images) // BATCH
    rate = keras.optimizers.schedules.CosineDecay(RATE, epochs * steps)
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(trained_variables(network))
    step, random = make_step(network, optimizer), np.random.default_rng(SEED)
    for _ in range(epochs):
        batches = random.permutation(len(images))[: steps * BATCH].reshape(steps, BATCH)
        losses = [step(vary(images[chosen], random), labels[chosen]) for chosen in batches]
    return epochs * steps, float(np.mean(losses))


def accuracy(network: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    """Return the share of images whose most probable class is theirs."""
    answer = tf.function(lambda batch: network(batch, training=False), autograph=False)
    right = 0
    for start in range(0, len(images), BATCH):
        chosen = images[start : start + BATCH].astype(np.float32)
        padded = np.pad(chosen, [(0, BATCH - len(chosen)), (0, 0), (0, 0), (0, 0)])
        found = np.argmax(answer(padded)[: len(chosen)], axis=1)
        right += int((found == labels[start : start + BATCH]).sum())
    return right / len(images)


def save(backbone: keras.Model, width: float, path: pathlib.Path) -> None:
    """Write the weights of a backbone, without a head, in half precision where they fit."""
    arrays = {}
    for name, variable in synthetic_variables(backbone).items():
        values = np.asarray(variable)
        fits = np.abs(values).max() <= np.finfo(np.float16).max  # variances of wide pixels do not
        arrays[name] = values.astype(np.float16 if fits else np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    # More keys than one would be written in any order.
    path.write_bytes(as_bytes(arrays, {"width": repr(width)}))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and write the weights of some networks, and print how each came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", help="all if none is named")
    parser.add_argument("--out", type=pathlib.Path, default=SYNTHETIC, help="folder of the files")
    parser.add_argument("--subjects", type=int, default=SUBJECTS, help="of each kind")
    parser.add_argument("--side", type=int, default=SIDE, help="of the images in pixels")
    parser.add_argument("--epochs", type=int, help=f"{EPOCHS}, or {3 * EPOCHS} of slow learners")
    asked = parser.parse_args(arguments)
    if unknown := sorted({*asked.networks} - {*WIDTHS}):
        parser.error(f"unknown: {', '.join(unknown)}; choose from: {', '.join(WIDTHS)}")
    # Optimizing the graph costs deep networks more time than it saves in so few steps.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    started = time.monotonic()
    images, labels, held_out = draw(asked.subjects, asked.side)
    classes = int(labels.max()) + 1
    print(f"{len(images)} images, {time.monotonic() - started:.0f} s", flush=True)
    for name in asked.networks or WIDTHS:
        keras.utils.clear_session()
        keras.utils.set_random_seed(SEED)  # of dropout
        started, width = time.monotonic(), WIDTHS[name]
        network = models.build(name, classes, asked.side, width=width, seed=SEED)
        epochs = asked.epochs or EPOCHS * (3 if name in SLOW else 1)
        steps, loss = train(network, images[~held_out], labels[~held_out], epochs)
        seen = keras.Model(network.input, network.get_layer("features").output, name=name)
        save(seen, width, asked.out / f"{name}.safetensors")
        right = accuracy(network, images[held_out], labels[held_out])
        print(
            f"{name}: width {width:g}, {seen.count_params()} parameters, "
            f"{time.monotonic() - started:.0f} s, {steps} steps, training loss {loss:.3f}, "
            f"accuracy on held-out subjects {right:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
