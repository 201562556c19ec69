"""Classifiers on features in a file of arrays, ``model.npz``, and how they answer.

libsvm, scikit-learn's trees and XGBoost follow the positions in a model unchecked: a wrong one ends
the process. So the file holds numbers and names alone; they are looked at first, and NumPy computes
the answers from them. Nothing is unpickled.
"""

import dataclasses
import itertools
import json
import math
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.special
from numpy.typing import ArrayLike

from leukkit.classifiers import KernelMachine, NamedXGBoost
from leukkit.classifiers.svm import KERNELS
from leukkit.files import replace_when_done

# Array -> its kind, and a letter for each of its sizes: equal letters, equal sizes.
_BOTH = {"classes": "U c", "mean": "f f", "scale": "f f"}
_MACHINE = _BOTH | {
    "vectors": "f vf",  # support vectors, those of one class after those of another
    "counts": "i c",  # how many each class has
    "coefficients": "f ov",  # of each vector against each other class, as libsvm lays them out
    "intercepts": "f p",  # of each pair of classes
    "gamma": "f ",
    "kernel": "U ",
}
_TREES = _BOTH | {
    "roots": "i t",  # positions in what follows: the nodes of all trees
    "left": "i n",  # -1 in a leaf
    "right": "i n",
    "feature": "i n",
    "threshold": "f n",  # below it to the left
    "values": "f nk",  # which are summed over the trees
    "base": "f k",
    "are_shares": "i ",  # whether the sums are probabilities already
}


class ModelFileError(ValueError):
    """A saved model that cannot be used: damaged, changed, of another version, or not trusted."""


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A classifier that was saved: its classes, and the arrays of its file."""

    classes_: np.ndarray
    kept: dict[str, np.ndarray]

    def predict_proba(self, features: np.ndarray) -> np.ndarray:
        """Return what `classifiers.class_scores` does, columns in the order of ``classes_``."""
        from sklearn.preprocessing import StandardScaler

        kept, scaler = self.kept, StandardScaler()
        scaler.mean_, scaler.scale_ = kept["mean"], kept["scale"]  # 0 and 1 change nothing
        scaler.n_features_in_ = len(kept["mean"])
        sums = (_decide if "vectors" in kept else _sum_leaves)(kept, scaler.transform(features))
        if kept.get("are_shares"):
            return sums
        if sums.shape[1] == 1:  # of the second class against the first
            sums = np.hstack([np.zeros_like(sums), sums])
        return scipy.special.softmax(sums, axis=1)


def save(classifier: Any, path: pathlib.Path) -> None:
    """Write a fitted classifier of `leukkit.classifiers`, of a grid search the best estimator."""
    classifier = getattr(classifier, "best_estimator_", classifier)
    *before, last = [step for _, step in getattr(classifier, "steps", [("", classifier)])]
    if isinstance(last, KernelMachine):
        kept, features = _of_machine(last), last.support_vectors_.shape[1]
    elif isinstance(last, NamedXGBoost):
        kept, features = _of_xgboost(last.model_), last.model_.n_features_in_
    else:
        kept, features = _of_forest(last), last.n_features_in_
    kept["classes"] = np.asarray(last.classes_, str)
    kept["mean"] = before[0].mean_ if before else np.zeros(features)
    kept["scale"] = before[0].scale_ if before else np.ones(features)
    with replace_when_done(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **kept)


def load(path: pathlib.Path | str) -> Classifier:
    """Read a classifier that `save` wrote; ModelFileError says what is wrong with a file."""
    path = pathlib.Path(path)
    kept = read_arrays(path, _MACHINE, _TREES)
    names = kept["classes"].tolist()
    fits = _is_machine if "vectors" in kept else _are_trees
    if not (len(set(names)) == len(names) > 1 and (kept["scale"] > 0).all() and fits(kept)):
        raise damaged(path, "its numbers are not those of a classifier that leukkit fits")
    return Classifier(kept["classes"], kept)


def read_arrays(path: pathlib.Path, *forms: dict[str, str]) -> dict[str, np.ndarray]:
    """Return the arrays of a file, once their names, kinds and sizes are those of one of the forms.

    ModelFileError where they are not, the file is damaged, or a number is not finite.
    """
    check_archive(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            kept = {name: np.asarray(file[name]) for name in file.files}
    except Exception as error:  # a file from elsewhere may make NumPy raise anything
        raise damaged(path, f"{type(error).__name__}: {error}") from error
    form = next((form for form in forms if set(form) == set(kept)), None)
    if form is None:
        raise damaged(path, f"it holds {sorted(kept)}")
    sizes: dict[str, int] = {}
    for name, array in kept.items():
        kind, letters = form[name].split(" ")
        found = dict(zip(letters, array.shape, strict=False))
        fits = array.ndim == len(letters) and sizes | found == found | sizes
        if array.dtype.kind != kind or not fits:
            raise damaged(path, f"{name} has the shape {array.shape} and kind {array.dtype}")
        if kind == "f" and not np.isfinite(array).all():
            raise damaged(path, f"{name} holds values that are not finite")
        sizes |= found
        kept[name] = array.astype(np.int64) if kind == "i" else array  # smaller ones overflow
    return kept


def check_archive(path: pathlib.Path) -> None:
    """Refuse what is no zip archive, or would be larger in memory than on the disk.

    Neither Keras nor NumPy compress what they write; ModelFileError otherwise.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [info.filename for info in archive.infolist() if info.compress_type]
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise damaged(path, f"no zip archive that can be read: {error}") from error
    if packed:
        raise damaged(path, f"{packed[0]} in it is compressed")


