"""The runs of a profile, made where they are missing.

Both engines are behind it: `leukkit.training` trains networks, `leukkit.classifiers` fits
classifiers to features. An ensemble is a run whose members are runs.
"""

import functools
import pathlib
import time
from collections.abc import Iterable, Mapping
from typing import Any

import joblib
import pandas as pd

from leukkit import datasets, environment, files, metrics, results, splits
from leukkit.papers.profiles import Run
from leukkit.records import Configuration
from leukkit.schemas import Recipe
from leukkit.splits import Split

# What tells apart the features of the same images: they are extracted once for several classifiers.
SEEN = (
    *("network", "image_size", "width", "weights", "normalization"),
    *("segmentation", "stain", "distortion"),
)


def load_cells(data: str, links: str = "several pairs") -> pd.DataFrame:
    """Load a data set, once; ``links`` as in `datasets.load`."""
    return _load(data, links).copy()


def split_of(run: Run, known: Mapping[str, pd.DataFrame] | None = None) -> Split:
    """Load the images of a run, unless they are ``known`` by its ``data``, and divide them."""
    cells = (known or {}).get(run.data)
    cells = load_cells(run.data, run.links) if cells is None else cells
    return splits.divide(cells, run.table, run.seed + run.draw)


def fetch_weights(planned: Iterable[Run]) -> None:
    """Have all weights at hand that some runs begin with; download those that are not there.

    Before the first of them: a download that fails must not cost the hours of the runs before it.

    Raises:
        ValueError, models.WeightsError: As `leukkit.models.build`.
    """
    from leukkit.models import networks, weights

    recipes = [run.recipe for run in planned if run.recipe]
    for one in {(it.network, it.weights_source, it.width): it for it in recipes}.values():
        for network in networks.DEX if one.network == "dex" else (one.network,):
            weights.weights_file(network, one.weights_source, one.width)
    for it in recipes:
        if weights.has_dense_weights(it.network, it.weights_source, it.image_size, it.head):
            weights.vgg19_dense_file()
            break


def make(
    planned: list[Run],
    *,
    jobs: int = 1,
    tensorboard: bool = False,
    results_dir: pathlib.Path | str | None = None,
    cells: Mapping[str, pd.DataFrame] | None = None,
) -> list[pathlib.Path]:
    """Make what is missing of some runs; folds of all of them are tasks of one ``joblib.Parallel``.

    Args:
        planned: What a card's or a profile's ``plan`` gave, or some of it.
        jobs: Folds at once, at most as many as this process may use cores; None for what
            ``joblib.parallel_config`` says.
        tensorboard: Whether networks write TensorBoard logs into the folds' folders.
        results_dir: Folder of the results; None for ``results`` of the project.
        cells: A run's ``data`` -> its cells, where `load_cells` does not know them.

    Returns:
        The runs' folders.

    Raises:
        results.ConfigurationError: A finished fold was made with other settings.
        models.WeightsError: Weights cannot be downloaded; then nothing was made.
        training.TrainingError: A fold could not be trained or written.
    """
    jobs = jobs and min(jobs, environment.usable_cores() or jobs)
    fetch_weights(planned)
    one_of_each = {_division(run): run for run in planned}
    divided = {division: split_of(run, cells) for division, run in one_of_each.items()}
    trained: list[tuple[results.Place, Split, Recipe]] = []
    classified: dict[str, list[tuple[results.Place, Split, Recipe]]] = {}
    for run in planned:
        if run.recipe is None:
            continue
        split = divided[_division(run)]
        place = results.place(split, run.recipe, run.name, run.seed, planned=run, base=results_dir)
        if not place.missing:
            continue
        if run.recipe.classifier:
            seen = tuple(getattr(run.recipe, name) for name in SEEN)
            same = classified.setdefault(repr((_division(run), seen)), [])
            same.append((place, split, run.recipe))
        else:
            trained.append((place, split, run.recipe))
    waiting = []
    if trained:
        from leukkit.training import folds as networks

        waiting = networks.spread(trained, jobs, tensorboard=tensorboard)
    number = sum(len(place.missing) for same in classified.values() for place, *_ in same)
    with files.bar(len(waiting) + number, "runs", unit="part") as shown:
        _do(waiting, jobs, shown)
        for same in classified.values():
            from leukkit.classifiers import folds

            place, split, recipe = same[0]
            numbers = sorted({number for one in same for number in one[0].missing})
            extracted = folds.extract(split, recipe, numbers, place.folds[0].seed)
            waiting = [task for one in same for task in folds.tasks(*one, extracted)]
            _do(waiting, jobs, shown)
    for run in planned:
        if run.recipe is None:
            _combine(run, divided[_division(run)], results_dir)
    return [folder(run, results_dir) for run in planned]


def folder(run: Run, results_dir: pathlib.Path | str | None = None) -> pathlib.Path:
    """Return the folder of a planned run."""
    return results.run_folder(results_dir, run.paper, run.profile, run.split, run.name)


def leakage(planned: list[Run]) -> pd.DataFrame:
    """Measure what leaks under the splits of some runs: `splits.leakage_shares`, by split."""
    return splits.leakage_shares({run.split: split_of(run) for run in planned})


def _division(run: Run) -> str:
    """Return what tells apart the splits of runs."""
    return repr((run.data, run.table, run.seed + run.draw, run.links))


@functools.lru_cache(maxsize=4)
def _load(data: str, links: str) -> pd.DataFrame:
    return datasets.load(data, links=links)


def _do(waiting: list, jobs: int | None, shown: Any) -> None:
    """Do tasks of joblib, whatever its backend, and move a bar as they end."""

    class Parallel(joblib.Parallel):
        begun = shown.n

        def print_progress(self) -> None:
            shown.update(self.begun + self.n_completed_tasks - shown.n)

    Parallel(n_jobs=jobs)(waiting)


def _combine(run: Run, split: Split, base: pathlib.Path | str | None) -> None:
    """Make what is missing of an ensemble."""
    members = {name: folder(run, base).with_name(name) for name in run.members}
    hashes = [
        [results.read_record(path / f"fold-{k}").configuration_hash for path in members.values()]
        for k in range(len(split.folds))
    ]
    place = results.place(split, None, run.name, run.seed, planned=run, members=hashes, base=base)
    for number in place.missing:
        of_fold = {name: path / f"fold-{number}" for name, path in members.items()}
        _combine_fold(place.fold(number), place.folds[number], split, number, of_fold)


@results.once
def _combine_fold(
    folder: pathlib.Path,
    configuration: Configuration,
    split: Split,
    number: int,
    members: dict[str, pathlib.Path],
) -> None:
    """Write one fold of an ensemble: the mean of its members, and weighted by validation."""
    started = time.monotonic()
    records = {name: results.read_record(member) for name, member in members.items()}
    frames = {
        part: [results.read_fold(members[name], part, record) for name, record in records.items()]
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
        weights_used="; ".join(f"{name}: {one.weights_used}" for name, one in records.items()),
        arithmetic="; ".join(dict.fromkeys(one.arithmetic for one in records.values())),
        selected={name: round(float(w), 2) for name, w in zip(members, weights, strict=True)},
    )
