"""Trained on one data set, tested on another: what a method learned that holds elsewhere.

Every method of the benchmark is trained on each of several sets and tested on each other, and on
its own set under the split that this set allows. All is done again with images that keep less
(`VARIANTS`): a score that stays with the mean color alone was reached by color, a shortcut. Two
classes are common to all sets, the positive ones against the rest. All scores are computed from
``results/transfer/``.
"""

import itertools
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pandas as pd

from leukkit import benchmark, files, images, metrics, results, runs, splits
from leukkit.benchmark import leaderboard
from leukkit.datasets import near_duplicates, own
from leukkit.datasets.cells import TEXT, crops, link_subjects
from leukkit.papers.profiles import Profile, Run

KEY = "transfer"
CLASSES = ("negative", "positive")
# What is left of the images -> fields of `Recipe` that replace a method's. The highest cluster is
# the rule that finds a nucleus on black as well as on a smear.
VARIANTS: dict[str, dict[str, Any]] = {
    "original": {},
    "color": {"segmentation": None},
    "masked": {"segmentation": {"rule": "highest cluster"}},
    "stain": {"stain": "reinhard"},
}
SAID = ("images of", "trained on", "tested on")  # of each run, beside what its method says
QUANTITIES = {name: leaderboard.QUANTITIES[name] for name in ("auc", "balanced_accuracy")}


def load(sets: Sequence[str], profile: str, methods: str = "") -> dict[str, Profile]:
    """Return the profile of each set by the name of the set; arguments as of `benchmark.load`.

    Raises:
        ValueError: Fewer than two sets, two of one name, or one of which the positive classes
            cannot be told (`positive`); or as `benchmark.load`.
    """
    loaded: dict[str, Profile] = {}
    for data in sets:
        numbers = benchmark.load("honest", profile, data, methods)
        cells = benchmark.load_cells(numbers)
        positive(cells)
        name = re.sub(r"[^\w-]+", "_", cells.attrs["dataset"])
        if name in loaded:
            raise ValueError(
                f"{data}: a set called {name} is named before, and results go by the names. Name "
                "each set once, or write another name into its leukkit.toml"
            )
        loaded[name] = numbers
    if len(loaded) < 2:
        raise ValueError(
            f"only {', '.join(sets)} is named; expected two sets or more, each to be trained on "
            "and tested by the others: leukkit transfer A B"
        )
    return loaded


def positive(cells: pd.DataFrame) -> list[str]:
    """Return the positive classes: of two the last, of more all but the one that is healthy.

    Raises:
        ValueError: Of more than two classes none, or several, are called as healthy ones are.
    """
    classes = list(cells.attrs["classes"])
    healthy = [name for name in classes if name.lower() in own.HEALTHY]
    if len(classes) > 2 and len(healthy) != 1:
        raise ValueError(
            f"{cells.attrs['dataset']}: which of its {len(classes)} classes {', '.join(classes)} "
            f"are positive cannot be told: expected one called {', '.join(own.HEALTHY)}. Rename "
            "that class, or leave the set out"
        )
    return classes[1:] if len(classes) == 2 else [name for name in classes if name not in healthy]


def prepare(loaded: dict[str, Profile]) -> dict[str, pd.DataFrame]:
    """Return the cells of each set with the common classes and names that no other set has.

    ``group`` is what must not lie in two sets: the subject (where none is known the image), and
    that of another set which has an identical image, or one nearly alike.

    Raises:
        near_duplicates.TooMuchAlikeError: The images are too much alike to compare.
    """
    prepared = {}
    for name, numbers in loaded.items():
        cells = benchmark.load_cells(numbers)
        common = {label: CLASSES[label in positive(cells)] for label in cells.attrs["classes"]}
        cells = cells[~cells["split"].isin(splits.CHALLENGE)].reset_index(drop=True)
        cells["label"] = cells["label"].map(common).astype(TEXT)
        for column in ("image_id", "patient", "source_image", "subject"):
            cells[column] += f" ({name})"
        cells.attrs |= {"dataset": name, "classes": CLASSES}
        prepared[name] = cells.assign(set=name, group=cells["subject"].fillna(cells["image_id"]))
    together = pd.concat(prepared.values(), ignore_index=True)
    alike = near_duplicates.find(together)
    by_name = together.set_index("image_id")
    first, second = (by_name.loc[alike[name]] for name in ("image_id_first", "image_id"))
    across = np.flatnonzero(first["set"].to_numpy() != second["set"].to_numpy())
    together["group"] = link_subjects(
        [*together["group"], *second["group"].iloc[across]],
        [*together["sha256"], *first["sha256"].iloc[across]],
    )[: len(together)]
    for name, cells in prepared.items():
        cells["group"] = together["group"][together["set"] == name].to_numpy()
    return prepared


