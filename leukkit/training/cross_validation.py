"""Cross-validation of a network: one task per fold, each finished fold kept."""

import pathlib
import time

import joblib
import numpy as np
import pandas as pd

from leukkit import locations, pixels, preprocessing, profiles, results
from leukkit.metrics import prediction_frame
from leukkit.training import checkpoint, devices, fitting, frozen, network
from leukkit.training.errors import TrainingError, writing
from leukkit.training.keeping import keep_network
from leukkit.training.progress import FoldProgress


def cross_validate(paper, cells, folds, *, jobs=1, **options):
    """Train and test a network on each fold that is not finished yet.

    The folds are tasks of joblib: within ``joblib.parallel_config(backend="dask")`` or ``"ray"``
    the same call spreads them over machines that share the results folder and the images.

    Args:
        paper: The paper's key, first level of the results folder.
        cells: The `cells` frame that the folds point into, augmented copies included.
        folds: List of `splits.Fold`.
        jobs: Folds at once; None for what ``joblib.parallel_config`` says.
        options: As `fold_tasks`, which does all but the running.

    Returns:
        The folder of the run, with one folder per fold.

    Raises:
        results.ConfigurationError: A finished or begun fold was made with other settings.
        ValueError: A fold cannot be trained: a class is missing, too few images for a batch, or
            no validation images to select the best epoch by.
        TrainingError: The loss became no number, a fold could not be written, or the devices
            cannot be used.
    """
    folder, tasks = fold_tasks(paper, cells, folds, **options)
    joblib.Parallel(n_jobs=jobs)(tasks)
    return folder


def fold_tasks(
    paper,
    cells,
    folds,
    *,
    recipe,
    protocol,
    profile,
    run,
    results_dir=None,
    augmentation=None,
    seed=0,
    models_kept=(0,),
    tensorboard=False,
):
    """Return the folder of a run, and a joblib task for each of its folds that is not finished.

    So the folds of several networks and seeds can be given to joblib at once.

    Args:
        paper: As `cross_validate`.
        cells: As `cross_validate`.
        folds: As `cross_validate`.
        recipe: A `Recipe`.
        protocol: Name of the protocol, e.g. ``"leak-free"``.
        profile: Name of the profile.
        run: Dict that names the run, e.g. ``{"dataset": …, "model": …, "variant": …}``; its
            values name the folder.
        results_dir: Folder of the results; None for ``results`` of the project.
        augmentation: Ranges of the fixed copies in ``cells`` (`leukkit.distortion.draw`).
        seed: Draws weights, order, augmentation and dropout; the same for all folds.
        models_kept: Numbers of the folds whose network is kept, for `leukkit.predictor`.
        tensorboard: Whether to write TensorBoard logs into the folds' folders.
    """
    base = pathlib.Path(results_dir or locations.results_dir()).resolve()
    name = results.run_name(run)
    preparation = preprocessing.Preparation(recipe.image_size, seed=seed, augmentation=augmentation)
    common = {
        "paper": paper,
        "protocol": protocol,
        "run": dict(run),
        "dataset": cells.attrs["dataset"],
        "classes": list(cells.attrs["classes"]),
        "recipe": recipe.as_dict(),
        "augmentation": augmentation,
        "seed": seed,
    }
    tasks = []
    for number, fold in enumerate(folds):
        folder = results.fold_dir(base, paper, profile, protocol, name, number)
        parts = {part: results.cells_digest(cells, where) for part, where in fold._asdict().items()}
        configuration = common | {"images": parts}
        if not results.is_done(folder, configuration):
            check_fold(cells, fold, recipe, number)
            tasks.append(
                joblib.delayed(_make_fold)(
                    recipe,
                    cells,
                    preparation,
                    len(folds),
                    folder,
                    configuration,
                    fold,
                    number,
                    seed=seed,
                    models_kept=models_kept,
                    tensorboard=tensorboard,
                )
            )
    if len(tasks) > 1:
        _inputs(recipe, cells, preparation, seed)  # made once, before the tasks ask for it
    return results.fold_dir(base, paper, profile, protocol, name, 0).parent, tasks


