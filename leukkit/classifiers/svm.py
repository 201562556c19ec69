"""The grid search of a support vector machine, from matrices of scalar products.

Every kernel of the grid (farag2025, Table II) is a function of the scalar products x·y. They are
computed once per fold; C, gamma and kernel then cost an elementwise function and a fit on a
ready-made kernel matrix. libsvm would multiply the features of each pair of images anew for each
fit; a matrix product does all pairs at once, many times quicker.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import joblib
import numpy as np
import scipy.stats
import sklearn
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from leukkit.classifiers.fit import checked
from leukkit.files import progress

KERNELS = ("rbf", "poly")
ROWS_AT_A_TIME = 512  # bounds temporary arrays
THREADS = 2  # fits that run side by side
MOST_STEPS = 10_000_000  # libsvm's own limit, which scikit-learn lifts: some settings never end


class KernelMachine(ClassifierMixin, BaseEstimator):
    """``SVC(C, gamma, kernel)``, its kernel values taken from matrix products.

    The same machine, quicker to fit and to apply: at 16,000 x 1,920, where libsvm multiplies
    row by row, minutes become seconds.

    Args:
        C: Penalty.
        gamma: Kernel coefficient.
        kernel: ``"rbf"`` or ``"poly"``.
        class_weight: As in ``SVC``.

    Attributes:
        classes_: The class labels.
        machine_: The ``SVC`` fitted to the kernel matrix.
        support_vectors_: float64 (support vectors, features).
    """

    def __init__(self, C: float = 1.0, gamma: float = 1.0, kernel: str = "rbf", class_weight=None):
        self.C = C
        self.gamma = gamma
        self.kernel = kernel
        self.class_weight = class_weight

    def fit(self, features: np.ndarray, labels: np.ndarray) -> "KernelMachine":
        """Fit to features (images, number of features) and labels (images,)."""
        features = np.asarray(features, np.float64)
        matrix = _products_with_itself(features)
        squares = matrix.diagonal().copy()
        _apply_kernel(self.kernel, self.gamma, matrix, squares, squares)
        self.machine_ = _machine(self.C, self.class_weight, break_ties=True)
        self.machine_.fit(matrix, labels)
        self.classes_ = self.machine_.classes_
        self.support_vectors_ = features[self.machine_.support_]
        return self

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the class label of each row of ``features``."""
        return np.concatenate([self.machine_.predict(rows) for rows in self._kernels(features)])

    def decision_function(self, features: np.ndarray) -> np.ndarray:
        """Return the decision values: (n,) for two classes, (n, classes) for more."""
        return np.concatenate(
            [self.machine_.decision_function(rows) for rows in self._kernels(features)]
        )

    def _kernels(self, features):
        """Yield the kernel values of some rows of ``features`` with every training image.

        Only the columns of support vectors are filled in; the machine reads no others.
        """
        features = np.asarray(features, np.float64)
        support = self.support_vectors_
        support_squares = np.einsum("ij,ij->i", support, support)
        for start in range(0, len(features), ROWS_AT_A_TIME):
            rows = features[start : start + ROWS_AT_A_TIME]
            products, squares = rows @ support.T, np.einsum("ij,ij->i", rows, rows)
            values = np.zeros((len(rows), self.machine_.shape_fit_[0]))
            values[:, self.machine_.support_] = _apply_kernel(
                self.kernel, self.gamma, products, squares, support_squares
            )
            yield values