def left_out(prepared: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Count what is not trained on, since the tested set shows it, or its subject, too.

    Returns:
        Frame, one row per pair: ``trained on, tested on, images, subjects`` (or blocks, or images).
    """
    rows = []
    for one, other in itertools.permutations(prepared, 2):
        gone = prepared[one][prepared[one]["group"].isin(prepared[other]["group"])]
        rows.append((one, other, len(gone), metrics.groups(gone)[0].nunique()))
    return pd.DataFrame(rows, columns=["trained on", "tested on", "images", "subjects"])


def join(prepared: dict[str, pd.DataFrame], one: str, other: str) -> pd.DataFrame:
    """Return the cells of one set to train on, without `left_out`, and of another to test on.

    Of one set alone all its cells, to be divided.

    Raises:
        ValueError: Nothing of a class is left to train on.
    """
    training, tested = prepared[one], prepared[other]
    if one == other:
        return training.assign(split=pd.NA)
    training = training[~training["group"].isin(tested["group"])]
    if training["label"].nunique() < len(CLASSES):
        raise ValueError(
            f"{one} to {other}: without what {other} shows, too, {len(training)} images of "
            f"{one} are left, and not of both classes. They are mostly the same images: leave one "
            "of the two sets out"
        )
    parts = [training.assign(split="training"), tested.assign(split="test")]
    joined = pd.concat(parts, ignore_index=True)
    joined.attrs = tested.attrs | {"dataset": f"{one} to {other}"}
    return joined


def run(
    loaded: dict[str, Profile],
    prepared: dict[str, pd.DataFrame],
    variants: Sequence[str] = tuple(VARIANTS),
    base: pathlib.Path | str | None = None,
) -> list[pathlib.Path]:
    """Train every method on each set and test it on each, where that is not done yet.

    Args:
        loaded: What `load` gave.
        prepared: What `prepare` gave.
        variants: Names of `VARIANTS`.
        base: Folder of the results; None for ``results`` of the project.

    Returns:
        The runs' folders, ``results/transfer/<sets>-<profile>/<A>-to-<B>/<run>_<variant>``.

    Raises:
        ValueError: As `join` and `splits.divide`.
        results.ConfigurationError, training.TrainingError: As `leaderboard.run`.
    """
    planned: list[Run] = []
    cells: dict[str, pd.DataFrame] = {}
    for one, other in itertools.product(prepared, repeat=2):
        name = f"{one}-to-{other}"
        cells[name] = join(prepared, one, other)
        if "color" in variants:
            cells[f"{name}-color"] = _flatten(cells[name])
        place = {"paper": KEY, "profile": name_of(loaded)}
        for method, variant in itertools.product(_methods(loaded[one]), variants):
            changes = {
                "models_kept": [],
                "data": name + "-color" * (variant == "color"),
                "table": _table(method, cells[name], one == other) | place | {"name": name},
                "recipe": method.recipe and method.recipe.replace(**VARIANTS[variant]),
                "keys": method.keys | dict(zip(SAID, (variant, one, other), strict=True)),
                "name": f"{method.name}_{variant}",
                "members": [f"{member}_{variant}" for member in method.members],
            }
            planned.append(method.model_copy(update=place | changes))
    jobs = next(iter(loaded.values())).jobs
    return runs.make(planned, jobs=jobs, results_dir=base, cells=cells)


def name_of(loaded: dict[str, Profile]) -> str:
    """Return the name of the profile of several sets, a folder of ``results/transfer``."""
    name, numbers = next(iter(loaded.items()))
    return "-".join(loaded) + numbers.name.removeprefix(name)


def measure(profile: str, base: pathlib.Path | str | None = None) -> pd.DataFrame:
    """Score the finished runs of several sets.

    Args:
        profile: `name_of` the sets.
        base: Folder of the results; None for ``results`` of the project.

    Returns:
        Frame, one row per number: ``paper, method, images of`` (in the order of `VARIANTS`),
        ``trained on, tested on``; ``quantity`` (of `QUANTITIES`) and its ``value, low, high`` with
        the 95% interval over the ``groups`` tested, and the rest as in `metrics.measure`.

    Raises:
        results.ResultsError: A run cannot be used, or a set was not tested by each other yet.
    """
    rows = []
    for (paper, method), used, folder in leaderboard.finished(profile, base, KEY):
        about = {"paper": paper, "method": method, **{name: used.keys[name] for name in SAID}}
        scored = metrics.measure(results.read_table(folder))
        scored = scored[scored["label"].isna() & scored["quantity"].isin(list(QUANTITIES))]
        rows += [about | row for row in scored.to_dict("records")]
    order = [*VARIANTS].index
    rows.sort(key=lambda row: (row["paper"], row["method"], order(row["images of"])))
    made = {tuple(row[name] for name in ("paper", "method", *SAID)) for row in rows}
    sets = sorted({name for *_, one, other in made for name in (one, other)})
    for of, *pair in itertools.product(sorted({it[:3] for it in made}), sets, sets):
        if (*of, *pair) not in made:
            raise results.ResultsError(
                f"{KEY}/{profile} has no run of {', '.join(of)}, {' to '.join(pair)}: the same "
                "command as before makes what is missing"
            )
    return pd.DataFrame(rows)


def matrix(measured: pd.DataFrame, quantity: str = "auc") -> pd.DataFrame:
    """Return the scores as text: a row per method, variant and set trained on, a column per set."""
    rows = measured[measured["quantity"] == quantity]
    ends = rows[["value", "low", "high"]].to_numpy()
    text = [metrics.with_interval(value, low, high, 2) for value, low, high in ends]
    index = ["paper", "method", "images of", "trained on"]
    table = rows.assign(text=text).pivot(index=index, columns="tested on", values="text")
    return table.reindex(rows.set_index(index).index.unique())


def _methods(numbers: Profile) -> list[Run]:
    """Return the runs of the split that a set is divided by."""
    planned = [run for run in numbers.plan() if run.table["split"] != "official"]
    if not planned:
        raise ValueError(
            f"the profile {numbers.name} has no split but the official one, and a set is also "
            "tested on itself: add one, e.g. [splits.subject]"
        )
    return [run for run in planned if run.split == planned[0].split]


def _table(method: Run, cells: pd.DataFrame, is_own: bool) -> dict[str, Any]:
    """Return the table of a method's split: its own of one set, else by the joined sets' parts."""
    table = dict(method.table)
    if not is_own:
        kept = ("validation", "augment", "copies", "tuning")
        table = {key: table[key] for key in kept if key in table} | {"split": "official"}
        if cells["subject"][cells["split"] == "training"].isna().all():
            table["missing"] = "image"
    if "counts" in table.get("copies", {}):
        table["copies"] = {"counts": benchmark.counts(cells)}
    return table


def _flatten(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells with each image painted in its mean color, black background left out."""
    folder = files.cache_dir() / "flat"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for path, crop, sha256 in zip(cells["path"], crops(cells), cells["sha256"], strict=True):
        paths.append(str(folder / f"{sha256}-{crop}.png"))
        if pathlib.Path(paths[-1]).exists():
            continue
        rgb = images.read(path, crop)
        shown = rgb[(rgb > images.BLACK).any(axis=2)]
        color = shown.mean(axis=0) if len(shown) else np.zeros(3)
        flat = np.full_like(rgb, np.rint(color).astype(np.uint8))
        with files.replace_when_done(pathlib.Path(paths[-1])) as target:
            target.write_bytes(cv2.imencode(".png", flat[..., ::-1])[1].tobytes())
    painted = cells.drop(columns="crop", errors="ignore")
    return painted.assign(path=paths, sha256="flat " + cells["sha256"])
