import itertools

import numpy as np
import pandas as pd
import pytest

from leukkit import protocols, splits

STRING = pd.StringDtype("python")


@pytest.fixture
def cells():
    """12 subjects of 6 cells each; subject h0+h1 is two patients that share one file."""
    rows = []
    for label, patient, cell in itertools.product(["healthy", "ALL"], range(7), range(6)):
        name = f"{label[0]}{patient}"
        rows.append(
            {
                "image_id": f"{name}-{cell}",
                "label": label,
                "patient": name,
                "source_image": f"{name}/{cell // 2}",
                "sha256": "shared" if name in ("h0", "h1") and cell == 0 else f"{name}{cell}",
                "subject": "h0+h1" if name in ("h0", "h1") else name,
            }
        )
    frame = pd.DataFrame(rows).astype(STRING)
    frame.attrs = {"dataset": "made up", "classes": ("healthy", "ALL")}
    return frame


COUNTS = {"healthy": 100, "ALL": 100}


def test_the_published_protocol_reaches_the_counts_and_leaks_copies(cells):
    protocol = protocols.published(cells, COUNTS, test=0.2, seed=3)
    assert protocol.cells["label"].value_counts().to_dict() == COUNTS
    assert len(protocol.folds) == 1 and len(protocol.folds[0].test) == 40
    leak = splits.leakage(protocol.cells, protocol.folds).iloc[0]
    assert leak["original"] > 0.5  # 200 images of 84 originals: most have a copy on the other side
    assert leak["subject"] == 1.0


def test_leak_free_shares_nothing_and_tests_each_original_once(cells):
    protocol = protocols.leak_free(cells, COUNTS, folds=3, tuning_folds=2, seed=3)
    leaks = splits.leakage(protocol.cells, protocol.folds)
    assert (leaks[["patient", "subject", "source_image", "bytes", "original"]] == 0).all().all()
    tested = np.concatenate([fold.test for fold in protocol.folds])
    assert sorted(protocol.cells["image_id"].iloc[tested]) == sorted(cells["image_id"])


@pytest.mark.parametrize("make", [protocols.leak_free, protocols.image_level])
def test_augmented_copies_are_in_training_only_and_balance_it(cells, make):
    protocol = make(cells, COUNTS, folds=3, tuning_folds=2)
    for fold in protocol.folds:
        assert (protocol.cells["copy"].iloc[fold.test] == 0).all()
        per_class = protocol.cells["label"].iloc[fold.train].value_counts()
        originals = (protocol.cells["copy"].iloc[fold.train] == 0).sum()
        assert per_class["ALL"] == per_class["healthy"] == round(100 * originals / len(cells))


def test_a_copy_is_the_same_image_in_every_fold(cells):
    protocol = protocols.leak_free(cells, COUNTS, folds=3, tuning_folds=2)
    assert protocol.cells["image_id"].is_unique


@pytest.mark.parametrize("counts", [None, COUNTS])
def test_tuning_keeps_subjects_whole_and_scores_originals(cells, counts):
    protocol = protocols.leak_free(cells, counts, folds=3, tuning_folds=2)
    for fold, tuning in zip(protocol.folds, protocol.tuning, strict=True):
        training = protocol.cells.iloc[fold.train].reset_index(drop=True)
        scored = []
        for fit, score in tuning:
            assert not set(training["subject"][fit]) & set(training["subject"][score])
            if counts:
                assert (training["copy"][score] == 0).all()
                assert (training["copy"][fit] > 0).any()
            scored += training["image_id"][score].tolist()
        originals = training["image_id"][~training["image_id"].str.contains("#")]
        assert sorted(scored) == sorted(originals)


def test_patients_that_share_a_file_leak_under_the_patient_split(cells):
    leaks = []
    for seed in range(5):
        protocol = protocols.patient_level(cells, folds=7, tuning_folds=2, seed=seed)
        table = splits.leakage(protocol.cells, protocol.folds)
        assert (table["patient"] == 0).all()
        leaks.append(table["subject"].max())
    assert max(leaks) > 0


def test_unknown_subjects_are_refused_unless_asked_for(cells):
    unknown = cells.assign(subject=pd.array([pd.NA] * len(cells), dtype=STRING))
    unknown.attrs = cells.attrs
    with pytest.raises(ValueError, match="missing='image'"):
        protocols.leak_free(unknown)
    assert len(protocols.leak_free(unknown, folds=3, missing="image").folds) == 3


