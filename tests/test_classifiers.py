"""The classifiers on feature vectors: their interface, their scores, their errors."""

import numpy as np
import pandas as pd
import pytest
import xgboost
from scipy.special import expit
from sklearn.ensemble import RandomForestClassifier

from leukkit import classifiers


def made_up(classes=("healthy", "ALL"), images=90, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(images) % len(classes)
    features = generator.normal(size=(images, 6)).astype(np.float32)
    features[:, 0] += 1.5 * labels
    features[:, 1] *= 3
    return features, np.array(classes)[labels]


def svm(features, labels, scale=False, **settings):
    small = {"c": (1, 10), "gamma": (0.1, 0.01), "folds": 3, **settings}
    return classifiers.grid_search_svm(features, labels, scale=scale, **small)


FITS = {
    "svm": svm,
    "random forest": classifiers.fit_random_forest,
    "xgboost": classifiers.fit_xgboost,
}
BINARY = ("healthy", "ALL")
SMEARS = ("benign", "early", "pre", "pro")
fits = pytest.mark.parametrize("fit", FITS.values(), ids=FITS.keys())


@fits
@pytest.mark.parametrize("classes", [BINARY, SMEARS])
def test_scores_are_a_distribution_whose_largest_is_the_prediction(fit, classes):
    fitted = fit(*made_up(classes))
    new, truth = made_up(classes, seed=1)
    scores = classifiers.class_scores(fitted, new, classes)
    assert scores.shape == (90, len(classes))
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert scores.min() >= 0
    predicted = fitted.predict(new)
    assert set(predicted) <= set(classes)
    unique = (np.sort(scores, axis=1)[:, -1] - np.sort(scores, axis=1)[:, -2]) > 0
    assert unique.mean() > 0.9
    assert (np.array(classes)[scores.argmax(axis=1)] == predicted)[unique].all()
    assert (predicted == truth).mean() > 1 / len(classes) + 0.1


@fits
def test_columns_follow_the_order_asked_for(fit):
    features, labels = made_up()
    new = made_up(seed=1)[0]
    one = classifiers.class_scores(fit(features, labels), new, ["healthy", "ALL"])
    column = pd.Series(labels, dtype=pd.StringDtype("python"))  # labels as cells have them
    other = classifiers.class_scores(fit(features, column), new, ["ALL", "healthy"])
    assert (one == other[:, ::-1]).all()


def test_scores_of_an_svm_are_the_logistic_of_its_decision_values():
    fitted = svm(*made_up())
    new = made_up(seed=1)[0]
    decision = fitted.decision_function(new)  # positive: the alphabetically last, healthy
    scores = classifiers.class_scores(fitted, new, BINARY)
    np.testing.assert_allclose(scores[:, 0], expit(decision))
    assert scores.argsort(axis=0)[:, 0].tolist() == decision.argsort().tolist()


def test_random_forest_is_scikit_learns_with_default_settings():
    features, labels = made_up()
    expected = RandomForestClassifier(random_state=3).fit(features, labels)
    found = classifiers.fit_random_forest(features, labels, seed=3)
    new = made_up(seed=1)[0]
    assert (found.predict_proba(new) == expected.predict_proba(new)).all()
    other = classifiers.fit_random_forest(features, labels, seed=4)
    assert (found.predict_proba(new) != other.predict_proba(new)).any()


def test_xgboost_is_the_librarys_with_default_settings():
    features, labels = made_up()
    expected = xgboost.XGBClassifier(random_state=3).fit(features, labels == "healthy")
    found = classifiers.fit_xgboost(features, labels, seed=3)
    new = made_up(seed=1)[0]
    np.testing.assert_allclose(found.predict_proba(new), expected.predict_proba(new), atol=1e-6)
    assert found.classes_.tolist() == ["ALL", "healthy"]


@fits
def test_scaling_makes_the_unit_of_a_feature_irrelevant(fit):
    features, labels = made_up()
    new = made_up(seed=1)[0]
    units = np.array([1, 1024, 0.25, 1, 1, 8], np.float32)  # powers of two: no rounding
    one = fit(features, labels, scale=True)
    other = fit(features * units, labels, scale=True)
    assert one.predict(new).tolist() == other.predict(new * units).tolist()


@fits
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite(fit, bad):
    features, labels = made_up()
    features[[7, 9], 2] = bad
    with pytest.raises(ValueError, match=r"2 of 90 rows.*first: row 7"):
        fit(features, labels)


@fits
def test_labels_that_do_not_fit(fit):
    features, labels = made_up()
    with pytest.raises(ValueError, match=r"one class only \(ALL\)"):
        fit(features, np.full(len(features), "ALL"))
    with pytest.raises(ValueError, match=r"\(90, 6\) for 89 labels"):
        fit(features, labels[:-1])
    for missing in (None, pd.NA, np.nan):
        holed = labels.astype(object)
        holed[3] = missing
        with pytest.raises(ValueError, match="1 of 90 labels are missing"):
            fit(features, holed)
    mixed = labels.astype(object)
    mixed[[3, 5]] = 1
    for numbers, count in ((mixed, 2), ((labels == "ALL").astype(int), 90)):
        with pytest.raises(ValueError, match=rf"{count} of 90 labels are no text \(first: [01]\)"):
            fit(features, numbers)


def test_fewer_images_of_a_class_than_folds():
    features, labels = made_up()
    kept = np.r_[np.flatnonzero(labels == "healthy"), np.flatnonzero(labels == "ALL")[:4]]
    with pytest.raises(ValueError, match="class 'ALL' has 4 images, fewer than the 5 folds"):
        svm(features[kept], labels[kept], folds=5)


def test_a_fold_that_trains_on_one_class():
    features, labels = made_up()
    every = np.arange(len(labels))
    folds = [(every, every), (every[labels == "ALL"], every)]
    with pytest.raises(ValueError, match="fold 1 of the grid search has only images of"):
        svm(features, labels, folds=folds)


@fits
def test_scores_for_other_classes_than_it_was_fitted_to(fit):
    features, labels = made_up()
    with pytest.raises(ValueError, match=r"fitted to the classes \['ALL', 'healthy'\]"):
        classifiers.class_scores(fit(features, labels), features, SMEARS)
