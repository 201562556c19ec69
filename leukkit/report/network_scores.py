"""The scores of trained networks, from the predictions and histories in the results folder."""

import pathlib

import pandas as pd

from leukkit import locations, metrics, network_runs, profiles, results

KEYS = network_runs.KEYS
TABLES = {
    "test": "predictions",
    "validation": "validation_predictions",
    "training": "training_predictions",
}
QUANTITIES = (*metrics.NAMES, "recall", "support", "loss", "epochs")
OF_AN_EPOCH = {
    ("training", "accuracy"): "accuracy",
    ("training", "loss"): "loss",
    ("validation", "accuracy"): "validation_accuracy",
    ("validation", "loss"): "validation_loss",
}
COLUMNS = (
    *KEYS,
    "protocol",
    "part",
    "label",
    "epoch",
    "quantity",
    "value",
    "low",
    "high",
    "mean",
    "sd",
    "folds",
    "images",
    "groups",
    "groups_are",
    "weights",
    "folder",
)


def measure(card, profile_name, results_dir=None, draws=None):
    """Score the finished runs of a paper.

    Args:
        card: A `papers.Card` whose profiles have ``runs``.
        profile_name: The profile of the results.
        results_dir: Folder of the results; None for `locations.results_dir`.
        draws: Bootstrap draws of the intervals; None for the profile's, whose file is then read.

    Returns:
        The frames of `score_run`, one below the other.
    """
    if draws is None:
        draws = profiles.load(card, profile_name)["bootstrap_draws"]
    base = results_dir or locations.results_dir()
    found = results.find(base, card.key, profiles.label(profile_name))
    frames = [score_run(run, draws) for run in found.to_dict("records")]
    measured = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    return measured.reindex(columns=COLUMNS)


def score_run(run, draws):
    """Score one finished run.

    All values are computed from the folds' predictions, except those of single epochs, which come
    from their training histories.

    Args:
        run: Dict of a row of `results.find`.
        draws: Bootstrap draws of the intervals.

    Returns:
        Frame, one row per number:

        * ``dataset, model, variant, protocol``: the run. An ensemble weighted by validation has
          the variant ``ensemble-weighted``.
        * ``part``: ``training``, ``validation`` or ``test``; ``label``: the class that counts as
          positive, NA for the score of all (of two classes the last is positive, of more the mean
          over the classes); ``epoch``: NA for the network that was kept.
        * ``quantity``: the scores of `metrics.NAMES`, ``recall`` (the sensitivity), ``support``
          (images), ``loss`` (mean negative log likelihood) and ``epochs`` (trained, at most).
        * ``value``: scores are fractions, over the pooled predictions of all folds; ``low, high``:
          95% interval of scores of the test and validation parts, drawn over ``groups``
          (``groups_are``: subjects, their block proxies, or original images).
        * ``mean, sd``: over the folds, each scored by itself; NaN where there is one.
        * ``folds, images, groups``: how many; ``weights``: what the training began with;
          ``folder``: where the run lies.

    Raises:
        ValueError: The predictions cannot be scored (`results.read_table`, `metrics.bootstrap`).
    """
    keys = {name: run[name] for name in (*KEYS, "protocol", "folder")}
    used = {record["weights_used"] for record in results.read_records(run["folder"])}
    about = {"weights": " / ".join(sorted(used)), "folds": run["folds"]}
    frames = []
    for part, name in TABLES.items():
        if _has(run["folder"], name):
            predictions = results.read_table(run["folder"], name)
            scored = metrics.measure(predictions, draws if part != "training" else 0)
            frames.append(scored.assign(**keys, **about, part=part))
    if _has(run["folder"], "weighted_predictions"):
        scored = metrics.measure(results.read_table(run["folder"], "weighted_predictions"), draws)
        weighted = keys | {"variant": f"{keys['variant']}-weighted"}
        frames.append(scored.assign(**weighted, **about, part="test"))
    if _has(run["folder"], "history"):
        history = results.read_table(run["folder"], "history")
        if lacking := {"epoch", *OF_AN_EPOCH.values()} - set(history):
            raise ValueError(f"{run['folder']}: history.csv lacks {', '.join(sorted(lacking))}")
        frames.append(_epochs(history).assign(**keys, **about))
    scored = pd.concat(frames, ignore_index=True).reindex(columns=COLUMNS)
    return scored.astype({"epoch": "Int64"})


def _has(folder, name):
    return any(pathlib.Path(folder).glob(f"fold-*/{name}.csv"))


def _epochs(history):
    """Return a row per epoch, part and quantity: the mean over the folds that came so far."""
    rows = []
    for epoch, same in history.groupby("epoch"):
        for (part, quantity), column in OF_AN_EPOCH.items():
            place = {"part": part, "quantity": quantity, "epoch": epoch}
            rows.append({**place, "value": same[column].mean()})
    rows.append({"quantity": "epochs", "value": float(history["epoch"].max())})
    return pd.DataFrame(rows).astype({"epoch": "Int64", "part": "string"})
