"""Classifiers on features in a file that is read without running code from it: ``model.skops``.

Not pickle, nor joblib, whose files run whatever they hold. skops builds only objects of types that
are trusted by name. XGBoost's own object is a block of memory that skops would have to take on
trust, so the file holds its model as XGBoost's JSON instead.
"""

import pathlib
import zipfile
from typing import Any

import numpy as np

from leukkit.classifiers import NamedXGBoost
from leukkit.files import replace_when_done

# Beside what skops knows of scikit-learn and NumPy. A tree is an array of positions, which
# scikit-learn follows unchecked: `_check` looks at them first.
TRUSTED = ("leukkit.classifiers.svm.KernelMachine", "sklearn.tree._tree.Tree")
_XGBOOST = "xgboost model in JSON"


class ModelFileError(ValueError):
    """A saved model that cannot be used: damaged, changed, of another version, or not trusted."""


def save(classifier: Any, path: pathlib.Path) -> None:
    """Write a fitted classifier of `leukkit.classifiers` as skops file, whole or not at all.

    Args:
        classifier: Fitted; of a grid search the best estimator is saved.
        path: The file, usually ``model.skops``.
    """
    import skops.io

    classifier = getattr(classifier, "best_estimator_", classifier)
    *before, last = [step for _, step in getattr(classifier, "steps", [("", classifier)])]
    if isinstance(last, NamedXGBoost):
        model = bytes(last.model_.get_booster().save_raw("json"))
        kept = {"before": before, "classes": last.classes_, "seed": last.seed, _XGBOOST: model}
    else:
        kept = classifier
    with replace_when_done(path) as temporary:
        skops.io.dump(kept, temporary, compression=zipfile.ZIP_DEFLATED)


def load(path: pathlib.Path | str) -> Any:
    """Read a classifier that `save` wrote, without running code from the file.

    Returns:
        An object with ``classes_``, ``predict``, and ``predict_proba`` or ``decision_function``.

    Raises:
        ModelFileError: The file is no skops file, is damaged, or holds a type that is not trusted;
            the message names it.
    """
    import skops.io

    path = pathlib.Path(path)
    if not zipfile.is_zipfile(path):
        raise ModelFileError(
            f"{path} is no skops file: {_start(path)}. A pickle or joblib file is not read, "
            "because reading it would run code from it"
        )
    try:
        found = skops.io.get_untrusted_types(file=path)
    except (KeyError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ModelFileError(
            f"{path} is a damaged skops file ({type(error).__name__}: {error}). Make the model "
            "again, or get the file anew"
        ) from error
    if foreign := sorted(set(found) - set(TRUSTED)):
        raise ModelFileError(
            f"{path} holds objects of types that are not trusted: {', '.join(foreign)}. Nothing of "
            "it was loaded. A model saved by leukkit holds none of these; do not use this file"
        )
    classifier = skops.io.load(path, trusted=list(TRUSTED))
    if isinstance(classifier, dict):
        classifier = _xgboost(classifier, path)
    _check(classifier, path)
    return classifier


def _xgboost(kept: dict[str, Any], path: pathlib.Path) -> Any:
    """Return the classifier of a file that holds XGBoost's JSON."""
    import xgboost
    from sklearn.pipeline import make_pipeline

    if set(kept) != {"before", "classes", "seed", _XGBOOST}:
        raise ModelFileError(f"{path} holds {sorted(kept)}, not a classifier of leukkit")
    named = NamedXGBoost(kept["seed"])
    named.classes_ = kept["classes"]
    named.model_ = xgboost.XGBClassifier(random_state=kept["seed"])
    try:
        named.model_.load_model(bytearray(kept[_XGBOOST]))
    except xgboost.core.XGBoostError as error:
        raise ModelFileError(f"{path}: its XGBoost model is damaged ({error})") from error
    return make_pipeline(*kept["before"], named) if kept["before"] else named


def _check(classifier: Any, path: pathlib.Path) -> None:
    """Refuse positions that point outside of their arrays: compiled code follows them unchecked."""
    from sklearn.ensemble import RandomForestClassifier

    from leukkit.classifiers.svm import KernelMachine

    _, last = getattr(classifier, "steps", [("", classifier)])[-1]
    if isinstance(last, KernelMachine):
        sound = _sound_machine(last)
    elif isinstance(last, RandomForestClassifier):
        sound = all(_sound_tree(one.tree_, last.n_features_in_) for one in last.estimators_)
    else:
        sound = isinstance(last, NamedXGBoost)
    if not sound:
        raise ModelFileError(
            f"{path}: its {type(last).__name__} is not one that leukkit fits, or its arrays do not "
            "fit together: the file is damaged or was changed. Make the model again"
        )


def _sound_machine(machine: Any) -> bool:
    svc, classes = machine.machine_, len(machine.classes_)
    support = np.asarray(svc.support_)
    return (
        svc.kernel == "precomputed"
        and len(support) == svc._n_support.sum() == len(machine.support_vectors_)
        and len(svc._n_support) == classes
        and bool(((support >= 0) & (support < svc.shape_fit_[0])).all())
        and svc._dual_coef_.shape == (classes - 1, len(support))
        and len(svc._intercept_) == classes * (classes - 1) // 2
    )


def _sound_tree(tree: Any, features: int) -> bool:
    left, right = tree.children_left, tree.children_right
    inner = np.flatnonzero(left != -1)
    return bool(
        (right[left == -1] == -1).all()
        and ((left[inner] > inner) & (left[inner] < tree.node_count)).all()  # no way back: ends
        and ((right[inner] > inner) & (right[inner] < tree.node_count)).all()
        and ((tree.feature[inner] >= 0) & (tree.feature[inner] < features)).all()
    )


def _start(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        start = file.read(8)
    return f"it begins with {start!r}" if start else "it is empty"
