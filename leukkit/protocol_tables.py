"""How a table of a paper card says what is trained on what (see `leukkit.protocols.divide`)."""

import numpy as np

from leukkit import splits

# What a table must name besides the split itself, and what it may name.
SPLIT_KEYS = {
    "holdout": (("test",), ("by", "missing")),
    "stratified": (("folds",), ()),
    "subject": (("folds",), ("by", "missing", "embargo")),
    "counts": (("test_counts",), ()),
    "official": ((), ()),
}
COPIES = ("counts", "balance", "each")
PHASES = ("training", "preliminary")  # of a data set that was published as a challenge


class NoPhaseError(ValueError):
    """The images have no preliminary phase to test on."""


def phases(table):
    """Return the phases (``cells["split"]``) whose images a table divides."""
    return PHASES if table["split"] == "official" else PHASES[:1]


def check(table):
    """Check the keys and values of a protocol's table.

    Raises:
        ValueError: Names what is unknown, missing or does not fit together.
    """
    kind = table.get("split")
    if kind not in SPLIT_KEYS:
        raise ValueError(f"split is {kind!r}; expected one of {', '.join(SPLIT_KEYS)}")
    required, optional = SPLIT_KEYS[kind]
    if missing := [key for key in required if key not in table]:
        raise ValueError(f"split = {kind!r} also needs {', '.join(missing)}")
    known = {"split", "validation", "augment", "copies", *required, *optional}
    if unknown := sorted(table.keys() - known):
        raise ValueError(
            f"split = {kind!r} does not use {', '.join(unknown)}; "
            f"known are {', '.join(sorted(known))}"
        )
    augment, copies = table.get("augment"), table.get("copies")
    if augment not in (None, "before", "after"):
        raise ValueError(f"augment is {augment!r}; expected 'before' or 'after', or leave it out")
    if (augment is None) != (copies is None):
        raise ValueError("augment says when, copies how many: give both of them, or neither")
    if copies is not None and (len(copies) != 1 or copies.keys().isdisjoint(COPIES)):
        raise ValueError(f"copies is {copies}; expected one of {', '.join(COPIES)}")
    if isinstance(share := table.get("validation", 0), str) and share != "test":
        raise ValueError(f"validation is {share!r}; expected a share of all images or 'test'")


def split(cells, table, seed):
    """Split as a checked table says.

    Args:
        cells: The `cells` frame, already with its copies where these come before the split.
        table: See `leukkit.protocols.divide`.
        seed: Draws the split.

    Returns:
        List of `splits.Fold`.

    Raises:
        NoPhaseError: ``split = "official"`` of images without a preliminary phase.
        ValueError: These images do not allow the split.
    """
    kind, validation = table["split"], table.get("validation", 0.0)
    if validation == "test":
        validation = 0.0
    common = {"validation": validation, "seed": seed}
    options = {key: table[key] for key in SPLIT_KEYS[kind][1] if key in table}
    if kind == "holdout":
        return splits.holdout(cells, table["test"], **common, **options)
    if kind == "stratified":
        return splits.stratified_kfold(cells, table["folds"], **common)
    if kind == "subject":
        return splits.subject_kfold(cells, table["folds"], **common, **options)
    if kind == "official":
        return [_by_phase(cells, **common)]
    if validation:
        raise ValueError(f"validation={validation}: split = 'counts' has no such part, only 'test'")
    return [_draw_counts(cells, table["test_counts"], seed)]


def _by_phase(cells, validation, seed):
    """Train on the training phase, test on the preliminary one, as the challenge did.

    A subject who is in both phases, which an identical file gives away, is tested and not trained
    on: the training images of that subject are in no part of the fold. Validation images are whole
    subjects, a share of what is left of the training phase.
    """
    phase = cells["split"].astype(object).where(cells["split"].notna(), "training").to_numpy()
    if "preliminary" not in phase:
        raise NoPhaseError(
            f"{cells.attrs.get('dataset', 'these images')}: none of the {len(cells)} images is of "
            "the preliminary phase (column split), so nothing can be tested on it. C-NMC 2019 has "
            "it in C-NMC_test_prelim_phase_data: get that part (leukkit data fetch cnmc-2019), or "
            'use split = "subject"'
        )
    test = np.flatnonzero(phase == "preliminary")
    train = np.flatnonzero(phase == "training")
    for column in ("subject", "sha256"):
        tested = cells[column].iloc[test].dropna()
        train = train[~cells[column].iloc[train].isin(tested).to_numpy()]
    if not validation:
        return splits.Fold(train, np.array([], dtype=np.int64), test)
    part = cells.iloc[train].reset_index(drop=True)
    part.attrs = cells.attrs
    inner = splits.holdout(part, test=validation, seed=seed, by="subject")[0]
    return splits.Fold(train[inner.train], train[inner.test], test)


def _draw_counts(cells, counts, seed):
    """Draw exactly ``counts`` images of each class for the test; the rest is for training."""
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
    return splits.Fold(train, np.array([], dtype=np.int64), test)
