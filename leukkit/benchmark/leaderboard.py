"""The honest benchmark: one leak-free split for the methods of all five papers, on the same images.

Each paper split by image. Here all methods are trained and tested under two splits without that
leak: ``subject``, folds of whole subjects; and ``official``, trained on the training phase of C-NMC
2019 and tested on its preliminary phase, as in the challenge that the images come from. Other
images (`benchmark.load`) that name no patients are divided as they allow, ``block`` or ``image``,
and ``official`` are their own parts. A method keeps its paper's recipe (``honest.toml``); nothing
is chosen on the images that are scored. All scores are computed from ``results/honest/``.
"""

import itertools
import pathlib
import statistics
import timeit
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from leukkit import benchmark, features, images, metrics, models, papers, results, runs
from leukkit.classifiers import folds
from leukkit.files import progress, replace_when_done, results_dir
from leukkit.papers.profiles import Profile, Run
from leukkit.records import Configuration
from leukkit.schemas import Recipe
from leukkit.splits import Split

KEY = "honest"
# quantity -> its name in a table. Scores are 0..1; the calibration error is better when small.
QUANTITIES = {
    "weighted_f1": "weighted F1",
    "auc": "AUC",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "patient_level_accuracy": "patient-level accuracy",
    "calibration_error": "calibration error",
    "seconds_per_image": "per image",
}
COLUMNS = [
    *("paper", "method", "split", "quantity", "value", "low", "high"),
    *("images", "groups", "groups_are", "folds", "dataset", "weights"),
    *("behind", "behind low", "behind high", "p"),
]
ALPHA = 0.05
TIMED = 32  # images, in one batch
REPEATS = 3  # the median counts


def load(profile: str | Profile) -> Profile:
    """Return the numbers of a profile of the benchmark: see `benchmark.load`."""
    return benchmark.load(KEY, profile)


def divide(profile: str | Profile) -> dict[str, Split | str]:
    """Divide the images as each split does for all methods, before a paper's own copies.

    Returns:
        Split -> how it divides them; for ``official`` perhaps why the images do not allow it.
    """
    numbers = load(profile)
    cells = benchmark.load_cells(numbers)
    names = dict.fromkeys(run.split for run in numbers.plan())
    return {name: benchmark.attempt(cells, numbers.split(name), numbers.seed) for name in names}


def possible(profile: str | Profile) -> dict[str, Split]:
    """Return the splits that the images of a profile allow, divided."""
    return {name: it for name, it in divide(profile).items() if isinstance(it, Split)}


def problem(profile: str | Profile, split: str) -> str:
    """Say why a split cannot be run on the images of a profile; ``""`` if it can."""
    divided = divide(profile)[split]
    return divided if isinstance(divided, str) else ""


def parts(divided: dict[str, Split]) -> pd.DataFrame:
    """Count what each split trains, validates and tests on.

    Returns:
        Frame indexed by split, fold and part: ``images``, ``subjects``, and images per class.
    """
    rows = []
    for name, split in divided.items():
        for number, fold in enumerate(split.folds):
            for part, positions in fold._asdict().items():
                cells = split.cells.iloc[positions]
                row = {"split": name, "fold": number, "part": part, "images": len(cells)}
                row["subjects"] = cells["subject"].nunique()
                rows.append(row | cells["label"].value_counts().sort_index().to_dict())
    return pd.DataFrame(rows).set_index(["split", "fold", "part"])


def run(
    profile: str | Profile, split: str, base: pathlib.Path | str | None = None
) -> list[pathlib.Path]:
    """Train and test every method of a profile under one split, where that is not done yet.

    Returns:
        The runs' folders, ``results/honest/<profile>/<split>/<run>``.

    Raises:
        splits.NoPhaseError: ``official``, and the images have no preliminary phase.
        results.ConfigurationError: A finished fold was made with other settings.
        training.TrainingError: A fold could not be trained or written.
    """
    numbers = load(profile)
    return runs.make(numbers.plan(split), jobs=numbers.jobs, results_dir=base)


