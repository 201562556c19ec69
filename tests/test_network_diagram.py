import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import FancyBboxPatch

from leukkit import plots
from leukkit.plots import diagrams


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_the_diagram_says_what_each_layer_gives_and_whether_it_learns():
    import keras

    layers = [
        keras.Input((8, 8, 3), name="image"),
        keras.layers.Conv2D(4, 3, padding="same", name="frozen_conv", trainable=False),
        keras.layers.MaxPooling2D(2, name="pool"),
        keras.layers.Flatten(name="flat"),
        keras.layers.Dense(2, name="predictions"),
    ]
    layers = keras.Sequential(layers).layers
    ax = plots.network_diagram({"first": layers[:2], "second": layers[2:]})
    texts = {text.get_text() for text in ax.texts}
    assert {"first", "second", "frozen_conv · Conv2D 3×3", "8 × 8 × 4", "112"} <= texts
    assert {"predictions · Dense", "2", "130", "pool · MaxPooling2D 2×2", "4 × 4 × 4"} <= texts
    boxes = [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    shades = [to_hex(box.get_facecolor()).upper() for box in boxes]
    plain, frozen, trained = diagrams.PLAIN, diagrams.FROZEN, diagrams.TRAINED
    assert shades == [frozen, plain, plain, trained]


def test_an_empty_column_is_refused():
    with pytest.raises(ValueError, match="'head' has no layers"):
        plots.network_diagram({"head": []})
