"""The grid search from scalar products against scikit-learn's own."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, GroupKFold, ParameterGrid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from leukkit.classifiers import grid_search_svm, svm

GRID = {"C": [0.1, 10, 1000], "gamma": [1, 0.01, 0.0001], "kernel": ["rbf", "poly"]}


def made_up(images=150, features=60, classes=2, seed=0):
    """Non-negative correlated features, a class signal that is weak, some rows twice."""
    generator = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    hidden = generator.normal(size=(images, 8))
    hidden[:, 0] += 0.8 * labels
    mixed = hidden @ generator.normal(size=(8, features)) / 3
    mixed += 0.4 * generator.normal(size=(images, features))
    made = np.maximum(mixed, 0).astype(np.float32)
    made[1:10:2] = made[0:9:2]  # equal images of two classes
    return made, np.array(["healthy", "ALL", "early", "pre"])[labels]


def scikit_learn(features, labels, scale=False, folds=5, class_weight=None):
    machine = SVC(class_weight=class_weight)
    if not scale:
        return GridSearchCV(machine, GRID, cv=folds).fit(features, labels)
    grid = {f"svc__{name}": values for name, values in GRID.items()}
    pipeline = make_pipeline(StandardScaler(), machine)
    return GridSearchCV(pipeline, grid, cv=folds).fit(features, labels)


def ours(features, labels, **settings):
    return grid_search_svm(features, labels, *GRID.values(), **settings)


@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_scores_and_machine_are_those_of_grid_search_cv(scale, classes, class_weight):
    features, labels = made_up(classes=classes)
    if class_weight:  # unequal classes, or the weights would do nothing
        kept = (labels != "healthy") | (np.arange(len(labels)) % 3 > 0)
        features, labels = features[kept], labels[kept]
    expected = scikit_learn(features, labels, scale=scale, class_weight=class_weight)
    found = ours(features, labels, scale=scale, class_weight=class_weight)
    assert 0.3 < expected.best_score_ < 0.95  # neither chance nor trivial
    names = [name for name in found.cv_results_ if name.endswith("test_score")]
    assert {"split4_test_score", "std_test_score", "rank_test_score"} < set(names)
    for name in names:
        np.testing.assert_allclose(
            found.cv_results_[name], expected.cv_results_[name], atol=1e-6, err_msg=name
        )
    assert found.best_index_ == expected.best_index_
    assert found.best_score_ == pytest.approx(expected.best_score_)
    assert list(found.best_params_.values()) == list(expected.best_params_.values())
    assert found.cv_results_["params"] == list(ParameterGrid(GRID))
    if classes == 2:
        assert found.classes_.tolist() == ["ALL", "healthy"]
        new = made_up(seed=1)[0]
        np.testing.assert_allclose(found.decision_function(new), expected.decision_function(new))
        assert found.predict(new).tolist() == expected.predict(new).tolist()


def test_folds_may_be_given_as_positions():
    features, labels = made_up()
    groups = np.arange(len(labels)) // 10
    folds = list(GroupKFold(4).split(features, labels, groups))
    expected, found = (
        scikit_learn(features, labels, folds=folds),
        ours(features, labels, folds=folds),
    )
    np.testing.assert_allclose(
        found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"], atol=1e-6
    )
    assert "split3_test_score" in found.cv_results_
    assert "split4_test_score" not in found.cv_results_


@pytest.mark.parametrize("scale", [False, True])
def test_one_setting_is_fitted_without_cross_validation(monkeypatch, scale):
    features, labels = made_up()
    searched = grid_search_svm(features, labels, [1, 10], [0.01], ["rbf"], scale=scale)
    chosen = searched.best_params_
    monkeypatch.setattr(svm, "scalar_products", None)
    found = grid_search_svm(features, labels, [chosen["C"]], [0.01], ["rbf"], scale=scale)
    assert found.best_params_ == chosen
    assert (found.cv_results_, found.best_index_) == ({}, 0) and np.isnan(found.best_score_)
    new = made_up(seed=1)[0]
    assert (found.decision_function(new) == searched.decision_function(new)).all()
    grid_search_svm(features[:8], labels[:8], [10], [0.1], ["rbf"], folds=5)  # 4 of a class


def test_of_equally_good_settings_the_first_of_the_grid_wins():
    features = np.repeat([[0.0, 1.0], [1.0, 0.0]], 10, axis=0)
    search = ours(features, np.repeat(["ALL", "healthy"], 10))
    assert (search.cv_results_["mean_test_score"] == 1).sum() > 1
    first = np.flatnonzero(search.cv_results_["mean_test_score"] == 1)[0]
    assert search.best_params_ == list(ParameterGrid(GRID))[first]


def test_prediction_is_always_the_largest_decision_value():
    features, labels = made_up(classes=4)
    search = ours(features, labels)
    decision = search.decision_function(features)
    assert decision.shape == (150, 4)
    assert search.predict(features).tolist() == search.classes_[decision.argmax(axis=1)].tolist()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_does_not_end_is_ended(monkeypatch):
    features, labels = made_up()
    steps = ours(features, labels).best_estimator_.machine_.n_iter_
    monkeypatch.setattr(svm, "MOST_STEPS", 20)
    found = ours(features, labels)
    expected = GridSearchCV(SVC(max_iter=20), GRID, cv=5).fit(features, labels)
    np.testing.assert_allclose(
        found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )
    assert found.best_estimator_.machine_.n_iter_ == [20] < steps


def test_kernels_by_hand():
    train, test = np.array([[1.0, 2.0], [0.0, 1.0]]), np.array([[3.0, 1.0]])
    products = svm.scalar_products(train, test, scale=False)
    fit_kernel, test_kernel = svm.kernel_matrices("rbf", 0.5, products)
    np.testing.assert_allclose(fit_kernel, np.exp([[0, -1], [-1, 0]]))  # |x - y|² = 1 + 1
    np.testing.assert_allclose(test_kernel, np.exp([[-2.5, -4.5]]))  # 4 + 1, 9 + 0
    fit_kernel, test_kernel = svm.kernel_matrices("poly", 0.5, products)
    np.testing.assert_allclose(fit_kernel, [[15.625, 1], [1, 0.125]])  # (5/2)³, (2/2)³, (1/2)³
    np.testing.assert_allclose(test_kernel, [[15.625, 0.125]])


def test_neither_blocks_of_a_matrix_nor_threads_change_anything(monkeypatch):
    features, labels = made_up()
    whole = ours(features, labels)
    monkeypatch.setattr(svm, "ROWS_AT_A_TIME", 47)
    monkeypatch.setattr(svm, "THREADS", 1)
    blocks = ours(features, labels)
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_allclose(blocks.cv_results_[name], whole.cv_results_[name], atol=1e-6)
    new = made_up(seed=1)[0]
    np.testing.assert_allclose(
        blocks.decision_function(new), whole.decision_function(new), atol=1e-9
    )


def test_an_unknown_kernel_is_named():
    with pytest.raises(ValueError, match=r"sigmoid.*rbf"):
        grid_search_svm(*made_up(), [1], [1], ["sigmoid"])
