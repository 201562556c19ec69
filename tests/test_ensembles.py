"""The mean of several networks, against values worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from leukkit import metrics
from tests.predicted import binary

FIRST = binary([1, 0, 1], [0.9, 0.2, 0.4])
SECOND = binary([1, 0, 1], [0.5, 0.6, 0.8])
ALL_13 = np.arange(20) < 13


@pytest.mark.parametrize(
    ("weights", "expected"),
    [(None, [0.7, 0.4, 0.6]), ([3, 1], [0.8, 0.3, 0.5]), ([0, 2], [0.5, 0.6, 0.8])],
)
def test_weights_count_by_their_share(weights, expected):
    averaged = metrics.average([FIRST, SECOND], weights)
    np.testing.assert_allclose(averaged["prob_ALL"], expected)
    np.testing.assert_allclose(averaged["prob_healthy"], 1 - np.array(expected))


def test_rows_are_matched_by_name_not_by_place():
    turned = SECOND.iloc[[2, 0, 1]]
    averaged = metrics.average([FIRST, turned])
    pd.testing.assert_frame_equal(averaged, metrics.average([FIRST, SECOND]))
    back = metrics.average([turned, FIRST])
    assert list(back["image_id"]) == ["image-2", "image-0", "image-1"]
    np.testing.assert_allclose(back["prob_ALL"], [0.6, 0.7, 0.4])


def test_an_image_tested_in_two_folds_is_matched_within_its_fold():
    first = pd.concat([FIRST.assign(fold=0), SECOND.assign(fold=1)], ignore_index=True)
    second = pd.concat([FIRST.assign(fold=1), SECOND.assign(fold=0)], ignore_index=True)
    averaged = metrics.average([first, second])
    np.testing.assert_allclose(averaged["prob_ALL"], [0.7, 0.4, 0.6] * 2)


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, 1, 1]])
def test_weights_that_do_not_fit_are_refused(weights):
    with pytest.raises(ValueError, match="for 2 members: one each, none negative"):
        metrics.average([FIRST, SECOND], weights)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (SECOND.replace("image-2", "image-3"), "member 1 has no prediction for image 'image-2'"),
        (SECOND.head(2), "member 1 has other classes or images"),
        (
            SECOND.rename(columns={"prob_healthy": "prob_benign"}).replace("healthy", "benign"),
            "member 1 has other classes or images",
        ),
    ],
)
def test_members_of_other_images_or_classes_are_refused(other, message):
    for combine in (metrics.average, metrics.fit_weights):
        with pytest.raises(ValueError, match=message):
            combine([FIRST, other])


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        # one is always wrong, the other always right
        ([binary([1, 0, 1], [0, 1, 0]), binary([1, 0, 1], [1, 0, 1])], [0, 1]),
        # 13 of 20 are ALL: the log loss -(13 log(w) + 7 log(1 - w)) / 20 is smallest at 13 / 20
        ([binary(ALL_13, np.ones(20)), binary(ALL_13, np.zeros(20))], [0.65, 0.35]),
        # equal members: the first weights tried
        ([FIRST, FIRST, FIRST], [0, 0, 1]),
    ],
)
def test_weights_are_those_of_the_smallest_log_loss(members, expected):
    np.testing.assert_allclose(metrics.fit_weights(members), expected)
