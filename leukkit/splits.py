"""What is trained on what: folds, copies, and what they leak.

`divide` reads a split from a table, the one way in which papers, leak-free protocols and the steps
of the gap are stated. A fold holds positions in a frame of cells. What follows — features,
networks, scores — is the same code for every split.
"""

import dataclasses
import pathlib
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from leukkit import augmentation
from leukkit.files import read_table
from leukkit.schemas import SchemaError, SplitTable, check

LEAKS = {  # what `leakage` looks for, in words
    "patient": "patient",
    "subject": "subject",
    "source_image": "source image",
    "bytes": "file",
    "original": "own copy",
}
TESTED = ("preliminary", "test")  # what the parts to test on are called (column `split`)
CHALLENGE = ("preliminary", "final")  # parts that a challenge keeps back; all else is one set


class NoPhaseError(ValueError):
    """The images have no part of their own to test on."""


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
    It also takes the parts ``training``, ``validation`` and ``test`` of a data set of one's own,
    which all other splits divide anew.

    Args:
        cells: The `cells` frame, originals only.
        table: A dict with these keys, all but ``split`` optional where they do not apply:

            * ``split``: ``"holdout"`` (once), ``"stratified"`` (folds of single images),
              ``"subject"`` (folds of whole subjects), ``"counts"`` (once, exactly ``test_counts``
              images of each class for the test, single images), ``"official"`` (once: train on
              the training phase, test on the preliminary phase; subjects in both are tested only,
              and validation is whole subjects, a share of the training phase) or ``"manifest"``
              (the folds of a file that `manifest` made, here or elsewhere).
            * ``manifest``: path of that file.
            * ``test``: share of all images for the test (holdout).
            * ``validation``: share of all images for validation; or ``"test"``: the test part is
              watched during training, too, as some papers do.
            * ``folds``: number of folds; every image is tested in exactly one.
            * ``by``: the column whose values stay together, in every part: ``"subject"`` if not
              said otherwise; in a holdout, single images. ``"patient"`` leaks where the same file
              lies under two patient ids; ``"subject"`` does not.
            * ``missing``: ``"error"`` refuses images without a value in ``by``; ``"image"`` keeps
              each of them on its own, except that identical files and copies stay together.
            * ``embargo``: leaves out of training and validation the images of the same ``sequence``
              whose ``number`` differs by at most this much from that of a test image: neighbors on
              a smear look alike.
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
        seed: Of the split and the copies. Large subjects are placed first, and the seed decides
            between those with equally many images: two seeds can give the same folds of subjects.

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
    phase, left_out = _phase(cells), CHALLENGE[1:] if wanted.split == "official" else CHALLENGE
    whole = cells["label"][~np.isin(phase, CHALLENGE)]
    cells = _part(cells, np.flatnonzero(~np.isin(phase, left_out)))
    if wanted.copies and "counts" in wanted.copies:
        _check_counts(wanted.copies["counts"], whole)
    if wanted.augment == "before":
        cells = augmentation.expand(cells, _targets(wanted.copies, cells), seed)
    parts = folds(cells, table, seed)
    if wanted.augment == "after":
        # How many images a set has with its copies is said of what a paper trains and tests on;
        # the preliminary phase is no part of that.
        cells, parts = _copy_training(cells, parts, wanted.copies, seed, len(whole))
    if wanted.validation == "test":
        parts = [fold._replace(validation=fold.test) for fold in parts]
    tuning: list = []
    if wanted.tuning and wanted.tuned_by_image:
        tuning = [wanted.tuning] * len(parts)
    elif wanted.tuning:
        tuning = [_tuning_folds(_part(cells, fold.train), wanted, seed) for fold in parts]
    return Split(cells, parts, tuning, wanted, seed)


