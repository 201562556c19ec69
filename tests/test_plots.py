import itertools

import matplotlib

matplotlib.use("Agg")

import keras
import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from leukkit import audit, images, metrics, plots
from leukkit.metrics import calibration
from leukkit.plots import networks
from tests.predicted import STAGES, calibrated

TWO = ("healthy", "ALL")
SIDES = ("published", "reproduced", "leak-free", "by block", "by image")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def texts_of(panel):
    return [text.get_text() for text in panel.texts]


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
@pytest.mark.parametrize("names", [TWO, STAGES, SIDES])
def test_color_blind_readers_can_tell_the_colors_of_a_figure_apart(deficiency, names):
    for one, other in itertools.combinations(names, 2):
        seen = [seen_by(deficiency, plots.class_color(name)) for name in (one, other)]
        assert deltaE_ciede2000(*seen) > 15, (one, other)


def test_no_two_names_share_a_color_and_unknown_names_are_refused():
    names = [*TWO, *STAGES, *SIDES]
    assert len({plots.class_color(name) for name in names}) == len(names)
    with pytest.raises(KeyError, match="no color is set for 'hem'; there is one for healthy"):
        plots.class_color("hem")


def test_figures_are_drawn_on_the_axes_given():
    frame = calibrated()
    ax = plt.subplots()[1]
    assert plots.roc({"SVM": frame}, ax=ax) is ax
    axes = plt.subplots(1, 2)[1]
    drawn = plots.confusion_grid({"SVM": frame, "RF": frame}, ax=axes)
    assert list(drawn.flat) == list(axes)
    assert plt.get_fignums() == [1, 2]
    with pytest.raises(ValueError, match="1 x 3 panels, but ax holds 2 Axes"):
        plots.confusion_grid(dict.fromkeys("abc", frame), ax=axes)


CELLS = pd.DataFrame(
    {
        "image_id": [f"i{number}" for number in range(13)],
        "path": [str(10 * number) for number in range(13)],
        "label": ["ALL"] * 10 + ["healthy"] * 3,
    }
)
CELLS.attrs["classes"] = TWO


def flat_image(path, crop=None):
    return np.full((4, 4, 3), int(path) if crop is None else crop, dtype=np.uint8)


def shown(axes):
    return [[int(a.images[0].get_array()[0, 0, 0]) for a in row if a.images] for row in axes]


@pytest.fixture
def flat_images(monkeypatch):
    monkeypatch.setattr(images, "read", flat_image)


def test_gallery_has_a_row_per_class_in_its_color(flat_images):
    axes = plots.gallery(CELLS, per_class=5, seed=2)
    assert axes.shape == (2, 5)
    healthy, leukemic = shown(axes)
    assert sorted(healthy) == [100, 110, 120]  # all three there are
    assert len(set(leukemic)) == 5
    assert max(leukemic) < 100
    assert not axes[0, 3].axison
    for row, name, count in zip(axes, TWO, [3, 10], strict=True):
        assert row[0].get_title("left") == f"{name}, {count} images"
        assert row[0]._left_title.get_color() == plots.class_color(name)


def test_gallery_depends_on_seed_and_crop_and_not_on_the_order_of_the_rows(flat_images):
    first = shown(plots.gallery(CELLS, 4, seed=1))
    assert first == shown(plots.gallery(CELLS[::-1], 4, seed=1))
    assert first != shown(plots.gallery(CELLS, 4, seed=2))
    cropped = CELLS.assign(crop=pd.array([45, None] + [pd.NA] * 11, dtype="Int64"))
    leukemic = shown(plots.gallery(cropped, 13))[1]
    assert set(leukemic) == {45, *range(10, 100, 10)}


def test_segmentation_steps_shows_the_four_arrays():
    generator = np.random.default_rng(0)
    rgb, lab, segmented = generator.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    axes = plots.segmentation_steps(rgb, lab, lab[..., 1], segmented)
    for panel, image in zip(axes, [rgb, lab, lab[..., 1], segmented], strict=True):
        np.testing.assert_array_equal(panel.images[0].get_array(), image)
    ends = lab[..., 1].min(), lab[..., 1].max()
    assert "{} to {}".format(*ends) in axes[2].get_title()
    assert axes[2].images[0].get_clim() == ends  # the a channel of a cell is a narrow range


