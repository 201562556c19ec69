import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from leukkit import datasets, splits
from leukkit.datasets.cells import TEXT, link_subjects
from leukkit.schemas import SplitTable
from leukkit.splits import Fold, Split

SHARED = ["patient", "subject", "source_image", "bytes", "original"]
COUNTS = {"healthy": 100, "ALL": 100}
AFTER = {"augment": "after", "copies": {"counts": COUNTS}}


def frame(rows, **columns):
    """Return cells of (subject, label) rows; other columns as given."""
    subjects, labels = zip(*rows, strict=True)
    data = {
        "image_id": [f"image-{number:04d}" for number in range(len(rows))],
        "label": labels,
        "patient": subjects,
        "source_image": [f"{name}/{number // 3}" for number, name in enumerate(subjects)],
        "sha256": [f"hash-{number}" for number in range(len(rows))],
        "subject": subjects,
    }
    cells = pd.DataFrame({**data, **columns})
    cells = cells.astype({name: TEXT for name in cells if cells[name].dtype.kind != "i"})
    cells.attrs["dataset"] = "made up"
    return cells


def patients(**counts):
    """Return rows for label = [images of each patient]."""
    return [
        (f"{label}{patient}", label)
        for label, sizes in counts.items()
        for patient, size in enumerate(sizes)
        for _ in range(size)
    ]


def phases(training=8, preliminary=4, images=3, shared=()):
    """Return cells of both phases; patients paired in ``shared`` have the first image in common."""
    people = [f"t{n}" for n in range(training)] + [f"p{n}" for n in range(preliminary)]
    rows = [(name, ("healthy", "ALL")[int(name[1:]) % 2]) for name in people for _ in range(images)]
    ids = pd.Series([f"{name}-{number}" for name in people for number in range(images)])
    hashes = ids.copy()
    for one, other in shared:
        hashes[hashes.isin([f"{one}-0", f"{other}-0"])] = f"{one} {other}"
    split = ["training" if name[0] == "t" else "preliminary" for name, _ in rows]
    subject = link_subjects([name for name, _ in rows], hashes)
    return frame(rows, image_id=ids, sha256=hashes, split=split, subject=subject)


@pytest.fixture
def cells():
    """84 cells of 13 subjects, of whom one is two patients with a file in common."""
    return phases(training=14, preliminary=0, images=6, shared=[("t0", "t2")])


def folds(cells, split, seed=0, **keys):
    return splits.folds(cells, {"split": split, **keys}, seed)


def names(cells, fold):
    return [set(cells["image_id"].iloc[part]) for part in fold]


@st.composite
def synthetic_cells(draw):
    sizes = st.lists(st.integers(2, 12), min_size=6, max_size=14)
    rows = patients(**{label: draw(sizes) for label in draw(st.sampled_from(["ab", "abc"]))})
    order = draw(st.permutations(range(len(rows))))
    return frame([rows[position] for position in order])


# ----------------------------------------------------------------------------- folds

SPLITS = {
    "holdout": {"split": "holdout", "test": 0.25, "validation": 0.15},
    "holdout by subject": {"split": "holdout", "test": 0.25, "validation": 0.15, "by": "subject"},
    "stratified": {"split": "stratified", "folds": 4, "validation": 0.15},
    "subject": {"split": "subject", "folds": 3, "validation": 0.15},
}


@pytest.mark.parametrize("name", SPLITS)
@settings(max_examples=25)
@given(cells=synthetic_cells(), seed=st.integers(0, 1000))
def test_every_image_is_in_one_part_whatever_its_row_and_no_part_lacks_a_class(name, cells, seed):
    made, turned = splits.folds(cells, SPLITS[name], seed), cells[::-1]
    for fold, same in zip(made, splits.folds(turned, SPLITS[name], seed), strict=True):
        assert names(cells, fold) == names(turned, same)
        assert sorted(np.concatenate(fold)) == list(range(len(cells)))
        for part in fold:
            assert part.dtype == np.int64
            assert (np.diff(part) > 0).all()
            assert set(cells["label"].iloc[part]) == set(cells["label"])
        if "subject" in name:
            sides = [set(cells["subject"].iloc[part]) for part in fold]
            assert sum(map(len, sides)) == cells["subject"].nunique()
    if len(made) > 1:
        tested = np.concatenate([fold.test for fold in made])
        assert sorted(tested) == list(range(len(cells)))


