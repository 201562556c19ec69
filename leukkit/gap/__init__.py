"""How much of a score each leak is worth: one classifier, one set of features, split after split.

A ladder begins where papers stand and closes one leak with each step down. The images, the features
and the classifier stay the same, so that the difference of two neighboring steps is what the leak
between them was worth. Each split is drawn several times (`repeats`), and a score is the mean over
them; its interval is over subjects, drawn alike for all steps, so that differences have intervals
of their own. Everything that is shown is computed from ``results/gap/``.
"""

import time

import joblib

from leukkit import (
    datasets,
    feature_folds,
    features,
    locations,
    profiles,
    protocols,
    results,
    splits,
)
from leukkit.gap.ladder import PAPER, STEPS, load, table_of
from leukkit.gap.scores import QUANTITIES, measure, steps, title

__all__ = [
    "PAPER",
    "QUANTITIES",
    "STEPS",
    "divide",
    "leakage",
    "load",
    "load_cells",
    "measure",
    "run",
    "steps",
    "table_of",
    "title",
]


def divide(cells, protocol, profile, repeat=0):
    """Divide images as a protocol says; each repeat draws split and copies anew.

    Returns:
        A `protocols.Protocol`.
    """
    table = table_of(protocol, profile)
    return protocols.divide(cells, table, profile["seed"] + repeat, protocol)


def load_cells(profile):
    """Load the training phase of a profile's data set, with the subjects that it joins."""
    cells = datasets.load_phases(profile["dataset"])
    return datasets.join_subjects(cells, profile["same_subject"])


def leakage(profile):
    """Measure what leaks under each protocol: `splits.leakage_shares` of the first repeat."""
    cells = load_cells(profile)
    names = dict.fromkeys(step.protocol for step in STEPS)
    return splits.leakage_shares({name: divide(cells, name, profile) for name in names})


def run(profile_name, results_dir=None):
    """Make the folds that are not finished yet, of every protocol and repeat.

    Args:
        profile_name: See `load`.
        results_dir: Folder of the results; None for ``results`` of the project.

    Returns:
        The runs' folders, ``results/gap/<profile>/<protocol>/<run>``.

    Raises:
        results.ConfigurationError: A finished fold was made with other settings.
        ValueError: The data set does not know its patients, or is too small for the folds.
    """
    profile = load(profile_name)
    cells = load_cells(profile)
    weights = profiles.weights(profile)
    weights_id = features.weights_id(profile["backbone"], weights, profile["seed"])
    place = (results_dir or locations.results_dir(), PAPER, profiles.label(profile_name))
    folders = []
    for protocol in dict.fromkeys(step.protocol for step in STEPS):
        for repeat in range(profile["repeats"]):
            this = _run_keys(profile, repeat)
            divided = divide(cells, protocol, profile, repeat)
            folder = results.fold_dir(*place, protocol, results.run_name(this), 0).parent
            folders.append(folder)
            missing = []
            for number, fold in enumerate(divided.folds):
                configuration = {"protocol": protocol, "weights": weights_id, "run": this}
                configuration |= _configuration(profile, divided.cells, fold)
                if not results.is_done(folder / f"fold-{number}", configuration):
                    missing.append((number, configuration))
            if missing:
                extracted = _extract(profile, divided.cells, weights)
                joblib.Parallel(n_jobs=profile["jobs"], prefer="threads")(
                    joblib.delayed(_make_fold)(profile, divided, extracted, repeat, folder, *fold)
                    for fold in missing
                )
    return folders


def _run_keys(profile, repeat):
    names = ("dataset", "backbone")
    return {name: profile[name] for name in names} | {
        "classifier": "svm-scaled",
        "repeat": f"repeat-{repeat}",
    }


def _configuration(profile, cells, fold):
    used = ("image_size", "normalization", "seed", "c", "gamma", "class_weight")
    return {
        "classes": list(cells.attrs["classes"]),
        "training": results.cells_digest(cells, fold.train),
        "test": results.cells_digest(cells, fold.test),
        **{name: profile[name] for name in used},
    }


def _extract(profile, cells, weights):
    """Extract features; a copy of an image is the same in all repeats, so few are computed."""
    return features.extract(
        cells,
        profile["backbone"],
        image_size=profile["image_size"],
        weights=weights,
        seed=profile["seed"],
        normalization=profile["normalization"],
        distortion=feature_folds.FARAG,
    )


def _make_fold(profile, divided, extracted, repeat, folder, number, configuration):
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    started = time.monotonic()
    cells, fold = divided.cells, divided.folds[number]
    machine = SVC(C=profile["c"], gamma=profile["gamma"], class_weight=profile["class_weight"])
    labels = cells["label"].to_numpy(dtype=object).astype(str)
    fitted = make_pipeline(StandardScaler(), machine)
    fitted.fit(extracted[fold.train], labels[fold.train])
    classes = list(cells.attrs["classes"])
    tested = cells.iloc[fold.test]
    results.write_fold(
        folder / f"fold-{number}",
        configuration,
        feature_folds.predict(fitted, tested, extracted[fold.test], classes),
        folds=len(divided.folds),
        seed=profile["seed"] + repeat,
        seconds=time.monotonic() - started,
        leakage=results.leakage_of(cells, fold),
        images={"training": len(fold.train), "test": len(fold.test)},
    )