def methods(profile: str | Profile) -> pd.DataFrame:
    """List the methods of a profile, and those of the paper profile that it leaves out.

    Returns:
        Frame, one row per method: ``paper, method, image (px), what is trained, begins with`` and
        ``in this profile``. Members of an ensemble are no methods of their own.
    """
    rows = [
        {**row, "in this profile": is_here}
        for is_here, numbers in ((True, load(profile)), (False, load("paper")))
        for row in _rows(numbers)
    ]
    frame = pd.DataFrame(rows).drop_duplicates(["paper", "method"])
    order = frame["paper"].map(papers.KEYS.index)
    return frame.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def measure(profile: str, base: pathlib.Path | str | None = None) -> pd.DataFrame:
    """Score the finished runs of a profile.

    Args:
        profile: Its name, or the path or label of its TOML file.
        base: Folder of the results; None for ``results`` of the project.

    Returns:
        Frame, one row per number: ``paper, method, split``; ``quantity`` (of `QUANTITIES`) and its
        ``value, low, high`` as in `metrics.measure`; ``images`` and ``groups`` tested (which
        ``groups_are`` subjects, block proxies or original images), all ``folds`` together; the
        ``dataset``, and the ``weights`` that the network began with. ``seconds_per_image`` has
        neither split nor interval, and is there once `time_methods` has measured it.

        ``behind, behind low, behind high``: how much lower than the best method under this split,
        95% interval of the difference paired over subjects; ``p``: that there is none, by Holm's
        correction for all pairs of methods, as which is best is only seen afterward. Missing for
        the best, and for what is not among `metrics.NAMES`.

    Raises:
        results.ResultsError: A run cannot be used: incomplete, mixed or damaged; or the methods
            were tested on other subjects.
    """
    rows: list[dict[str, Any]] = []
    left_out: dict[str, dict[tuple[str, str], metrics.LeftOut]] = {}
    for (paper, method), used, folder in finished(profile, base):
        records, table, split = results.read_records(folder), results.read_table(folder), used.split
        one = metrics.leave_out(table.assign(group=metrics.groups(table)[0]), "group")
        left_out.setdefault(split, {})[paper, method] = one
        about = {"paper": paper, "method": method, "split": split, "folds": len(records)}
        about |= {"dataset": used.dataset, "weights": records[0].weights_used}
        scored = metrics.measure(table, one)
        scored = scored[scored["label"].isna() & scored["quantity"].isin(list(QUANTITIES))]
        rows += [about | row for row in scored.to_dict("records")]
    behind = {split: _behind(of_split, split) for split, of_split in left_out.items()}
    for row in rows:
        key = (row["paper"], row["method"], row["quantity"])
        row |= behind[row["split"]].get(key, {})
    times = _seconds_file(profile, base)
    if rows and times.exists():
        timed = pd.read_csv(times, keep_default_na=False, na_values=[""]).drop(columns="images")
        timed = timed.assign(quantity="seconds_per_image").rename(columns={"seconds": "value"})
        rows += timed.to_dict("records")
    frame = pd.DataFrame(rows).reindex(columns=COLUMNS)
    return frame.astype(dict.fromkeys(("images", "groups", "folds"), "Int64"))


def predictions(
    profile: str, split: str, base: pathlib.Path | str | None = None
) -> dict[tuple[str, str], pd.DataFrame]:
    """Return the predictions of each method under one split, its folds pooled."""
    return {
        name: results.read_table(folder)
        for name, used, folder in finished(profile, base)
        if used.split == split
    }


