"""What is trained on what: folds, copies, and what they leak.

`divide` reads a split from a table, the one way in which papers, leak-free protocols and the steps
of the gap are stated. A fold holds positions in a frame of cells. What follows — features,
networks, scores — is the same code for every split.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from leukkit import augmentation
from leukkit.schemas import SchemaError, SplitTable, check

LEAKS = {  # what `leakage` looks for, in words
    "patient": "patient",
    "subject": "subject",
    "source_image": "source image",
    "bytes": "file",
    "original": "own copy",
}
PHASES = ("training", "preliminary")  # of a data set that was published as a challenge


class NoPhaseError(ValueError):
    """The images have no preliminary phase to test on."""


class Fold(NamedTuple):
    """Positions (for ``cells.iloc``) of one fold: sorted int64 arrays without a common element."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclasses.dataclass(frozen=True)
class Split:
    """Images and their division into training, validation and test.

    Attributes:
        cells: The frame that the folds point into: originals in their order, then copies.
        folds: List of `Fold`.
        tuning: For each fold, the division for choosing hyperparameters within its training part:
            a number of plain stratified folds, or (train, test) positions within ``fold.train``.
            Empty where nothing is chosen so.
        table: The `SplitTable` that was asked for.
        seed: That the split was made with.
    """

    cells: pd.DataFrame
    folds: list[Fold]
    tuning: list[int] | list[list[tuple[np.ndarray, np.ndarray]]]
    table: SplitTable
    seed: int


def divide(cells: pd.DataFrame, table: Mapping[str, Any], seed: int = 0) -> Split:
    """Divide images as a table says, e.g. ``{"split": "subject", "folds": 5, "validation": 0.15}``.

    Images of a challenge's other phases are left out: only ``"official"`` uses the preliminary one.

    Args:
        cells: The `cells` frame, originals only.
        table: A dict with these keys, all but ``split`` optional where they do not apply:

            * ``split``: ``"holdout"`` (once), ``"stratified"`` (folds of single images),
              ``"subject"`` (folds of whole subjects), ``"counts"`` (once, exactly ``test_counts``
              images of each class for the test, single images) or ``"official"`` (once: train on
              the training phase, test on the preliminary phase; subjects in both are tested only,
              and validation is whole subjects, a share of the training phase).
            * ``test``: share of all images for the test (holdout).
            * ``validation``: share of all images for validation; or ``"test"``: the test part is
              watched during training, too, as some papers do.
            * ``folds``: number of folds. ``by``, ``missing``, ``embargo``: as in `subject_kfold`; a
              holdout takes the first two as well.
            * ``augment``: ``"before"`` copies images of the whole set and then splits, so that
              copies of one original fall on both sides. ``"after"`` copies training images only.
            * ``copies``: ``{counts = {...}}`` images per class after augmentation of the whole set
              (a training part gets its share of them, but keeps all its originals),
              ``{balance = true}`` as many as the largest class has, or ``{each = 10}`` ten copies
              of each original.
            * ``tuning``: number of folds within a training part, for a grid search; 0 for none:
              networks choose on ``fold.validation``. They follow the rule of the split, groups
              whole, copies on the fitting side only; with ``tuned_by_image = true`` they are plain
              stratified folds of all training images, copies included.
        seed: Of the split and the copies.

    Raises:
        SchemaError: An unknown key or value, or a missing key.
        ValueError: These images do not allow the split.
        NoPhaseError: ``"official"``, and there is no preliminary phase.
    """
    wanted = check(SplitTable, dict(table), "split table")
    if wanted.copies and "data_set" in wanted.copies:
        raise SchemaError(
            f"the split {wanted.name} copies images as its data set says, which a run names: take "
            "its table from card.split(name, profile, run), or give copies = {counts = …}"
        )
    cells = _of_phases(cells, PHASES if wanted.split == "official" else PHASES[:1])
    if wanted.augment == "before":
        cells = augmentation.expand(cells, _targets(wanted.copies, cells), seed)
    originals, outer = cells, _folds(cells, wanted, seed)
    folds = outer
    if wanted.augment == "after":
        # How many images a set has with its copies is said of what a paper trains and tests on;
        # the preliminary phase is no part of that.
        whole = int((_column(cells, "split").fillna("training") == "training").sum())
        cells, folds = _copy_training(cells, folds, wanted.copies, seed, whole)
    if wanted.validation == "test":
        folds = [fold._replace(validation=fold.test) for fold in folds]
    tuning: list = []
    if wanted.tuning and wanted.tuned_by_image:
        tuning = [wanted.tuning] * len(folds)
    elif wanted.tuning:
        tuning = [
            _tuning_folds(originals, before, cells, after, wanted, seed)
            for before, after in zip(outer, folds, strict=True)
        ]
    return Split(cells, folds, tuning, wanted, seed)


