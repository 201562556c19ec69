"""Names as people write them, for what the cards and folders name by keys."""

import pandas as pd

NAMES = {
    "all-2021": "ALL 2021",
    "all-idb2": "ALL-IDB2",
    "cnmc-2019": "C-NMC 2019",
    "densenet121": "DenseNet-121",
    "densenet169": "DenseNet-169",
    "densenet201": "DenseNet-201",
    "dex": "DEX",
    "efficientnetb0": "EfficientNet-B0",
    "efficientnetb0-attention": "EfficientNet-B0 with attention",
    "efficientnetb7": "EfficientNet-B7",
    "googlenet": "GoogLeNet",
    "inceptionv3": "InceptionV3",
    "mobilenet-0.25": "MobileNet 0.25",
    "mobilenetv2": "MobileNetV2",
    "resnet18": "ResNet-18",
    "resnet50": "ResNet-50",
    "rf": "random forest",
    "rf-scaled": "random forest, scaled features",
    "seresnet152": "SE-ResNet-152",
    "shufflenet": "ShuffleNet",
    "svm": "SVM",
    "svm-scaled": "SVM, scaled features",
    "vgg16": "VGG-16",
    "vgg16-cnn": "VGG-16 with CNN",
    "vgg19": "VGG-19",
    "xception": "Xception",
    "xgboost": "XGBoost",
    "xgboost-scaled": "XGBoost, scaled features",
}
PACKAGES = {
    "python": "Python",
    "tensorflow": "TensorFlow",
    "keras": "Keras",
    "numpy": "NumPy",
    "scikit-learn": "scikit-learn",
    "xgboost": "XGBoost",
    "opencv-python-headless": "OpenCV",
}


def name_model(cell):
    """Return the network and classifier of a cell or run (dict of its keys) in words."""
    keys = ("model", "backbone", "classifier")
    parts = [NAMES.get(cell[key], cell[key]) for key in keys if _given(cell, key)]
    return " with ".join(parts)


def used(configuration):
    """Return the keys of a run with the network that was used, which a profile may exchange."""
    run = dict(configuration["run"])
    if "recipe" in configuration and "network" in configuration["recipe"]:
        run["model"] = configuration["recipe"]["network"]
    elif "backbone" in configuration:
        run["backbone"] = configuration["backbone"]
    return run


def describe(cells):
    """Say in words what each printed cell of a paper is about, e.g. ``VGG-19, test, healthy``.

    Args:
        cells: Rows of `papers.Card.cells` of one paper.

    Returns:
        List of texts. Data set, segmentation and augmentation are named where a paper has cells
        with and cells without.
    """
    told = {key for key in ("dataset", "segmentation", "augmentation") if _varies(cells, key)}
    return [_describe(cell, told) for cell in cells.to_dict("records")]


def _describe(cell, told):
    parts = [name_model(cell)]
    if "dataset" in told and _given(cell, "dataset"):
        parts.append(NAMES.get(cell["dataset"], cell["dataset"]))
    for key, word in (("segmentation", "segmented"), ("augmentation", "augmented")):
        if key in told and _given(cell, key):
            parts.append(word if cell[key] else f"not {word}")
    if _given(cell, "variant"):
        parts.append(cell["variant"].replace("-", " "))
    parts += [cell[key] for key in ("part", "label") if _given(cell, key)]
    if _given(cell, "epoch"):
        parts.append(f"epoch {cell['epoch']}")
    return ", ".join(part for part in parts if part)


def _varies(cells, key):
    return key in cells and len(cells[key].dropna().unique()) > 1


def _given(cell, key):
    return key in cell and pd.notna(cell[key]) and cell[key] != ""