@dataclasses.dataclass
class SvmGridSearch:
    """What a grid search found, under the names of ``GridSearchCV``.

    Attributes:
        best_params_, best_index_: The best setting.
        best_estimator_: The ``KernelMachine`` (with ``scale``, a pipeline) of the best setting,
            fitted to all images.
        best_score_: Its mean accuracy; NaN where there was nothing to choose.
        cv_results_: As ``GridSearchCV``'s, without the times: ``params``, ``mean_test_score``, …
            Empty where the grid has one setting: there is nothing to choose, so none is scored.
    """

    best_params_: dict[str, Any]
    best_index_: int
    best_estimator_: BaseEstimator
    best_score_: float
    cv_results_: dict[str, Any]

    @property
    def classes_(self) -> np.ndarray:
        """The class labels."""
        return self.best_estimator_.classes_

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Return the class label of each row of ``features``."""
        return self.best_estimator_.predict(features)

    def decision_function(self, features: np.ndarray) -> np.ndarray:
        """Return the decision values: (n,) for two classes, (n, classes) for more."""
        return self.best_estimator_.decision_function(features)


def grid_search_svm(
    features: ArrayLike,
    labels: ArrayLike,
    c: Sequence[float] = (0.1, 1, 10, 100, 1000),
    gamma: Sequence[float] = (1, 0.1, 0.01, 0.001, 0.0001),
    kernels: Sequence[str] = KERNELS,
    folds: int | Sequence[tuple[np.ndarray, np.ndarray]] = 5,
    scale: bool = False,
    class_weight: str | dict | None = None,
) -> SvmGridSearch:
    """Choose C, gamma and kernel of a support vector machine by cross-validated accuracy.

    The default grid is Table II's. The same fits on the same kernel values as those of
    ``GridSearchCV(SVC(), grid, cv=folds)``, the same accuracy, and of equally good settings the
    first in the order of ``ParameterGrid``. Polynomials have degree 3 and no constant term, as in
    ``SVC``. At most one kernel matrix is in memory beside the scalar products of its fold, however
    many fits run side by side.

    Two differences. A fit ends after `MOST_STEPS` steps with a ``ConvergenceWarning``; one of
    ``SVC`` may go on for ever. Between more than two classes, ``best_estimator_`` breaks a tie of
    the pairwise votes by the decision values (``break_ties=True``), so that ``predict`` is always
    the largest column of ``decision_function``. The scores of the grid are those of plain ``SVC``.

    Args:
        features: (images, features), finite.
        labels: Class names (images,).
        c: Penalties C.
        gamma: Kernel coefficients.
        kernels: ``"rbf"``, ``"poly"`` (degree 3) or both.
        folds: Number of stratified folds, or a list of (train, test) positions, for example whole
            subjects on one side. Not used, nor checked, where the grid has one setting only.
        scale: Standardize each feature, by the training part of each fold.
        class_weight: As in ``sklearn.svm.SVC``: None, ``"balanced"`` or a dict.

    Returns:
        What was found, and the fitted machine.

    Raises:
        ValueError: One class only, values that are not finite, missing labels, fewer images of a
            class than folds, a fold whose training part has one class only, or an unknown kernel.
    """
    table, names = checked(features, labels)
    if unknown := set(kernels) - set(KERNELS):
        raise ValueError(f"unknown kernels {sorted(unknown)}; choose from {KERNELS}")
    settings: list[dict[str, Any]] = [
        {"C": one, "gamma": two, "kernel": name}
        for one, two, name in itertools.product(c, gamma, kernels)
    ]
    results: dict[str, Any] = {}
    best, score = 0, np.nan
    if len(settings) > 1:
        parts = _folds(folds, table, names)
        scores = _scores(table, names, c, gamma, kernels, parts, scale, class_weight)
        results = _results(settings, scores)
        best = int(results["rank_test_score"].argmin())
        score = float(results["mean_test_score"][best])
    machine = KernelMachine(**settings[best], class_weight=class_weight)
    fitted = make_pipeline(StandardScaler(), machine) if scale else machine
    return SvmGridSearch(settings[best], best, fitted.fit(table, names), score, results)


def _folds(folds, features, labels):
    """Return the (train, test) positions of a grid search; refuse folds that leave a class out."""
    if isinstance(folds, int):
        names, counts = np.unique(labels, return_counts=True)
        if counts.min() < folds:
            raise ValueError(
                f"class '{names[counts.argmin()]}' has {counts.min()} images, fewer than the "
                f"{folds} folds of the grid search; use fewer folds or more images"
            )
        return list(StratifiedKFold(folds).split(features, labels))
    for number, (train, _) in enumerate(folds):
        present = np.unique(labels[train])
        if len(present) < 2:
            raise ValueError(
                f"fold {number} of the grid search has only images of {present.tolist()} to "
                "train on; a group holds all of the other class. Use fewer folds or more groups"
            )
    return folds


def _scores(features, labels, c, gamma, names, parts, scale, class_weight):
    """Return the accuracies of the whole grid, (settings, folds)."""
    scores = np.empty((len(c), len(gamma), len(names), len(parts)))
    steps = list(np.ndindex(len(parts), len(names), len(gamma)))
    current = products = None
    # sharedmem: a cluster backend would copy gigabytes of kernel to each worker
    with joblib.Parallel(THREADS, require="sharedmem") as parallel:
        for fold, kernel, width in progress(steps, "SVM grid", unit="kernel"):
            train, test = parts[fold]
            if fold != current:
                current, products = fold, None  # frees the last fold's before making the next
                products = scalar_products(features[train], features[test], scale)
            matrices = kernel_matrices(names[kernel], gamma[width], products)
            scores[:, width, kernel, fold] = parallel(
                joblib.delayed(_accuracy)(one, class_weight, matrices, labels[train], labels[test])
                for one in c
            )
            del matrices  # before the next ones are made
    return scores.reshape(-1, len(parts))


def scalar_products(train: np.ndarray, test: np.ndarray, scale: bool) -> tuple[np.ndarray, ...]:
    """Return the scalar products of one fold, float64, for :func:`kernel_matrices`.

    Returns:
        Of training with training images, of test with training images, and of each with itself.
    """
    if scale:
        scaler = StandardScaler().fit(train)
        train, test = scaler.transform(train), scaler.transform(test)
    train, test = train.astype(np.float64), test.astype(np.float64)
    products = _products_with_itself(train)
    # From the diagonal itself, so that an image is at distance exactly 0 from itself.
    squares = products.diagonal().copy()
    return products, test @ train.T, squares, np.einsum("ij,ij->i", test, test)


def kernel_matrices(name: str, gamma: float, products: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """Return the kernel matrices (train, train) and (test, train) from :func:`scalar_products`."""
    train, test, train_squares, test_squares = products
    return [
        _apply_kernel(name, gamma, train.copy(), train_squares, train_squares),
        _apply_kernel(name, gamma, test.copy(), test_squares, train_squares),
    ]


def _machine(c, class_weight, break_ties=False):
    """Return an ``SVC`` for a ready-made kernel matrix."""
    return SVC(
        C=c,
        kernel="precomputed",
        class_weight=class_weight,
        break_ties=break_ties,
        max_iter=MOST_STEPS,
    )


def _accuracy(c, class_weight, matrices, train_labels, test_labels):
    """Fit one machine to a kernel matrix and return its accuracy on the test part."""
    fit_kernel, test_kernel = matrices
    machine = _machine(c, class_weight)
    # The input was checked once; scikit-learn's checks would take longer than a small fit.
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        predicted = machine.fit(fit_kernel, train_labels).predict(test_kernel)
    return np.mean(predicted == test_labels)


def _results(settings, scores):
    """Return settings and their scores (settings, folds) as ``GridSearchCV.cv_results_`` does."""
    mean = np.average(scores, axis=1)
    return {
        **{f"param_{name}": np.array([one[name] for one in settings]) for name in settings[0]},
        "params": settings,
        **{f"split{fold}_test_score": column for fold, column in enumerate(scores.T)},
        "mean_test_score": mean,
        "std_test_score": np.sqrt(np.average((scores - mean[:, np.newaxis]) ** 2, axis=1)),
        "rank_test_score": scipy.stats.rankdata(-mean, method="min").astype(np.int32),
    }


def _products_with_itself(features):
    """Return ``features @ features.T``, each product computed once.

    In blocks, because the routine that NumPy takes for this product crashes at 16,000 x 1,920
    with several threads (OpenBLAS 0.3.31, dsyrk).
    """
    products = np.empty((len(features), len(features)))
    for start in range(0, len(features), ROWS_AT_A_TIME):
        stop = start + ROWS_AT_A_TIME
        block = features[start:stop] @ features[:stop].T
        products[start:stop, :stop] = block
        products[:start, start:stop] = block[:, :start].T
    return products


def _apply_kernel(name, gamma, products, row_squares, column_squares):
    """Make scalar products to kernel values; the order of operations is libsvm's (svm.cpp)."""
    for start in range(0, len(products), ROWS_AT_A_TIME):
        rows = slice(start, start + ROWS_AT_A_TIME)
        if name == "rbf":
            distances = np.add.outer(row_squares[rows], column_squares)
            distances -= 2 * products[rows]
            distances *= -gamma
            np.exp(distances, out=products[rows])
        else:
            scaled = gamma * products[rows]
            np.multiply(scaled, scaled * scaled, out=products[rows])
    return products
