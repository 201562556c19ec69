"""How long the methods of the honest benchmark take for one image, measured where they run.

The whole method counts from the decoded pixels to the class: segmentation where the method has it,
resizing, the network, the classifier. Reading and decoding the file does not. The time does not
depend on the values of the weights, so networks are built with drawn ones; how long a support
vector machine or a forest takes depends on what it was fitted to, so the classifier of the first
fold is fitted again, with the settings that its grid search chose.
"""

import dataclasses
import functools
import time

import numpy as np
import pandas as pd

from leukkit import (
    feature_folds,
    features,
    files,
    images,
    models,
    network_runs,
    profiles,
    protocol_tables,
    reproduction,
    results,
    segmentation,
)
from leukkit.files import replace_when_done
from leukkit.honest import catalog, scores
from leukkit.training import network

SHOWN = 32  # images, in one batch
REPEATS = 3  # the median counts


def time_methods(profile_name, results_dir=None):
    """Measure the seconds per image of each method of a profile, and keep them with its results.

    Up to 32 images go through as one batch, three times after a warm-up; the median counts. An
    ensemble takes as long as its members together. Methods whose classifier is not fitted yet
    (`honest.run`) are left out.

    Args:
        profile_name: As `catalog.load`.
        results_dir: Folder of the results; None for `files.results_dir`.

    Returns:
        Frame with ``paper, method, seconds, images``.
    """
    profile = catalog.load(profile_name)
    base, label = results_dir or files.results_dir(), profiles.label(profile_name)
    cells = reproduction.load_cells(profile, catalog.DATASET).head(SHOWN)
    decoded = [images.read(path) for path in cells["path"]]
    rows = []
    for (section, paper), card in catalog.cards(profile).items():
        measure = _time_features if section == "features" else _time_networks
        timed = measure(card, decoded, base, label)
        rows += [
            {"paper": paper, "method": method, "seconds": seconds, "images": len(decoded)}
            for method, seconds in timed.items()
        ]
    frame = pd.DataFrame(rows, columns=["paper", "method", "seconds", "images"])
    with replace_when_done(scores.seconds_file(label, results_dir)) as path:
        frame.to_csv(path, index=False)
    return frame


def _time_networks(card, decoded, base, label):
    """Return the seconds per image of each method of a paper that trains networks."""
    import keras

    timed, members, ensembles = {}, {}, []
    for this in network_runs.plan(card, card.numbers):
        if this.recipe is None:
            ensembles.append(this.model)
            continue
        drawn = dataclasses.replace(this.recipe, weights="none")
        statistics = ((128.0,) * 3, (64.0,) * 3) if drawn.normalization == "z-score" else None
        keras.utils.clear_session()
        built = network.build(drawn, 2, statistics, card.numbers["seed"])

        def classify(built=built, size=drawn.image_size):
            pixels = _pixels(decoded, size).astype(np.float32)
            return built.predict_on_batch(pixels).argmax(axis=1)

        seconds = _seconds(classify, decoded)
        method = catalog.name_of({"run": this.keys, "recipe": this.recipe.as_dict()})
        if method is None:
            members[this.model] = seconds
        else:
            timed[method[1]] = seconds
    return timed | dict.fromkeys(ensembles, sum(members.values()))


def _time_features(card, decoded, base, label):
    """Return the seconds per image of each classifier on features."""
    numbers, timed = card.numbers, {}
    size, normalization = numbers["image_size"], numbers["normalization"]
    for this in catalog.plan("features", card):
        protocol = _finished(this, numbers, base, label)
        if protocol is None:
            continue
        fitted = _fit_again(this, numbers, protocol, base, label)
        backbone = numbers["backbones"][this.backbone]
        extractor = _extractor(backbone, size, profiles.weights(numbers), numbers["seed"])
        settings = numbers["segmentation"] if this.segmentation else None

        def classify(fitted=fitted, backbone=backbone, extractor=extractor, settings=settings):
            pixels = _pixels(decoded, size, settings)
            inputs = features.network_input(pixels, backbone, normalization)
            return fitted.predict(extractor.predict_on_batch(inputs))

        configuration = {"run": this._asdict(), "backbone": backbone}
        timed[catalog.name_of(configuration)[1]] = _seconds(classify, decoded)
    return timed


@functools.lru_cache(maxsize=1)  # classifiers on the same features follow each other
def _extractor(backbone, size, weights, seed):
    return models.build_backbone(backbone, size, weights, seed)


def _finished(this, numbers, base, label):
    """Return the first protocol whose first fold of a run is finished, or None."""
    for protocol in numbers["protocols"]:
        place = results.fold_dir(base, catalog.KEY, label, protocol, this.model, 0)
        if (place / "fold.json").exists():
            return protocol
    return None


def _fit_again(this, numbers, protocol, base, label):
    """Fit the classifier of the first fold as it was, without its grid search."""
    place = results.fold_dir(base, catalog.KEY, label, protocol, this.model, 0)
    chosen = results.read_record(place)["selected"]
    phases = protocol_tables.phases(numbers["protocols"][protocol])
    cells = reproduction.load_cells(numbers, this.dataset, phases)
    divided = reproduction.divide(cells, numbers, this.dataset, protocol, this.augmentation)
    train = divided.folds[0].train
    part = divided.cells.iloc[train]
    extracted = feature_folds.extract(numbers, this, part)
    narrowed = numbers | {
        key: [chosen[name]]
        for key, name in (("c", "C"), ("gamma", "gamma"), ("kernels", "kernel"))
        if name in chosen
    }
    labels = part["label"].to_numpy(dtype=object)
    return feature_folds.fit(this, narrowed, extracted, labels, divided.tuning[0][:1])


def _pixels(decoded, size, settings=None):
    """Return what a network sees of decoded images: segmented if there are settings, resized."""
    if settings is not None:
        masks = [segmentation.segment_nucleus(rgb, **settings) for rgb in decoded]
        decoded = [
            segmentation.apply_mask(rgb, mask) for rgb, mask in zip(decoded, masks, strict=True)
        ]
    return np.stack([images.resize(rgb, size) for rgb in decoded])


def _seconds(work, decoded):
    work()
    taken = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken)) / len(decoded)
