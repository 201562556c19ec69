"""One classifier, fitted to features, and its scores (farag2025, III.G)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.special
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelEncoder, StandardScaler


def fit_random_forest(
    features: ArrayLike, labels: ArrayLike, seed: int = 0, scale: bool = False
) -> BaseEstimator:
    """Fit scikit-learn's random forest with its default settings.

    Args:
        features: (images, features), finite.
        labels: Class names (images,).
        seed: Of the trees.
        scale: Standardize each feature first.

    Raises:
        ValueError: One class only, values that are not finite, or labels that are missing or no
            text.
    """
    return _fit(RandomForestClassifier(random_state=seed), features, labels, scale)


def fit_xgboost(
    features: ArrayLike, labels: ArrayLike, seed: int = 0, scale: bool = False
) -> BaseEstimator:
    """Fit XGBoost with its default settings; arguments and errors as ``fit_random_forest``."""
    return _fit(NamedXGBoost(seed), features, labels, scale)


def class_scores(
    classifier: BaseEstimator, features: np.ndarray, classes: Sequence[str]
) -> np.ndarray:
    """Return a score for each class, larger for the likelier one.

    The largest score of a row is at the class that ``predict`` gives (of equally large ones, as a
    random forest may have, ``predict`` takes the alphabetically first). Random forest and XGBoost
    give their probabilities. A support vector machine has none: between two classes the score is
    the logistic function of the decision value, 1 / (1 + exp(-d)); between more, the soft-max
    of the one-against-rest decision values. These keep the order (so the AUC is that of the
    decision values) and are **not calibrated**: 0.9 does not mean nine in ten.

    Args:
        classifier: Fitted, from this module.
        features: (images, features).
        classes: The class names in the order of the columns.

    Returns:
        float64 (images, classes), 0 to 1, rows sum to 1.

    Raises:
        ValueError: ``classes`` are not the classes the classifier was fitted to.
    """
    known = [str(name) for name in classifier.classes_]
    if sorted(known) != sorted(classes):
        raise ValueError(
            f"the classifier was fitted to the classes {known}, the scores are asked for "
            f"{list(classes)}; the training images must hold each class, and no other"
        )
    if hasattr(classifier, "predict_proba"):
        scores = np.asarray(classifier.predict_proba(features), np.float64)
        scores /= scores.sum(axis=1, keepdims=True)  # XGBoost's are float32
    else:
        decision = classifier.decision_function(features)
        if len(known) == 2:
            scores = scipy.special.expit(np.column_stack([-decision, decision]))
        else:
            scores = scipy.special.softmax(decision, axis=1)
    return scores[:, [known.index(name) for name in classes]]


class NamedXGBoost(ClassifierMixin, BaseEstimator):
    """``xgboost.XGBClassifier`` for class names; by itself it takes only numbers.

    Args:
        seed: Its random state.
    """

    def __init__(self, seed: int = 0):
        self.seed = seed

    def fit(self, features: np.ndarray, labels: np.ndarray) -> "NamedXGBoost":
        """Fit to features (images, number of features) and class names (images,)."""
        import xgboost

        encoder = LabelEncoder().fit(labels)
        self.classes_ = encoder.classes_
        self.model_ = xgboost.XGBClassifier(random_state=self.seed)
        self.model_.fit(features, encoder.transform(labels))
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the class name of each row."""
        return self.classes_[self.predict_proba(features).argmax(axis=1)]

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return probabilities, columns in the order of ``classes_``."""
        return self.model_.predict_proba(features)


def _fit(classifier, features, labels, scale):
    features, labels = checked(features, labels)
    if scale:
        classifier = make_pipeline(StandardScaler(), classifier)
    return classifier.fit(features, labels)


def checked(features, labels):
    """Return features and labels as arrays (labels as text), or say what is wrong with them."""
    features, labels = np.asarray(features), pd.Series(labels, dtype=object)
    if features.ndim != 2 or len(features) != len(labels):
        raise ValueError(
            f"features have the shape {features.shape} for {len(labels)} labels; expected one row "
            "of features for each label"
        )
    if labels.isna().any():
        raise ValueError(
            f"{labels.isna().sum()} of {len(labels)} labels are missing; leave these images out"
        )
    if numbers := [label for label in labels if not isinstance(label, str)]:
        raise ValueError(
            f"{len(numbers)} of {len(labels)} labels are no text (first: {numbers[0]!r}), expected "
            "names of classes, as cells['label'] has them; give each number its class's name"
        )
    labels = labels.to_numpy().astype(str)
    names = np.unique(labels)
    if len(names) < 2:
        raise ValueError(
            f"the {len(labels)} training images have one class only ({', '.join(names)}); "
            "a classifier needs two or more"
        )
    broken = ~np.isfinite(features).all(axis=1)
    if broken.any():
        raise ValueError(
            f"{broken.sum()} of {len(features)} rows of features hold values that are not finite "
            f"(first: row {broken.argmax()}); extract the features again"
        )
    return features, labels
