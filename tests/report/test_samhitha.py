"""The shuffled evaluation: exact distributions against orders that are gone through or drawn."""

import itertools

import numpy as np
import pandas as pd
import pytest

from leukkit import metrics, papers, plots
from leukkit.report import networks, samhitha, shuffling

# Of five images, three are ALL; four are predicted as ALL.
LABELS = ["ALL", "ALL", "ALL", "healthy", "healthy"]
PREDICTED = ["ALL", "ALL", "ALL", "ALL", "healthy"]


def predictions(labels=LABELS, predicted=PREDICTED):
    rows = [
        {
            "image_id": f"image-{number}",
            "subject": f"subject-{number}",
            "label": label,
            "prob_healthy": 0.1 if guess == "ALL" else 0.9,
            "prob_ALL": 0.9 if guess == "ALL" else 0.1,
        }
        for number, (label, guess) in enumerate(zip(labels, predicted, strict=True))
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def card():
    return papers.load("samhitha")


@pytest.fixture
def printed(card):
    return shuffling.counts_of(card.matrices[0]["printed"], card.matrices[0]["classes"])


def test_the_distribution_is_that_of_all_orders_gone_through():
    accuracies = [
        np.mean([label == guess for label, guess in zip(order, PREDICTED, strict=True)])
        for order in itertools.permutations(LABELS)
    ]
    orders = shuffling.orders(metrics.confusion(predictions()))
    orders = orders[orders["probability"] > 0]
    values, times = np.unique(accuracies, return_counts=True)
    assert orders["accuracy"].tolist() == pytest.approx(values.tolist())
    assert orders["probability"].tolist() == pytest.approx((times / times.sum()).tolist())


def test_scores_are_those_of_the_metrics_for_each_class():
    frame = predictions()
    ours = shuffling.scores(metrics.confusion(frame))
    for label in ("ALL", "healthy"):
        theirs = metrics.scores(frame, positive=label)
        assert ours[f"precision, {label}"] == pytest.approx(theirs["precision"])
        assert ours[f"recall, {label}"] == pytest.approx(theirs["sensitivity"])
        assert ours[f"f1, {label}"] == pytest.approx(theirs["f1"])
    assert ours["accuracy"] == pytest.approx(4 / 5)


def test_chance_agrees_with_shuffled_labels():
    labels = ["ALL"] * 40 + ["healthy"] * 20
    frame = predictions(labels, labels)  # a network that is always right
    chance = shuffling.scores_by_chance(metrics.confusion(frame))
    drawn = pd.DataFrame(
        shuffling.scores(metrics.confusion(networks.shuffle_labels(frame, seed)))
        for seed in range(200)
    )
    assert chance["mean"].to_dict() == pytest.approx(drawn.mean().to_dict(), abs=0.02)
    inside = drawn["accuracy"].between(*chance.loc["accuracy", ["low", "high"]])
    assert inside.mean() > 0.9


def test_a_class_that_is_never_predicted_has_no_precision():
    frame = predictions(LABELS, ["ALL"] * 5)
    table = shuffling.score_twice(frame, pd.Series({"precision, healthy": "30", "f1, ALL": "68"}))
    row = table.loc["precision, healthy"]
    assert (row.iloc[1:] == "undefined").all() and row["published"] == "30"
    assert table.loc["f1, ALL", "labels in order"] == "75.0"


def test_the_printed_matrix_gives_the_printed_table(card, printed):
    scores = (100 * shuffling.scores(printed)).round().astype(int)
    row = samhitha.printed_scores(card, "efficientnetb0-attention").astype(int)
    assert scores[row.index].to_dict() == row.to_dict()
    # the rows are the testing set of Table I
    assert printed.sum(axis=1).to_dict() == {"ALL": 1091, "healthy": 509}


def test_the_printed_matrix_is_what_chance_gives(printed):
    chance = shuffling.scores_by_chance(printed).loc["accuracy"]
    assert chance["low"] < shuffling.scores(printed)["accuracy"] < chance["high"]
    assert shuffling.orders(printed)["accuracy"].max() == pytest.approx(1578 / 1600)


def test_every_row_of_table_four_has_the_accuracy_of_chance(card):
    table = samhitha.reread_table_four(card)
    assert table.loc["efficientnetb0-attention", "accuracy by Table IV"] == "56.3"
    for row in table.itertuples(index=False):
        low, high = map(float, row[1].split("(")[1].rstrip(")").split(" to "))
        assert low <= float(row[0]) <= high


def test_three_classes_are_refused():
    with pytest.raises(ValueError, match="2 x 2"):
        shuffling.orders(pd.DataFrame(np.ones((3, 3), int)))


def test_the_network_that_is_rescaled_once_stands_beside_the_same_printed_cells(card):
    keys = {"dataset": "cnmc-2019", "model": "efficientnetb0-attention", "protocol": "published"}
    rows = [
        {**keys, "variant": variant, "part": "training", "quantity": "accuracy", "value": value}
        for variant, value in (("", 0.5), (samhitha.ONCE, 0.75))
    ]
    columns = ["label", "epoch", "low", "high", "mean", "sd"]
    measured = pd.DataFrame(rows).assign(weights="random, seed 0", **dict.fromkeys(columns, pd.NA))
    compared = samhitha.compare_both(card, measured)
    training = compared[(compared["table"] == "Table II") & (compared["part"] == "training")]
    found = training.set_index("model")[["printed", "reproduced"]]
    assert found.loc["efficientnetb0-attention"].tolist() == ["98.22", 50]
    assert found.loc["efficientnetb0-attention, rescaled once"].tolist() == ["98.22", 75]
    assert not training.set_index("model").loc["resnet50", "reproduced made"]


def test_layers_and_values_of_a_network_counted_by_hand():
    import keras

    image = keras.Input((4, 4, 3))
    values = keras.layers.Rescaling(0.01, name="normalize")(image)
    values = keras.layers.Rescaling(0.5, name="own")(values)
    values = keras.layers.Identity(name="features")(values)
    values = keras.layers.Flatten(name="flat")(values)
    network = keras.Model(image, keras.layers.Dense(2, name="predictions")(values))
    table = samhitha.layers(network)
    assert table.loc["predictions", "parameters"] == "98"
    assert table.index[table["learns"]].tolist() == ["predictions"]
    assert table.loc["own", "output"] == "4 x 4 x 3"


def test_the_figure_of_all_orders_shows_their_shares_and_what_was_found(printed):
    ax = plots.accuracy_over_orders(shuffling.orders(printed), {"Figure 5": 0.5625})
    assert sum(bar.get_height() for bar in ax.patches) == pytest.approx(100, abs=0.01)
    (line,) = ax.get_lines()
    assert line.get_xdata()[0] == pytest.approx(56.25)
    assert "Figure 5: 56.2%" in [text.get_text() for text in ax.get_legend().get_texts()]
