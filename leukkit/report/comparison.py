"""Published | reproduced | kept apart: the printed numbers beside what came out here.

`score` scores a finished run; `compare` puts scores beside the printed cells, `table` makes one
printed table of that. Everything is computed from the predictions (and, for single epochs, the
training histories) in the results folder.
"""

import pathlib
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from leukkit import metrics, results
from leukkit.papers import TAKEN_FOR, Card
from leukkit.records import PARTS
from leukkit.report import facts
from leukkit.report.facts import APART, SIDES
from leukkit.splits import Split

WEIGHTS = {  # where a network begins, other than at ImageNet's weights or a file
    "none": "random weights",
    "synthetic": "the kit's own weights, trained on synthetic cells",
}
NORMALIZED = {  # how pixels enter a network, where a profile has another way than the paper
    "backbone": "pixels as its weights want them",
    "unit": "pixels divided by 255",
    "z-score": "z-scores of pixels",
}
# unit -> what a measured value is multiplied by, and the decimals it is shown with
UNITS = {
    "percent": (100.0, 1),
    "fraction": (1.0, 3),
    "value": (1.0, 3),
    "percent of row": (100.0, 1),
    "images": (1.0, 0),
    "epochs": (1.0, 0),
}
RUN = ("dataset", "backbone", "classifier", "segmentation", "augmentation", "model", "variant")
NUMBER = ("part", "label", "epoch", "quantity")  # what tells the numbers of one run apart
CELL = (*RUN, *NUMBER)
ENDS = ("value", "low", "high")
VALUES = (*ENDS, "mean", "sd", *(f"originals {end}" for end in ENDS))
COLUMNS = (
    *(*RUN, "split", *NUMBER, *VALUES, "folds", "images", "groups", "groups_are"),
    *("side", "keeps_apart", "weights", "folder"),
)
OF_AN_EPOCH = {  # column of a training history -> part, quantity
    "accuracy": ("training", "accuracy"),
    "loss": ("training", "loss"),
    "validation_accuracy": ("validation", "accuracy"),
    "validation_loss": ("validation", "loss"),
}


def score(folder: pathlib.Path | str, **keys: Any) -> pd.DataFrame:
    """Score one finished run, from its predictions alone.

    Args:
        folder: Of the run.
        keys: What the printed tables call it, of a run that no profile plans; e.g.
            ``dataset="cnmc-2019", model="vgg19"``.

    Returns:
        Frame, one row per number:

        * the keys of the run (of `RUN`) and its ``split``. An ensemble weighted by validation has
          the variant ``ensemble-weighted``.
        * ``part``: ``training``, ``validation`` or ``test``; ``epoch``: NA for the model that was
          kept; ``label, quantity, value, low, high, mean, sd, images, groups, groups_are`` as in
          `metrics.measure`, training parts without intervals; of each class the share that is
          ``taken for <class>``; and ``epochs`` (trained, at most).
          ``originals value, originals low, originals high``: without the distorted copies among
          the images, NA where there are none.
        * ``folds``; ``side, keeps_apart``: see `facts`; ``weights``: what the network began with;
          ``folder``.

    Raises:
        ValueError: The predictions cannot be scored (`results.read_table`, `metrics.measure`).
    """
    records = results.read_records(folder)
    kept = {name for record in records for name in record.tables}
    about = {
        **(records[0].configuration.keys or keys),
        "split": records[0].configuration.split,
        "folds": len(records),
        "weights": " / ".join(sorted({record.weights_used for record in records})),
        "folder": str(folder),
    }
    frames = []
    for name, part_of_fold in PARTS.items():
        part = part_of_fold.replace("train", "training")
        if name == "predictions" or f"{name}.csv" in kept:
            scored = _measure(results.read_table(folder, name), is_training=part == "training")
            frames.append(scored.assign(**about, part=part))
            if name == "weighted_predictions":
                frames[-1]["variant"] = f"{about.get('variant', '')}-weighted"
    if "history.csv" in kept:
        frames.append(_epochs(results.read_table(folder, "history"), folder).assign(**about))
    groups_are = frames[0]["groups_are"].iloc[0]  # of the test
    scored = pd.concat(frames, ignore_index=True).reindex(columns=COLUMNS)
    scored["keeps_apart"] = facts.keeps_apart(records, groups_are)
    scored["side"] = facts.name_side(records, groups_are)
    return scored.astype({"epoch": "Int64"})


