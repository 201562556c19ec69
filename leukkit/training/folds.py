"""Cross-validation of a network: one task per fold, each finished fold kept."""

import contextlib
import functools
import itertools
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import joblib
import numpy as np
import pandas as pd

from leukkit import environment, features, images, results, saved
from leukkit.datasets.cells import label_codes
from leukkit.files import bar
from leukkit.metrics import prediction_frame
from leukkit.records import Configuration
from leukkit.schemas import Recipe
from leukkit.splits import Split
from leukkit.training import batches, devices, fit, network
from leukkit.training.devices import TrainingError


def cross_validate(
    split: Split,
    recipe: Recipe,
    *,
    name: str,
    seed: int = 0,
    strategy: Any = None,
    jobs: int = 1,
    models_kept: Sequence[int] | None = None,
    tensorboard: bool = False,
    results_dir: pathlib.Path | str | None = None,
) -> pathlib.Path:
    """Train and test a network on each fold that is not finished yet.

    The folds are tasks of joblib: within ``joblib.parallel_config(backend="dask")`` or ``"ray"``
    the same call with ``jobs=None`` spreads them over machines that share the results folder and
    the images. A run that equals one that the split's paper and profile plan has its plain name;
    any other gets the name and eight digits of its hash, so that no finished result is lost.

    Args:
        split: What `splits.divide` gave.
        recipe: With ``phases``.
        name: Of the run.
        seed: Of weights, order, augmentation and dropout; the same for all folds.
        strategy: What `training.strategy` gave: the folds are then trained in this process, one
            after the other. None: each task asks for its own.
        jobs: Folds at once, without a strategy; None for what ``joblib.parallel_config`` says.
        models_kept: Numbers of the folds whose network is saved; None for those of the plan, and
            for the first of a run that is not planned.
        tensorboard: Whether to write TensorBoard logs into the folds' folders.
        results_dir: Folder of the results; None for ``results`` of the project.

    Returns:
        The folder of the run, with one folder per fold.

    Raises:
        results.ConfigurationError: A finished or begun fold was made with other settings.
        ValueError: A fold cannot be trained: a class is missing, too few images for a batch, or
            no validation images to select the best epoch by.
        TrainingError: The loss became no number, a fold could not be written, or the devices
            cannot be used.

    Example:
        >>> split = splits.divide(cells, {"split": "subject", "folds": 5, "validation": 0.15})
        >>> folder = training.cross_validate(split, recipe, name="vgg19", strategy=strategy)
        >>> metrics.jackknife(results.read_table(folder))
    """
    place = results.place(split, recipe, name, seed, base=results_dir)
    waiting = tasks(place, split, recipe, models_kept=models_kept, tensorboard=tensorboard)
    if strategy is not None:
        _one_after_another(waiting, strategy=strategy)
    else:
        joblib.Parallel(n_jobs=jobs)(waiting)
    return place.folder


def tasks(
    place: results.Place,
    split: Split,
    recipe: Recipe,
    *,
    models_kept: Sequence[int] | None = None,
    tensorboard: bool = False,
    by_one: bool = False,
) -> list:
    """Return a joblib task for each fold of a run that is not finished.

    So the folds of several networks and seeds can be given to joblib at once. Feature maps of all
    images are made here, before several processes ask for them, unless one does all tasks or each
    fold has its own.
    """
    kept = place.models_kept if models_kept is None else models_kept
    for number in place.missing:
        check_fold(split, recipe, number)
    if len(place.missing) > 1 and not by_one and recipe.stain is None:
        seed, classes = place.folds[0].seed, len(place.folds[0].classes)
        preparation = images.preparation(recipe, seed, split.cells)
        pixels = images.load(split.cells, preparation)
        if _has_feature_maps(recipe):
            whole = network.build(recipe, classes, None, seed)
            _feature_maps(whole, pixels, split, recipe, preparation)
    return [
        joblib.delayed(_make_fold)(
            place.fold(number),
            place.folds[number],
            split,
            recipe,
            number,
            save=number in kept,
            tensorboard=tensorboard,
        )
        for number in place.missing
    ]