def test_augmentation_examples_shows_original_and_copies_with_their_titles():
    copies = [flat_image(value) for value in range(1, 8)]
    axes = plots.augmentation_examples(flat_image(0), copies)
    assert axes.shape == (2, 4)
    assert [value for row in shown(axes) for value in row] == list(range(8))
    assert (axes[0, 0].get_title(), axes[1, 3].get_title()) == ("original", "copy 7")
    named = plots.augmentation_examples(flat_image(0), copies[:2], ["flip", "turn"])
    assert [panel.get_title() for panel in named.flat] == ["original", "flip", "turn"]
    with pytest.raises(ValueError, match="2 copies, but 1 titles"):
        plots.augmentation_examples(flat_image(0), copies[:2], ["flip"])


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
        assert gray.get_clim() == (0, 255)
        np.testing.assert_array_equal(colored.get_array(), maps[number])
        assert colored.get_clim() == (0, 1)
        assert colored.to_rgba(0.0)[3] == 0  # nothing is hidden where the map is 0
        assert colored.to_rgba(1.0)[3] > 0.5
    assert not axes[2, 1].images and not axes[3, 1].axison
    assert plots.grad_cam_grid(images[:2], maps[:2], titles[:2]).shape == (2, 2)


@pytest.mark.parametrize(
    ("images", "maps", "titles", "message"),
    [
        ([flat_image(0)], [np.zeros((4, 4))], ["a", "b"], "1 images, 1 maps and 2 titles"),
        ([], [], [], "at least one"),
        ([flat_image(0)], [np.zeros((2, 2))], ["a"], r"a: the image is \(4, 4\), its map \(2, 2\)"),
    ],
)
def test_grad_cam_grid_refuses_what_does_not_fit(images, maps, titles, message):
    with pytest.raises(ValueError, match=message):
        plots.grad_cam_grid(images, maps, titles)


@pytest.mark.parametrize("classes", [TWO, STAGES])
def test_confusion_grid_prints_the_counts_of_each_model(classes):
    models = {f"model {seed}": calibrated(classes, seed=seed) for seed in range(4)}
    axes = plots.confusion_grid(models)
    for panel, (name, frame) in zip(axes.flat, models.items(), strict=False):
        counts = metrics.confusion(frame).to_numpy()
        shares = counts / counts.sum(axis=1, keepdims=True)
        pairs = zip(counts.flat, shares.flat, strict=True)
        assert texts_of(panel) == [f"{count}\n{share:.1%}" for count, share in pairs]
        assert panel.get_title() == name
        for labels in (panel.get_xticklabels(), panel.get_yticklabels()):
            assert [label.get_text() for label in labels] == list(classes)
            assert [label.get_color() for label in labels] == list(map(plots.class_color, classes))
    # the axes are named at the left, and below where nothing follows
    below = [panel.get_xlabel() for panel in axes.flat]
    assert below == ["", "predicted", "predicted", "predicted", "", ""]
    assert [panel.get_ylabel() for panel in axes[0]] == ["actual", "", ""]
    assert not axes[1, 1].axison


def test_matrix_grid_puts_printed_matrices_beside_ours():
    ours = metrics.confusion(calibrated())
    printed = [[5, 1], [2, 1009]]
    left, right = plots.matrix_grid({"printed": printed, "reproduced": ours}, TWO[::-1])[0]
    assert texts_of(left) == ["5", "1", "2", "1,009"]  # no shares: of which class is not known
    assert (left.get_ylabel(), left.get_xlabel()) == ("rows as printed", "columns as printed")
    counts = [int(text.split("\n")[0]) for text in texts_of(right)]
    assert counts == ours.to_numpy()[::-1, ::-1].ravel().tolist()
    assert (right.get_ylabel(), right.get_xlabel()) == ("actual", "predicted")
    assert [label.get_text() for label in right.get_xticklabels()] == ["ALL", "healthy"]