def leaderboard(
    measured: pd.DataFrame, split: str, listed: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Rank the methods under one split.

    Args:
        measured: The frame of `measure`.
        split: Name of one.
        listed: The frame of `methods`: those that are not in the profile or were not run follow
            below, and say so. None for none.

    Returns:
        Frame of text indexed by ``rank``, best weighted F1 first (equal to three digits: the same
        rank): ``method``, ``paper``, whether its weighted F1 differs from ``the best``, a column
        per quantity with its interval (subjects right are counted: 26 of 28), and ``tested on``:
        images of how many subjects.
    """
    here = measured[measured["split"] == split]
    seconds = measured[measured["quantity"] == "seconds_per_image"]
    seconds = seconds.set_index(["paper", "method"])["value"]
    rows = []
    for key, of_method in here.groupby(["paper", "method"], sort=False):
        values = of_method.set_index("quantity")
        row = {"method": key[1], "paper": key[0], "score": values.loc["weighted_f1", "value"]}
        row["the best"] = _against_best(values.loc["weighted_f1"])
        for quantity, name in QUANTITIES.items():
            if quantity in values.index:
                row[name] = _text(quantity, values.loc[quantity])
            elif key in seconds.index:
                row[name] = f"{seconds[key]:.3f} s"
        first = values.iloc[0]
        rows.append(row | {"tested on": f"{first['images']} of {first['groups']}"})
    table = pd.DataFrame(rows, columns=None if rows else ["method", "paper", "score"])
    table["rank"] = table["score"].astype(float).round(3).rank(ascending=False, method="min")
    table = table.sort_values(["rank", "paper", "method"]).drop(columns="score")
    table["rank"] = [f"{rank:.0f}" for rank in table["rank"]]
    if listed is not None:
        ranked = pd.MultiIndex.from_frame(table[["paper", "method"]])
        others = listed[~pd.MultiIndex.from_frame(listed[["paper", "method"]]).isin(ranked)]
        why = others["in this profile"].map({True: "not run", False: "not in this profile"})
        others = others[["paper", "method"]].assign(**{QUANTITIES["weighted_f1"]: why})
        table = pd.concat([table, others], ignore_index=True)
    return table.astype(object).fillna("").set_index("rank")


def references() -> pd.DataFrame:
    """Return other people's honest results on C-NMC 2019, none of which was made here.

    Returns:
        Frame with ``who``, ``quantity`` (of `QUANTITIES`), ``value`` (0..1), ``split``, ``phase``
        (on which they tested), ``source``, and ``printed`` where the print has another form.
    """
    return pd.DataFrame(benchmark.read_file(KEY)["references"])


def time_methods(profile: str | Profile, base: pathlib.Path | str | None = None) -> pd.DataFrame:
    """Measure the seconds per image of each method of a profile, and keep them with its results.

    The whole method counts, from the decoded pixels to the class. The time does not depend on the
    values of a network's weights, which are random; but on what a classifier was fitted to, so that
    of the first fold is fitted again, with the settings that its grid search chose. It is left out
    where that fold is not finished.

    Up to 32 images go through as one batch, three times after a warm-up; the median counts. An
    ensemble takes as long as its members together.

    Returns:
        Frame with ``paper, method, seconds, images``.
    """
    numbers = load(profile)
    cells = benchmark.load_cells(numbers).head(TIMED)
    decoded = [images.read(path) for path in cells["path"]]
    seconds: dict[str, float] = {}
    rows = []
    planned = _by_name(numbers)
    for name, run in progress(planned.items(), "timing", "method"):
        if run.recipe is not None and (classify := _classifier(run, run.recipe, decoded, base)):
            classify()
            repeats = timeit.repeat(classify, number=1, repeat=REPEATS)
            seconds[name] = statistics.median(repeats) / len(decoded)
    for run in planned.values():
        taken = [seconds.get(part, np.nan) for part in run.members or [run.name]]
        if method := _name(run.keys, run.recipe):
            rows.append((*method, sum(taken), len(decoded)))
    frame = pd.DataFrame(rows, columns=["paper", "method", "seconds", "images"])
    frame = frame.dropna().reset_index(drop=True)
    with replace_when_done(_seconds_file(numbers.name, base)) as path:
        frame.to_csv(path, index=False)
    return frame


def _by_name(numbers: Profile) -> dict[str, Run]:
    """Return each run of a profile once, as it is planned under the first of its splits."""
    found: dict[str, Run] = {}
    for run in numbers.plan():
        found.setdefault(run.name, run)
    return found


def _name(keys: dict[str, Any], recipe: Recipe | None) -> tuple[str, str] | None:
    """Return paper and method of a run: the network that was used, its classifier or variant.

    None for the member of an ensemble, which is no method of its own.
    """
    if recipe is None:
        return keys["paper"], keys["model"]
    if recipe.classifier:
        scaled = "-scaled" * recipe.scaled
        return keys["paper"], f"{recipe.network} + {recipe.classifier}{scaled}"
    if keys["variant"] == "member":
        return None
    head = "" if recipe.head == "pooled" else f" + {recipe.head}"
    variant = f" ({keys['variant']})" if keys["variant"] else ""
    return keys["paper"], f"{recipe.network}{head}{variant}"


def _rows(numbers: Profile) -> list[dict[str, Any]]:
    """Return what each method of a profile is, in words."""
    rows, planned = [], _by_name(numbers)
    for run in planned.values():
        if (name := _name(run.keys, run.recipe)) is None:
            continue
        recipe = run.recipe or planned[run.members[0]].recipe
        assert recipe is not None
        if run.members:
            trained = f"mean of {', '.join(run.members)}"
        elif recipe.classifier:
            words = {"svm": "SVM, by a grid search", "rf": "random forest", "xgboost": "XGBoost"}
            trained = words[recipe.classifier] + " on standardized features" * recipe.scaled
        else:
            trained = recipe.table().loc["phases", "value"]
            trained += f", {recipe.steps} steps each" * bool(recipe.steps)
        known = {"none": "random weights", "imagenet": "ImageNet", "synthetic": "the kit's own"}
        begins = known.get(recipe.weights, pathlib.Path(recipe.weights).name)
        row = {"paper": name[0], "method": name[1], "image (px)": recipe.image_size}
        rows.append(row | {"what is trained": trained, "begins with": begins})
    return rows


def finished(
    profile: str, base: pathlib.Path | str | None, key: str = KEY
) -> Iterator[tuple[tuple[str, str], Configuration, str]]:
    """Yield paper and method, configuration and folder of each finished run that is a method."""
    for row in results.find(base, key, profile).itertuples():
        used = results.read_records(row.folder)[0].configuration
        recipe = Recipe.from_record(used.recipe, row.folder) if used.recipe else None
        if name := _name(used.keys, recipe):
            yield name, used, row.folder


def _behind(
    left_out: dict[tuple[str, str], metrics.LeftOut], split: str
) -> dict[tuple[str, str, str], dict[str, float]]:
    """Compare the methods of a split with its best: see `measure`."""
    try:
        pairs = {
            (one, other): metrics.difference(left_out[one], left_out[other])
            for one, other in itertools.combinations(left_out, 2)
        }
    except ValueError as error:
        raise results.ResultsError(f"the methods under {split!r} were tested on {error}") from error
    rows = {}
    for quantity in set(QUANTITIES) & set(metrics.NAMES):
        found = {pair: frame.loc[quantity] for pair, frame in pairs.items()}
        corrected = metrics.holm(pd.Series({pair: row["p"] for pair, row in found.items()}))
        points = pd.Series({name: one.points[quantity] for name, one in left_out.items()})
        best = points.index[points.argmax()]
        for one, other in found:
            if best in (one, other):
                row, sign = found[one, other], 1 if best == one else -1
                ends = sorted([sign * row["low"], sign * row["high"]])
                numbers = (sign * row["difference"], *ends, corrected[one, other])
                behind = dict(zip(COLUMNS[-4:], numbers, strict=True))
                rows[*(other if best == one else one), quantity] = behind
    return rows


def _against_best(row: pd.Series) -> str:
    if np.isnan(row["behind"]) or np.isnan(row["p"]):
        return "is the best" if np.isnan(row["behind"]) else "too few subjects"
    p = "p < 0.001" if row["p"] < 0.001 else f"p = {row['p']:.3f}"
    return f"{row['behind']:.3f} behind, {p}" if row["p"] < ALPHA else f"not told apart, {p}"


def _text(quantity: str, row: pd.Series) -> str:
    if np.isnan(row["value"]):  # no patients are named, so none has a vote
        return ""
    if quantity == "patient_level_accuracy":
        right = f"{round(row['value'] * row['groups'])} of {row['groups']}"
        return f"{right} ({row['low']:.2f} to {row['high']:.2f})"
    return metrics.with_interval(row["value"], row["low"], row["high"])


def _seconds_file(profile: str, base: pathlib.Path | str | None) -> pathlib.Path:
    return pathlib.Path(base or results_dir()) / KEY / pathlib.Path(profile).stem / "seconds.csv"


def _classifier(
    run: Run, recipe: Recipe, decoded: list[np.ndarray], base: pathlib.Path | str | None
) -> Callable[[], np.ndarray] | None:
    """Return a function that classifies the decoded images, or None where nothing is fitted yet.

    A classifier is fitted as in the first fold, without its grid search.
    """
    import keras

    split = runs.split_of(run)
    trained = split.folds[0].train
    training = split.cells.iloc[trained]
    preparation = images.preparation(recipe, run.seed, training)

    def pixels() -> np.ndarray:
        return np.stack([images.segment_and_resize(rgb, preparation)[0] for rgb in decoded])

    if recipe.classifier is None:
        keras.utils.clear_session()
        network = recipe.replace(weights="none").build(2, seed=run.seed)
        return lambda: network.predict_on_batch(pixels().astype(np.float32))
    folder = runs.folder(run, base) / "fold-0"
    if not (folder / "fold.json").exists():
        return None
    if chosen := results.read_record(folder).selected:
        one = {"c": [chosen["C"]], "gamma": [chosen["gamma"]], "kernels": [chosen["kernel"]]}
        recipe = recipe.replace(**one)
    vectors = folds.extract(split, recipe, [0], run.seed)[0][trained]
    labels = training["label"].to_numpy(dtype=object)
    tuning = split.tuning[0] if split.tuning else 0
    fitted = folds.fit(recipe, vectors, labels, tuning, run.seed)
    extractor = models.build_backbone(
        recipe.network, recipe.image_size, recipe.weights_source, run.seed, recipe.width
    )

    def classify() -> np.ndarray:
        inputs = features.network_input(pixels(), recipe.network, recipe.normalization)
        return fitted.predict(extractor.predict_on_batch(inputs))

    return classify
