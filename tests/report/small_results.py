"""A small results folder, written as a run writes it: runs of two papers, and one spoilt."""

import numpy as np
import pandas as pd

from leukkit import reproduction, results

EVIL_IMAGE = "<img src=x onerror=\"document.title='hacked'\">.png"
EVIL_RUN = "<script>document.title='hacked'<"
CLASSES = ("healthy", "ALL")
NETWORK = {"dataset": "cnmc-2019", "model": "vgg19", "variant": ""}
SVM = reproduction.Run("cnmc-2019", "densenet201", "svm", False, True)


def make(base):
    """Write the folder: patel2025 under ``sample``, farag2025 under ``cnmc-subset``, and one run
    whose names are HTML and whose probabilities are none.
    """
    for number, protocol in enumerate(("published", "leak-free")):
        leak = 1.0 - number
        for fold in range(2):
            write(base, "patel2025", "sample", protocol, "cnmc-2019_vgg19", fold, NETWORK, leak)
            write(base, "farag2025", "cnmc-subset", protocol, SVM.model, fold, SVM._asdict(), leak)
    spoilt = predictions(0)
    spoilt.loc[0, ["image_id", "prob_healthy"]] = [EVIL_IMAGE, 7.5]
    write(base, "patel2025", "sample", "published", EVIL_RUN, 0, NETWORK, 1.0, spoilt, folds=1)
    return base


def predictions(seed):
    """Return 60 predictions of 12 subjects, right four times of five."""
    random = np.random.RandomState(seed)
    label = np.arange(60) % 2
    sure = random.uniform(0.5, 1, 60)
    is_right = random.uniform(size=60) < 0.8
    probability = np.where(is_right == label, sure, 1 - sure)
    return pd.DataFrame(
        {
            "image_id": [f"{number:03}.png" for number in range(60)],
            "subject": [f"P{number % 12}" for number in range(60)],
            "label": np.take(CLASSES, label),
            "prob_healthy": 1 - probability,
            "prob_ALL": probability,
        }
    )


def write(base, paper, profile, protocol, model, fold, run, leak, table=None, folds=2):
    """Write one fold."""
    table = predictions(fold) if table is None else table
    history = {"epoch": [1, 2], "loss": [0.7, 0.5], "validation_loss": [0.7, 0.6]}
    history |= {"accuracy": [0.6, 0.8], "validation_accuracy": [0.5, 0.7]}
    shares = dict.fromkeys(("patient", "subject", "source_image"), leak)
    results.write_fold(
        results.fold_dir(base, paper, profile, protocol, model, fold),
        {"paper": paper, "protocol": protocol, "weights": "none", "run": run, "seed": 0},
        table,
        folds=folds,
        seed=0,
        seconds=30.0,
        tables={"training_predictions": table, "history": pd.DataFrame(history)},
        leakage={"test_images": len(table), **shares, "bytes": 0.0, "original": None},
        weights_used="none",
    )
