"""Kernels of support vector machines from matrix products, and a machine that uses them.

libsvm multiplies the features of each pair of images anew; a matrix product does all pairs at
once, many times quicker, and the kernel is an elementwise function of it.
"""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.svm import SVC

KERNELS = ("rbf", "poly")
ROWS_AT_A_TIME = 512  # bounds temporary arrays


def products_with_itself(features):
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


def apply_kernel(name, gamma, products, row_squares, column_squares, out):
    """Apply a kernel to scalar products; the order of operations is libsvm's (svm.cpp).

    ``out`` may be ``products`` itself.
    """
    for start in range(0, len(products), ROWS_AT_A_TIME):
        rows = slice(start, start + ROWS_AT_A_TIME)
        if name == "rbf":
            distances = np.add.outer(row_squares[rows], column_squares)
            distances -= 2 * products[rows]
            distances *= -gamma
            np.exp(distances, out=out[rows])
        else:
            scaled = gamma * products[rows]
            np.multiply(scaled, scaled * scaled, out=out[rows])
    return out


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

    def __init__(self, C=1.0, gamma=1.0, kernel="rbf", class_weight=None):
        self.C = C
        self.gamma = gamma
        self.kernel = kernel
        self.class_weight = class_weight

    def fit(self, features, labels):
        """Fit to features (images, number of features) and labels (images,)."""
        features = np.asarray(features, np.float64)
        matrix = products_with_itself(features)
        squares = matrix.diagonal().copy()
        apply_kernel(self.kernel, self.gamma, matrix, squares, squares, out=matrix)
        self.machine_ = SVC(
            C=self.C, kernel="precomputed", class_weight=self.class_weight, break_ties=True
        )
        self.machine_.fit(matrix, labels)
        self.classes_ = self.machine_.classes_
        self.support_vectors_ = features[self.machine_.support_]
        return self

    def predict(self, features):
        """Return the class label of each row of ``features``."""
        return np.concatenate([self.machine_.predict(rows) for rows in self._kernels(features)])

    def decision_function(self, features):
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
            values[:, self.machine_.support_] = apply_kernel(
                self.kernel, self.gamma, products, squares, support_squares, out=products
            )
            yield values
