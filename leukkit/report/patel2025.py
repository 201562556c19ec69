"""What the notebook of patel2025 shows besides the tables that all papers have.

The printed counts say which images its seven folds may divide, its Table 2 can be checked against
itself, and three of its steps are shown for what they are: normalization, augmentation, and a
learning rate of its own for the new layer.
"""

import numpy as np
import pandas as pd

from leukkit import augmentation, images, metrics, network_runs

DATASET = "cnmc-2019"
FOLDS = 7
QUANTITIES = ("accuracy", "precision", "f1")


def compare_fold_sizes(card):
    """Compare the printed size of a test fold with a seventh of the images it may come from.

    Args:
        card: The `papers.Card` of patel2025.

    Returns:
        Frame, one row per class: ``all images`` and ``test part`` (of the 70/15/15 split) as
        printed, a seventh of each, and ``printed per test fold``.
    """
    everything = _images(card, "images")
    tested = _images(card, "images", part="test")
    frame = pd.DataFrame({"all images": everything, "test part": tested})
    sevenths = {
        "a seventh of all images": frame["all images"] / FOLDS,
        "a seventh of the test part": frame["test part"] / FOLDS,
    }
    printed = _images(card, "images per fold", part="test")
    counts = frame.astype(int).assign(**sevenths)
    return counts.assign(**{"printed per test fold": printed.astype(int)}).rename_axis("class")


def compare_split(card, profile):
    """Put the images per part of the 70/15/15 split beside the printed ones.

    Args:
        card: The `papers.Card` of patel2025.
        profile: The profile's numbers.

    Returns:
        Frame indexed by part and class: ``published``, ``here``, and the ``share`` (0..1) that
        each part has of the images of the class, here.
    """
    divided = network_runs.divide(profile, DATASET, "published-split")
    parts = dict(zip(("training", "validation", "test"), divided.folds[0], strict=True))
    labels = divided.cells["label"].astype(str)
    rows = {}
    for part, positions in parts.items():
        printed, counted = _images(card, "images", part=part), labels.iloc[positions].value_counts()
        for name in divided.cells.attrs["classes"]:
            share = counted[name] / (labels == name).sum()
            rows[part, name] = {
                "published": int(printed[name]),
                "here": int(counted[name]),
                "share": share,
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["part", "class"])


def reread_table_2(card):
    """Compute from the sensitivity and specificity of Table 2 what else its rows must say.

    With the class counts of the 70/15/15 test part (of all images they give the same to 0.02
    points). Accuracy is a weighted mean of both, so it holds for a mean over folds of equal class
    shares, too; precision and F1 hold up to the spread of the folds.

    Args:
        card: The `papers.Card` of patel2025.

    Returns:
        Frame, one row per network, in percent: for accuracy, precision and F1 what is ``printed``,
        what is ``implied``, and the ``difference`` (printed minus implied).
    """
    tested = _images(card, "images", part="test")
    cells = card.cells()
    printed = cells[cells["table"] == "Table 2"]
    printed = printed.pivot(index="model", columns="quantity", values="value")
    printed = printed.loc[cells.loc[cells["table"] == "Table 2", "model"].unique()]
    hits = printed["sensitivity"] / 100 * tested["ALL"]
    false_alarms = (1 - printed["specificity"] / 100) * tested["healthy"]
    implied = pd.DataFrame(
        {
            "accuracy": (hits + tested["healthy"] - false_alarms) / tested.sum(),
            "precision": hits / (hits + false_alarms),
            "f1": 2 * hits / (tested["ALL"] + hits + false_alarms),
        }
    )
    sides = {}
    for name in QUANTITIES:
        sides[name, "printed"] = printed[name]
        sides[name, "implied"] = 100 * implied[name]
        sides[name, "difference"] = printed[name] - 100 * implied[name]
    return pd.DataFrame(sides)


def normalization_statistics(cells, folds, preparation):
    """Return the mean and standard deviation that Eq. 1 takes from each fold's training images.

    Args:
        cells: The `cells` frame that the folds point into.
        folds: List of `splits.Fold`.
        preparation: A `leukkit.images.Preparation`.

    Returns:
        Frame, one row per fold (from 1), and ``all images``, which is used nowhere: mean and
        standard deviation of red, green and blue, in units of 0..255.
    """
    pixels = images.load(cells, preparation)
    columns = pd.MultiIndex.from_product(
        [["mean", "standard deviation"], ["red", "green", "blue"]], names=[None, "color"]
    )
    parts = [*(fold.train for fold in folds), np.arange(len(cells))]
    rows = [np.concatenate(images.channel_statistics(pixels, positions)) for positions in parts]
    index = pd.Index([*range(1, len(folds) + 1), "all images"], name="training images of fold")
    return pd.DataFrame(rows, index=index, columns=columns)


