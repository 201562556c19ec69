import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from leukkit import datasets, splits
from leukkit.splits import Fold

STRING = pd.StringDtype("python")


def frame(rows, **columns):
    """Return a cells frame of (subject, label) rows; other columns as given."""
    subjects, labels = zip(*rows, strict=True)
    data = {
        "image_id": [f"image-{number:04d}" for number in range(len(rows))],
        "label": labels,
        "patient": subjects,
        "source_image": [f"{name}/{number // 3}" for number, name in enumerate(subjects)],
        "sha256": [f"hash-{number}" for number in range(len(rows))],
        "subject": subjects,
    }
    data.update(columns)
    cells = pd.DataFrame(data)
    cells = cells.astype({name: STRING for name in cells if cells[name].dtype == object})
    cells.attrs["dataset"] = "drawn"
    return cells


def patients(counts):
    """Return rows for {label: [images of each patient]}."""
    return [
        (f"{label}{patient}", label)
        for label, sizes in counts.items()
        for patient, size in enumerate(sizes)
        for _ in range(size)
    ]


@st.composite
def drawn_cells(draw, least=6):
    sizes = st.lists(st.integers(2, 12), min_size=least, max_size=14)
    rows = patients({label: draw(sizes) for label in draw(st.sampled_from(["ab", "abc"]))})
    order = draw(st.permutations(range(len(rows))))
    return frame([rows[position] for position in order])


SPLITS = {
    "holdout": lambda cells, seed: splits.holdout(cells, 0.25, 0.15, seed),
    "holdout by subject": lambda cells, seed: splits.holdout(cells, 0.25, 0.15, seed, "subject"),
    "stratified": lambda cells, seed: splits.stratified_kfold(cells, 4, 0.15, seed),
    "subject": lambda cells, seed: splits.subject_kfold(cells, 3, 0.15, seed),
}


@pytest.mark.parametrize("name", SPLITS)
@settings(max_examples=25)
@given(cells=drawn_cells(), seed=st.integers(0, 1000))
def test_every_image_is_in_exactly_one_part_and_no_part_lacks_a_class(name, cells, seed):
    folds = SPLITS[name](cells, seed)
    for fold in folds:
        everything = np.concatenate(fold)
        assert sorted(everything) == list(range(len(cells)))
        for part in fold:
            assert part.dtype == np.int64
            assert (np.diff(part) > 0).all()
            assert set(cells["label"].iloc[part]) == set(cells["label"])
    if len(folds) > 1:
        tested = np.concatenate([fold.test for fold in folds])
        assert sorted(tested) == list(range(len(cells)))


@pytest.mark.parametrize("name", ["holdout by subject", "subject"])
@settings(max_examples=25)
@given(cells=drawn_cells(), seed=st.integers(0, 1000))
def test_an_subject_is_never_on_two_sides(name, cells, seed):
    for fold in SPLITS[name](cells, seed):
        sides = [set(cells["subject"].iloc[part]) for part in fold]
        assert sum(map(len, sides)) == cells["subject"].nunique()


@pytest.mark.parametrize("name", SPLITS)
@settings(max_examples=10)
@given(cells=drawn_cells(), seed=st.integers(0, 1000), shuffle=st.randoms(use_true_random=False))
def test_same_seed_same_split_in_any_order_of_the_rows(name, cells, seed, shuffle):
    def named(cells):
        return [
            [set(cells["image_id"].iloc[part]) for part in fold]
            for fold in SPLITS[name](cells, seed)
        ]

    order = list(range(len(cells)))
    shuffle.shuffle(order)
    assert named(cells) == named(cells.iloc[order])


@pytest.mark.parametrize("name", SPLITS)
def test_another_seed_gives_another_split(name):
    cells = frame(patients({"ALL": [9] * 8 + [5] * 6, "healthy": [4] * 10}))
    first, second = SPLITS[name](cells, 0), SPLITS[name](cells, 1)
    assert any(not np.array_equal(a.test, b.test) for a, b in zip(first, second, strict=True))


@settings(max_examples=25)
@given(
    sizes=st.tuples(st.integers(20, 200), st.integers(20, 200)),
    test=st.floats(0.1, 0.5),
    validation=st.floats(0.1, 0.3),
)
def test_image_holdout_hits_the_shares_of_each_class_to_one_image(sizes, test, validation):
    cells = frame(patients({"ALL": [sizes[0]], "healthy": [sizes[1]]}))
    (fold,) = splits.holdout(cells, test, validation)
    for label, size in zip(["ALL", "healthy"], sizes, strict=True):
        for part, share in [(fold.test, test), (fold.validation, validation)]:
            found = (cells["label"].iloc[part] == label).sum()
            assert abs(found - share * size) <= 1