def spread(
    runs: Sequence[tuple[results.Place, Split, Recipe]],
    jobs: int | None,
    *,
    tensorboard: bool = False,
) -> list:
    """Return one task for each network's folds, or for each fold where networks are too few.

    A process that stays with a network turns it into a graph once; that can take longer than a
    small fold. But no process should wait for the last network's seven folds.
    """
    by_network: dict[str, list] = {}
    for run in runs:
        by_network.setdefault(network.in_the_graph(run[2]), []).append(run)
    by_one = bool(jobs and len(by_network) >= 2 * jobs)
    waiting = [
        [task for run in same for task in tasks(*run, tensorboard=tensorboard, by_one=by_one)]
        for same in by_network.values()
    ]
    if by_one:
        return [joblib.delayed(_one_after_another)(folds) for folds in waiting]
    return list(itertools.chain(*waiting))


def check_fold(split: Split, recipe: Recipe, number: int) -> None:
    """Refuse a fold that cannot be trained or tested.

    Raises:
        ValueError: A class is missing in training or test, a batch is larger than the training
            part, or the best epoch is asked for without validation images.
    """
    cells, fold = split.cells, split.folds[number]
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
    if (recipe.select == "best" or recipe.patience) and len(fold.validation) == 0:
        raise ValueError(
            f"fold {number} has no validation images to choose the best epoch by. Set aside a "
            "share for validation, or use select = 'last' and patience = 0"
        )


def _has_feature_maps(recipe: Recipe) -> bool:
    """Tell whether a network's feature maps of the same pixels never change."""
    return recipe.frozen and recipe.normalization != "z-score"


def _feature_maps(
    whole: Any, pixels: Any, split: Split, recipe: Recipe, preparation: images.Preparation
) -> Any:
    """Return what a frozen backbone sees in the images, which is what its head is trained on."""
    import keras

    from leukkit import models

    made_by = [recipe.network, recipe.normalization, str(recipe.mixed_precision)]
    weights, seed = recipe.weights_source, preparation.seed
    made_by.append(models.weights_id(recipe.network, weights, seed, recipe.width))
    return features.feature_maps(
        keras.Model(whole.input, whole.get_layer("features").output),
        pixels,
        images.keys(split.cells, preparation),
        "\n".join(made_by),
    )


def _one_after_another(waiting: list, **further: Any) -> None:
    for function, arguments, options in waiting:
        function(*arguments, **options, **further)


def _make_fold(folder: pathlib.Path, *arguments: Any, **options: Any) -> None:
    """Train, predict and write one fold; whatever it needs it loads itself."""
    environment.start_tensorflow()
    try:
        _train_fold(folder, *arguments, **options)
    except OSError as error:
        raise TrainingError(
            f"{folder}: the fold could not be written ({error}). Free some space, or choose "
            "another results folder; finished folds are untouched, and the same command tries "
            "this one again"
        ) from error