def augment_singly(rgb, ranges):
    """Apply each operation of the augmentation alone, as far as it goes.

    Args:
        rgb: uint8 RGB (height, width, 3).
        ranges: As `leukkit.augmentation.draw` takes them.

    Returns:
        Dict of what was done, as text, to the resulting image: cropping and scaling, flipping,
        rotation, brightness, shearing, in the order of the paper (a to e), those in ``ranges``.
    """
    zoom, brightness = 1 + ranges.get("zoom", 0), 1 + ranges.get("brightness", 0)
    rotation, shear = ranges.get("rotation", 0), ranges.get("shear", 0)
    flips = {name: ranges.get(name, False) for name in ("flip_horizontal", "flip_vertical")}
    operations = {
        f"a: scaled\n×{zoom:.2f}": {"zoom": zoom} if zoom > 1 else {},
        "b: flipped": flips if any(flips.values()) else {},
        f"c: turned\n{rotation:g}°": {"rotation": rotation} if rotation else {},
        f"d: brightness\n×{brightness:.2f}": {"brightness": brightness} if brightness > 1 else {},
        f"e: sheared\n{shear:g}°": {"shear": shear} if shear else {},
    }
    fill = {"fill": ranges.get("fill", "black")}
    return {
        text: augmentation.apply(rgb, {**one, **fill}) for text, one in operations.items() if one
    }


def describe_layers(recipe, image_sizes, classes=2):
    """List the parameters of VGG-19's parts and the learning rate that each begins with.

    The convolutions have as many at every image size. So they are built once, small, and only the
    dense layers for each size: the whole network at 224 pixels takes four times as long to build.

    Args:
        recipe: A `training.Recipe`; of its last phase is the learning rate.
        image_sizes: Sides of the input in pixels.
        classes: Number of classes.

    Returns:
        Frame, one row per part of the network and one for the whole: ``learning rate``, and for
        each image size the number of parameters.
    """
    from leukkit import models

    network = models.build("vgg19", classes, models.BACKBONES["vgg19"].smallest_image)
    convolutions = network.count_params() - network.get_layer("head").count_params()
    last_map = network.get_layer("features").output.shape
    columns = {}
    for size in image_sizes:
        side = size * last_map[1] // network.input_shape[1]
        head = models.heads.build_head("vgg_dense", (side, side, last_map[3]), classes)
        dense = {layer.name: layer.count_params() for layer in head.layers if layer.count_params()}
        columns[f"{size} px"] = {
            "16 convolutions": convolutions,
            **dense,
            "whole": convolutions + head.count_params(),
        }
    frame = pd.DataFrame(columns).rename(index={"predictions": "new layer"})
    rate = recipe.phases[-1].learning_rate
    rates = {"new layer": f"{rate * recipe.new_layer_factor:g}", "whole": ""}
    frame.insert(0, "learning rate", [rates.get(name, f"{rate:g}") for name in frame.index])
    return frame.rename_axis("layers")


def score_folds(predictions):
    """Score each fold by itself, the mean over the folds as the paper takes it, and the pool.

    Args:
        predictions: See `leukkit.metrics.predictions`, with the column ``fold``.

    Returns:
        Frame, one row per fold (from 1), then ``mean``, ``standard deviation`` and ``pooled``:
        ``images``, ``subjects``, and the five scores of Table 2 in percent. Not defined is NaN.
    """
    wanted = ["accuracy", "sensitivity", "specificity", "precision", "f1"]

    def row(part):
        counts = {"images": len(part), "subjects": part["subject"].nunique()}
        return counts | (100 * metrics.scores(part)[wanted]).to_dict()

    folds = pd.DataFrame({fold + 1: row(part) for fold, part in predictions.groupby("fold")}).T
    summary = pd.DataFrame(
        {"mean": folds[wanted].mean(skipna=False), "standard deviation": folds[wanted].std()}
    ).T
    pooled = pd.DataFrame({"pooled": row(predictions)}).T
    whole = pd.concat([folds, summary, pooled]).rename_axis("fold")
    return whole.astype({"images": "Int64", "subjects": "Int64"})


def _images(card, quantity, **keys):
    """Return the printed images per class, of a part or (without ``part``) of all."""
    claims = card.claims
    wanted = claims[(claims["quantity"] == quantity) & claims["split"].notna()]
    wanted = wanted[wanted["label"].notna()]
    part = keys.get("part")
    wanted = wanted[wanted["part"].isna() if part is None else wanted["part"] == part]
    return wanted.set_index("label")["value"].astype(float)