def test_the_same_seed_gives_the_same_protocol(cells):
    first = protocols.leak_free(cells, COUNTS, folds=3, seed=1, tuning_folds=2)
    again = protocols.leak_free(cells, COUNTS, folds=3, seed=1, tuning_folds=2)
    pd.testing.assert_frame_equal(first.cells, again.cells)
    for one, other in zip(first.folds, again.folds, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


SHARED = ["patient", "subject", "source_image", "bytes", "original"]


def test_a_table_of_counts_augments_first_and_scores_exactly_so_many(cells):
    table = {
        "split": "counts",
        "test_counts": {"healthy": 10, "ALL": 20},
        "validation": "test",
        "augment": "before",
        "copies": {"counts": COUNTS},
    }
    divided = protocols.divide(cells, table, seed=3, name="published")
    (fold,) = divided.folds
    scored = divided.cells["label"].iloc[fold.test].value_counts().to_dict()
    assert scored == {"healthy": 10, "ALL": 20}
    assert len(fold.train) == 200 - 30 and not set(fold.train) & set(fold.test)
    np.testing.assert_array_equal(fold.validation, fold.test)
    assert splits.leakage(divided.cells, divided.folds)["original"].iloc[0] > 0.5
    assert (divided.name, divided.tuning) == ("published", [])


def test_exact_counts_do_not_depend_on_the_order_of_the_rows(cells):
    table = {"split": "counts", "test_counts": {"healthy": 5, "ALL": 5}}
    turned = cells.iloc[::-1].reset_index(drop=True)
    drawn = []
    for frame in (cells, turned):
        (fold,) = protocols.divide(frame, table, seed=1).folds
        drawn.append(set(frame["image_id"].iloc[fold.test]))
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("copies", "expected"),
    [
        ({"each": 3}, {"healthy": 4, "ALL": 4}),
        ({"counts": {"healthy": 420, "ALL": 210}}, {"healthy": 10, "ALL": 5}),
    ],
)
def test_copies_after_the_split_multiply_training_only(cells, copies, expected):
    table = {
        "split": "holdout",
        "test": 0.25,
        "validation": 0.25,
        "augment": "after",
        "copies": copies,
    }
    divided = protocols.divide(cells, table)
    (fold,) = divided.folds
    training = divided.cells.iloc[fold.train]
    originals = training[training["copy"] == 0]["label"].value_counts()
    times = training["label"].value_counts() / originals
    assert times.round(1).to_dict() == expected
    for part in (fold.validation, fold.test):
        assert (divided.cells["copy"].iloc[part] == 0).all() and len(part)
    assert splits.leakage(divided.cells, divided.folds)["original"].iloc[0] == 0


def test_balancing_copies_the_smaller_class_up_to_the_larger(cells):
    fewer = cells.iloc[20:].reset_index(drop=True)  # 22 healthy, 42 ALL
    fewer.attrs = cells.attrs
    table = {
        "split": "holdout",
        "test": 0.2,
        "augment": "after",
        "copies": {"balance": True},
    }
    divided = protocols.divide(fewer, table)
    (fold,) = divided.folds
    training = divided.cells.iloc[fold.train]
    per_class = training["label"].value_counts()
    assert per_class["healthy"] == per_class["ALL"]
    assert set(training.loc[training["copy"] > 0, "label"]) == {"healthy"}
    assert len(fold.validation) == 0


def test_subject_tables_share_nothing_and_use_what_the_functions_of_the_kit_use(cells):
    table = {"split": "subject", "folds": 3, "augment": "after", "copies": {"counts": COUNTS}}
    divided = protocols.divide(cells, {**table, "validation": 0.15}, seed=3)
    leaks = splits.leakage(divided.cells, divided.folds)
    assert (leaks[SHARED] == 0).all(axis=None)
    same = protocols.leak_free(cells, COUNTS, folds=3, tuning_folds=2, seed=3)
    for one, other in zip(protocols.divide(cells, table, seed=3).folds, same.folds, strict=True):
        np.testing.assert_array_equal(one.train, other.train)
        np.testing.assert_array_equal(one.test, other.test)


def test_without_copies_the_cells_stay_as_they_are(cells):
    table = {"split": "stratified", "folds": 7, "validation": 0.1286}
    divided = protocols.divide(cells, table)
    assert divided.cells is cells
    tested = np.sort(np.concatenate([fold.test for fold in divided.folds]))
    np.testing.assert_array_equal(tested, np.arange(len(cells)))
    # 15% of the 72 that are not tested
    assert {len(fold.validation) for fold in divided.folds} <= {10, 11, 12}


def test_an_embargo_and_other_columns_are_passed_on(cells):
    ordered = cells.assign(sequence=cells["label"], number=range(len(cells)))
    ordered.attrs = cells.attrs
    table = {"split": "subject", "folds": 3, "by": "source_image", "embargo": 2}
    for fold in protocols.divide(ordered, table).folds:
        numbers = ordered["number"].to_numpy()
        near = np.abs(numbers[fold.train][:, None] - numbers[fold.test]) <= 2
        labels = ordered["label"].to_numpy(object)
        assert not (near & (labels[fold.train][:, None] == labels[fold.test])).any()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "split is None; expected one of holdout, stratified, subject, counts"),
        ({"split": "random"}, "split is 'random'"),
        ({"split": "holdout"}, "also needs test"),
        ({"split": "stratified", "folds": 3, "by": "patient"}, "does not use by"),
        ({"split": "holdout", "test": 0.2, "augment": "after"}, "give both of them, or neither"),
        (
            {"split": "holdout", "test": 0.2, "augment": "now", "copies": {"each": 1}},
            "augment is 'now'",
        ),
        (
            {"split": "holdout", "test": 0.2, "augment": "after", "copies": {"twice": True}},
            "expected one of counts, balance, each",
        ),
        ({"split": "holdout", "test": 0.2, "validation": "train"}, "validation is 'train'"),
        (
            {"split": "counts", "test_counts": {"healthy": 1, "ALL": 1}, "validation": 0.1},
            "has no such part",
        ),
        ({"split": "counts", "test_counts": {"healthy": 1}}, "the images have"),
        (
            {"split": "counts", "test_counts": {"healthy": 42, "ALL": 1}},
            "asks for 42 images of class healthy, which has 42",
        ),
    ],
)
def test_mistakes_in_a_table_are_named(cells, table, message):
    with pytest.raises(ValueError, match=message):
        protocols.divide(cells, table)