@results.once
@network.quick_graphs()
def _train_fold(
    folder: pathlib.Path,
    configuration: Configuration,
    split: Split,
    recipe: Recipe,
    number: int,
    *,
    save: bool,
    tensorboard: bool,
    strategy: Any = None,
) -> None:
    from leukkit import models

    started, seed = time.monotonic(), configuration.seed
    strategy = strategy or devices.strategy()
    arithmetic = devices.describe(strategy)
    results.check_arithmetic(folder, arithmetic)
    devices.make_repeatable(seed, recipe.deterministic)
    cells, fold, classes = split.cells, split.folds[number], configuration.classes
    preparation = images.preparation(recipe, seed, cells.iloc[fold.train])
    inputs = images.load(cells, preparation)
    statistics = None
    if recipe.normalization == "z-score":
        statistics = images.channel_statistics(inputs, fold.train)
    labels = label_codes(cells, classes, configuration.dataset)
    targets = np.eye(len(classes), dtype=np.float32)[labels]
    alone = _has_feature_maps(recipe)
    trained = network.compiled(recipe, len(classes), statistics, seed, strategy, alone)
    whole = trained.whole
    if alone:
        inputs = _feature_maps(whole, inputs, split, recipe, preparation)
    copies = cells["copy"].to_numpy(int) if "copy" in cells else np.zeros(len(cells), int)
    hashes = cells["sha256"].to_numpy(object)
    shown = batches.Images(inputs, targets, hashes, copies, fold)
    begun = fit.read_checkpoint(folder, configuration.hash, arithmetic)
    earlier = sum(row["seconds"] for row in begun[0]) if begun else 0.0
    keep = functools.partial(fit.write_checkpoint, folder, configuration.hash, arithmetic)
    try:
        with _progress(configuration, recipe, split, number, folder, tensorboard) as report:
            history = fit.fit(trained, shown, recipe, seed, begun=begun, keep=keep, report=report)
    except fit.LossError as error:
        raise TrainingError(_stopped(error, folder, number)) from error
    tables = {
        f"{name}predictions": prediction_frame(
            cells.iloc[positions], fit.predict(trained, inputs, positions, recipe), classes
        )
        for name, positions in (
            ("", fold.test),
            ("validation_", fold.validation),
            ("training_", fold.train),
        )
        if len(positions)
    }
    tables["history"] = pd.DataFrame(history)
    not_saved = ""
    if save and not models.can_be_saved(whole.get_layer("head")):  # all else is the kit's own
        not_saved = "its head has layers that Keras cannot read back in safe mode"
    elif save:
        held_out = tables.get("validation_predictions")
        saved.save_network(
            folder, whole, configuration, split, number, inputs, held_out, preparation.stain
        )
    results.write_fold(
        folder,
        configuration,
        split,
        number,
        tables,
        seconds=earlier + time.monotonic() - started,
        weights_used=models.weights_used(
            recipe.network, recipe.weights_source, recipe.image_size, seed, recipe.head
        ),
        arithmetic=arithmetic,
        parameters=whole.count_params(),
        epochs=len(history),
        selected={"epoch": fit.best_epoch(history) if recipe.select == "best" else len(history)},
        not_saved=not_saved,
    )
    (folder / fit.CHECKPOINT).unlink(missing_ok=True)


@contextlib.contextmanager
def _progress(
    configuration: Configuration,
    recipe: Recipe,
    split: Split,
    number: int,
    folder: pathlib.Path,
    tensorboard: bool,
) -> Iterator[Any]:
    """Show where a fold stands, with epoch and validation accuracy; write TensorBoard's logs.

    Yields:
        Function of the batches done since the last call, and, after an epoch, its row of history.
    """
    steps = recipe.steps or len(split.folds[number].train) // recipe.batch_size
    title = f"{configuration.run}, fold {number + 1} of {len(split.folds)}"
    writer = None
    if tensorboard:
        import tensorflow as tf

        writer = tf.summary.create_file_writer(str(folder / "tensorboard"))
    shown = bar(recipe.epochs * steps, title, "batch")

    def report(batches: int, row: dict[str, float] | None = None) -> None:
        shown.update(batches)
        if row is None:
            return
        score = f"validation accuracy {row['validation_accuracy']:.3f}"
        shown.set_postfix_str(f"epoch {row['epoch']} of {recipe.epochs}, {score}")
        if writer:
            with writer.as_default(step=row["epoch"]):
                for name in ("loss", "accuracy", "validation_loss", "validation_accuracy"):
                    tf.summary.scalar(name, row[name])

    try:
        yield report
    finally:
        shown.close()
        if writer:
            writer.close()


def _stopped(error: Exception, folder: pathlib.Path, number: int) -> str:
    kept = folder / fit.CHECKPOINT
    where = (
        f"The weights of the last good epoch are kept in {kept}"
        if kept.exists()
        else "No epoch was finished before, so there are no better weights to keep"
    )
    return (
        f"fold {number} stopped: {error}. {where}. Use a smaller learning rate and another results "
        "folder; finished folds are untouched"
    )
