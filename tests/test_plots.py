import itertools
import re

import matplotlib

matplotlib.use("Agg")

import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from leukkit import metrics, plots
from leukkit.metrics import calibration


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def predictions(classes=("healthy", "ALL"), count=150, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, len(classes), count)
    chances = generator.dirichlet(np.ones(len(classes)), count)
    chances[np.arange(count), labels] += 0.5
    chances /= chances.sum(axis=1, keepdims=True)
    names = [f"image-{number}" for number in range(count)]
    frame = pd.DataFrame({"image_id": names, "subject": names, "label": np.array(classes)[labels]})
    return frame.assign(**{f"prob_{name}": chances[:, k] for k, name in enumerate(classes)})


def seen_by(deficiency, color):
    """Return LAB of a color as seen with a deficiency (Machado et al. 2009, severity 1)."""
    matrix = {
        "protanopia": "0.1523 1.0526 -0.2049 0.1145 0.7863 0.0992 -0.0039 -0.0481 1.0520",
        "deuteranopia": "0.3673 0.8606 -0.2280 0.2801 0.6725 0.0474 -0.0118 0.0429 0.9689",
        "tritanopia": "1.2555 -0.0767 -0.1788 -0.0784 0.9308 0.1476 0.0047 0.6914 0.3039",
    }[deficiency]
    matrix = np.array(matrix.split(), dtype=float).reshape(3, 3)
    rgb = np.array(matplotlib.colors.to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    changed = (matrix @ linear).clip(0, 1)
    encoded = np.where(changed <= 0.0031308, changed * 12.92, 1.055 * changed ** (1 / 2.4) - 0.055)
    return rgb2lab(encoded[None, None])[0, 0]


@pytest.mark.parametrize("deficiency", ["protanopia", "deuteranopia", "tritanopia"])
@pytest.mark.parametrize(
    "names",
    [
        ["healthy", "ALL"],
        ["benign", "early", "pre", "pro"],
        ["published", "reproduced", "leak-free"],
    ],
)
def test_color_blind_readers_can_tell_the_colors_of_a_figure_apart(deficiency, names):
    for one, other in itertools.combinations(names, 2):
        seen = [seen_by(deficiency, plots.class_color(name)) for name in (one, other)]
        assert deltaE_ciede2000(*seen) > 15, (one, other)


def test_no_two_names_share_a_color_and_unknown_names_are_refused():
    names = ["healthy", "ALL", "benign", "early", "pre", "pro"]
    names += ["published", "reproduced", "leak-free"]
    assert len({plots.class_color(name) for name in names}) == len(names)
    with pytest.raises(KeyError, match="no color is set for 'hem'; there is one for healthy"):
        plots.class_color("hem")


def gallery_cells():
    return pd.DataFrame(
        {
            "image_id": [f"i{number}" for number in range(13)],
            "path": [str(10 * number) for number in range(13)],
            "label": ["ALL"] * 10 + ["healthy"] * 3,
        }
    )


def flat_image(path, crop=None):
    return np.full((4, 4, 3), int(path), dtype=np.uint8)


def shown(axes):
    return [[int(a.images[0].get_array()[0, 0, 0]) for a in row if a.images] for row in axes]


def test_gallery_has_a_row_per_class_in_its_color():
    cells = gallery_cells()
    cells.attrs["classes"] = ("healthy", "ALL")
    axes = plots.gallery(cells, per_class=5, seed=2, reader=flat_image)
    assert axes.shape == (2, 5)
    healthy, leukemic = shown(axes)
    assert sorted(healthy) == [100, 110, 120]  # all three there are
    assert len(set(leukemic)) == 5
    assert max(leukemic) < 100
    for row, name, count in zip(axes, ["healthy", "ALL"], [3, 10], strict=True):
        assert row[0].get_title("left") == f"{name}, {count} images"
        title = row[0]._left_title
        assert title.get_color() == plots.class_color(name)


def test_gallery_depends_on_the_seed_and_not_on_the_order_of_the_rows():
    cells = gallery_cells()
    first = shown(plots.gallery(cells, 4, seed=1, reader=flat_image))
    assert first == shown(plots.gallery(cells[::-1], 4, seed=1, reader=flat_image))
    assert first != shown(plots.gallery(cells, 4, seed=2, reader=flat_image))


def test_gallery_crops_where_the_cells_say_so():
    crops = {}

    def reader(path, crop=None):
        crops[path] = crop
        return flat_image(path)

    cells = gallery_cells().assign(crop=pd.array([450, None] + [pd.NA] * 11, dtype="Int64"))
    plots.gallery(cells, 13, reader=reader)
    assert crops["0"] == 450
    assert {crops[path] for path in crops if path != "0"} == {None}


def test_segmentation_steps_shows_the_four_arrays():
    generator = np.random.default_rng(0)
    rgb, lab, segmented = generator.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    axes = plots.segmentation_steps(rgb, lab, lab[..., 1], segmented)
    for panel, image in zip(axes, [rgb, lab, lab[..., 1], segmented], strict=True):
        np.testing.assert_array_equal(panel.images[0].get_array(), image)
    assert f"{lab[..., 1].min()} to {lab[..., 1].max()}" in axes[2].get_title()


def test_augmentation_examples_shows_original_and_copies_with_their_titles():
    copies = [flat_image(str(value)) for value in range(1, 8)]
    axes = plots.augmentation_examples(flat_image("0"), copies)
    assert axes.shape == (2, 6)
    assert [value for row in shown(axes) for value in row] == list(range(8))
    assert axes[0, 0].get_title() == "original"
    assert axes[1, 1].get_title() == "copy 7"
    named = plots.augmentation_examples(flat_image("0"), copies[:2], ["flip", "turn"])
    assert [panel.get_title() for panel in named.flat] == ["original", "flip", "turn"]
    with pytest.raises(ValueError, match="2 copies, but 1 titles"):
        plots.augmentation_examples(flat_image("0"), copies[:2], ["flip"])


@pytest.mark.parametrize("classes", [("healthy", "ALL"), ("benign", "early", "pre", "pro")])
def test_confusion_grid_prints_the_counts_of_each_model(classes):
    models = {f"model {seed}": predictions(classes, seed=seed) for seed in range(4)}
    axes = plots.confusion_grid(models)
    assert axes.shape == (2, 3)
    for panel, (name, frame) in zip(axes.flat, models.items(), strict=False):
        expected = metrics.confusion(frame).to_numpy()
        printed = [text.get_text().split("\n") for text in panel.texts]
        counts = np.array([int(count) for count, _ in printed]).reshape(expected.shape)
        np.testing.assert_array_equal(counts, expected)
        shares = np.array([float(share.rstrip("%")) for _, share in printed])
        np.testing.assert_allclose(
            shares.reshape(expected.shape),
            100 * expected / expected.sum(axis=1, keepdims=True),
            atol=0.051,
        )
        assert panel.get_title() == name
        for labels in (panel.get_xticklabels(), panel.get_yticklabels()):
            assert [label.get_text() for label in labels] == list(classes)
            assert [label.get_color() for label in labels] == list(map(plots.class_color, classes))
    assert not axes[1, 1].axison


def printed_counts(panel):
    return [int(text.get_text().split("\n")[0].replace(",", "")) for text in panel.texts]


def test_matrix_grid_puts_printed_matrices_beside_ours():
    printed = [[5, 1], [2, 1009]]
    ours = predictions()
    axes = plots.matrix_grid(
        {"printed": printed, "reproduced": metrics.confusion(ours)}, ["ALL", "healthy"]
    )
    left, right = axes[0]
    assert printed_counts(left) == [5, 1, 2, 1009]
    assert not any("%" in text.get_text() for text in left.texts)  # of which class is not known
    assert (left.get_ylabel(), left.get_xlabel()) == ("rows as printed", "columns as printed")
    counts = metrics.confusion(ours).to_numpy()
    assert printed_counts(right) == counts[::-1, ::-1].ravel().tolist()
    assert (right.get_ylabel(), right.get_xlabel()) == ("actual", "predicted")
    assert [label.get_text() for label in right.get_xticklabels()] == ["ALL", "healthy"]


def test_matrix_grid_turns_a_matrix_whose_rows_are_predicted():
    printed = {"Figure 4 (A)": [[40, 10], [60, 90]], "Figure 4 (B)": [[1, 0], [0, 1]]}
    classes = ["healthy", "ALL"]
    actual = plots.matrix_grid(printed, classes, "rows are actual")
    turned = plots.matrix_grid(printed, classes, "rows are predicted")
    assert [text.get_text() for text in actual[0, 0].texts] == [
        *("40\n80.0%", "10\n20.0%", "60\n40.0%", "90\n60.0%")
    ]
    assert [text.get_text() for text in turned[0, 0].texts] == [
        *("40\n40.0%", "60\n60.0%", "10\n10.0%", "90\n90.0%")
    ]
    for axes in (actual, turned):
        assert (axes[0, 0].get_ylabel(), axes[0, 1].get_ylabel()) == ("actual", "")
        assert axes[0, 1].get_xlabel() == "predicted"


def test_matrix_grid_refuses_what_does_not_fit():
    classes = ["healthy", "ALL"]
    with pytest.raises(ValueError, match="'actual' is none of rows are actual, rows are predicted"):
        plots.matrix_grid({"a": [[1, 2], [3, 4]]}, classes, "actual")
    with pytest.raises(ValueError, match=r"a: 2 classes .* need a matrix of 2 x 2; found shape"):
        plots.matrix_grid({"a": [[1, 2, 3], [3, 4, 5]]}, classes)
    four = metrics.confusion(predictions(("benign", "early", "pre", "pro")))
    with pytest.raises(ValueError, match=r"a: its classes are \['benign'"):
        plots.matrix_grid({"a": four}, classes)


def test_long_titles_of_matrices_stay_in_their_column():
    names = [f"Figure {number}, CM after Original DenseNet201 (printed)" for number in range(3)]
    axes = plots.matrix_grid({name: np.eye(2, dtype=int) for name in names}, ["healthy", "ALL"])
    figure = axes[0, 0].figure
    figure.canvas.draw()
    boxes = [panel.title.get_window_extent() for panel in axes[0]]
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))
    assert boxes[-1].x1 <= figure.bbox.x1