def leakage(split: Split) -> pd.DataFrame:
    """Measure what the test images of each fold share with its training images.

    Returns:
        A frame with one row per fold: ``fold``, ``test_images`` and the shares (0 to 1) of test
        images whose ``patient``, ``subject``, ``source_image``, file (``bytes``, by SHA-256) or
        ``original`` (the image itself or a copy of it) is also in training. Images where the value
        is missing do not count; a share is NA where no test image has the value. Copies do not
        count for ``bytes``: they carry the hash of a file that they are no longer.
    """
    cells = split.cells
    keys = {name: _column(cells, "sha256" if name == "bytes" else name) for name in LEAKS}
    if "copy" in cells:
        keys["bytes"] = keys["bytes"].where(cells["copy"] == 0)
    rows = []
    for number, fold in enumerate(split.folds):
        row: dict[str, Any] = {"fold": number, "test_images": len(fold.test)}
        for name, key in keys.items():
            known = key.iloc[fold.test].dropna()
            row[name] = known.isin(key.iloc[fold.train].dropna()).mean() if len(known) else pd.NA
        rows.append(row)
    frame = pd.DataFrame(rows, columns=["fold", "test_images", *LEAKS])
    return frame.astype(dict.fromkeys(LEAKS, "Float64"))


def leakage_shares(splits: Mapping[str, Split]) -> pd.DataFrame:
    """Sum up `leakage` over the folds of several splits.

    Args:
        splits: Name -> `Split`.

    Returns:
        Frame, one row per split: ``test images``, and the shares (0..1) of `leakage` over all test
        images of all folds; NA where the data set does not know.
    """
    rows = {}
    for name, split in splits.items():
        table = leakage(split)
        rows[name] = {"test images": int(table["test_images"].sum()), **pool_leakage(table)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("split")


def pool_leakage(table: pd.DataFrame) -> pd.Series:
    """Return the shares of `leakage` over the test images of all folds; NA where one is unknown."""
    images = table["test_images"]
    return table[list(LEAKS)].mul(images, axis=0).sum(skipna=False) / images.sum()


def holdout(
    cells: pd.DataFrame,
    test: float = 0.2,
    validation: float = 0.0,
    seed: int = 0,
    by: str | None = None,
    missing: str = "error",
) -> list[Fold]:
    """Split once, stratified by label: 80/20, 70/15/15 or any other shares.

    Args:
        cells: The `cells` frame.
        test: Share of all images for the test, between 0 and 1.
        validation: Share of all images for validation, from 0; the rest is for training.
        seed: Of the split.
        by: None takes single images, as the papers do. ``"subject"``, ``"patient"``,
            ``"source_image"`` or another column keeps the images of one value together.
        missing: As in `subject_kfold`.

    Returns:
        A list of one `Fold`.

    Raises:
        ValueError: Images without label, one class only, shares that leave no training images,
            too few images or groups of a class, or values missing in the column ``by``.
    """
    if not 0 < test < 1 or validation < 0 or test + validation >= 1:
        raise ValueError(
            f"test={test} and validation={validation}: test must lie between 0 and 1, validation "
            "must not be negative, and both together must leave a share for training"
        )
    images = _Images.of(cells, by, missing)
    generator = np.random.default_rng(seed)
    everything = np.arange(len(cells))
    tested = images.take_share(everything, test, generator)
    return [images.fold(np.setdiff1d(everything, tested), tested, validation, generator)]


def stratified_kfold(
    cells: pd.DataFrame, folds: int = 7, validation: float = 0.0, seed: int = 0
) -> list[Fold]:
    """Split single images into folds with the same share of each class.

    Patients, source images and copies end up on both sides: see `leakage`.

    Args:
        cells: The `cells` frame.
        folds: Number of folds; every image is tested in exactly one.
        validation: Share of all images for validation, taken from the training side.
        seed: Of the split.

    Raises:
        ValueError: Images without label, one class only, or fewer images of a class than folds.
    """
    from sklearn.model_selection import StratifiedKFold

    images = _Images.of(cells, None, "error")
    images.check_folds(folds, validation)
    generator = np.random.default_rng(seed)
    order = np.argsort(images.groups)
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return [
        images.fold(order[train], order[test], validation, generator)
        for train, test in splitter.split(order, images.labels[order])
    ]


def subject_kfold(
    cells: pd.DataFrame,
    folds: int = 5,
    validation: float = 0.0,
    seed: int = 0,
    by: str = "subject",
    missing: str = "error",
    embargo: int = 0,
) -> list[Fold]:
    """Split whole subjects into folds, with nearly the same share of each class.

    Large subjects are placed first; the seed decides between those with equally many images. So two
    seeds can give the same folds where all subjects differ in size.

    Args:
        cells: The `cells` frame.
        folds: Number of folds; every image is tested in exactly one.
        validation: Share of all images for validation: whole subjects of the training side.
        seed: Of the split.
        by: The column whose values stay together. ``"patient"`` leaks where the same file lies
            under two patient ids; ``"subject"`` does not.
        missing: ``"error"`` refuses images without a value in ``by``. ``"image"`` keeps each of
            them on its own, except that identical files and copies stay together.
        embargo: Leaves out of training and validation the images of the same ``sequence`` whose
            ``number`` differs by at most this much from that of a test image: neighbors on a
            smear look alike.

    Returns:
        A list of `Fold`. With an embargo a fold does not hold every image.

    Raises:
        ValueError: Images without label or subject, one class only, fewer subjects of a class
            than folds, or an embargo without the columns ``sequence`` and ``number``.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    images = _Images.of(cells, by, missing)
    images.check_folds(folds, validation)
    generator = np.random.default_rng(seed)
    # Not the splitter's own shuffle: before scikit-learn 1.8 it undoes the stratification.
    shuffled = generator.permutation(images.groups.max() + 1)[images.groups]
    result = []
    for train, test in StratifiedGroupKFold(folds).split(shuffled, images.labels, shuffled):
        if embargo:
            train = train[~_within_embargo(cells, train, test, embargo)]
        result.append(images.fold(train, test, validation, generator))
    return result


# ------------------------------------------------------------------------- a table, step by step


def _of_phases(cells: pd.DataFrame, phases: tuple[str, ...]) -> pd.DataFrame:
    """Return the images of some phases; those of a set without phases count as training."""
    return _part(cells, np.flatnonzero(_column(cells, "split").fillna("training").isin(phases)))


def _folds(cells: pd.DataFrame, table: SplitTable, seed: int) -> list[Fold]:
    validation = 0.0 if table.validation == "test" else float(table.validation)
    if table.split == "holdout":
        return holdout(cells, table.test or 0, validation, seed, table.by, table.missing)
    if table.split == "stratified":
        return stratified_kfold(cells, table.folds or 0, validation, seed)
    if table.split == "subject":
        by, missing, embargo = table.by or "subject", table.missing, table.embargo
        return subject_kfold(cells, table.folds or 0, validation, seed, by, missing, embargo)
    if table.split == "official":
        return [_by_phase(cells, validation, seed)]
    if validation:
        raise ValueError(f"validation={validation}: split = 'counts' has no such part, only 'test'")
    return [_exact_counts(cells, table.test_counts or {}, seed)]


def _by_phase(cells: pd.DataFrame, validation: float, seed: int) -> Fold:
    """Train on the training phase, test on the preliminary one, as the challenge did.

    A subject who is in both phases, which an identical file gives away, is tested and not trained
    on. Validation images are whole subjects, a share of what is left of the training phase.
    """
    phase = cells["split"].astype(object).where(cells["split"].notna(), "training").to_numpy()
    if "preliminary" not in phase:
        raise NoPhaseError(
            f"{_name(cells)}: none of the {len(cells)} images is of the preliminary phase (column "
            "split), so nothing can be tested on it. C-NMC 2019 has it in "
            "C-NMC_test_prelim_phase_data: get that part (leukkit data fetch cnmc-2019), or use "
            'split = "subject"'
        )
    test = np.flatnonzero(phase == "preliminary")
    train = np.flatnonzero(phase == "training")
    for column in ("subject", "sha256"):
        tested = cells[column].iloc[test].dropna()
        train = train[~cells[column].iloc[train].isin(tested).to_numpy()]
    if not validation:
        return Fold(train, np.array([], dtype=np.int64), test)
    inner = holdout(_part(cells, train), test=validation, seed=seed, by="subject")[0]
    return Fold(train[inner.train], train[inner.test], test)


def _exact_counts(cells: pd.DataFrame, counts: Mapping[str, int], seed: int) -> Fold:
    """Take exactly ``counts`` images of each class for the test; the rest is for training."""
    labels = cells["label"].to_numpy(dtype=object)
    if set(labels) != set(counts):
        raise ValueError(
            f"test_counts names the classes {sorted(counts)}, the images have "
            f"{sorted(set(map(str, labels)))}"
        )
    generator = np.random.default_rng(seed)
    order = np.argsort(cells["image_id"].to_numpy(dtype=object))  # not the order of the rows
    tested = []
    for label in sorted(counts):
        members = order[labels[order] == label]
        if not 0 < counts[label] < len(members):
            raise ValueError(
                f"test_counts asks for {counts[label]} images of class {label}, which has "
                f"{len(members)}; at least one must be tested and one left for training"
            )
        tested.append(generator.choice(members, counts[label], replace=False))
    test = np.sort(np.concatenate(tested))
    train = np.setdiff1d(np.arange(len(cells)), test)
    return Fold(train, np.array([], dtype=np.int64), test)


def _copy_training(
    cells: pd.DataFrame, folds: list[Fold], copies: Any, seed: int, whole: int
) -> tuple[pd.DataFrame, list[Fold]]:
    """Add copies of training images; validation and test hold originals.

    Returns:
        The frame of all originals, in their order, and all copies of any fold; and the folds,
        whose training parts hold their copies too.
    """
    parts = []
    for fold in folds:
        part = _part(cells, fold.train)
        parts.append(augmentation.expand(part, _targets(copies, part, whole), seed))
    everything = augmentation.expand(cells, _targets({"each": 0}, cells), seed)
    added = pd.concat([part[part["copy"] > 0] for part in parts])
    added = added.drop_duplicates("image_id").sort_values(["original", "copy"])
    everything = pd.concat([everything, added], ignore_index=True)
    everything.attrs = cells.attrs
    position = pd.Series(everything.index, index=everything["image_id"])
    with_copies = [
        fold._replace(train=np.sort(position[part["image_id"]].to_numpy()))
        for fold, part in zip(folds, parts, strict=True)
    ]
    return everything, with_copies


def _targets(copies: Any, cells: pd.DataFrame, whole: int | None = None) -> dict[str, int]:
    """Return the images per class that ``cells`` have after augmentation.

    Counts are of the whole set; of a part of ``whole`` images, its share, and all its originals.
    """
    present = {str(label): int(count) for label, count in cells["label"].value_counts().items()}
    if "counts" in copies and whole is None:
        return dict(copies["counts"])
    if "counts" in copies:
        return {
            label: max(present.get(label, 0), round(count * len(cells) / whole))
            for label, count in copies["counts"].items()
        }
    if "each" in copies:
        return {label: (1 + copies["each"]) * count for label, count in present.items()}
    return dict.fromkeys(present, max(present.values()))


def _tuning_folds(
    originals: pd.DataFrame,
    before: Fold,
    cells: pd.DataFrame,
    after: Fold,
    table: SplitTable,
    seed: int,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide a training part for choosing hyperparameters, by the rule that made the fold.

    Args:
        originals: The frame without copies, into which ``before`` points.
        before: The fold without copies.
        cells: The frame with copies, into which ``after`` points.
        after: The fold with copies.
        table: The split's table.
        seed: Of the folds.

    Returns:
        ``(train, test)`` positions within ``after.train``; copies on the fitting side only.
    """
    part = _part(originals, before.train)
    if table.by is None and table.split in ("stratified", "holdout", "counts"):
        inner = stratified_kfold(part, table.tuning, seed=seed)
    else:
        by = table.by or "subject"
        inner = subject_kfold(part, table.tuning, seed=seed, by=by, missing=table.missing)
    if "copy" not in cells:
        return [(fold.train, fold.test) for fold in inner]
    training, ids = cells.iloc[after.train], part["image_id"]
    is_original = (training["copy"] == 0).to_numpy()
    return [
        (
            np.flatnonzero(training["original"].isin(ids.iloc[fold.train]).to_numpy()),
            np.flatnonzero(training["original"].isin(ids.iloc[fold.test]).to_numpy() & is_original),
        )
        for fold in inner
    ]


# ----------------------------------------------------------------------- labels and groups as codes


class _Images(NamedTuple):
    """What a split needs to know: a label code and a group code per image."""

    labels: np.ndarray
    classes: list[str]
    groups: np.ndarray
    by: str | None

    @classmethod
    def of(cls, cells: pd.DataFrame, by: str | None, missing: str) -> "_Images":
        """Return the label and the group of each image; checks that a split is possible."""
        if len(cells) == 0:
            raise ValueError(f"{_name(cells)}: no images to split")
        unlabeled = int(cells["label"].isna().sum())
        if unlabeled:
            raise ValueError(
                f"{_name(cells)}: {unlabeled} of {len(cells)} images have no label and cannot be "
                "split. Leave them out first: cells[cells['label'].notna()]"
            )
        codes, classes = pd.factorize(cells["label"], sort=True)
        if len(classes) < 2:
            raise ValueError(
                f"{_name(cells)}: all {len(cells)} images are of the class {classes[0]!r}; a split "
                "needs at least two classes. Was only a part of the data set loaded?"
            )
        return cls(codes, list(classes), _group_codes(cells, by, missing), by)

    def check_folds(self, folds: int, validation: float) -> None:
        """Check the number of folds and the validation share against what there is to split."""
        if folds < 2:
            raise ValueError(
                f"folds={folds}: at least 2 are needed; for a single split use holdout"
            )
        if not 0 <= validation < 1 - 1 / folds:
            raise ValueError(
                f"validation={validation}: with {folds} folds it must be at least 0 and less than "
                f"{1 - 1 / folds:.3g}, which is the share of the images that is not tested"
            )
        self.check_enough(np.arange(len(self.labels)), folds, f"{folds} folds need")

    def check_enough(self, pool: np.ndarray, needed: int, purpose: str) -> None:
        """Every part of a split needs a group of every class."""
        kind = "images" if self.by is None else f"different values of {self.by!r}"
        for code, name in enumerate(self.classes):
            found = len(np.unique(self.groups[pool][self.labels[pool] == code]))
            if found < needed:
                raise ValueError(
                    f"class {name!r}: {purpose} at least {needed} {kind}, found {found}. "
                    "Ask for fewer folds or no validation part, or load more data"
                )

    def take_share(
        self, pool: np.ndarray, share: float, generator: np.random.Generator
    ) -> np.ndarray:
        """Take whole groups from ``pool`` until they hold ``share`` of all images of each class.

        The groups come in random order, and each that still fits is taken. Then for each class one
        more is taken if that comes closer, or if the class has none so far. A group of each class
        is always left behind.
        """
        self.check_enough(pool, 2, "taking a part needs")
        held = np.zeros((self.groups.max() + 1, len(self.classes)))
        np.add.at(held, (self.groups[pool], self.labels[pool]), 1)
        held /= np.bincount(self.labels)
        left = (held > 0).sum(axis=0)
        gap = np.full(len(self.classes), share + 1e-9)  # rounding must not cost an image
        taken = np.zeros(len(held), dtype=bool)

        def take(group: int) -> None:
            taken[group] = True
            left[held[group] > 0] -= 1
            gap[:] -= held[group]

        order = generator.permutation(np.flatnonzero(held.any(axis=1)))
        for group in order:
            if (held[group] <= gap).all() and (left[held[group] > 0] > 1).all():
                take(group)
        for code in range(len(self.classes)):
            candidates = order[(held[order, code] > 0) & ~taken[order]]
            distances = np.square(gap - held[candidates]).sum(axis=1)
            none_so_far = not held[taken, code].any()
            if left[code] > 1 and (none_so_far or distances.min() < gap @ gap):
                take(candidates[np.argmin(distances)])
        return pool[taken[self.groups[pool]]]

    def fold(
        self, rest: np.ndarray, test: np.ndarray, share: float, generator: np.random.Generator
    ) -> Fold:
        """Take the validation part from ``rest`` by the rule of the split and check all parts."""
        validation = np.array([], dtype=np.int64)
        if share > 0:
            validation = self.take_share(rest, share, generator)
        train = np.setdiff1d(rest, validation)
        fold = Fold(*(np.sort(part).astype(np.int64) for part in (train, validation, test)))
        for name, part in fold._asdict().items():
            lacking = np.setdiff1d(np.arange(len(self.classes)), self.labels[part])
            if len(lacking) and (name != "validation" or share > 0):
                raise ValueError(
                    f"a {name} part has no image of {', '.join(self.classes[c] for c in lacking)}: "
                    f"the values of {self.by!r} hold too unequal numbers of images. Ask for fewer "
                    "folds, another share, a smaller embargo or another seed"
                )
        return fold


def _group_codes(cells: pd.DataFrame, by: str | None, missing: str) -> np.ndarray:
    """Return the group of each image as a code that does not depend on the order of the rows."""
    if missing not in ("error", "image"):
        raise ValueError(f"missing={missing!r}: expected 'error' or 'image'")
    column = "image_id" if by is None else by
    if column not in cells:
        raise ValueError(
            f"by={by!r} is no column of {_name(cells)}; it has {', '.join(cells.columns)}"
        )
    names = cells[column].astype(object)
    absent = names.isna()
    if missing == "image":
        # The hash, not the image_id: it holds identical files and copies together.
        names = names.where(~absent, "sha256:" + cells["sha256"].astype(object))
    if names.isna().any():
        raise ValueError(
            f"{_name(cells)}: {int(absent.sum())} of {len(cells)} images have no {column}, "
            "so they cannot be kept on one side. Split by a column that is known (by=...), leave "
            "these images out, or pass missing='image' to keep each on its own: the same subject "
            "may then be on both sides, and no measure of leakage can show it"
        )
    return pd.factorize(names, sort=True)[0]


def _within_embargo(
    cells: pd.DataFrame, train: np.ndarray, test: np.ndarray, embargo: int
) -> np.ndarray:
    """Return for each position in ``train`` whether a test image is too near in its sequence."""
    if not {"sequence", "number"} <= set(cells.columns):
        raise ValueError(
            f"embargo={embargo} needs the columns 'sequence' and 'number', which {_name(cells)} "
            "does not have (all-2021 does): pass embargo=0"
        )
    order = cells[["sequence", "number"]]
    if order.isna().to_numpy().any():
        raise ValueError(f"embargo={embargo}: some images have no 'sequence' or 'number'")
    near = np.zeros(len(train), dtype=bool)
    sequences, numbers = order["sequence"].to_numpy(object), order["number"].to_numpy(np.int64)
    for sequence in np.unique(sequences[test]):
        tested = np.sort(numbers[test[sequences[test] == sequence]])
        members = np.flatnonzero(sequences[train] == sequence)
        number = numbers[train[members]]
        first = np.searchsorted(tested, number - embargo, side="left")
        last = np.searchsorted(tested, number + embargo, side="right")
        near[members] = last > first
    return near


def _part(cells: pd.DataFrame, positions: np.ndarray) -> pd.DataFrame:
    part = cells.iloc[positions].reset_index(drop=True)
    part.attrs = cells.attrs
    return part


def _name(cells: pd.DataFrame) -> str:
    return cells.attrs.get("dataset", "these cells")


def _column(cells: pd.DataFrame, name: str) -> pd.Series:
    return cells[name] if name in cells else pd.Series(pd.NA, index=cells.index, dtype=object)