def folds(cells: pd.DataFrame, table: Mapping[str, Any], seed: int = 0) -> list[Fold]:
    """Return the folds that a table makes of all images: as `divide`, but without copies.

    The division does not depend on the order of the rows.

    Raises:
        ValueError: As `divide`; and images without label, one class only, too few images or groups
            of a class, shares that leave no training images, or an embargo without the columns
            ``sequence`` and ``number``.
    """
    wanted = check(SplitTable, dict(table), "split table")
    share = 0.0 if wanted.validation == "test" else float(wanted.validation)
    if wanted.split == "official":
        return [_by_phase(cells, share, wanted.missing, seed)]
    images = _Images.of(cells, _by(wanted), wanted.missing)
    generator = np.random.default_rng(seed)
    everything = np.arange(len(cells))
    made = []
    for test in _tested(cells, images, wanted, share, generator, seed):
        rest = np.setdiff1d(everything, test)
        if wanted.embargo:
            rest = rest[~_within_embargo(cells, rest, test, wanted.embargo)]
        made.append(images.fold(rest, test, share, generator))
    return made


def manifest(split: Split) -> pd.DataFrame:
    """Return which fold tests each image: a table that others can divide the same images by.

    Returns:
        Frame, one row per original image: ``image_id, sha256`` (of the decoded pixels), ``subject``
        and ``fold``. Written with ``to_csv(index=False)``, its path is the ``manifest`` of a split.

    Raises:
        ValueError: An image is tested in no fold, or in several.
    """
    tested = np.concatenate([fold.test for fold in split.folds])
    number = np.repeat(np.arange(len(split.folds)), [len(fold.test) for fold in split.folds])
    cells = split.cells
    originals = np.flatnonzero(cells["copy"] == 0) if "copy" in cells else np.arange(len(cells))
    if sorted(tested) != sorted(originals):
        raise ValueError(
            f"{_name(cells)}: {len(set(tested))} of {len(originals)} images are tested, in "
            f"{len(split.folds)} folds; a manifest says of each image in which one fold it is "
            'tested: split = "subject" or "stratified"'
        )
    listed = cells.iloc[tested][["image_id", "sha256", "subject"]].assign(fold=number)
    return listed.iloc[np.argsort(tested)].reset_index(drop=True)


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


# ------------------------------------------------------------------------- a table, step by step


def _by(table: SplitTable) -> str | None:
    """Return the column whose values stay together; None for single images."""
    return table.by or ("subject" if table.split in ("subject", "official", "manifest") else None)


