"""Training on the training phase, testing on the preliminary phase: ``split = "official"``."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leukkit import protocols, reproduction, splits
from leukkit.datasets.cells import link_subjects
from leukkit.protocol_tables import NoPhaseError

STRING = pd.StringDtype("python")
SHARES = ["patient", "subject", "source_image", "bytes"]
TABLE = {"split": "official", "validation": 0.2}


def make_cells(training=8, preliminary=4, cells=3, shared=()):
    """Return cells of both phases; ``shared`` pairs training and preliminary subjects."""
    rows = []
    for phase, people in (("training", training), ("preliminary", preliminary)):
        for subject in range(people):
            for cell in range(cells):
                name = f"{phase[0]}{subject}"
                rows.append(
                    {
                        "image_id": f"{name}-{cell}",
                        "label": ("healthy", "ALL")[subject % 2],
                        "patient": name,
                        "source_image": f"{name}/{cell // 2}",
                        "split": phase,
                        "sha256": f"{name}-{cell}",
                    }
                )
    frame = pd.DataFrame(rows).astype(STRING)
    for trained, tested in shared:
        both = frame["image_id"].isin([f"t{trained}-0", f"p{tested}-0"])
        frame.loc[both, "sha256"] = f"shared {trained} {tested}"
    frame["subject"] = pd.Series(link_subjects(frame["patient"], frame["sha256"]), dtype=STRING)
    frame.attrs = {"dataset": "made up", "classes": ("healthy", "ALL")}
    return frame


def parts(cells, fold):
    return [set(cells["image_id"].iloc[part]) for part in fold]


def test_phases_are_kept_apart_and_validation_is_whole_subjects_of_the_training_phase():
    cells = make_cells()
    (fold,) = protocols.divide(cells, TABLE).folds
    train, validation, test = parts(cells, fold)
    assert test == set(cells["image_id"][cells["split"] == "preliminary"])
    assert train | validation == set(cells["image_id"][cells["split"] == "training"])
    assert not train & validation
    people = [set(cells["subject"].iloc[part]) for part in fold]
    assert not people[0] & people[1]
    for part in fold:
        assert set(cells["label"].iloc[part]) == {"healthy", "ALL"}
        assert (np.diff(part) > 0).all()


def test_without_a_share_nothing_is_set_aside():
    (fold,) = protocols.divide(make_cells(), {"split": "official"}).folds
    assert len(fold.validation) == 0 and len(fold.train) == 24 and len(fold.test) == 12


def test_a_subject_in_both_phases_is_tested_and_not_trained_on():
    # t2 and p0 share a file: they are one subject, whose other training cells must go, too.
    cells = make_cells(shared=[(2, 0)])
    (fold,) = protocols.divide(cells, TABLE).folds
    train, validation, test = parts(cells, fold)
    assert {"t2-0", "t2-1", "t2-2"}.isdisjoint(train | validation | test)
    assert {"p0-0", "p0-1", "p0-2"} <= test
    assert (splits.leakage(cells, [fold])[SHARES].iloc[0] == 0).all()


def test_an_identical_file_of_an_unknown_subject_is_not_trained_on():
    cells = make_cells(shared=[(2, 0)])
    cells[["patient", "subject"]] = pd.NA
    (fold,) = protocols.divide(cells, {"split": "official"}).folds
    assert "t2-0" not in parts(cells, fold)[0]
    assert splits.leakage(cells, [fold])["bytes"].iloc[0] == 0


@settings(max_examples=60, deadline=None)
@given(
    training=st.integers(10, 16),
    preliminary=st.integers(2, 6),
    cells=st.integers(1, 5),
    shared=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), max_size=3),
    seed=st.integers(0, 5),
    order=st.randoms(use_true_random=False),
)
def test_nothing_leaks_whoever_is_in_both_phases(training, preliminary, cells, shared, seed, order):
    frame = make_cells(training, preliminary, cells, shared)
    (fold,) = protocols.divide(frame, TABLE, seed).folds
    assert (splits.leakage(frame, [fold])[SHARES].iloc[0] == 0).all()
    assert (frame["split"].iloc[fold.test] == "preliminary").all()
    tested = set(frame["subject"].iloc[fold.test])
    left_out = set(range(len(frame))) - set(np.concatenate(fold))
    assert set(frame["subject"].iloc[sorted(left_out)]) <= tested
    rows = list(range(len(frame)))
    order.shuffle(rows)
    turned = frame.iloc[rows].reset_index(drop=True)
    (other,) = protocols.divide(turned, TABLE, seed).folds
    assert parts(frame, fold) == parts(turned, other)


@pytest.mark.parametrize("phase", ["training", None])
def test_images_without_a_preliminary_phase_are_refused(phase):
    cells = make_cells()
    cells = cells[cells["split"] == "training"].reset_index(drop=True)
    cells["split"] = pd.array([phase] * len(cells), dtype=STRING)
    cells.attrs = {"dataset": "half of it"}
    with pytest.raises(NoPhaseError, match=r"half of it: none of the 24 .* preliminary phase"):
        protocols.divide(cells, TABLE)


def test_copies_are_of_training_images_and_counted_on_the_training_phase():
    cells = make_cells()
    counts = {"healthy": 30, "ALL": 60}
    table = TABLE | {"augment": "after", "copies": {"counts": counts}}
    divided = protocols.divide(cells, table)
    (fold,) = divided.folds
    assert (divided.cells["copy"].iloc[fold.test] == 0).all()
    assert (divided.cells["copy"].iloc[fold.validation] == 0).all()
    share = (24 - len(fold.validation)) / 24  # of the training phase; preliminary images add none
    found = divided.cells["label"].iloc[fold.train].value_counts().to_dict()
    assert found == {label: round(share * count) for label, count in counts.items()}


@pytest.mark.parametrize("copies", [None, {"each": 2}])
def test_a_grid_search_divides_whole_subjects_of_the_training_part(copies):
    cells = make_cells(shared=[(2, 0)])
    table = {"split": "official"}
    if copies:
        table |= {"augment": "after", "copies": copies}
    divided = protocols.divide(cells, table, tuning_folds=3)
    training = divided.cells.iloc[divided.folds[0].train].reset_index(drop=True)
    (tuning,) = divided.tuning
    assert len(tuning) == 3
    for fit, score in tuning:
        assert not set(training["subject"][fit]) & set(training["subject"][score])
        if copies:
            assert (training["copy"][score] == 0).all() and (training["copy"][fit] > 0).any()


def test_a_grid_search_within_copies_of_the_whole_set_is_refused():
    table = {"split": "holdout", "test": 0.3, "augment": "before", "copies": {"each": 1}}
    with pytest.raises(ValueError, match="augment = 'before'"):
        protocols.divide(make_cells(), table, tuning_folds=2)


def test_both_phases_are_loaded_for_it_and_else_the_training_phase_alone(cache_dir):
    profile = {"datasets": {"cnmc-2019": "sample-phases"}}
    assert len(reproduction.load_cells(profile, "cnmc-2019")) == 449
    both = reproduction.load_cells(profile, "cnmc-2019", ("training", "preliminary"))
    assert len(both) == 580 and both.attrs["classes"] == ("healthy", "ALL")
