import itertools

import numpy as np
import pandas as pd
import pytest

from leukkit import protocols, splits

STRING = pd.StringDtype("python")


@pytest.fixture
def cells():
    """12 identities of 6 cells each; identity h0+h1 is two patients that share one file."""
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
                "identity": "h0+h1" if name in ("h0", "h1") else name,
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
    assert leak["identity"] == 1.0


def test_leak_free_shares_nothing_and_tests_each_original_once(cells):
    protocol = protocols.leak_free(cells, COUNTS, folds=3, tuning_folds=2, seed=3)
    leaks = splits.leakage(protocol.cells, protocol.folds)
    assert (leaks[["patient", "identity", "source_image", "bytes", "original"]] == 0).all().all()
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
def test_tuning_keeps_identities_whole_and_scores_originals(cells, counts):
    protocol = protocols.leak_free(cells, counts, folds=3, tuning_folds=2)
    for fold, tuning in zip(protocol.folds, protocol.tuning, strict=True):
        training = protocol.cells.iloc[fold.train].reset_index(drop=True)
        scored = []
        for fit, score in tuning:
            assert not set(training["identity"][fit]) & set(training["identity"][score])
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
        leaks.append(table["identity"].max())
    assert max(leaks) > 0


def test_unknown_identities_are_refused_unless_asked_for(cells):
    unknown = cells.assign(identity=pd.array([pd.NA] * len(cells), dtype=STRING))
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