@settings(max_examples=25)
@given(
    sizes=st.tuples(st.integers(20, 200), st.integers(20, 200)),
    test=st.floats(0.1, 0.5),
    validation=st.floats(0.1, 0.3),
)
def test_image_holdout_hits_the_shares_of_each_class_to_one_image(sizes, test, validation):
    cells = frame(patients(ALL=[sizes[0]], healthy=[sizes[1]]))
    (fold,) = folds(cells, "holdout", test=test, validation=validation)
    for label, size in zip(["ALL", "healthy"], sizes, strict=True):
        for part, share in [(fold.test, test), (fold.validation, validation)]:
            assert abs((cells["label"].iloc[part] == label).sum() - share * size) <= 1


def test_group_holdout_comes_near_the_shares():
    cells = frame(patients(ALL=range(10, 60), healthy=range(30, 130, 5)))
    images = cells["label"].value_counts()
    for seed in range(20):
        (fold,) = folds(cells, "holdout", seed, test=0.15, validation=0.15, by="subject")
        for part in fold[1:]:
            assert (cells["label"].iloc[part].value_counts() / images).between(0.12, 0.18).all()


def test_holdout_keeps_the_test_part_when_a_validation_part_is_asked_for():
    cells = frame(patients(ALL=[9] * 8, healthy=[4] * 10))
    (without,) = folds(cells, "holdout", test=0.2, by="subject")
    (with_validation,) = folds(cells, "holdout", test=0.2, validation=0.2, by="subject")
    np.testing.assert_array_equal(without.test, with_validation.test)


@pytest.mark.parametrize(
    ("images", "test", "validation", "sizes"),
    [
        ([50, 30, 20], 0.45, 0.0, (100, 0, 100)),  # 30 + 20 of each class: nearer than 30
        ([50, 30, 20], 0.1, 0.0, (160, 0, 40)),  # nothing fits, and a class needs one: the smallest
        ([40, 40, 20], 0.1, 0.85, (80, 80, 40)),  # both of the others fit, but one must be left
    ],
)
def test_groups_are_taken_until_the_share_is_nearest(images, test, validation, sizes):
    cells = frame(patients(ALL=images, healthy=images))
    for seed in range(4):
        (fold,) = folds(cells, "holdout", seed, test=test, validation=validation, by="subject")
        assert tuple(map(len, fold)) == sizes


def test_stratification_is_as_good_as_scikit_learns():
    cells = frame(patients(ALL=[*range(3, 40), 200], healthy=range(5, 90, 4)))
    labels, subjects = cells["label"].to_numpy(object), cells["subject"]

    def spread(tests):
        shares = [cells["label"].iloc[test].value_counts(normalize=True) for test in tests]
        return pd.DataFrame(shares).std().max()

    theirs = spread(test for _, test in StratifiedKFold(7).split(labels, labels))
    assert spread(fold.test for fold in folds(cells, "stratified", 3, folds=7)) <= theirs + 1e-3
    theirs = spread(test for _, test in StratifiedGroupKFold(5).split(labels, labels, subjects))
    for seed in range(5):
        found = folds(cells, "subject", seed, folds=5)
        assert spread(fold.test for fold in found) <= theirs + 0.02


@pytest.mark.parametrize("validation", [0.0, 0.2])
def test_embargo_removes_neighbors_of_test_images_in_their_sequence_only(validation):
    rows = [(f"{label}-{n // 5}", label) for label in ("early", "pre") for n in range(60)]
    cells = frame(rows, sequence=[label for _, label in rows], number=[*range(60), *range(60)])
    cells["number"] = cells["number"].astype("Int64")
    plain = folds(cells, "subject", 1, folds=4)
    spaced = folds(cells, "subject", 1, folds=4, validation=validation, embargo=3)
    for fold, before in zip(spaced, plain, strict=True):
        np.testing.assert_array_equal(fold.test, before.test)
        removed = np.setdiff1d(before.train, np.concatenate(fold[:2]))
        tested = [(rows[position][1], position % 60) for position in fold.test]
        assert removed.tolist() == [
            position
            for position in before.train
            if any(rows[position][1] == s and abs(position % 60 - n) <= 3 for s, n in tested)
        ]
        assert len(removed) >= 6