def check_fold(cells, fold, recipe, number):
    """Refuse a fold that cannot be trained or tested.

    Raises:
        ValueError: A class is missing in training or test, a batch is larger than the training
            part, or the best epoch is asked for without validation images.
    """
    classes = list(cells.attrs["classes"])
    for part, positions in (("training", fold.train), ("test", fold.test)):
        missing = [name for name in classes if not (cells["label"].iloc[positions] == name).any()]
        if missing:
            raise ValueError(
                f"fold {number}: no {part} image of the class {', '.join(missing)} among "
                f"{len(positions)}. Use fewer folds, or stratify them (leukkit.splits)"
            )
    if len(fold.train) < recipe.batch_size:
        raise ValueError(
            f"fold {number}: {len(fold.train)} training images do not fill one batch of "
            f"{recipe.batch_size}. Use a smaller batch_size, or more images"
        )
    if recipe.select == "best" and len(fold.validation) == 0:
        raise ValueError(
            f"fold {number} has no validation images to choose the best epoch by. Set aside a "
            "share for validation, or use select = 'last'"
        )


def _inputs(recipe, cells, preparation, seed):
    """Return what goes into training: the pixels, or a frozen backbone's feature maps."""
    images = pixels.load(cells, preparation)
    if recipe.frozen and recipe.normalization != "z-score":
        return frozen.feature_maps(recipe, images, cells, preparation, seed)
    return images


def _make_fold(
    recipe,
    cells,
    preparation,
    folds,
    folder,
    configuration,
    fold,
    number,
    *,
    seed,
    models_kept,
    tensorboard,
):
    """Train, predict and write one fold; whatever it needs it loads itself."""
    import keras

    from leukkit import models

    started = time.monotonic()
    strategy = devices.strategy()
    devices.make_repeatable(seed, recipe.deterministic)
    keras.utils.clear_session()  # lets go of the last fold's network
    classes = list(cells.attrs["classes"])
    labels = pd.Categorical(cells["label"], classes).codes
    inputs = _inputs(recipe, cells, preparation, seed)
    only_head = inputs.dtype != np.uint8
    statistics = None
    if recipe.normalization == "z-score":
        statistics = pixels.channel_statistics(inputs, fold.train)
    with strategy.scope():
        whole = network.build(recipe, len(classes), statistics, seed)
        part = whole.get_layer("head") if only_head else whole
        model = keras.Model(part.inputs, part.outputs, name=part.name)  # whole stays uncompiled
    targets = np.eye(len(classes), dtype=np.float32)[labels]
    images = fitting.Images(inputs, targets, cells["image_id"].to_numpy(object), fold)

    digest = results.digest(configuration)
    progress = FoldProgress(configuration["run"], number, folds, recipe, fold, folder, tensorboard)
    try:
        with progress:
            state = fitting.fit(
                model, images, recipe, seed, strategy, folder, digest, progress.report
            )
    except fitting.LossError as error:
        raise TrainingError(_stopped(error, folder, number)) from error
    parts = {"": fold.test, "validation_": fold.validation, "training_": fold.train}
    tables = {
        f"{part}predictions": prediction_frame(
            cells.iloc[positions],
            fitting.predict(model, inputs, positions, recipe, strategy),
            classes,
        )
        for part, positions in parts.items()
        if len(positions)
    }
    tables["history"] = pd.DataFrame(state.history)
    with writing(folder):
        if number in models_kept:
            keep_network(
                folder,
                whole,
                recipe=recipe,
                inputs=inputs,
                cells=cells,
                fold=fold,
                configuration=configuration,
                held_out=tables.get("validation_predictions"),
            )
        results.write_fold(
            folder,
            configuration,
            tables.pop("predictions"),
            folds=folds,
            tables=tables,
            leakage=results.leakage_of(cells, fold),
            seed=seed,
            seconds=state.seconds + time.monotonic() - started,
            weights_used=models.weights_used(
                recipe.network,
                profiles.find_weights(recipe.weights),
                recipe.image_size,
                seed,
            ),
            devices=devices.describe(strategy),
            synchronized_batch_normalization=recipe.synchronized,
            parameters=whole.count_params(),
            epochs=state.epoch,
            selected={"epoch": state.best_epoch if recipe.select == "best" else state.epoch},
            images={name: len(positions) for name, positions in fold._asdict().items()},
        )
    checkpoint.remove(folder)
    return folder


def _stopped(error, folder, number):
    kept = folder / checkpoint.FILE
    where = (
        f"The weights of the last good epoch are kept in {kept}"
        if kept.exists()
        else "No epoch was finished before, so there are no better weights to keep"
    )
    return (
        f"fold {number} stopped: {error}. {where}. Use a smaller learning rate and another results "
        "folder; finished folds are untouched"
    )