def damaged(path: pathlib.Path, why: str) -> ModelFileError:
    """Return the error for a model's file that cannot be used."""
    return ModelFileError(
        f"{path} is damaged, was changed, or is no model of leukkit ({why}). Make the model again, "
        "or get the file anew"
    )


def _of_machine(machine: KernelMachine) -> dict[str, Any]:
    svc = machine.machine_
    return {
        "vectors": machine.support_vectors_,
        "counts": svc.n_support_.astype(np.int64),
        "coefficients": svc._dual_coef_,  # dual_coef_ has the other sign for two classes
        "intercepts": svc._intercept_,
        "gamma": float(machine.gamma),
        "kernel": machine.kernel,
    }


def _of_forest(forest: Any) -> dict[str, Any]:
    trees = [one.tree_ for one in forest.estimators_]
    columns = ("children_left", "children_right", "feature", "threshold")
    kept = _in_a_row([[getattr(one, name) for name in columns] for one in trees])
    kept["threshold"] = np.nextafter(kept["threshold"], np.inf)  # at it to the left, too
    values = np.concatenate([one.value[:, 0] for one in trees]) / len(trees)
    return kept | {"values": values, "base": np.zeros(values.shape[1]), "are_shares": 1}


def _of_xgboost(fitted: Any) -> dict[str, Any]:
    model = json.loads(fitted.get_booster().save_raw("json"))["learner"]["gradient_booster"]
    trees, of = model["model"]["trees"], model["model"]["tree_info"]
    columns = ("left_children", "right_children", "split_indices", "split_conditions")
    kept = _in_a_row([[one[name] for name in columns] for one in trees])
    # It cuts at values of training images, in float32, and they are to fall on the same side.
    kept["threshold"] = kept["threshold"].astype(np.float32)
    group = np.repeat(of, [len(one["left_children"]) for one in trees])
    leaves = np.where(kept["left"] < 0, kept["threshold"], 0)  # where XGBoost keeps their values
    kept["values"] = np.where(group[:, None] == np.unique(of), leaves[:, None], 0)
    # What is added to the trees has had several forms in XGBoost's files: seen from outside.
    kept["base"], zeros = np.zeros(max(of) + 1), np.zeros((1, fitted.n_features_in_), np.float32)
    kept["base"] = (fitted.predict(zeros, output_margin=True) - _sum_leaves(kept, zeros)).ravel()
    return kept | {"are_shares": 0}