def test_images_without_subject_are_refused_unless_kept_on_their_own():
    subjects = ["p", "p", None, None, None, "q", None, None]
    hashes = ["h0", "h1", "h2", "h2", "h4", "h5", "h6", "h7"]
    cells = frame(list(zip(subjects, ["ALL"] * 4 + ["healthy"] * 4, strict=True)), sha256=hashes)
    with pytest.raises(ValueError, match=r"made up: 5 of 8 images have no subject.*='image'"):
        folds(cells, "subject", folds=2)
    for seed in range(5):
        for fold in folds(cells, "subject", seed, folds=2, missing="image"):
            sides = np.isin(np.arange(8), fold.test)
            assert sides[0] == sides[1]
            assert sides[2] == sides[3]  # the same file twice


CELLS = frame(patients(ALL=[10] * 6, healthy=[10] * 3))
UNLABELED = CELLS.assign(label=CELLS["label"].where(CELLS.index > 3))
ORDERED = CELLS.assign(sequence="a", number=range(90))
UNORDERED = CELLS.assign(sequence=CELLS["label"].where(CELLS.index > 0), number=range(90))


@pytest.mark.parametrize(
    ("split", "cells", "options", "message"),
    [
        (
            "subject",
            CELLS,
            {"folds": 5},
            "'healthy': 5 folds need .* 5 .*'subject', found 3.*fewer",
        ),
        ("stratified", CELLS, {"folds": 31}, r"'healthy'.*images, found 30"),
        ("holdout", CELLS[:70], {"by": "patient"}, r"'healthy': taking a part needs .*2 .*found 1"),
        ("holdout", CELLS[:60], {}, "made up: all 60 images are of the class 'ALL'"),
        ("stratified", UNLABELED, {"folds": 7}, r"made up: 4 of 90 images have no label.*notna"),
        ("holdout", CELLS[:0], {}, "made up: no images"),
        ("holdout", CELLS, {"by": "person"}, r"by='person' is no column of made up; .*subject"),
        ("holdout", CELLS, {"test": 0.7, "validation": 0.3}, "validation=0.3.*share for training"),
        ("holdout", CELLS, {"test": 0.0}, "split table: test: .*greater than 0, found 0.0"),
        ("holdout", CELLS, {"validation": -0.1}, "validation: .*equal to 0 or .*found -0.1"),
        ("subject", CELLS, {"folds": 1}, "folds: .*greater than or equal to 2, found 1"),
        ("subject", CELLS, {"folds": 3, "validation": 0.7}, r"=0.7.*less than 0\.667"),
        ("subject", CELLS, {"folds": 2, "missing": "drop"}, "missing: .*'error' or 'image', found"),
        ("subject", CELLS, {"folds": 3, "embargo": 2}, "'sequence' and 'number', which made"),
        ("subject", UNORDERED, {"folds": 3, "embargo": 2}, "some images have no 'sequence'"),
        ("subject", ORDERED, {"folds": 3, "embargo": 90}, "train part has no .*ALL, healthy: "),
    ],
)
def test_what_cannot_be_split_is_refused_with_what_to_do(split, cells, options, message):
    keys = {"test": 0.2, **options} if split == "holdout" else options
    with pytest.raises(ValueError, match=message):
        folds(cells, split, **keys)


# ----------------------------------------------------------------------------- tables