def _measure(predictions: pd.DataFrame, is_training: bool) -> pd.DataFrame:
    """Score predictions, and once more those of the originals where some are of copies."""
    scored = metrics.measure(predictions, intervals=not is_training)
    scored = pd.concat([scored, _taken_for(predictions)])
    is_original = ~predictions["image_id"].str.contains("#")
    if is_training or is_original.all() or not is_original.any():
        return scored
    same = ["label", "quantity"]
    originals = metrics.measure(predictions[is_original])[[*same, *ENDS]]
    originals = originals.rename(columns={end: f"originals {end}" for end in ENDS})
    return scored.merge(originals, on=same, how="left", validate="one_to_one")


def _taken_for(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the share of each class that is taken for each class: rows of a confusion matrix."""
    counts = metrics.confusion(predictions)
    shares = counts.div(counts.sum(axis=1), axis=0).melt(ignore_index=False).reset_index()
    over, groups_are = metrics.groups(predictions)
    of_class = over.groupby(predictions["label"]).agg(["size", "nunique"])
    of_class = of_class.reindex(shares["actual"]).reset_index(drop=True)
    return shares.assign(
        label=shares["actual"],
        quantity=TAKEN_FOR + shares["predicted"],
        images=of_class["size"],
        groups=of_class["nunique"],
        groups_are=groups_are,
    )


def concat(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Put frames of `score` below each other; none give an empty one."""
    return pd.concat(list(frames) or [pd.DataFrame(columns=COLUMNS)], ignore_index=True)


def compare(card: Card, measured: pd.DataFrame) -> pd.DataFrame:
    """Put measured values beside every printed result that names a run (`Card.results`).

    The part that a paper calls validation is our test part where its protocol has no other
    (mishra); a cell without a part is of the test part (samhitha, Table IV).

    Args:
        card: Of the paper.
        measured: Frames of `score`, with more columns or without.

    Returns:
        Frame with ``paper, table, row, column``, the keys of the cell, ``unit, printed, value``,
        and for each side (``reproduced``, ``kept apart``, and ``70/15/15 split`` where that was
        run) the pooled value (``<side>``) and all other `VALUES` (``<side> low``, …), in the unit
        of the print, what the run is called (``<side> name``) and all else that ``measured`` says
        of it; NA where nothing was measured; and ``weights``, what the networks began with. A run
        whose variant says more than the cell's, e.g. ``backbone-normalization``, has a side of its
        own, ``reproduced, <what it says>``.
    """
    printed = _printed(card)
    here = printed.assign(part=_part_here(card, printed))
    made = {"published", "leak-free", *measured["split"]}
    compared = printed.copy()
    scale = printed["unit"].map({unit: by for unit, (by, _) in UNITS.items()}).to_numpy(float)
    names = (*card.run_keys, *NUMBER)
    keys = _texts(here, names)
    sides = [(split, side, keys) for split, side in SIDES.items() if split in made]
    for more in _variants(here, measured):
        varied = [f"{variant}_{more}".removeprefix("_") for variant in here["variant"]]
        varied_keys = _texts(here.assign(variant=varied), names)
        sides.insert(1, ("published", f"reproduced, {more}", varied_keys))
    for split, side, wanted in sides:
        found = measured[measured["split"] == split].reset_index(drop=True)
        known = _texts(found, names)
        if known.has_duplicates:
            raise ValueError(f"measured twice: {known[known.duplicated()][0]}, under {split}")
        position = known.get_indexer(wanted)
        beside = found.reindex(position)  # -1 is not there: NA
        for name in VALUES:
            values = beside[name].to_numpy(float, na_value=np.nan) * scale
            compared[f"{side} {name}".removesuffix(" value")] = values
        for name in beside.columns.difference([*CELL, *VALUES, "split", "side"]):
            compared[f"{side} {name}"] = beside[name].convert_dtypes().array
        compared[f"{side} name"] = beside["side"].astype("string").replace("reproduced", side).array
    return compared.assign(weights=_weights(printed, measured, card.run_keys))


def table(comparison: pd.DataFrame, name: str, **where: Any) -> pd.DataFrame:
    """Format one printed table for reading: published, reproduced, kept apart, with intervals.

    Args:
        comparison: The frame of `compare`.
        name: The table, e.g. ``"Table 2"``.
        where: Further conditions, e.g. ``model="vgg19"``.

    Returns:
        Frame of text in the unit of the table, indexed by the keys that tell its rows apart: the
        printed number and the pooled ones with their intervals, reproduced and kept apart; then,
        where there are such, the mean over folds and its standard deviation, the same without
        distorted copies, the other sides, and the weights at the start (`substitutions` names
        them). Sides are called as `heading` says.
    """
    rows = comparison[comparison["table"] == name]
    for key, value in where.items():
        rows = rows[rows[key] == value]
    for key, lacking in {"label": "all", "part": "", "epoch": ""}.items():
        rows = rows.assign(**{key: rows[key].astype("string").fillna(lacking)})
    index = [key for key in CELL if len(rows[key].unique()) > 1] or ["quantity"]
    text, further = rows[["printed"]].rename(columns={"printed": "published"}), rows[[]].copy()
    for side in _sides(rows):
        if side.startswith("reproduced, ") and rows[f"{side} name"].isna().all():
            continue  # a variant of other runs
        records = rows.to_dict("records")
        head, own = heading(side, rows)
        kept = text if side in (SIDES["published"], SIDES["leak-free"]) else further
        kept[head] = [measured_text(row, side) for row in records] + own
        if side == "reproduced" and rows[f"{side} mean"].notna().any():
            further[f"{head}, mean of folds"] = [mean_of_folds(row, side) for row in records]
        if side in SIDES.values() and rows[f"{side} originals"].notna().any():
            originals = [measured_text(row, side, " originals") for row in records]
            further[f"{head}, originals scored"] = originals
    text = pd.concat([text, further], axis=1)
    if len({*rows["weights"]} - {""}) > 1:
        text["weights"] = rows["weights"]
    return text.set_axis(
        pd.MultiIndex.from_frame(rows[index]) if len(index) > 1 else pd.Index(rows[index[0]])
    )


def heading(side: str, rows: pd.DataFrame) -> tuple[str, pd.Series]:
    """Return what a side is called over some rows of `compare`, and what each row has to add.

    That is the name of its runs (*leak-free*, *by block*, …) and nothing to add, if all have one;
    else the side's own (*kept apart*), and for each row that was run its name, as ``, by block``.
    """
    names = rows[f"{side} name"].astype("string")
    known = names.dropna().unique()
    if len(known) == 1:
        return known[0], pd.Series("", rows.index)
    return side, (", " + names).fillna("")


def variants(comparison: pd.DataFrame) -> list[str]:
    """Say for each row of `compare` what its variants give: ``backbone-normalization 96.2; …``."""
    sides = [side for side in _sides(comparison) if side.startswith("reproduced, ")]
    more = {side: side.partition(", ")[2] for side in sides}
    return [
        "; ".join(
            f"{more[it]} {measured_text(row, it)}" for it in more if pd.notna(row[f"{it} name"])
        )
        for row in comparison.to_dict("records")
    ]


def _sides(comparison: pd.DataFrame) -> list[str]:
    return [name.removesuffix(" name") for name in comparison if name.endswith(" name")]


def score_table(
    measured: pd.DataFrame,
    quantities: Iterable[str] = ("accuracy", "weighted_f1", "auc"),
) -> pd.DataFrame:
    """Put the scores of all runs under all splits below each other, printed or not.

    ``measured`` are frames of `score`, the scores those of the test.

    Returns:
        Frame of text indexed by the run and its split, called as ``side`` in `score`: each score
        (0..1) with its interval.
    """
    rows = measured[(measured["part"] == "test") & measured["quantity"].isin(list(quantities))]
    rows = rows[rows["label"].isna() & rows["epoch"].isna()]
    keys = [key for key in RUN if rows[key].notna().any()]
    splits = sorted(rows["side"].unique(), key=lambda name: (name in APART.values(), name))
    texts = rows.assign(text=facts.texts(rows), split=pd.Categorical(rows["side"], splits))
    wide = texts.pivot(index=[*keys, "split"], columns="quantity", values="text").sort_index()
    return wide[list(quantities)].rename_axis(columns=None)


def substitutions(card: Card, profile: str) -> pd.DataFrame:
    """Return what a profile uses for the paper's data sets and networks, as text."""
    numbers = card.profile(profile)
    stated = {run.name: run.recipe.normalization for run in card.plan("paper") if run.recipe}
    rows = dict(numbers.datasets)
    for run in card.plan(profile):
        if run.recipe is None:
            rows[run.name] = f"mean of {', '.join(run.members)}"
            continue
        recipe, share = run.recipe, Fraction(run.recipe.width).limit_denominator(100)
        epochs = f"{recipe.epochs} epoch{'s' * (recipe.epochs > 1)}" * bool(recipe.phases)
        words = [
            recipe.network,
            f"{share} of the channels of each layer" * (recipe.width != 1),
            f"{recipe.image_size} px",
            WEIGHTS.get(recipe.weights, f"{recipe.weights} weights"),
            epochs + f" of {recipe.steps} step{'s' * (recipe.steps > 1)}" * bool(recipe.steps),
            NORMALIZED[recipe.normalization] * (recipe.normalization != stated.get(run.name)),
        ]
        seen = [run.keys[key] for key in ("backbone", "variant") if run.keys.get(key)]
        name = run.name if recipe.phases else ", ".join(seen)
        rows[name] = ", ".join(filter(None, words))
    return pd.DataFrame({"used here": rows}).rename_axis("in the paper")


def compare_images(card: Card, divided: Mapping[str, Split]) -> pd.DataFrame:
    """Put the images per part and class of splits, by their name, beside the printed ones.

    Returns:
        Frame of text indexed by table, part and class: the printed count, and the counts of each
        split (smallest to largest of the folds). Where the paper counts originals, so does this.
    """
    printed = card.cells().reindex(columns=["table", *CELL, "printed"])
    printed = printed[(printed["quantity"] == "images") & printed["model"].isna()]
    printed = printed[printed["part"].notna()]
    rows = {"table": printed["table"], "part": printed["part"]}
    rows |= {"label": printed["label"].astype("string").fillna("all")}
    text = pd.DataFrame({**rows, "published": printed["printed"]})
    wanted = printed.assign(part=_part_here(card, printed)).to_dict("records")
    for name, split in divided.items():
        text[SIDES.get(name, name)] = [_count(split, cell) for cell in wanted]
    return text.set_index(list(rows))


def _count(split: Split, cell: Mapping[str, Any]) -> str:
    """Return the images of one part and class, as text."""
    cells = split.cells
    counted = np.ones(len(cells), dtype=bool)
    if pd.notna(cell["label"]):
        counted &= (cells["label"] == cell["label"]).to_numpy(bool)
    if "copy" in cells and pd.notna(cell["augmentation"]) and not cell["augmentation"]:
        counted &= (cells["copy"] == 0).to_numpy(bool)
    counts = []
    for fold in split.folds:
        parts = {"training": fold.train, "validation": fold.validation, "test": fold.test}
        parts["total"] = np.unique(np.concatenate(fold))
        counts.append(int(counted[parts[cell["part"]]].sum()))
    return " to ".join(map(str, sorted({min(counts), max(counts)})))


def prints(cells: pd.DataFrame, quantities: Iterable[str]) -> pd.Series:
    """Tell which results print one of some quantities, or a count of a confusion matrix."""
    return cells["quantity"].isin(list(quantities)) | cells["quantity"].str.startswith(TAKEN_FOR)


def _printed(card: Card) -> pd.DataFrame:
    """Return the results that name a run and print what `score` computes."""
    place = ["paper", "table", "row", "column"]
    cells = card.results.reindex(columns=[*place, *CELL, "unit", "printed", "value"])
    needed = [key for key in card.run_keys if key != "variant"]
    computed = (*metrics.NAMES, "recall", "support", "loss", "epochs")
    cells = cells[cells[needed].notna().all(axis=1) & prints(cells, computed)]
    cells = cells.reset_index(drop=True)
    if "variant" in card.run_keys:
        cells["variant"] = cells["variant"].astype("string").fillna("")
    return cells


def _variants(printed: pd.DataFrame, measured: pd.DataFrame) -> list[str]:
    """Return what variants of published runs say beyond those of printed cells."""
    if "variant" not in printed:
        return []
    plain = set(printed["variant"])
    names = set(measured.loc[measured["split"] == "published", "variant"].dropna()) - plain
    starts = [f"{name}_" if name else "" for name in plain]
    return sorted({one.removeprefix(at) for one in names for at in starts if one.startswith(at)})


def _part_here(card: Card, cells: pd.DataFrame) -> pd.Series:
    """Return the part of our runs that each printed cell is compared with."""
    part = cells["part"].astype("string")
    part = part.where(part.notna() | (cells["quantity"] == "epochs"), "test")
    if card.split("published", "paper").get("validation") == "test":
        part = part.replace("validation", "test")
    return part


def _weights(printed: pd.DataFrame, measured: pd.DataFrame, keys: Iterable[str]) -> list[str]:
    """Return for each printed cell what its runs began with."""
    if measured.empty:
        return [""] * len(printed)
    used = measured.assign(run=_texts(measured, keys)).groupby("run")["weights"]
    texts = used.agg(lambda several: " / ".join(several.dropna().unique()))
    return texts.reindex(_texts(printed, keys)).fillna("").tolist()


def _epochs(history: pd.DataFrame, folder: pathlib.Path | str) -> pd.DataFrame:
    """Return a row per epoch, part and quantity: the mean over the folds that came so far."""
    if lacking := {"epoch", *OF_AN_EPOCH} - set(history):
        raise ValueError(f"{folder}: history.csv lacks {', '.join(sorted(lacking))}")
    means = history.groupby("epoch", as_index=False)[list(OF_AN_EPOCH)].mean()
    frames = [
        means[["epoch"]].assign(part=part, quantity=quantity, value=means[column])
        for column, (part, quantity) in OF_AN_EPOCH.items()
    ]
    frames.append(pd.DataFrame({"quantity": "epochs", "value": [float(history["epoch"].max())]}))
    return pd.concat(frames).astype({"epoch": "Int64", "part": "string"})


def mean_of_folds(row: Mapping[str, Any], side: str) -> str:
    """Return mean and standard deviation over folds of a row of `compare`, as text."""
    if pd.isna(row[f"{side} mean"]):
        return "not run" if pd.isna(row[f"{side} name"]) else "undefined"
    decimals = UNITS[row["unit"]][1]
    return f"{row[f'{side} mean']:.{decimals}f} ± {row[f'{side} sd']:.{decimals}f}"


def measured_text(row: Mapping[str, Any], side: str, of: str = "") -> str:
    """Return a value of a row of `compare` with its interval; those of `` originals``."""
    if pd.isna(row[f"{side} name"]):
        return "not run"
    if of and pd.isna(row[f"{side}{of}"]):
        return "no copies"
    number, low, high = (row[f"{side}{of}{end}"] for end in ("", " low", " high"))
    return metrics.with_interval(number, low, high, UNITS[row["unit"]][1])


def _texts(frame: pd.DataFrame, keys: Iterable[str]) -> pd.Index:
    """Return the keys of each row as one text: two frames may keep them in different types."""
    texts = frame[list(keys)].astype("string").fillna("")
    return pd.Index(["|".join(row) for row in texts.itertuples(index=False)], dtype=object)