def test_roc_one_vs_rest_has_a_curve_in_the_color_of_each_class():
    frame = predictions(("benign", "early", "pre", "pro"))
    ax = plots.roc_one_vs_rest(frame)
    areas = []
    for line, name in zip(ax.get_lines(), ("benign", "early", "pre", "pro"), strict=False):
        assert line.get_color() == plots.class_color(name)
        areas.append(np.trapezoid(line.get_ydata(), line.get_xdata()))
        assert line.get_label() == f"{name} (AUC {areas[-1]:.3f})"
    assert np.mean(areas) == pytest.approx(metrics.scores(frame)["auc"])
    assert len({line.get_linestyle() for line in ax.get_lines()[:4]}) == 4
    with pytest.raises(ValueError, match="needs images of 'early' and others"):
        plots.roc_one_vs_rest(frame[frame["label"] != "early"])


def test_reliability_shows_the_bins_and_the_error_of_each_model():
    frame = predictions(("benign", "early", "pre", "pro"), count=400)
    models = {"vgg16-cnn": frame, "temperature 2": calibration.scale_temperature(frame, 2)}
    upper, lower = plots.reliability(models, bins=10)
    steps = [patch for patch in lower.patches if hasattr(patch, "get_data")]
    for line, step, (name, shown) in zip(upper.get_lines(), steps, models.items(), strict=False):
        table = calibration.reliability(shown, 10)
        np.testing.assert_allclose(line.get_xydata(), table[["confidence", "accuracy"]].dropna())
        assert step.get_data().values.sum() == pytest.approx(100)
        np.testing.assert_allclose(step.get_data().values, table["images"] / 4)
        error = calibration.expected_calibration_error(shown, 10)
        assert line.get_label() == f"{name}: expected calibration error {error:.3f}"
    diagonal = upper.get_lines()[-1]
    assert diagonal.get_label() == "calibrated"
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    assert upper.get_xlim() == lower.get_xlim()
    # nothing is hidden: no confidence lies below 1 / 4
    assert upper.get_xlim()[0] <= 0.25