TABLES = {
    "holdout": {"split": "holdout", "test": 0.25, "validation": 0.2},
    "holdout by subject": {"split": "holdout", "test": 0.25, "by": "subject"},
    "stratified": {"split": "stratified", "folds": 3, "validation": 0.1},
    "subject": {"split": "subject", "folds": 3, "validation": 0.15},
    "patient": {"split": "subject", "folds": 3, "by": "patient"},
    "counts": {"split": "counts", "test_counts": {"healthy": 1, "ALL": 20}},
    "official": {"split": "official", "validation": 0.2},
}
# What is whole on one side; single images else.
GROUPS = dict.fromkeys(["subject", "official", "holdout by subject"], "subject")
GROUPS["patient"] = "patient"


@pytest.fixture(params=TABLES)
def both(request):
    """The group of a table, and its split of images of both phases, with copies in training."""
    cells = phases(14, 4, 6, shared=[("t0", "t2"), ("t1", "p1")])
    split = splits.divide(cells, {**TABLES[request.param], **AFTER, "tuning": 2}, seed=3)
    return cells, GROUPS.get(request.param, "image_id"), split


def test_the_cells_of_a_split_are_the_originals_of_its_phases_and_then_the_copies(both):
    cells, _, split = both
    used = cells if split.table.split == "official" else cells[cells["split"] == "training"]
    pd.testing.assert_frame_equal(split.cells[cells.columns.tolist()][: len(used)], used)
    assert (split.cells["copy"].gt(0) == (split.cells.index >= len(used))).all()
    assert split.cells["image_id"].is_unique  # a copy is the same image in every fold
    assert (split.cells.attrs, split.seed) == (cells.attrs, 3)


def test_groups_are_whole_and_copies_are_in_training_in_the_part_s_share_of_the_counts(both):
    _, group, split = both
    shares = splits.leakage(split)
    assert (shares[SHARED if group == "subject" else ["original"]] == 0).all(axis=None)
    for fold in split.folds:
        train, validation, test = (split.cells.iloc[part] for part in fold)
        assert not set(train[group]) & (set(validation[group]) | set(test[group]))
        assert (validation["copy"] == 0).all() and (test["copy"] == 0).all()
        target = round(100 * (train["copy"] == 0).sum() / 84)  # of what is not preliminary
        assert train["label"].value_counts().to_dict() == dict.fromkeys(COUNTS, target)


def test_tuning_folds_follow_the_rule_of_the_split_and_score_each_original_once(both):
    _, group, split = both
    assert len(split.tuning) == len(split.folds)
    for fold, tuning in zip(split.folds, split.tuning, strict=True):
        train = split.cells.iloc[fold.train].reset_index(drop=True)
        originals = train.index[train["copy"] == 0]
        assert sorted(np.concatenate([score for _, score in tuning])) == originals.tolist()
        for fit, score in tuning:
            assert not set(train[group][fit]) & set(train[group][score])
            apart = set(train["patient"][fit]).isdisjoint(train["patient"][score])
            assert apart == (group != "image_id")
            # With an original go its copies, and none is lost.
            scored = train["original"].isin(train["image_id"][score])
            assert fit.tolist() == train.index[~scored].tolist()


def test_without_copies_a_table_divides_the_same_images_and_cells_stay_as_they_are(both):
    cells, _, split = both
    table = split.table.record() | {"augment": None, "copies": None}
    plain = splits.divide(cells, table, 3)
    pd.testing.assert_frame_equal(plain.cells, cells[: len(plain.cells)])
    for fold, other, pairs in zip(plain.folds, split.folds, plain.tuning, strict=True):
        assert np.array_equal(fold.train, other.train[other.train < len(plain.cells)])
        assert all(map(np.array_equal, fold[1:], other[1:]))
        for fit, score in pairs:
            assert sorted([*fit, *score]) == list(range(len(fold.train)))


def test_the_same_seed_gives_the_same_split_in_any_order_of_the_rows(both):
    cells, _, split = both
    table = split.table.record()
    again, turned = splits.divide(cells, table, 3), splits.divide(cells[::-1], table, 3)
    pd.testing.assert_frame_equal(split.cells, again.cells)
    for one, two, three in zip(split.folds, again.folds, turned.folds, strict=True):
        assert all(map(np.array_equal, one, two))
        assert names(split.cells, one) == names(turned.cells, three)
    another = splits.divide(cells, table, 4)
    assert names(split.cells, split.folds[0]) != names(another.cells, another.folds[0])


