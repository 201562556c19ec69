"""The grid search of a support vector machine from one matrix of scalar products per fold.

Every kernel of the grid (farag2025, Table II) is a function of the scalar products x·y. They are
computed once per fold; C, gamma and kernel then cost an elementwise function and a fit on a
ready-made kernel matrix, in place of 1,920 multiplications for each entry and each fit.
"""

import itertools

import joblib
import numpy as np
import scipy.stats
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import check_cv
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from leukkit.files import progress
from leukkit.svm_kernels import KERNELS, KernelMachine, apply_kernel, products_with_itself


class SvmGridSearch(ClassifierMixin, BaseEstimator):
    """``GridSearchCV(SVC(), {"C": c, "gamma": gamma, "kernel": kernels}, cv=folds)``, quicker.

    The same fits on the same kernel values, the same accuracy, and of equally good settings the
    first in the order of ``ParameterGrid``. Polynomials have degree 3 and no constant term, as
    in ``SVC``. At most one kernel matrix is in memory beside the scalar products of its fold,
    however many fits run side by side.

    One difference: between more than two classes, ``best_estimator_`` breaks a tie of the
    pairwise votes by the decision values (``break_ties=True``), so that ``predict`` is always
    the largest column of ``decision_function``. The scores of the grid are those of plain ``SVC``.

    Args:
        c: Penalties C.
        gamma: Kernel coefficients.
        kernels: ``"rbf"``, exp(-gamma |x - y|²), and ``"poly"``, (gamma x·y)³.
        folds: Number of stratified folds, or a list of (train, test) positions.
        scale: Standardize each feature, by the training part of each fold.
        class_weight: As in ``SVC``.
        threads: Fits that run side by side.

    Attributes:
        cv_results_: As ``GridSearchCV``'s, without the times: ``params``, ``mean_test_score``, …
        best_params_, best_score_, best_index_: The best setting and its mean accuracy.
        best_estimator_: The ``KernelMachine`` (with ``scale``, a pipeline) of the best setting,
            fitted to all images.
        classes_: The class labels.
    """

    def __init__(
        self, c, gamma, kernels=KERNELS, folds=5, scale=False, class_weight=None, threads=2
    ):
        self.c = c
        self.gamma = gamma
        self.kernels = kernels
        self.folds = folds
        self.scale = scale
        self.class_weight = class_weight
        self.threads = threads

    def fit(self, features, labels):
        """Score every setting on every fold, then fit the best one to all images.

        Args:
            features: (n, number of features), finite.
            labels: (n,), at least two classes in the training part of each fold.
        """
        unknown = set(self.kernels) - set(KERNELS)
        if unknown:
            raise ValueError(f"unknown kernels {sorted(unknown)}; choose from {KERNELS}")
        splits = list(check_cv(self.folds, labels, classifier=True).split(features, labels))
        scores = np.empty((len(self.c), len(self.gamma), len(self.kernels), len(splits)))
        for (gamma, kernel, fold), accuracies in self._scored(features, labels, splits):
            scores[:, gamma, kernel, fold] = accuracies
        settings = list(itertools.product(self.c, self.gamma, self.kernels))
        self.cv_results_ = _results(settings, scores.reshape(len(settings), len(splits)))
        self.best_index_ = int(self.cv_results_["rank_test_score"].argmin())
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        self.best_params_ = self.cv_results_["params"][self.best_index_]
        machine = KernelMachine(**self.best_params_, class_weight=self.class_weight)
        self.best_estimator_ = make_pipeline(StandardScaler(), machine) if self.scale else machine
        self.best_estimator_.fit(features, labels)
        self.classes_ = self.best_estimator_.classes_
        return self

    def predict(self, features):
        """Return the class label of each row of ``features``."""
        return self.best_estimator_.predict(features)

    def decision_function(self, features):
        """Return the decision values: (n,) for two classes, (n, classes) for more."""
        return self.best_estimator_.decision_function(features)

    def _scored(self, features, labels, splits):
        """Yield (gamma, kernel, fold) positions and the accuracy of each C, for the whole grid."""
        steps = list(
            itertools.product(range(len(splits)), range(len(self.kernels)), range(len(self.gamma)))
        )
        current = products = None
        # sharedmem: a cluster backend would copy gigabytes of kernel to each worker
        with joblib.Parallel(self.threads, require="sharedmem") as parallel:
            for fold, kernel, gamma in progress(steps, "SVM grid", unit="kernel"):
                train, test = splits[fold]
                if fold != current:
                    current, products = fold, None  # frees the last fold's before making the next
                    products = ScalarProducts(features[train], features[test], self.scale)
                matrices = products.kernel(self.kernels[kernel], self.gamma[gamma])
                names = labels[train], labels[test]
                accuracies = parallel(
                    joblib.delayed(_accuracy)(c, self.class_weight, matrices, *names)
                    for c in self.c
                )
                del matrices  # before the next ones are made
                yield (gamma, kernel, fold), accuracies


class ScalarProducts:
    """The scalar products of one fold: training with training, and test with training images."""

    def __init__(self, train, test, scale):
        if scale:
            scaler = StandardScaler().fit(train)
            train, test = scaler.transform(train), scaler.transform(test)
        train, test = train.astype(np.float64), test.astype(np.float64)
        self._train = products_with_itself(train)
        self._test = test @ train.T
        # From the diagonal itself, so that an image is at distance exactly 0 from itself.
        self._train_squares = self._train.diagonal().copy()
        self._test_squares = np.einsum("ij,ij->i", test, test)

    def kernel(self, name, gamma):
        """Return the kernel matrices (train, train) and (test, train), float64."""
        train, test = np.empty_like(self._train), np.empty_like(self._test)
        squares = self._train_squares
        apply_kernel(name, gamma, self._train, squares, squares, out=train)
        apply_kernel(name, gamma, self._test, self._test_squares, squares, out=test)
        return train, test


def _accuracy(c, class_weight, matrices, train_labels, test_labels):
    """Fit one machine to a kernel matrix and return its accuracy on the test part."""
    fit_kernel, test_kernel = matrices
    machine = SVC(C=c, kernel="precomputed", class_weight=class_weight)
    # The input was checked once; scikit-learn's checks would take longer than a small fit.
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        predicted = machine.fit(fit_kernel, train_labels).predict(test_kernel)
    return np.mean(predicted == test_labels)


def _results(settings, scores):
    """Return settings and their scores (settings, folds) as ``GridSearchCV.cv_results_`` does."""
    params = [dict(zip(("C", "gamma", "kernel"), setting, strict=True)) for setting in settings]
    mean = np.average(scores, axis=1)
    return {
        **{f"param_{name}": np.array([setting[name] for setting in params]) for name in params[0]},
        "params": params,
        **{f"split{fold}_test_score": column for fold, column in enumerate(scores.T)},
        "mean_test_score": mean,
        "std_test_score": np.sqrt(np.average((scores - mean[:, np.newaxis]) ** 2, axis=1)),
        "rank_test_score": scipy.stats.rankdata(-mean, method="min").astype(np.int32),
    }