def history(epochs, phase_two=None):
    frame = pd.DataFrame({"epoch": range(1, epochs + 1)})
    for number, name in enumerate(["accuracy", "loss", "validation_accuracy", "validation_loss"]):
        frame[name] = number + frame["epoch"] / 100
    if phase_two is not None:
        frame["phase"] = np.where(frame["epoch"] >= phase_two, 2, 1)
    return frame


def test_training_curves_draws_training_and_validation_of_each_fold():
    histories = {"fold 1": history(20), "fold 2": history(15)}
    axes = plots.training_curves(histories)
    for panel, quantity in zip(axes, ["accuracy", "loss"], strict=True):
        lines = iter(panel.get_lines())
        drawn_colors = []
        for name, frame in histories.items():
            training, validation = next(lines), next(lines)
            np.testing.assert_array_equal(training.get_xydata(), frame[["epoch", quantity]])
            np.testing.assert_array_equal(
                validation.get_xydata(), frame[["epoch", f"validation_{quantity}"]]
            )
            assert (training.get_linestyle(), validation.get_linestyle()) == (":", "-")
            assert training.get_color() == validation.get_color()
            assert validation.get_label() == name
            drawn_colors.append(validation.get_color())
        assert len(set(drawn_colors)) == 2
        assert panel.get_xlabel() == "epoch"
        assert quantity in panel.get_ylabel()
    styles = [text.get_text() for text in axes[0].get_legend().get_texts()]
    names = [text.get_text() for text in axes[1].get_legend().get_texts()]
    assert (styles, names) == (["validation", "training"], ["fold 1", "fold 2"])