def _tested(
    cells: pd.DataFrame,
    images: "_Images",
    table: SplitTable,
    share: float,
    generator: np.random.Generator,
    seed: int,
) -> list[np.ndarray]:
    """Return the positions of the test images of each fold; ``share`` is that of validation."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if table.split == "counts":
        if share:
            raise ValueError(f"validation={share}: split = 'counts' has no such part, only 'test'")
        return [_exact_counts(images, table.test_counts or {}, generator)]
    if table.split == "holdout":
        test = table.test or 0.0
        if test + share >= 1:
            raise ValueError(
                f"test={test} and validation={share}: both together must leave a share for training"
            )
        return [images.take_share(np.arange(len(images.labels)), test, generator)]
    if table.split == "manifest":
        return _listed(cells, pathlib.Path(table.manifest or "").expanduser())
    number = table.folds or 0
    images.check_folds(number, share)
    if table.split == "stratified":
        order = np.argsort(images.groups)
        by_image = StratifiedKFold(number, shuffle=True, random_state=seed)
        return [order[test] for _, test in by_image.split(order, images.labels[order])]
    # Not the splitter's own shuffle: before scikit-learn 1.8 it undoes the stratification.
    shuffled = generator.permutation(images.groups.max() + 1)[images.groups]
    by_group = StratifiedGroupKFold(number)
    return [test for _, test in by_group.split(shuffled, images.labels, shuffled)]


def _listed(cells: pd.DataFrame, path: pathlib.Path) -> list[np.ndarray]:
    """Return the test images of each fold of a manifest.

    Images that it lists and that are not there are left out, with a warning.
    """
    rows = read_table(path, ["image_id", "sha256", "fold"])
    wrong = rows[rows["image_id"].duplicated() | ~rows["fold"].str.fullmatch(r"[0-9]{1,9}")]
    if len(wrong):
        raise ValueError(
            f"{path}: line {wrong.index[0]}: image {wrong['image_id'].iloc[0]!r} in fold "
            f"{wrong['fold'].iloc[0]!r}; expected each image once and its fold, 0, 1, …"
        )
    rows = rows.set_index("image_id")
    numbers, hashes = rows["fold"].astype(int), rows["sha256"].replace("", pd.NA)
    unlisted = cells["image_id"][~cells["image_id"].isin(numbers.index)]
    if len(unlisted):
        raise ValueError(
            f"{path} does not list {len(unlisted)} of {len(cells)} images of {_name(cells)}, "
            f"{unlisted.iloc[0]} among them. Leave them out, or make a manifest of all of them"
        )
    stated = cells["image_id"].map(hashes)
    other = stated.notna() & cells["sha256"].ne(stated).fillna(True)
    if other.any():
        raise ValueError(
            f"{path}: {other.sum()} images are others than when the manifest was made, "
            f"{cells['image_id'][other].iloc[0]} among them (sha256 of the pixels). Are they the "
            "same data set, unchanged?"
        )
    if missing := len(numbers) - len(cells):
        warnings.warn(
            f"{path} lists {missing} images more than {_name(cells)} has; they are left out",
            stacklevel=4,
        )
    fold = cells["image_id"].map(numbers).to_numpy()
    return [np.flatnonzero(fold == number) for number in sorted(set(fold))]


def _by_phase(cells: pd.DataFrame, validation: float, missing: str, seed: int) -> Fold:
    """Train on the training phase, test on the preliminary one, as the challenge did.

    A subject who is in both phases, which an identical file gives away, is tested and not trained
    on. Validation images are the part of that name if there is one, else whole subjects, a share of
    what is left of the training phase.
    """
    phase = _phase(cells)
    is_train, is_test = phase == "training", np.isin(phase, TESTED)
    is_watched = phase == "validation"
    if not is_test.any():
        get = "Say in the column split which images are of that part"
        if _name(cells) == "cnmc-2019":
            get = "Get C-NMC_test_prelim_phase_data, too (leukkit data fetch cnmc-2019)"
        raise NoPhaseError(
            f"{_name(cells)}: none of the {len(cells)} images is of the preliminary phase, or of a "
            f'part called test, so nothing can be tested on it. {get}, or use split = "subject"'
        )
    for column in ("subject", "sha256"):
        known = cells[column].isin(cells[column][is_test].dropna()).to_numpy()
        is_watched &= ~known
        is_train &= ~known & ~cells[column].isin(cells[column][is_watched].dropna()).to_numpy()
    if not is_train.any():
        raise NoPhaseError(
            f"{_name(cells)}: all images to train on are of subjects, or are files, that are tested"
            ', too, and none is left. Use split = "subject"'
        )
    train, test = np.flatnonzero(is_train), np.flatnonzero(is_test)
    if is_watched.any():
        return Fold(train, np.flatnonzero(is_watched), test)
    if not validation:
        return Fold(train, np.array([], dtype=np.int64), test)
    by_subject = {"split": "holdout", "test": validation, "by": "subject", "missing": missing}
    (inner,) = folds(_part(cells, train), by_subject, seed)
    return Fold(train[inner.train], train[inner.test], test)


def _exact_counts(
    images: "_Images", counts: Mapping[str, int], generator: np.random.Generator
) -> np.ndarray:
    """Take exactly ``counts`` images of each class for the test."""
    if set(images.classes) != set(counts):
        raise ValueError(
            f"test_counts names the classes {sorted(counts)}, the images have {images.classes}"
        )
    order = np.argsort(images.groups)
    tested = []
    for code, label in enumerate(images.classes):
        members = order[images.labels[order] == code]
        if not 0 < counts[label] < len(members):
            raise ValueError(
                f"test_counts asks for {counts[label]} images of class {label}, which has "
                f"{len(members)}; at least one must be tested and one left for training"
            )
        tested.append(generator.choice(members, counts[label], replace=False))
    return np.concatenate(tested)


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
    added = added.drop_duplicates("image_id")
    place = pd.Series(everything.index, index=everything["image_id"])
    order = np.lexsort([added["copy"], added["original"].map(place)])
    everything = pd.concat([everything, added.iloc[order]], ignore_index=True)
    everything.attrs = cells.attrs
    position = pd.Series(everything.index, index=everything["image_id"])
    with_copies = [
        fold._replace(train=np.sort(position[part["image_id"]].to_numpy()))
        for fold, part in zip(folds, parts, strict=True)
    ]
    return everything, with_copies


def _check_counts(counts: Mapping[str, int], labels: pd.Series) -> None:
    """Refuse counts of images after augmentation that would leave no room for copies."""
    present = labels.value_counts()
    missing = {label: count - int(present.get(label, 0)) for label, count in counts.items()}
    if min(missing.values()) < 0 or not any(missing.values()):
        raise ValueError(
            f"copies: counts = {dict(counts)} are images after augmentation, and there are "
            f"{present.to_dict()} before it, none of which is left out. Ask for no fewer of any "
            "class, and for more of one; or leave augment and copies out"
        )


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
    training: pd.DataFrame, table: SplitTable, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide a training part for choosing hyperparameters, by the rule that made the fold.

    Returns:
        ``(train, test)`` positions within ``training``; copies on the fitting side only.
    """
    rule: dict[str, Any] = {"split": "stratified", "folds": table.tuning}
    if by := _by(table):
        rule |= {"split": "subject", "by": by, "missing": table.missing, "embargo": table.embargo}
    is_original, ids = np.ones(len(training), dtype=bool), training["image_id"]
    if "copy" in training:
        is_original, ids = (training["copy"] == 0).to_numpy(bool), training["original"]
    originals = _part(training, np.flatnonzero(is_original))
    sides = [
        [ids.isin(originals["image_id"].iloc[part]).to_numpy() for part in (fold.train, fold.test)]
        for fold in folds(originals, rule, seed)
    ]
    return [(np.flatnonzero(fit), np.flatnonzero(score & is_original)) for fit, score in sides]


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
        if validation >= 1 - 1 / folds:
            raise ValueError(
                f"validation={validation}: with {folds} folds it must be less than "
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
    """Return the group of each image as a code that does not depend on the order of the rows.

    A single image is known by its pixels: renamed, it is divided as before. Its name only tells
    identical ones apart.
    """
    hashes = cells["sha256"].astype(object)
    if by is None:
        names = hashes.fillna("") + " " + cells["image_id"].astype(object)
        return pd.factorize(names, sort=True)[0]
    if by not in cells:
        raise ValueError(
            f"by={by!r} is no column of {_name(cells)}; it has {', '.join(cells.columns)}"
        )
    names = cells[by].astype(object)
    absent = names.isna()
    if missing == "image":
        # The hash, not the image_id: it holds identical files and copies together.
        names = names.where(~absent, "sha256:" + hashes)
    if names.isna().any():
        raise ValueError(
            f"{_name(cells)}: {int(absent.sum())} of {len(cells)} images have no {by}, "
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
    if cells[["sequence", "number"]].isna().any(axis=None):
        raise ValueError(f"embargo={embargo}: some images have no 'sequence' or 'number'")
    places = list(zip(cells["sequence"], cells["number"], strict=True))
    near = {
        (sequence, number + step)
        for sequence, number in (places[position] for position in test)
        for step in range(-embargo, embargo + 1)
    }
    return np.array([places[position] in near for position in train], dtype=bool)


def _phase(cells: pd.DataFrame) -> np.ndarray:
    """Return the phase of each image; those of a set without phases count as training."""
    return _column(cells, "split").fillna("training").to_numpy(dtype=object)


def _part(cells: pd.DataFrame, positions: np.ndarray) -> pd.DataFrame:
    part = cells.iloc[positions].reset_index(drop=True)
    part.attrs = cells.attrs
    return part


def _name(cells: pd.DataFrame) -> str:
    return cells.attrs.get("dataset", "these cells")


def _column(cells: pd.DataFrame, name: str) -> pd.Series:
    return cells[name] if name in cells else pd.Series(pd.NA, index=cells.index, dtype=object)
