"""Frames of predictions for the tests of scores and figures."""

import numpy as np
import pandas as pd

STAGES = ("benign", "early", "pre", "pro")


def frame(labels, probabilities, classes=("healthy", "ALL"), subjects=None):
    """Return predictions; ``probabilities`` (images, classes). Each image is its own subject."""
    names = [f"image-{number}" for number in range(len(labels))]
    subjects = names if subjects is None else list(subjects)
    columns = {f"prob_{name}": np.asarray(probabilities)[:, k] for k, name in enumerate(classes)}
    return pd.DataFrame({"image_id": names, "subject": subjects, "label": list(labels), **columns})


def binary(labels, chances, subjects=None):
    """Return predictions of healthy (0) and ALL (1) from the probability of ALL."""
    names = np.where(np.asarray(labels, dtype=bool), "ALL", "healthy")
    chances = np.asarray(chances, dtype=float)
    return frame(names, np.stack([1 - chances, chances], axis=1), subjects=subjects)


def calibrated(classes=("healthy", "ALL"), images=150, seed=0, sharpness=1.0):
    """Return predictions that are calibrated, made ``sharpness`` times sharper."""
    generator = np.random.default_rng(seed)
    chances = generator.dirichlet(np.ones(len(classes)), images)
    labels = [classes[generator.choice(len(classes), p=row)] for row in chances]
    sharper = chances**sharpness
    return frame(labels, sharper / sharper.sum(axis=1, keepdims=True), classes)