def test_training_curves_of_a_single_epoch_can_be_seen():
    lines = plots.training_curves({"resnet18": history(1)})[0].get_lines()
    assert [line.get_marker() for line in lines] == ["o", "o"]
    # filled and empty, since a point has no line style
    assert lines[0].get_markerfacecolor() != lines[1].get_markerfacecolor()


def test_training_curves_mark_a_phase_that_begins_at_once_in_all():
    def marks(*histories):
        axes = plots.training_curves(dict(enumerate(histories)))
        return [line.get_xdata()[0] for line in axes[1].get_lines() if line.get_zorder() == 0]

    assert marks(history(20, phase_two=11), history(18, phase_two=11)) == [10.5]
    assert marks(history(20, phase_two=11), history(18, phase_two=9)) == []
    assert marks(history(20, phase_two=11), history(18)) == []
    with pytest.raises(ValueError, match="history of fold 3 has no column loss; found: epoch"):
        plots.training_curves({"fold 3": history(3).drop(columns="loss")})


def test_grad_cam_grid_shows_each_map_under_its_image():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (5, 6, 8, 3), dtype=np.uint8)
    maps = generator.random((5, 6, 8), dtype=np.float32)
    titles = [f"cell {number}" for number in range(5)]
    axes = plots.grad_cam_grid(images, maps, titles)
    assert axes.shape == (4, 4)
    for number, (row, column) in enumerate([(0, 0), (0, 1), (0, 2), (0, 3), (2, 0)]):
        above, below = axes[row, column], axes[row + 1, column]
        assert above.get_title() == titles[number]
        np.testing.assert_array_equal(above.images[0].get_array(), images[number])
        gray, colored = below.images
        np.testing.assert_allclose(gray.get_array(), images[number].mean(axis=-1))
        np.testing.assert_array_equal(colored.get_array(), maps[number])
        assert colored.get_clim() == (0, 1)
    assert not axes[2, 1].images
    assert plots.grad_cam_grid(images[:2], maps[:2], titles[:2]).shape == (2, 2)


def test_grad_cam_grid_hides_nothing_where_the_map_is_zero():
    axes = plots.grad_cam_grid([flat_image("90")], [np.zeros((4, 4))], ["cell"])
    colored = axes[1, 0].images[1]
    assert colored.to_rgba(0.0)[3] == 0
    assert colored.to_rgba(1.0)[3] > 0.5


