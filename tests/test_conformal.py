"""Sets for a new subject: by hand, against split conformal prediction, and by simulation."""

import numpy as np
import pytest

from leukkit.metrics import conformal
from tests.predicted import STAGES, binary


def test_a_quantile_by_hand():
    # Three subjects and the one to come have a quarter each; b shares it among two images.
    scores, subjects = [0.1, 0.2, 0.6, 0.4], [*"abbc"]
    # Sorted: a 0.1 up to 1/4, b 0.2 up to 3/8, c 0.4 up to 5/8, b 0.6 up to 3/4, then infinity.
    expected = {0.25: 0.1, 0.26: 0.2, 0.375: 0.2, 0.5: 0.4, 0.625: 0.4, 0.75: 0.6, 0.76: np.inf}
    for level, score in expected.items():
        assert conformal.quantile(scores, subjects, level) == score


@pytest.mark.parametrize("count", [9, 10, 57])
@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
def test_one_image_of_each_subject_is_split_conformal_prediction(count, level):
    scores = np.random.default_rng(count).random(count)
    place = int(np.ceil(round((count + 1) * level, 9)))  # Vovk et al. 2005
    expected = np.sort(scores)[place - 1] if place <= count else np.inf
    assert conformal.quantile(scores, np.arange(count), level) == expected


def test_how_many_subjects_a_level_takes():
    for level, number in {0.5: 1, 0.8: 4, 0.9: 9, 0.95: 19, 0.99: 99, 0.75: 3, 0.76: 4}.items():
        assert conformal.fewest(level) == number
        one_each = np.zeros(number), np.arange(number)
        assert conformal.quantile(*one_each, level) == 0
        assert np.isinf(conformal.quantile(one_each[0][1:], one_each[1][1:], level))


@pytest.mark.parametrize("subjects", [9, 25])
def test_images_of_new_subjects_are_held_as_often_as_promised(subjects):
    """Subjects differ much, and have 1 to 40 images: of few, images as units promise too much."""
    generator, held = np.random.default_rng(subjects), {"subjects": [], "images": []}
    for _ in range(2000):
        owner = np.repeat(np.arange(subjects + 1), generator.integers(1, 41, subjects + 1))
        of_subjects = 2 * generator.normal(size=subjects + 1)
        scores = of_subjects[owner] + generator.normal(size=len(owner))
        known, new = owner < subjects, scores[owner == subjects]
        for name, groups in {"subjects": owner[known], "images": np.arange(known.sum())}.items():
            held[name].append(np.mean(new <= conformal.quantile(scores[known], groups, 0.9)))
    error = np.std(held["subjects"]) / np.sqrt(2000)
    assert np.mean(held["subjects"]) > 0.9 - 3 * error
    if subjects == 9:
        assert np.mean(held["images"]) < 0.9 - 3 * error


def test_a_set_holds_the_classes_that_are_likely_enough():
    probabilities = [[0.7, 0.2, 0.1], [0.45, 0.45, 0.1], [0.34, 0.33, 0.33]]
    classes = STAGES[:3]
    expected = ["{benign}", "{benign, early}", "none"]
    assert conformal.sets(probabilities, 0.55, classes) == expected
    assert conformal.sets(probabilities, np.inf, classes) == ["{benign, early, pre}"] * 3


def test_limits_are_those_of_the_true_class_and_rise_with_the_level():
    chances = [0.9, 0.8, 0.3, 0.6]
    predictions = binary([1, 1, 0, 0], chances, [*"abcd"])  # scores 0.1, 0.2, 0.3, 0.6
    limits = dict(zip(conformal.LEVELS, conformal.limits(predictions), strict=True))
    assert limits[0.6] == pytest.approx(0.3) and limits[0.8] == pytest.approx(0.6)
    assert np.isinf(limits[0.81])
    assert (np.diff(list(limits.values())[:31]) >= 0).all()


@pytest.mark.parametrize("level", [0.925, 0.49, 1, np.nan, 90])
def test_other_levels_than_whole_percents_are_refused(level):
    with pytest.raises(ValueError, match="sets are kept for whole percents"):
        conformal.place(level)
