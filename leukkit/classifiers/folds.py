"""Cross-validation of a classifier on features of a frozen network (farag2025, III.F, III.G)."""

import functools
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import joblib
import numpy as np
import pandas as pd
import threadpoolctl

from leukkit import features, images, results
from leukkit.classifiers.fit import class_scores, fit_random_forest, fit_xgboost
from leukkit.classifiers.svm import grid_search_svm
from leukkit.metrics import prediction_frame
from leukkit.records import Configuration
from leukkit.schemas import Recipe
from leukkit.splits import Split


def cross_validate(
    split: Split,
    recipe: Recipe,
    *,
    name: str,
    seed: int = 0,
    jobs: int = 1,
    models_kept: Sequence[int] | None = None,
    results_dir: pathlib.Path | str | None = None,
) -> pathlib.Path:
    """Fit and test a classifier on each fold that is not finished yet.

    Args:
        split: What `splits.divide` gave, with ``tuning`` where a grid is searched.
        recipe: With a ``classifier``.
        name: Of the run; see `training.cross_validate` for where it lies.
        seed: Of random weights, copies and trees.
        jobs: Folds at once.
        models_kept: As `training.cross_validate`.
        results_dir: Folder of the results; None for ``results`` of the project.

    Returns:
        The folder of the run, with one folder per fold.

    Raises:
        results.ConfigurationError: A finished fold was made with other settings.
    """
    place = results.place(split, recipe, name, seed, base=results_dir)
    if place.missing:
        vectors = extract(split, recipe, place.missing, seed)
        joblib.Parallel(n_jobs=jobs)(tasks(place, split, recipe, vectors, models_kept))
    return place.folder


def tasks(
    place: results.Place,
    split: Split,
    recipe: Recipe,
    extracted: Mapping[int, np.ndarray],
    models_kept: Sequence[int] | None = None,
) -> list:
    """Return a joblib task for each fold of a run that is not finished; see `extract`."""
    kept = place.models_kept if models_kept is None else models_kept
    # The features are part of the function: Dask keeps a large argument on one worker, and when
    # that one is gone the others cannot go on.
    return [
        joblib.delayed(functools.partial(_make_fold, extracted=extracted[number]))(
            place.fold(number), place.folds[number], split, recipe, number, save=number in kept
        )
        for number in place.missing
    ]


def extract(
    split: Split, recipe: Recipe, numbers: Sequence[int], seed: int = 0
) -> dict[int, np.ndarray]:
    """Return for some folds what a recipe's network sees in all cells, cached or new.

    Each is float32 (images, features). It is one array for all folds, unless ``stain`` gives the
    cells other colors in each.
    """

    def one(number: int) -> np.ndarray:
        training = split.cells.iloc[split.folds[number].train]
        return features.extract(
            split.cells,
            recipe.network,
            image_size=recipe.image_size,
            weights=recipe.weights_source,
            width=recipe.width,
            segmentation=recipe.segmentation,
            stain=images.preparation(recipe, seed, training).stain,
            seed=seed,
            normalization=recipe.normalization,
            distortion=recipe.distortion,
        )

    if recipe.stain is None:
        return dict.fromkeys(numbers, one(numbers[0]))
    return {number: one(number) for number in numbers}


def fit(recipe: Recipe, vectors: np.ndarray, labels: np.ndarray, tuning: Any, seed: int = 0) -> Any:
    """Fit the classifier of a recipe to float32 features (images, features) and class names.

    ``tuning`` are the grid search's folds: a number, or ``(train, test)`` positions.
    """
    if recipe.classifier == "svm":
        return grid_search_svm(
            vectors,
            labels,
            c=recipe.c,
            gamma=recipe.gamma,
            kernels=recipe.kernels,
            folds=tuning,
            scale=recipe.scaled,
            class_weight=recipe.class_weight,
        )
    fits = {"rf": fit_random_forest, "xgboost": fit_xgboost}
    return fits[str(recipe.classifier)](vectors, labels, seed=seed, scale=recipe.scaled)


def _arithmetic(recipe):
    """Return what the digits rest on; trees are the same for any number of threads (measured)."""
    if recipe.classifier != "svm":
        return ""
    libraries = threadpoolctl.threadpool_info()
    threads = {one["num_threads"] for one in libraries if one["user_api"] == "blas"}
    return f"CPU, threads of BLAS: {max(threads, default='unknown')}"


@results.once
def _make_fold(
    folder: pathlib.Path,
    configuration: Configuration,
    split: Split,
    recipe: Recipe,
    number: int,
    *,
    extracted: np.ndarray,
    save: bool,
) -> None:
    """Fit, predict and write one fold."""
    from leukkit import models, saved  # which knows the classifiers, to read them

    arithmetic = _arithmetic(recipe)
    results.check_arithmetic(folder, arithmetic)
    started, seed = time.monotonic(), configuration.seed
    cells, fold = split.cells, split.folds[number]
    labels = cells["label"].to_numpy(dtype=object)
    tuning = split.tuning[number] if split.tuning else 0
    fitted = fit(recipe, extracted[fold.train], labels[fold.train], tuning, seed)
    tables = {
        name: prediction_frame(
            cells.iloc[positions],
            class_scores(fitted, extracted[positions], configuration.classes),
            configuration.classes,
        )
        for name, positions in (("predictions", fold.test), ("training_predictions", fold.train))
    }
    if getattr(fitted, "cv_results_", None):
        tables["grid"] = pd.DataFrame(fitted.cv_results_).drop(columns="params")
    if save:
        stain = images.preparation(recipe, seed, cells.iloc[fold.train]).stain
        saved.save_classifier(folder, fitted, configuration, split, number, extracted, stain)
    results.write_fold(
        folder,
        configuration,
        split,
        number,
        tables,
        seconds=time.monotonic() - started,
        arithmetic=arithmetic,
        selected=dict(getattr(fitted, "best_params_", {})),
        weights_used=models.weights_used(
            recipe.network, recipe.weights_source, recipe.image_size, seed
        ),
    )