def test_group_holdout_comes_near_the_shares():
    sizes = {"ALL": list(range(10, 60)), "healthy": list(range(30, 130, 5))}
    cells = frame(patients(sizes))
    for seed in range(20):
        (fold,) = splits.holdout(cells, 0.15, 0.15, seed, by="subject")
        for part in (fold.test, fold.validation):
            for label in sizes:
                share = (cells["label"].iloc[part] == label).sum() / sum(sizes[label])
                assert 0.12 < share < 0.18


def test_holdout_keeps_the_test_part_when_a_validation_part_is_asked_for():
    cells = frame(patients({"ALL": [9] * 8, "healthy": [4] * 10}))
    (without,) = splits.holdout(cells, 0.2, by="subject")
    (with_validation,) = splits.holdout(cells, 0.2, 0.2, by="subject")
    np.testing.assert_array_equal(without.test, with_validation.test)


def spread(cells, tests):
    shares = [cells["label"].iloc[test].value_counts(normalize=True) for test in tests]
    return pd.DataFrame(shares).std().max()


def test_stratification_is_as_good_as_scikit_learns():
    rows = patients({"ALL": [*range(3, 40), 200], "healthy": [*range(5, 90, 4)]})
    cells = frame(rows)
    labels = cells["label"].to_numpy(object)
    ours = spread(cells, [fold.test for fold in splits.stratified_kfold(cells, 7, seed=3)])
    theirs = spread(cells, [test for _, test in StratifiedKFold(7).split(labels, labels)])
    assert ours <= theirs + 1e-3
    theirs = spread(
        cells,
        [test for _, test in StratifiedGroupKFold(5).split(labels, labels, cells["subject"])],
    )
    for seed in range(5):
        ours = spread(cells, [fold.test for fold in splits.subject_kfold(cells, 5, seed=seed)])
        assert ours <= theirs + 0.02


def test_embargo_removes_neighbors_of_test_images_in_their_sequence_only():
    numbers = [*range(1, 41), *range(1, 41)]
    rows = [(f"{label}-{(n - 1) // 10}", label) for label in ("early", "pre") for n in range(1, 41)]
    cells = frame(rows, sequence=["early"] * 40 + ["pre"] * 40, number=numbers)
    cells["number"] = cells["number"].astype("Int64")
    plain = splits.subject_kfold(cells, 4, seed=1)
    for fold, before in zip(splits.subject_kfold(cells, 4, seed=1, embargo=3), plain, strict=True):
        np.testing.assert_array_equal(fold.test, before.test)
        removed = np.setdiff1d(before.train, fold.train)
        expected = [
            position
            for position in before.train
            if any(
                rows[position][1] == rows[test][1] and abs(numbers[position] - numbers[test]) <= 3
                for test in fold.test
            )
        ]
        assert removed.tolist() == expected
        assert len(expected) >= 6


def test_embargo_also_holds_for_validation():
    rows = [(f"{label}-{n // 5}", label) for label in ("early", "pre") for n in range(60)]
    cells = frame(rows, sequence=[label for _, label in rows], number=[*range(60), *range(60)])
    for fold in splits.subject_kfold(cells, 3, validation=0.2, embargo=2):
        for position in fold.validation:
            same = cells["sequence"].iloc[fold.test] == cells["sequence"].iloc[position]
            tested = cells["number"].iloc[fold.test][same.to_numpy()]
            assert (tested - cells["number"].iloc[position]).abs().min() > 2


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
    folds = [Fold(np.array([0, 2, 6]), np.array([5]), np.array([1, 3, 4]))]
    row = splits.leakage(cells, folds).iloc[0]
    assert row["fold"] == 0
    assert row["test_images"] == 3
    assert row["patient"] == pytest.approx(2 / 3)  # 1 (a) and 3 (b); c was not trained on
    assert row["subject"] == 1.0
    assert row["source_image"] == 1.0  # a/2 and b/1; image 4 has none and does not count
    assert row["bytes"] == pytest.approx(1 / 3)  # 4 is file h0; 6 is a changed copy of h1
    assert row["original"] == pytest.approx(1 / 3)  # 1, whose copy 6 was trained on


def test_leakage_is_missing_where_the_column_is():
    cells = frame(patients({"x": [4], "y": [4]}), patient=[None] * 8)
    table = splits.leakage(cells, splits.holdout(cells, 0.25))
    assert table["patient"].isna().all()
    assert table["original"].isna().all()
    assert table["subject"].tolist() == [1.0]


def test_an_subject_split_does_not_leak_and_a_patient_split_of_linked_patients_does():
    rows = patients({"ALL": [10] * 8, "healthy": [10] * 6})
    hashes = [f"hash-{number}" for number in range(len(rows))]
    hashes[10:20] = hashes[0:10]  # patients ALL0 and ALL1 are one subject
    subjects = [{"ALL0": "ALL0+ALL1", "ALL1": "ALL0+ALL1"}.get(name, name) for name, _ in rows]
    cells = frame(rows, sha256=hashes, subject=subjects)
    shares = splits.leakage(cells, splits.subject_kfold(cells, 4))
    assert (shares[["patient", "subject", "source_image", "bytes"]] == 0).all(axis=None)
    shares = splits.leakage(cells, splits.subject_kfold(cells, 4, by="patient"))
    assert (shares["patient"] == 0).all()
    assert shares["bytes"].max() > 0
    shares = splits.leakage(cells, splits.stratified_kfold(cells, 5))
    assert (shares[["patient", "subject"]] == 1).all(axis=None)


