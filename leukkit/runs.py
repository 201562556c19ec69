"""The runs of a profile, made where they are missing.

Both engines are behind it: `leukkit.training` trains networks, `leukkit.classifiers` fits
classifiers to features. An ensemble is a run whose members are runs.
"""

import functools
import itertools
import pathlib
import time
from collections.abc import Iterable

import joblib
import pandas as pd

from leukkit import datasets, metrics, results, splits
from leukkit.schemas import Configuration, FoldRecord, Run
from leukkit.splits import Split


def load_cells(data: str, same_subject: Iterable[Iterable[str]] = ()) -> pd.DataFrame:
    """Load a data set, with the patients joined who are known to be one subject."""
    return _load(data, tuple(tuple(patients) for patients in same_subject))


def split_of(run: Run) -> Split:
    """Load the images of a run and divide them."""
    cells = load_cells(run.data, run.same_subject)
    return splits.divide(cells, run.table, run.seed + run.draw)


def make(
    planned: list[Run],
    *,
    jobs: int = 1,
    tensorboard: bool = False,
    results_dir: pathlib.Path | str | None = None,
) -> list[pathlib.Path]:
    """Make what is missing of some runs; folds of all of them are tasks of one ``joblib.Parallel``.

    Args:
        planned: What `profiles.plan` or a card's ``plan`` gave, or some of it.
        jobs: Folds at once; None for what ``joblib.parallel_config`` says.
        tensorboard: Whether networks write TensorBoard logs into the folds' folders.
        results_dir: Folder of the results; None for ``results`` of the project.

    Returns:
        The runs' folders.

    Raises:
        results.ConfigurationError: A finished fold was made with other settings.
        training.TrainingError: A fold could not be trained or written.
    """
    divided: dict[str, Split] = {}
    waiting: list = []
    trained = [run for run in planned if run.recipe and not run.recipe.classifier]
    for run in trained:
        assert run.recipe is not None
        split = _divided(run, divided)
        place = results.place(split, run.recipe, run.name, run.seed, planned=run, base=results_dir)
        if place.missing:
            from leukkit.training import folds as networks

            waiting += networks.tasks(place, split, run.recipe, tensorboard=tensorboard)
    joblib.Parallel(n_jobs=jobs)(waiting)
    classified = [run for run in planned if run.recipe and run.recipe.classifier]
    for _, same in itertools.groupby(sorted(classified, key=_features), _features):
        _classify(list(same), divided, jobs, results_dir)
    for run in planned:
        if run.recipe is None:
            _combine(run, _divided(run, divided), results_dir)
    return [folder(run, results_dir) for run in planned]


def _features(run: Run) -> str:
    """Return what tells apart the features that runs rest on."""
    assert run.recipe is not None
    seen = run.recipe.record()
    names = ("network", "image_size", "weights", "normalization", "segmentation", "distortion")
    return repr((_division(run), *(seen[name] for name in names)))


def _classify(
    runs: list[Run],
    divided: dict[str, Split],
    jobs: int,
    results_dir: pathlib.Path | str | None,
) -> None:
    """Make what is missing of runs on the same features, which are extracted once."""
    from leukkit.classifiers import folds

    split, extracted, waiting = _divided(runs[0], divided), None, []
    for run in runs:
        assert run.recipe is not None
        place = results.place(split, run.recipe, run.name, run.seed, planned=run, base=results_dir)
        if place.missing:
            if extracted is None:
                extracted = folds.extract(split.cells, run.recipe, run.seed)
            waiting += folds.tasks(place, split, run.recipe, extracted)
    joblib.Parallel(n_jobs=jobs)(waiting)


def folder(run: Run, results_dir: pathlib.Path | str | None = None) -> pathlib.Path:
    """Return the folder of a planned run."""
    return results.run_folder(results_dir, run.paper, run.profile, run.split, run.name)


def leakage(planned: list[Run]) -> pd.DataFrame:
    """Measure what leaks under the splits of some runs: `splits.leakage_shares`, by split."""
    return splits.leakage_shares({run.split: split_of(run) for run in planned})


def _divided(run: Run, known: dict[str, Split]) -> Split:
    """Return the split of a run; runs on the same images share it."""
    key = _division(run)
    if key not in known:
        known[key] = split_of(run)
    return known[key]


def _division(run: Run) -> str:
    return repr((run.data, run.table, run.seed + run.draw, run.same_subject))


@functools.lru_cache(maxsize=4)
def _load(data: str, same_subject: tuple[tuple[str, ...], ...]) -> pd.DataFrame:
    return datasets.join_subjects(datasets.load(data), same_subject)


def _combine(run: Run, split: Split, base: pathlib.Path | str | None) -> None:
    """Make what is missing of an ensemble."""
    folders = [
        results.run_folder(base, run.paper, run.profile, run.split, name) for name in run.members
    ]
    folds = range(len(split.folds))
    records = [[results.read_record(path / f"fold-{k}") for path in folders] for k in folds]
    place = results.place(
        split,
        None,
        run.name,
        run.seed,
        planned=run,
        members=[[record.configuration_hash for record in of_fold] for of_fold in records],
        base=base,
    )
    for number in place.missing:
        found = {
            name: path / f"fold-{number}" for name, path in zip(run.members, folders, strict=True)
        }
        _combine_fold(
            place.fold(number), place.folds[number], split, number, found, records[number]
        )


@results.once
def _combine_fold(
    folder: pathlib.Path,
    configuration: Configuration,
    split: Split,
    number: int,
    members: dict[str, pathlib.Path],
    records: list[FoldRecord],
) -> None:
    """Write one fold of an ensemble: the mean of its members, and weighted by validation."""
    started = time.monotonic()
    frames = {
        part: [results.read_fold(member, part) for member in members.values()]
        for part in ("predictions", "validation_predictions", "training_predictions")
    }
    weights = metrics.fit_weights(frames["validation_predictions"])
    tables = {part: metrics.average(several) for part, several in frames.items()}
    tables["weighted_predictions"] = metrics.average(frames["predictions"], weights)
    results.write_fold(
        folder,
        configuration,
        split,
        number,
        tables,
        seconds=time.monotonic() - started,
        weights_used="; ".join(
            f"{name}: {record.weights_used}" for name, record in zip(members, records, strict=True)
        ),
        selected={
            name: round(float(weight), 2) for name, weight in zip(members, weights, strict=True)
        },
    )