def test_images_under_other_names_are_divided_and_copied_the_same(both):
    cells, _, split = both
    # Another order of names, but for identical files, which names tell apart.
    ids = [f"{37 * number % 101}/{number:03d}.png" for number in range(len(cells))]
    renamed = splits.divide(cells.assign(image_id=ids), split.table.record(), 3)
    same = ["sha256", "subject", "copy"]
    pd.testing.assert_frame_equal(renamed.cells[same], split.cells[same])
    for one, other in zip(split.folds, renamed.folds, strict=True):
        assert all(map(np.array_equal, one, other))
    for one, other in zip(split.tuning, renamed.tuning, strict=True):
        assert all(map(np.array_equal, sum(one, ()), sum(other, ())))


def test_tuning_keeps_images_without_subject_on_their_own_where_the_table_does(cells):
    cells = cells.assign(subject=pd.array([pd.NA] * len(cells), TEXT))
    table = {"split": "subject", "folds": 3, "tuning": 2}
    with pytest.raises(ValueError, match="missing='image'"):
        splits.divide(cells, table)
    tuned = splits.divide(cells, {**table, "missing": "image"}).tuning
    assert {len(pairs) for pairs in tuned} == {2}


def test_tuning_leaves_out_what_is_near_its_scored_images_as_the_folds_do():
    rows = [(f"{label}-{n // 5}", label) for label in ("early", "pre") for n in range(120)]
    number = pd.array([*range(120)] * 2, "Int64")
    cells = frame(rows, sequence=[label for _, label in rows], number=number)
    table = {"split": "subject", "folds": 2, "tuning": 2, **AFTER}
    table |= {"embargo": 3, "copies": {"counts": {"early": 150, "pre": 150}}}
    split = splits.divide(cells, table, seed=1)
    for fold, tuning in zip(split.folds, split.tuning, strict=True):
        train = split.cells.iloc[fold.train].reset_index(drop=True)
        for fit, score in tuning:
            pairs = train.loc[fit].merge(train.loc[score], on="sequence")
            assert len(pairs) > 0 and ((pairs["number_x"] - pairs["number_y"]).abs() > 3).all()


@pytest.mark.parametrize(
    ("table", "tested", "tuning"),
    [
        ({"split": "holdout", "test": 0.2, "tuning": 3, "tuned_by_image": True}, (20, 20), [3]),
        ({"split": "counts", "test_counts": {"healthy": 10, "ALL": 20}}, (10, 20), []),
    ],
)
def test_copies_before_the_split_reach_the_counts_and_leak(cells, table, tested, tuning):
    table = {**table, "validation": "test", "augment": "before", "copies": {"counts": COUNTS}}
    split = splits.divide(cells, table, seed=3)
    assert split.cells["label"].value_counts().to_dict() == COUNTS
    assert split.tuning == tuning
    (fold,) = split.folds
    found = split.cells["label"].iloc[fold.test].value_counts()
    assert (found["healthy"], found["ALL"]) == tested
    np.testing.assert_array_equal(fold.validation, fold.test)
    assert sorted(np.concatenate([fold.train, fold.test])) == list(range(200))
    originals = split.cells["original"]
    expected = originals.iloc[fold.test].isin(originals.iloc[fold.train]).mean()
    assert splits.leakage(split)["original"].tolist() == [pytest.approx(expected)]
    assert expected > 0.5  # 200 images of 84 originals: most have a copy on the other side


@pytest.mark.parametrize("augment", ["before", "after"])
@pytest.mark.parametrize(
    ("copies", "expected"),
    [
        ({"each": 3}, {"healthy": 4, "ALL": 4}),
        ({"counts": {"healthy": 420, "ALL": 210}}, {"healthy": 10, "ALL": 5}),
    ],
)
def test_copies_multiply_the_images(cells, augment, copies, expected):
    table = {"split": "stratified", "folds": 3, "augment": augment, "copies": copies}
    split = splits.divide(cells, table)
    images = split.cells if augment == "before" else split.cells.iloc[split.folds[0].train]
    originals = images["label"][images["copy"] == 0].value_counts()
    assert (images["label"].value_counts() / originals).to_dict() == expected