def test_augmenting_before_an_image_level_split_leaks_originals():
    cells = frame(patients({"ALL": [40], "healthy": [40]}))
    cells["original"], cells["copy"] = cells["image_id"], 0
    copies = cells.assign(image_id=cells["image_id"] + "#1", copy=1)
    (fold,) = splits.holdout(pd.concat([cells, copies], ignore_index=True), 0.2)
    share = splits.leakage(pd.concat([cells, copies], ignore_index=True), [fold])["original"][0]
    both = pd.concat([cells, copies], ignore_index=True)["original"]
    expected = np.mean([both[i] in set(both[fold.train]) for i in fold.test])
    assert share == pytest.approx(expected)
    assert share > 0.5


def test_images_without_subject_are_refused_unless_kept_on_their_own():
    subjects = ["p", "p", None, None, None, "q", None, None]
    labels = ["ALL"] * 4 + ["healthy"] * 4
    hashes = ["h0", "h1", "h2", "h2", "h4", "h5", "h6", "h7"]
    cells = frame(list(zip(subjects, labels, strict=True)), sha256=hashes)
    with pytest.raises(ValueError, match=r"drawn: 5 of 8 images have no subject.*missing='image'"):
        splits.subject_kfold(cells, 2)
    for seed in range(5):
        for fold in splits.subject_kfold(cells, 2, seed=seed, missing="image"):
            sides = np.isin(np.arange(8), fold.test)
            assert sides[0] == sides[1]
            assert sides[2] == sides[3]  # the same file twice
    with pytest.raises(ValueError, match="missing='drop'"):
        splits.subject_kfold(cells, 2, missing="drop")


def test_bad_input_is_refused_with_what_to_do():
    cells = frame(patients({"ALL": [10] * 6, "healthy": [10] * 3}))
    with pytest.raises(ValueError, match=r"'healthy'.*5 folds need at least 5 .*found 3.*fewer"):
        splits.subject_kfold(cells, 5)
    with pytest.raises(ValueError, match=r"'healthy'.*images, found 30"):
        splits.stratified_kfold(cells, 31)
    with pytest.raises(ValueError, match=r"'healthy'.*found 1"):
        splits.holdout(frame(patients({"ALL": [5, 5], "healthy": [5]})), by="patient")
    with pytest.raises(ValueError, match="all 60 images are of the class 'ALL'"):
        splits.holdout(cells[cells["label"] == "ALL"])
    unlabeled = cells.copy()
    unlabeled.loc[:3, "label"] = pd.NA
    with pytest.raises(ValueError, match=r"4 of 90 images have no label.*notna"):
        splits.stratified_kfold(unlabeled)
    with pytest.raises(ValueError, match="no images"):
        splits.holdout(cells[:0])
    with pytest.raises(ValueError, match=r"by='person' is no column.*subject"):
        splits.holdout(cells, by="person")
    with pytest.raises(ValueError, match="share for training"):
        splits.holdout(cells, 0.7, 0.3)
    with pytest.raises(ValueError, match="at least 2"):
        splits.subject_kfold(cells, 1)
    with pytest.raises(ValueError, match=r"less than 0\.667"):
        splits.subject_kfold(cells, 3, validation=0.7)
    with pytest.raises(ValueError, match="'sequence' and 'number'"):
        splits.subject_kfold(cells, 3, embargo=2)


def test_very_unequal_subjects_are_split_or_refused_but_never_silently_lost():
    cells = frame(patients({"ALL": [500, 1, 1], "healthy": [20] * 9}))
    (fold,) = splits.holdout(cells, 0.2, by="subject")
    assert set(cells["label"].iloc[fold.test]) == {"ALL", "healthy"}
    assert len(fold.train) + len(fold.test) == len(cells)


def test_real_patients_leak_by_linked_ids_and_subjects_do_not(test_data):
    cells = datasets.load("cnmc-2019", root=test_data / "cnmc-2019-subset")
    by_subject = splits.leakage(cells, splits.subject_kfold(cells, 5))
    assert (by_subject[["patient", "subject", "source_image", "bytes"]] == 0).all(axis=None)
    by_patient = splits.leakage(cells, splits.subject_kfold(cells, 5, by="patient"))
    assert (by_patient["patient"] == 0).all()
    assert by_patient["bytes"].max() > 0
    by_image = splits.leakage(cells, splits.stratified_kfold(cells, 7))
    assert (by_image["subject"] > 0.99).all()  # all but subjects with a single cell
