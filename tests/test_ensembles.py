"""The mean of several networks, against values worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leukkit.metrics import ensembles

LABELS = ("ALL", "healthy", "ALL")


def member(*probabilities, images=("a", "b", "c"), labels=LABELS):
    """Return predictions; ``probabilities`` are those of ALL, the other class has the rest."""
    return pd.DataFrame(
        {
            "image_id": list(images),
            "subject": [f"subject of {image}" for image in images],
            "label": list(labels),
            "prob_healthy": [1 - value for value in probabilities],
            "prob_ALL": list(probabilities),
        }
    )


FIRST = member(0.9, 0.2, 0.4)
SECOND = member(0.5, 0.6, 0.8)


def test_the_mean_weighs_all_members_alike():
    averaged = ensembles.mean([FIRST, SECOND])
    np.testing.assert_allclose(averaged["prob_ALL"], [0.7, 0.4, 0.6])
    np.testing.assert_allclose(averaged["prob_healthy"], [0.3, 0.6, 0.4])


def test_weights_count_by_their_share():
    averaged = ensembles.mean([FIRST, SECOND], [3, 1])
    np.testing.assert_allclose(averaged["prob_ALL"], [0.8, 0.3, 0.5])
    alone = ensembles.mean([FIRST, SECOND], [0, 2])
    np.testing.assert_allclose(alone["prob_ALL"], SECOND["prob_ALL"])


def test_rows_and_classes_are_matched_by_name_not_by_place():
    turned = SECOND.iloc[[2, 0, 1]].reset_index(drop=True)
    averaged = ensembles.mean([FIRST, turned])
    pd.testing.assert_frame_equal(averaged, ensembles.mean([FIRST, SECOND]))
    back = ensembles.mean([turned, FIRST])
    assert list(back["image_id"]) == ["c", "a", "b"]
    np.testing.assert_allclose(back["prob_ALL"], [0.6, 0.7, 0.4])


def test_an_image_tested_in_two_folds_is_matched_within_its_fold():
    first = pd.concat([FIRST.assign(fold=0), SECOND.assign(fold=1)], ignore_index=True)
    second = pd.concat([FIRST.assign(fold=1), SECOND.assign(fold=0)], ignore_index=True)
    averaged = ensembles.mean([first, second])
    np.testing.assert_allclose(averaged["prob_ALL"], [0.7, 0.4, 0.6] * 2)


def test_the_members_are_left_as_they_are():
    before = FIRST.copy()
    ensembles.mean([FIRST, SECOND])
    pd.testing.assert_frame_equal(FIRST, before)


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, 1, 1]])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match="for 2 members: one each, none negative"):
        ensembles.mean([FIRST, SECOND], weights)


def test_members_of_other_images_or_classes_are_refused():
    with pytest.raises(ValueError, match="member 1 has no prediction for image 'c'"):
        ensembles.mean([FIRST, member(0.1, 0.2, 0.3, images=("a", "b", "d"))])
    with pytest.raises(ValueError, match="member 1 has other classes or images"):
        ensembles.mean([FIRST, SECOND.head(2)])
    renamed = SECOND.rename(columns={"prob_healthy": "prob_benign"}).replace("healthy", "benign")
    with pytest.raises(ValueError, match="member 1 has other classes or images"):
        ensembles.mean([FIRST, renamed])


def test_a_member_that_is_always_right_gets_all_the_weight():
    right, wrong = member(1.0, 0.0, 1.0), member(0.0, 1.0, 0.0)
    np.testing.assert_allclose(ensembles.fit_weights([wrong, right]), [0, 1])


def test_two_members_that_fail_on_different_images_share_the_weight():
    # log loss of w and 1 - w: -(log(w) + log(1 - w)) / 2 is smallest at one half
    one = member(1.0, 1.0, images=("a", "b"), labels=("ALL", "healthy"))
    other = member(0.0, 0.0, images=("a", "b"), labels=("ALL", "healthy"))
    np.testing.assert_allclose(ensembles.fit_weights([one, other]), [0.5, 0.5])


def test_equal_members_give_the_first_weights_tried():
    np.testing.assert_allclose(ensembles.fit_weights([FIRST, FIRST, FIRST]), [0, 0, 1])


@given(st.lists(st.lists(st.floats(0.01, 0.99), min_size=3, max_size=3), min_size=1, max_size=3))
def test_the_chosen_weights_are_no_worse_than_equal_ones_on_a_grid_point(values):
    members = [member(*some) for some in values]

    def log_loss(weights):
        averaged = ensembles.mean(members, weights)
        own = np.where(averaged["label"] == "ALL", averaged["prob_ALL"], averaged["prob_healthy"])
        return -np.log(own).mean()

    weights = ensembles.fit_weights(members)
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    for alone in np.eye(len(members)):
        assert log_loss(weights) <= log_loss(alone) + 1e-9
