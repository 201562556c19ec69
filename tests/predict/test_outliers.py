"""Distances against scikit-learn's own covariance, thresholds counted by hand."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from leukkit import saved
from leukkit.saved import outliers


@pytest.mark.parametrize(("images", "features"), [(200, 12), (30, 80)])
def test_distances_are_those_of_the_shrunk_covariance(images, features):
    generator = np.random.default_rng(0)
    mixing = generator.standard_normal((features, features))
    train = generator.standard_normal((images, features)) @ mixing + 3
    others = 2 * generator.standard_normal((20, features)) @ mixing
    reference = outliers.fit(train, ["cell"] * images)
    assert len(reference.directions) < images and reference.directions.dtype == np.float32
    expected = np.sqrt(LedoitWolf().fit(train).mahalanobis(others))
    np.testing.assert_allclose(outliers.distances(reference, others), expected, rtol=1e-4)


def test_the_distance_is_to_the_nearest_class():
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((400, 5))
    labels = np.repeat(["healthy", "ALL"], 200)
    train = noise + 20 * (labels == "ALL")[:, None]
    reference = outliers.fit(train, labels)
    near, between = outliers.distances(reference, [np.full(5, 20.0), np.full(5, 10.0)])
    assert near < 0.3
    assert between == pytest.approx(10 * np.sqrt(5), rel=0.1)  # of ten deviations in five features


@pytest.mark.parametrize(
    ("count", "expected"), [(99, 95), (199, 190), (1000, 951), (19, 19), (10, 10)]
)
def test_the_threshold_counted_by_hand(count, expected):
    # The ceil((n + 1) 0.95)-th smallest of the numbers 1 to n is that number itself.
    shuffled = np.random.default_rng(0).permutation(np.arange(1, count + 1))
    assert outliers.threshold(shuffled, np.arange(count)) == expected


def test_of_many_images_some_are_chosen_by_the_seed():
    chosen = outliers.some_of(np.arange(5000), seed=3)
    assert len(chosen) == outliers.MOST_IMAGES and (np.diff(chosen) > 0).all()
    assert (chosen == outliers.some_of(np.arange(5000), seed=3)).all()
    assert (chosen != outliers.some_of(np.arange(5000), seed=4)).any()
    assert outliers.some_of([7, 2, 5], seed=0).tolist() == [2, 5, 7]


def test_embeddings_that_say_nothing_are_refused():
    with pytest.raises(ValueError, match="do not differ within a class"):
        outliers.fit(np.repeat([[1.0, 2], [3, 4]], 5, axis=0), [0] * 5 + [1] * 5)
    with pytest.raises(ValueError, match="not finite"):
        outliers.fit([[1.0, np.nan], [0, 1]], [0, 1])
    with pytest.raises(ValueError, match=r"shape \(2, 1\) for 3 labels; expected one row each"):
        outliers.fit([[1.0], [2]], [0, 1, 1])
    reference = outliers.fit(np.random.default_rng(0).standard_normal((9, 3)), np.zeros(9))
    with pytest.raises(ValueError, match=r"\(1, 2\), those of training have 3"):
        outliers.distances(reference, [[1.0, 2]])
    for distances in ([], [1, np.nan]):
        with pytest.raises(ValueError, match="finite distances"):
            outliers.threshold(distances, np.arange(len(distances)))


def test_validation_images_without_numbers_give_no_threshold():
    generator = np.random.default_rng(0)
    training = generator.standard_normal((40, 4)), np.repeat(["healthy", "ALL"], 20)
    validation = generator.standard_normal((20, 4))
    validation[3, 2] = np.nan
    reference, threshold, why = saved._threshold(training, validation, np.arange(20))
    assert reference is None and threshold is None
    assert why.startswith("1 of 20 validation images are at no finite distance")