@pytest.mark.parametrize("augment", ["before", "after"])
@pytest.mark.parametrize("healthy", [20, 42])
def test_counts_that_leave_no_room_for_copies_are_refused(cells, augment, healthy):
    counts = {"healthy": healthy, "ALL": 42}
    table = {"split": "stratified", "folds": 3, "copies": {"counts": counts}, "augment": augment}
    with pytest.raises(ValueError, match=rf"{healthy}.* after .*'healthy': 42.* before it.*more"):
        splits.divide(cells, table)
    counts["healthy"] = 43
    assert (splits.divide(cells, table).cells["copy"] > 0).any()


def test_balancing_copies_the_smaller_class_up_to_the_larger(cells):
    table = {"split": "holdout", "test": 0.2, "augment": "after", "copies": {"balance": True}}
    split = splits.divide(cells[20:], table)
    labels, copy = split.cells[["label", "copy"]].iloc[split.folds[0].train].to_numpy().T
    originals = pd.Series(labels[copy == 0]).value_counts()
    assert originals.nunique() == 2
    assert pd.Series(labels).value_counts().tolist() == [originals.max()] * 2


ONE = {"healthy": 1, "ALL": 1}
THIRDS = {"split": "stratified", "folds": 3, "augment": "after"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"split": "counts", "test_counts": ONE, "validation": 0.1}, "=0.1: .*has no such part"),
        (
            {"split": "counts", "test_counts": {"healthy": 1}},
            r"names the classes \['healthy'\], the images have \['ALL', 'healthy'\]",
        ),
        ({"split": "counts", "test_counts": ONE | {"ALL": 42}}, "42 images of class ALL.* has 42"),
        ({"split": "counts", "test_counts": ONE | {"ALL": 43}}, "43 images of class ALL.* has 42"),
        ({"split": "counts", "test_counts": ONE | {"ALL": 0}}, "test_counts.ALL: .*, found 0"),
        ({**THIRDS, "copies": {"counts": {"ALL": 90}}}, r"given for the classes \['ALL'\]"),
        ({**THIRDS, "copies": {"data_set": True}}, r"own copies .*card.split\(name, profile, run"),
        ({"split": "random"}, "split table: split: .*'holdout', 'stratified', 'subject'.*'random'"),
    ],
)
def test_a_table_that_the_images_do_not_allow_is_refused(cells, table, message):
    with pytest.raises(ValueError, match=message):
        splits.divide(cells, table)


# ----------------------------------------------------------------------------- official phases

OFFICIAL = {"split": "official", "validation": 0.2}


@settings(max_examples=40)
@given(
    training=st.integers(10, 16),
    images=st.integers(1, 5),
    shared=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), max_size=3),
    seed=st.integers(0, 5),
)
def test_who_is_in_both_phases_is_tested_and_not_trained_on(training, images, shared, seed):
    pairs = [(f"t{one}", f"p{other}") for one, other in shared]
    cells = phases(training, 4, images, pairs)
    split = splits.divide(cells, OFFICIAL, seed)
    (fold,) = split.folds
    assert (splits.leakage(split)[SHARED[:-1]] == 0).all(axis=None)
    assert fold.test.tolist() == np.flatnonzero(cells["split"] == "preliminary").tolist()
    left_out = set(range(len(cells))) - set(np.concatenate(fold))
    assert set(cells["subject"].iloc[sorted(left_out)]) <= set(cells["subject"].iloc[fold.test])


def test_validation_is_whole_subjects_of_the_training_phase():
    (fold,) = splits.divide(phases(), OFFICIAL).folds
    assert [len(part) for part in fold] == [18, 6, 12]  # of 4 subjects of each class one
    (fold,) = splits.divide(phases(), {"split": "official"}).folds
    assert [len(part) for part in fold] == [24, 0, 12]


