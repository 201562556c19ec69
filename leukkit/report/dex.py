"""The ensemble DEX of sultana beside its members: weights, calibration, and where it looks."""

import pandas as pd

from leukkit import models, network_runs, profiles, results
from leukkit.metrics import calibration
from leukkit.report.explained import explain_network
from leukkit.report.sultana import read


def weights_chosen(card, profile_name, protocols, results_dir=None):
    """Return the weight of each member of DEX that validation chose, one row per fold."""
    profile = profiles.load(card, profile_name)
    dex = _ensemble(card, profile)
    rows = {}
    for protocol in protocols:
        folder = network_runs.folder(card, profile_name, protocol, dex, results_dir)
        for number, record in enumerate(results.read_records(folder)):
            rows[(protocol, number)] = record["selected"]
    frame = pd.DataFrame.from_dict(rows, orient="index")
    return frame.rename_axis(["protocol", "fold"])


def calibrate(card, profile_name, protocol, runs, results_dir=None):
    """Fit a temperature on each fold's validation part and apply it to the fold's test part.

    Returns:
        A frame, one row per run (`name_run`): ``temperature`` (smallest to largest of the folds),
        ``error before`` and ``error after`` (expected calibration error over all folds); and a dict
        of the run to its test predictions after scaling.
    """
    rows, after = {}, {}
    before = read(card, profile_name, protocol, runs, results_dir=results_dir)
    watched = read(card, profile_name, protocol, runs, "validation_predictions", results_dir)
    for name, tested in before.items():
        scaled, temperatures = calibration.scale_folds(tested, watched[name])
        after[name] = scaled.reset_index(drop=True)
        rows[name] = {
            "temperature": _range(temperatures),
            "error before": calibration.expected_calibration_error(tested),
            "error after": calibration.expected_calibration_error(after[name]),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("network"), after


def assemble(card, profile_name, protocol, fold=0, results_dir=None):
    """Put DEX together from the kept networks of its members.

    Returns:
        A ``keras.Model``: the members nested in it, its output the mean of theirs.
    """
    import keras

    profile = profiles.load(card, profile_name)
    runs = network_runs.plan(card, profile)
    members = []
    for run in runs:
        if run.variant == network_runs.MEMBER and run.model in profile["ensemble"]:
            folder = network_runs.folder(card, profile_name, protocol, run, results_dir)
            members.append(models.load(folder / f"fold-{fold}" / "model.keras"))
    image = keras.Input(members[0].input_shape[1:], name="image")
    mean = keras.layers.Average(name="mean")([member(image) for member in members])
    return keras.Model(image, mean, name="dex")


def explain_cells(card, profile_name, protocol, per_kind=1, fold=0, results_dir=None):
    """Explain test cells of DEX: of each class right and wrong ones, as `explained.explain_run`.

    Returns:
        A `leukkit.report.explained.Explained`; the maps are means over the members.
    """
    profile = profiles.load(card, profile_name)
    dex = _ensemble(card, profile)
    folder = network_runs.folder(card, profile_name, protocol, dex, results_dir) / f"fold-{fold}"
    network = assemble(card, profile_name, protocol, fold, results_dir)
    return explain_network(network, folder, profile, protocol, dex.dataset, per_kind)


def _ensemble(card, profile):
    """Return the run of the ensemble, the only one without a recipe."""
    (run,) = (run for run in network_runs.plan(card, profile) if run.recipe is None)
    return run


def _range(values):
    low, high = min(values), max(values)
    return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"