def test_grad_cam_grid_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="1 images, 1 maps and 2 titles"):
        plots.grad_cam_grid([flat_image("0")], [np.zeros((4, 4))], ["a", "b"])
    with pytest.raises(ValueError, match="at least one"):
        plots.grad_cam_grid([], [], [])
    with pytest.raises(ValueError, match=r"a: the image is \(4, 4\), its map \(2, 2\)"):
        plots.grad_cam_grid([flat_image("0")], [np.zeros((2, 2))], ["a"])


def test_roc_legend_holds_the_auc_and_the_curve_encloses_it():
    models = {"SVM": predictions(seed=1), "XGBoost": predictions(seed=2)}
    ax = plots.roc(models)
    for line, text, (name, frame) in zip(
        ax.get_lines(), ax.get_legend().get_texts(), models.items(), strict=False
    ):
        area = metrics.scores(frame)["auc"]
        assert text.get_text() == f"{name} (AUC {area:.3f})"
        assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(area)
    styles = {line.get_linestyle() for line in ax.get_lines()[:2]}
    assert len(styles) == 2


def test_bars_draws_each_value_with_its_interval_and_no_missing_one():
    frame = pd.DataFrame(
        {
            "published": [97.5, 99.1],
            "reproduced": [96.0, np.nan],
            "reproduced low": [95.0, np.nan],
            "reproduced high": [96.5, np.nan],
        },
        index=pd.MultiIndex.from_tuples([("densenet201", "rf"), ("densenet201", "svm")]),
    )
    ax = plots.bars(frame, quantity="accuracy")
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "densenet201 + rf",
        "densenet201 + svm",
    ]
    published, reproduced = ax.containers
    assert published[0].get_xdata().tolist() == [97.5, 99.1]
    assert published[0].get_color() == plots.class_color("published")
    assert reproduced[0].get_color() == plots.class_color("reproduced")
    assert reproduced[0].get_xdata()[0] == 96.0
    segment = reproduced[2][0].get_segments()[0]
    assert segment[:, 0].tolist() == [95.0, 96.5]
    # every model's points lie in its own row
    assert np.abs(np.r_[published[0].get_ydata()] - [0, 1]).max() < 0.5
    assert ax.yaxis_inverted()
    assert "accuracy (percent)" in ax.get_xlabel()
    with pytest.raises(ValueError, match="published, reproduced, leak-free; found: value"):
        plots.bars(frame[[]].assign(value=1))


def test_split_comparison_puts_score_and_leak_of_a_split_on_one_row():
    frame = pd.DataFrame(
        {
            "split": ["images", "subjects"],
            "score": [0.907, 0.819],
            "low": [0.87, 0.74],
            "high": [0.94, 0.88],
            "leaked": [1.0, 0.0],
        }
    )
    left, right = plots.split_comparison(frame, quantity="AUC")
    assert [container[0].get_xdata()[0] for container in left.containers] == [0.907, 0.819]
    assert [container[2][0].get_segments()[0][:, 0].tolist() for container in left.containers] == [
        pytest.approx([0.87, 0.94]),
        pytest.approx([0.74, 0.88]),
    ]
    assert [bar.get_width() for bar in right.patches] == [100.0, 0.0]
    for row, bar in enumerate(right.patches):
        assert bar.get_y() + bar.get_height() / 2 == pytest.approx(row)
    assert left.get_ylim() == right.get_ylim()
    texts = [text.get_text() for text in [*left.texts, *right.texts]]
    assert "0.907 (0.870 to 0.940)" in texts
    assert "100.0%" in texts
    assert re.search(r"\bAUC\b", left.get_xlabel())


def test_figures_are_drawn_on_the_axes_given():
    frame = predictions()
    ax = plt.subplots()[1]
    assert plots.roc({"SVM": frame}, ax=ax) is ax
    axes = plt.subplots(1, 2)[1]
    drawn = plots.confusion_grid({"SVM": frame, "RF": frame}, ax=axes)
    assert list(drawn.flat) == list(axes)
    assert plt.get_fignums() == [1, 2]
    with pytest.raises(ValueError, match="1 x 3 panels, but ax holds 2 Axes"):
        plots.confusion_grid(dict.fromkeys("abc", frame), ax=axes)