def test_an_identical_file_of_an_unknown_subject_is_not_trained_on():
    cells = phases(shared=[("t2", "p0")]).assign(patient=pd.NA, subject=pd.NA)
    (fold,) = splits.divide(cells, {"split": "official"}).folds
    assert set(cells["image_id"]) - set.union(*names(cells, fold)) == {"t2-0"}


def test_images_of_another_phase_are_in_no_part():
    cells = phases()
    cells["split"] = cells["split"].where(cells["subject"] != "t0", "final")
    (fold,) = folds(cells, "official")
    assert set(cells["split"].iloc[np.concatenate(fold)]) == {"training", "preliminary"}


@pytest.mark.parametrize("phase", ["training", None])
def test_images_without_a_preliminary_phase_are_refused(phase):
    cells = phases(preliminary=0).assign(split=pd.array([phase] * 24, dtype=TEXT))
    with pytest.raises(
        splits.NoPhaseError, match=r"made up: none of the 24 .* Say in the column split"
    ):
        splits.divide(cells, OFFICIAL)
    assert len(splits.divide(cells, {"split": "stratified", "folds": 2}).cells) == 24


def test_parts_without_subjects_are_used_if_each_image_may_stand_alone():
    cells = phases().assign(patient=pd.NA, subject=pd.NA)
    with pytest.raises(ValueError, match="24 of 24 images have no subject"):
        splits.divide(cells, OFFICIAL)
    (fold,) = splits.divide(cells, {**OFFICIAL, "missing": "image"}).folds
    assert [len(part) for part in fold] == [20, 4, 12]


def test_parts_that_leave_nobody_to_train_on_are_refused():
    cells = phases(4, 4, 3, [(f"t{number}", f"p{number}") for number in range(4)])
    cells["subject"] = cells["subject"].str[1:]
    with pytest.raises(splits.NoPhaseError, match="tested, too, and none is left"):
        splits.divide(cells, OFFICIAL)


# ----------------------------------------------------------------------------- leakage


def test_leakage_worked_by_hand():
    # image:      0    1     2    3    4     5    6
    cells = frame(
        [("a", "x"), ("a", "x"), ("b", "y"), ("b", "y"), ("c", "x"), ("d", "y"), ("a", "x")],
        subject=["a+c", "a+c", "b", "b", "a+c", "d", "a+c"],
        source_image=["a/1", "a/2", "b/1", "b/1", None, "d/1", "a/2"],
        sha256=["h0", "h1", "h2", "h3", "h0", "h5", "h1"],
        original=[f"image-{number:04d}" for number in (0, 1, 2, 3, 4, 5, 1)],
        copy=[0, 0, 0, 0, 0, 0, 1],
    )
    folds = [
        Fold(np.array([0, 2, 6]), np.array([5]), np.array([1, 3, 4])),
        Fold(np.array([1, 2, 3, 4]), np.array([6]), np.array([5])),
    ]
    split = Split(cells, folds, [], SplitTable(split="official"), 0)
    shares = splits.leakage(split)
    assert shares.columns.tolist() == ["fold", "test_images", *SHARED]
    assert shares.iloc[0].tolist() == [
        0,
        3,
        pytest.approx(2 / 3),  # 1 (a) and 3 (b); c was not trained on
        1,
        1,  # a/2 and b/1; image 4 has none and does not count
        pytest.approx(1 / 3),  # 4 is file h0; 6 is a changed copy of h1
        pytest.approx(1 / 3),  # 1, whose copy 6 was trained on
    ]
    assert shares.iloc[1].tolist() == [1, 1, 0, 0, 0, 0, 0]
    summed = splits.leakage_shares({"both": split})
    assert summed.index.name == "split"
    assert summed.columns.tolist() == ["test images", *SHARED]
    # 3 test images in one fold and 1 in the other
    np.testing.assert_allclose(summed.loc["both"].to_numpy(float), [4, 0.5, 0.75, 0.75, 0.25, 0.25])


def test_leakage_is_missing_where_the_column_is():
    cells = frame(patients(x=[4], y=[4]), patient=[None] * 8)
    split = splits.divide(cells, {"split": "holdout", "test": 0.25})
    for table in (splits.leakage(split), splits.leakage_shares({"one": split})):
        assert table[["patient", "original"]].isna().all(axis=None)
        assert table["subject"].tolist() == [1.0]


