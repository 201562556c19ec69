"""The classical classifiers on feature vectors (farag2025, III.G and Tables II to VI).

All have scikit-learn's interface: ``classes_`` (class names), ``predict``, and ``predict_proba`` or
``decision_function``; ``class_scores`` gives one table of scores for any of them.
"""

from leukkit.classifiers.fit import (
    NamedXGBoost,
    class_scores,
    fit_random_forest,
    fit_xgboost,
)
from leukkit.classifiers.folds import cross_validate
from leukkit.classifiers.svm import KernelMachine, SvmGridSearch, grid_search_svm

__all__ = [
    "KernelMachine",
    "NamedXGBoost",
    "SvmGridSearch",
    "class_scores",
    "cross_validate",
    "fit_random_forest",
    "fit_xgboost",
    "grid_search_svm",
]