@pytest.mark.parametrize(
    ("orientation", "texts"),
    [
        ("rows are actual", ["40\n80.0%", "10\n20.0%", "60\n40.0%", "90\n60.0%"]),
        ("rows are predicted", ["40\n40.0%", "60\n60.0%", "10\n10.0%", "90\n90.0%"]),
    ],
)
def test_matrix_grid_turns_a_matrix_whose_rows_are_predicted(orientation, texts):
    matrices = {"Figure 4 (A)": [[40, 10], [60, 90]], "Figure 4 (B)": [[0, 0], [0, 1]]}
    left, right = plots.matrix_grid(matrices, TWO, orientation)[0]
    assert texts_of(left) == texts
    assert texts_of(right) == ["0", "0", "0\n0.0%", "1\n100.0%"]  # no share of no images
    assert (left.get_ylabel(), right.get_ylabel()) == ("actual", "")
    assert right.get_xlabel() == "predicted"


@pytest.mark.parametrize(
    ("matrix", "orientation", "message"),
    [
        ([[1, 2], [3, 4]], "actual", "'actual' is none of rows are actual, rows are predicted"),
        ([[1, 2, 3], [3, 4, 5]], "not stated", "a: 2 classes .* 2 x 2; found shape"),
        (metrics.confusion(calibrated(STAGES)), "not stated", r"a: its classes are \['benign'"),
    ],
)
def test_matrix_grid_refuses_what_does_not_fit(matrix, orientation, message):
    with pytest.raises(ValueError, match=message):
        plots.matrix_grid({"a": matrix}, TWO, orientation)


def test_long_titles_of_matrices_stay_in_their_column():
    names = [f"Figure {number}, CM after Original DenseNet201 (printed)" for number in range(3)]
    axes = plots.matrix_grid({name: np.eye(2, dtype=int) for name in names}, TWO)
    figure = axes[0, 0].figure
    figure.canvas.draw()
    boxes = [panel.title.get_window_extent() for panel in axes[0]]
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(boxes))
    assert boxes[-1].x1 <= figure.bbox.x1


def test_roc_legends_hold_the_auc_and_the_curves_enclose_it():
    models = {"SVM": calibrated(seed=1), "XGBoost": calibrated(seed=2)}
    frame = calibrated(STAGES)
    areas = {name: metrics.scores(each)["auc"] for name, each in models.items()}
    by_class = {name: metrics.scores(frame, name)["auc"] for name in STAGES}
    one_vs_rest = plots.roc_one_vs_rest(frame)
    for ax, expected in ((plots.roc(models), areas), (one_vs_rest, by_class)):
        lines = ax.get_lines()[: len(expected)]
        for line, (name, area) in zip(lines, expected.items(), strict=True):
            assert line.get_label() == f"{name} (AUC {area:.3f})"
            assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(area)
        assert len({line.get_linestyle() for line in lines}) == len(expected)
        assert len(ax.get_legend().get_texts()) == len(expected)
    drawn = [line.get_color() for line in one_vs_rest.get_lines()[:4]]
    assert drawn == list(map(plots.class_color, STAGES))
    with pytest.raises(ValueError, match="needs images of 'early' and others; here is only one"):
        plots.roc_one_vs_rest(frame[frame["label"] != "early"])
    with pytest.raises(ValueError, match=r"of 4 classes needs positive=<class>: \('benign', 'ea"):
        plots.roc({"vgg16-cnn": frame})