def test_patients_that_are_one_subject_leak_under_the_patient_split(cells):
    table = {"split": "subject", "folds": 7, "by": "patient"}
    shares = pd.concat([splits.leakage(splits.divide(cells, table, seed)) for seed in range(5)])
    assert (shares["patient"] == 0).all()
    assert shares["subject"].max() > 0 and shares["bytes"].max() > 0


def test_real_patients_leak_by_linked_ids_and_subjects_do_not(test_data):
    cells = datasets.load("cnmc-2019", root=test_data / "cnmc-2019-subset")
    tables = {by: {"split": "subject", "folds": 5, "by": by} for by in ("subject", "patient")}
    tables["image"] = {"split": "stratified", "folds": 7}
    shares = splits.leakage_shares({by: splits.divide(cells, t) for by, t in tables.items()})
    assert (shares.loc["subject", SHARED[:-1]] == 0).all()
    assert shares.loc["patient", "patient"] == 0 < shares.loc["patient", "bytes"]
    assert shares.loc["image", "subject"] > 0.99  # all but subjects with a single cell


# ------------------------------------------------------------------------------------- a manifest


def test_a_manifest_gives_the_same_folds_whatever_the_order_of_the_images(cells, tmp_path):
    made = splits.divide(cells, {"split": "subject", "folds": 3}, seed=4)
    listed = splits.manifest(made)
    assert listed.columns.tolist() == ["image_id", "sha256", "subject", "fold"]
    assert listed["image_id"].tolist() == cells["image_id"].tolist()
    path = tmp_path / "splits.csv"
    listed.sample(frac=1, random_state=0).to_csv(path, index=False)
    shuffled = cells.sample(frac=1, random_state=1).reset_index(drop=True)
    shuffled.attrs = cells.attrs
    table = {"split": "manifest", "manifest": str(path), "validation": 0.2}
    again = splits.divide(shuffled, table, seed=9)
    for one, other in zip(made.folds, again.folds, strict=True):
        tested = [
            set(split.cells["image_id"].iloc[fold.test])
            for split, fold in ((made, one), (again, other))
        ]
        assert tested[0] == tested[1]
        parts = [set(shuffled["subject"].iloc[part]) for part in other]
        assert sum(map(len, parts)) == len(set.union(*parts)) and all(parts)


def test_a_manifest_of_other_images_is_refused(cells, tmp_path):
    listed = splits.manifest(splits.divide(cells, {"split": "subject", "folds": 3}))
    table = {"split": "manifest", "manifest": str(tmp_path / "splits.csv")}

    def divide(rows):
        rows.to_csv(table["manifest"], index=False)
        return splits.divide(cells, table)

    with pytest.raises(ValueError, match=r"does not list 2 of 84 images of made up, t0-0"):
        divide(listed.iloc[2:])
    with pytest.raises(ValueError, match=r"1 images are others than when.*t0-3 among them"):
        divide(listed.assign(sha256=listed["sha256"].mask(listed.index == 3, "other")))
    with pytest.raises(ValueError, match=r"splits\.csv: expected .*fold, each once.*found was"):
        divide(listed.drop(columns="fold"))
    with pytest.raises(ValueError, match=r"splits\.csv: line 86: image 't.*each image once"):
        divide(pd.concat([listed, listed.head(1)]))
    for number in ("1.5", "-1", "", "one"):
        with pytest.raises(ValueError, match=rf"csv: line 2: image 't0-0' in fold '{number}'"):
            divide(listed.assign(fold=[number, *listed["fold"][1:]]))
    more = pd.concat([listed, listed.head(1).assign(image_id="elsewhere")])
    with pytest.warns(UserWarning, match="lists 1 images more than made up has"):
        assert len(divide(more).folds) == 3
    with pytest.raises(ValueError, match=r"\d+ of 84 images are tested, in 1 folds"):
        splits.manifest(splits.divide(cells, {"split": "holdout", "test": 0.3}))