def _in_a_row(trees: Sequence[Sequence[ArrayLike]]) -> dict[str, np.ndarray]:
    """Put (left, right, feature, threshold) of all trees into arrays, one tree after another."""
    left, right, feature, threshold = (
        np.concatenate([np.asarray(tree[column]) for tree in trees]) for column in range(4)
    )
    lengths = [len(np.asarray(tree[0])) for tree in trees]
    roots = np.cumsum([0, *lengths[:-1]])
    before, inner = np.repeat(roots, lengths), left >= 0
    return {
        "roots": roots,
        "left": np.where(inner, left + before, -1),
        "right": np.where(inner, right + before, -1),
        "feature": np.where(inner, feature, 0),
        "threshold": threshold.astype(np.float64),
    }


def _decide(kept: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Return the decision values of ``SVC``: (n, 1) for two classes, (n, classes) for more."""
    from sklearn.metrics import pairwise
    from sklearn.utils.multiclass import _ovr_decision_function  # as SVC makes its own

    rows, vectors, gamma = rows.astype(np.float64), kept["vectors"], float(kept["gamma"])
    if kept["kernel"] == "rbf":
        values = pairwise.rbf_kernel(rows, vectors, gamma)
    else:
        values = pairwise.polynomial_kernel(rows, vectors, 3, gamma, coef0=0)
    ends, against = np.cumsum(kept["counts"]), kept["coefficients"]
    of = [slice(end - count, end) for end, count in zip(ends, kept["counts"], strict=True)]
    columns = [
        values[:, of[i]] @ against[j - 1, of[i]] + values[:, of[j]] @ against[i, of[j]]
        for i, j in itertools.combinations(range(len(of)), 2)
    ]
    decided = -(np.stack(columns, axis=1) + kept["intercepts"])
    return decided if len(of) == 2 else _ovr_decision_function(decided > 0, decided, len(of))


def _sum_leaves(kept: dict[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Return the sums (n, columns) of the values of the leaves that each row comes to."""
    rows, at = rows.astype(np.float32), np.tile(kept["roots"], (len(rows), 1))
    while (inner := kept["left"][at] >= 0).any():
        node, row = at[inner], np.nonzero(inner)[0]
        goes_left = rows[row, kept["feature"][node]] < kept["threshold"][node]
        at[inner] = np.where(goes_left, kept["left"][node], kept["right"][node])
    return kept["values"][at].sum(axis=1) + kept["base"]


def _is_machine(kept: dict[str, np.ndarray]) -> bool:
    counts, classes = kept["counts"], len(kept["classes"])
    return (
        str(kept["kernel"]) in KERNELS
        and bool(kept["gamma"] >= 0)
        and bool((counts >= 0).all())
        and counts.sum() == len(kept["vectors"]) > 0
        and len(kept["coefficients"]) == classes - 1
        and len(kept["intercepts"]) == math.comb(classes, 2)
    )


def _are_trees(kept: dict[str, np.ndarray]) -> bool:
    nodes, inner = np.arange(len(kept["left"])), kept["left"] >= 0
    children = np.stack([kept["left"], kept["right"]])[:, inner]
    classes, columns = len(kept["classes"]), len(kept["base"])
    return bool(
        ((kept["roots"] >= 0) & (kept["roots"] < len(nodes))).all()
        and ((children > nodes[inner]) & (children < len(nodes))).all()  # no way back: it ends
        and ((kept["feature"] >= 0) & (kept["feature"] < len(kept["mean"]))).all()
        and (columns == classes or (columns == 1 and classes == 2 and not kept["are_shares"]))
    )