def test_reliability_shows_the_bins_and_the_error_of_each_model():
    frame = calibrated(STAGES, 400)
    models = {"vgg16-cnn": frame, "temperature 2": calibration.scale_temperature(frame, 2)}
    upper, lower = plots.reliability(models, bins=10)
    steps = [patch for patch in lower.patches if hasattr(patch, "get_data")]
    for line, step, (name, each) in zip(upper.get_lines(), steps, models.items(), strict=False):
        table = calibration.reliability(each, 10)
        np.testing.assert_allclose(line.get_xydata(), table[["confidence", "accuracy"]].dropna())
        np.testing.assert_allclose(step.get_data().values, table["images"] / 4)
        error = calibration.expected_calibration_error(each, 10)
        assert line.get_label() == f"{name}: expected calibration error {error:.3f}"
    assert upper.get_xlim() == lower.get_xlim()
    assert upper.get_xlim()[0] <= 0.25  # nothing is hidden: no confidence lies below 1 / 4


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
        lines, drawn = iter(panel.get_lines()), []
        for name, frame in histories.items():
            training, validation = next(lines), next(lines)
            np.testing.assert_array_equal(training.get_xydata(), frame[["epoch", quantity]])
            watched = frame[["epoch", f"validation_{quantity}"]]
            np.testing.assert_array_equal(validation.get_xydata(), watched)
            assert (training.get_linestyle(), validation.get_linestyle()) == (":", "-")
            assert training.get_color() == validation.get_color()
            assert validation.get_label() == name
            drawn.append(validation.get_color())
        assert len(set(drawn)) == 2
        assert panel.get_xlabel() == "epoch"
        assert quantity in panel.get_ylabel()
    styles, names = ([text.get_text() for text in panel.get_legend().get_texts()] for panel in axes)
    assert (styles, names) == (["validation", "training"], ["fold 1", "fold 2"])
    with pytest.raises(ValueError, match="history of fold 3 has no column loss; found: epoch"):
        plots.training_curves({"fold 3": history(3).drop(columns="loss")})


def test_training_curves_of_a_single_epoch_can_be_seen():
    panel = plots.training_curves({"resnet18": history(1)})[0]
    training, validation = panel.get_lines()
    assert training.get_marker() == validation.get_marker() == "o"
    # filled and empty, since a point has no line style
    assert training.get_markerfacecolor() != validation.get_markerfacecolor()
    low, high = panel.get_xlim()
    assert [tick for tick in panel.get_xticks() if low <= tick <= high] == [1]


@pytest.mark.parametrize(
    ("histories", "marks"),
    [
        ([history(20, phase_two=11), history(18, phase_two=11)], [10.5]),
        ([history(20, phase_two=11), history(18, phase_two=9)], []),
        ([history(20, phase_two=11), history(18)], []),
    ],
)
def test_training_curves_mark_a_phase_that_begins_at_once_in_all(histories, marks):
    left, right = plots.training_curves(dict(enumerate(histories)))
    assert [line.get_xdata()[0] for line in right.get_lines() if line.get_zorder() == 0] == marks
    assert texts_of(left) == ["new phase"] * len(marks)


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
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["densenet201 + rf", "densenet201 + svm"]
    published, reproduced = ax.containers
    assert published[0].get_xdata().tolist() == [97.5, 99.1]
    np.testing.assert_array_equal(reproduced[0].get_xdata(), [96.0, np.nan])
    assert reproduced[2][0].get_segments()[0][:, 0].tolist() == [95.0, 96.5]
    for points, name in ((published, "published"), (reproduced, "reproduced")):
        assert points[0].get_color() == plots.class_color(name)
        # every model's points lie in its own row
        assert np.abs(points[0].get_ydata() - [0, 1]).max() < 0.5
    assert ax.yaxis_inverted()
    assert "accuracy (percent), lines: 95% intervals" in ax.get_xlabel()
    sides = {"kept apart": [95.0, 90.0], "kept apart name": ["leak-free", "by image"]}
    *_, subjects, single = plots.bars(frame.assign(**sides)).containers
    for points, name, value, row in ((subjects, "leak-free", 95, 0), (single, "by image", 90, 1)):
        assert (points.get_label(), points[0].get_color()) == (name, plots.class_color(name))
        assert points[0].get_xdata().tolist() == [value]
        assert abs(points[0].get_ydata()[0] - row) < 0.5
    with pytest.raises(ValueError, match="published, reproduced, kept apart; found: value"):
        plots.bars(frame[[]].assign(value=1))


def test_split_comparison_puts_score_and_leak_of_a_split_on_one_row():
    frame = pd.DataFrame(
        [("images", 0.907, 0.87, 0.94, 1.0), ("subjects", 0.819, 0.74, 0.88, 0.0)],
        columns=["split", "score", "low", "high", "leaked"],
    )
    left, right = plots.split_comparison(frame)
    for number, (points, row) in enumerate(zip(left.containers, frame.itertuples(), strict=True)):
        assert points[0].get_xydata().tolist() == [[row.score, number]]
        ends = points[2][0].get_segments()[0][:, 0]
        assert ends.tolist() == pytest.approx([row.low, row.high])
    assert [bar.get_width() for bar in right.patches] == [100.0, 0.0]
    middles = [bar.get_y() + bar.get_height() / 2 for bar in right.patches]
    assert middles == pytest.approx([0, 1])
    assert left.get_ylim() == right.get_ylim()
    assert "0.907 (0.870 to 0.940)" in texts_of(left)
    assert texts_of(right) == ["100.0%", "0.0%"]
    assert left.get_xlabel() == "AUC, 95% interval"


