"""One fold of a classifier on features: extract, fit, predict, write."""

import time

import joblib
import pandas as pd

from leukkit import classifiers, features, profiles, results
from leukkit.kept_models import feature_models
from leukkit.metrics import prediction_frame


def make_missing(profile, runs, divided, place):
    """Make the folds that are not finished yet of runs on the same features, several at a time.

    Args:
        profile: The profile's numbers.
        runs: List of `reproduction.Run` with the same images and backbone.
        divided: The images and folds, a `protocols.Protocol`.
        place: Folder of the results, paper, profile and protocol, as `results.fold_dir` takes them.

    Raises:
        results.ConfigurationError: A finished fold was made with other settings.
    """
    backbone = profile["backbones"][runs[0].backbone]
    weights = features.weights_id(backbone, profiles.weights(profile), profile["seed"])
    _, paper, _, protocol = place
    common = {"paper": paper, "protocol": protocol, "weights": weights}
    missing = []
    for this in runs:
        for number, fold in enumerate(divided.folds):
            folder = results.fold_dir(*place, this.model, number)
            configuration = common | _configuration(profile, this, divided.cells, fold)
            if not results.is_done(folder, configuration):
                missing.append((this, folder, configuration, number))
    if missing:
        extracted = extract(profile, runs[0], divided.cells)
        joblib.Parallel(n_jobs=profile["jobs"])(
            joblib.delayed(_make_fold)(profile, divided, extracted, *fold) for fold in missing
        )


def extract(profile, this, cells):
    """Extract the features of a `reproduction.Run` for ``cells``, from the cache where they are."""
    return features.extract(
        cells,
        profile["backbones"][this.backbone],
        image_size=profile["image_size"],
        weights=profiles.weights(profile),
        segmentation=profile["segmentation"] if this.segmentation else None,
        seed=profile["seed"],
        normalization=profile["normalization"],
    )


def fit(this, profile, training, labels, tuning):
    """Fit the classifier of a run.

    Args:
        this: The `reproduction.Run`; a classifier named ``…-scaled`` is given standardized ones.
        profile: The profile's numbers.
        training: float32 features (images, features).
        labels: Class names (images,).
        tuning: The grid search's folds: a number, or ``(train, test)`` positions.
    """
    name, scale = this.classifier.removesuffix("-scaled"), this.classifier.endswith("-scaled")
    if name == "svm":
        return classifiers.grid_search_svm(
            training,
            labels,
            c=profile["c"],
            gamma=profile["gamma"],
            kernels=profile["kernels"],
            folds=tuning,
            scale=scale,
        )
    fits = {"rf": classifiers.fit_random_forest, "xgboost": classifiers.fit_xgboost}
    return fits[name](training, labels, seed=profile["seed"], scale=scale)


def predict(fitted, cells, extracted, classes):
    """Return the prediction frame of some images by a fitted classifier.

    Args:
        fitted: The classifier.
        cells: Frame of the images.
        extracted: float32 features (images, features).
        classes: Class names, in the order of the columns.
    """
    return prediction_frame(cells, classifiers.class_scores(fitted, extracted, classes), classes)


def _make_fold(profile, divided, extracted, this, folder, configuration, number):
    started = time.monotonic()
    cells, fold, tuning = divided.cells, divided.folds[number], divided.tuning[number]
    labels = cells["label"].to_numpy(dtype=object)
    fitted = fit(this, profile, extracted[fold.train], labels[fold.train], tuning)
    parts = {"predictions": fold.test, "training_predictions": fold.train}
    classes = list(cells.attrs["classes"])
    tables = {
        part: predict(fitted, cells.iloc[positions], extracted[positions], classes)
        for part, positions in parts.items()
    }
    selected = {}
    if hasattr(fitted, "best_params_"):
        selected = dict(fitted.best_params_)
        tables["grid"] = pd.DataFrame(fitted.cv_results_).drop(columns="params")
    kept = profile.get("runs_kept") or [this.model]
    if number in profile.get("models_kept", ()) and this.model in kept:
        feature_models.keep_classifier(
            folder,
            fitted,
            _facts(profile, configuration),
            features=extracted,
            cells=cells,
            train=fold.train,
            tuning=tuning,
        )
    results.write_fold(
        folder,
        configuration,
        tables.pop("predictions"),
        folds=len(divided.folds),
        tables=tables,
        seed=profile["seed"],
        seconds=time.monotonic() - started,
        leakage=results.leakage_of(cells, fold),
        selected=selected,
        images={"training": len(fold.train), "test": len(fold.test)},
    )


def _facts(profile, configuration):
    """Return what a kept classifier needs to know of its run (`kept_models.FIELDS`)."""
    same = ("paper", "protocol", "run", "dataset", "classes", "image_size", "backbone", "seed")
    return {
        **{name: configuration[name] for name in (*same, "segmentation", "normalization")},
        "configuration_hash": results.digest(configuration),
        "weights": profile["weights"],
        "weights_id": configuration["weights"],
    }


def _configuration(profile, this, cells, fold):
    used = ("image_size", "normalization", "seed", "c", "gamma", "kernels", "grid_folds")
    return {
        "run": this._asdict(),
        "dataset": profile["datasets"][this.dataset],
        "backbone": profile["backbones"][this.backbone],
        "segmentation": profile["segmentation"] if this.segmentation else None,
        "classes": list(cells.attrs["classes"]),
        "training": results.cells_digest(cells, fold.train),
        "test": results.cells_digest(cells, fold.test),
        **{name: profile[name] for name in used},
    }