def test_the_diagram_says_what_each_layer_gives_and_whether_it_learns():
    layers = keras.Sequential(
        [
            keras.Input((8, 8, 3), name="image"),
            keras.layers.Conv2D(4, 3, padding="same", name="frozen_conv", trainable=False),
            keras.layers.MaxPooling2D(2, name="pool"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(2, name="predictions"),
        ]
    ).layers
    ax = plots.network_diagram({"first": layers[:2], "second": layers[2:]})
    assert {"first", "second", "frozen_conv · Conv2D 3×3", "8 × 8 × 4", "112"} <= {*texts_of(ax)}
    assert {"predictions · Dense", "2", "130", "pool · MaxPooling2D 2×2"} <= {*texts_of(ax)}
    shades = [matplotlib.colors.to_hex(box.get_facecolor()).upper() for box in ax.patches]
    plain, frozen, trained = networks.PLAIN, networks.FROZEN, networks.TRAINED
    assert shades == [frozen, plain, plain, trained]
    with pytest.raises(ValueError, match="'head' has no layers"):
        plots.network_diagram({"head": []})


def test_implied_accuracies_draw_what_is_printed_and_what_is_implied_in_the_row_of_the_network():
    frame = pd.DataFrame(
        {"low": [59.0, 91.0], "high": [61.0, 91.0], "test": [87.5, np.nan], "text": [99, 92]},
        index=["resnet50", "vgg19"],
    )
    ax = plots.implied_accuracies(frame)
    drawn = {line.get_label(): line for line in ax.lines}
    assert [text.get_text() for text in ax.get_yticklabels()] == ["resnet50", "vgg19"]
    assert drawn["recomputed"].get_xydata().tolist() == [[60, 0], [91, 1]]
    assert drawn["printed, test"].get_xdata()[0] == 87.5
    assert drawn["printed, text"].get_xydata().tolist() == [[99, 0], [92, 1]]
    (ranges,) = ax.collections
    assert ranges.get_segments()[0].tolist() == [[59, 0], [61, 0]]
    assert ax.get_xlabel() == "accuracy (percent)"


def test_implied_accuracies_say_which_column_is_missing():
    with pytest.raises(ValueError, match=r"low and high .*found: low, test"):
        plots.implied_accuracies(pd.DataFrame({"low": [1.0], "test": [1.0]}))


def test_explaining_totals_name_the_marked_numbers_and_their_heights():
    frame = pd.DataFrame(
        {"explained": [1, 6, 19, 2], "by chance": [1.0, 1.1, 1.2, 1.3]}, index=[297, 300, 298, 301]
    )
    ax = plots.explaining_totals(frame.sort_index(), of=22, marked=(298, 300))
    assert [text.get_text() for text in ax.texts] == ["n = 298: 19", "n = 300: 6"]
    assert ax.get_ylim() == (0, 22)
    assert "of 22" in ax.get_ylabel()


def test_leads_draw_both_ends_over_the_independent_images_and_what_the_printed_are_worth():
    lead = audit.Lead("p", "", "accuracy", "", (0.95, 0.9), images=1000, counts=(), subjects=50)
    (axes,) = plots.leads({"a": lead}, (0.0, 0.5))
    assert axes[0].get_title() == "a"
    independent, nested, printed = axes[0].lines
    for alike, line in enumerate((independent, nested)):
        sizes, chances = line.get_data()
        assert chances[40] == pytest.approx(lead.probability(sizes[40], alike))
    assert list(printed.get_xdata()) == [1000, 1000]
    (shaded,) = axes[0].patches
    ends = shaded.get_extents().transformed(axes[0].transData.inverted())
    assert (ends.x0, ends.x1) == pytest.approx((1000 / 10.5, 1000))
    assert axes[0].get_xscale() == "log"
