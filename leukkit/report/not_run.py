"""Why a printed cell has no number of ours: computed from the results and the card's profiles."""

from typing import NamedTuple

import pandas as pd

from leukkit import network_runs, reproduction, results
from leukkit.report.names import name_model


class State(NamedTuple):
    """What is known of one paper under one profile.

    Attributes:
        card: A `papers.Card`.
        profile: The profile's name; ``""`` if the paper was never run.
        measured: The measured numbers, with ``protocol, folder, quantity`` and, of trained
            networks, ``dataset, model, variant, part, label, epoch``.
        problems: Dict of a run's folder (relative to the results) to why it cannot be used.
        planned: What the profile asks for: a set of (protocol, name of the run's folder); None
            where the profile's file is not part of the kit.
    """

    card: object
    profile: str
    measured: pd.DataFrame
    problems: dict
    planned: set | None


def is_trained(card):
    """Tell whether a paper trains its networks; else it classifies frozen features."""
    return "runs" in card.profile("paper")


def planned(card, profile):
    """Return the runs that a built-in profile asks for, as `State` holds them."""
    if profile not in card.profiles:
        return None
    if is_trained(card):
        runs = network_runs.plan(card, card.profile(profile))
        return {(protocol, run.folder) for run in runs for protocol in run.protocols}
    runs = reproduction.plan(card, card.profile(profile))
    return {(protocol, run.model) for run in runs for protocol in reproduction.PROTOCOLS}


def reason(state, protocol, cell):
    """Say why a printed cell has no number under a protocol.

    Args:
        state: A `State`.
        protocol: The protocol.
        cell: Dict of a row of `papers.Card.cells`.

    Returns:
        One sentence without a full stop.
    """
    if not state.profile:
        return "no results of this paper"
    trained = is_trained(state.card)
    names = network_runs.KEYS if trained else reproduction.KEYS
    keys = {name: cell.get(name) for name in names}
    lacking = [name for name, key in keys.items() if pd.isna(key) and name != "variant"]
    if lacking:
        return f"the table does not say its {', '.join(lacking)}"
    keys = {name: "" if pd.isna(key) else key for name, key in keys.items()}
    folder = results.run_name(keys) if trained else reproduction.Run(**keys).model
    place = f"{state.card.key}/{state.profile}/{protocol}/{folder}"
    if place in state.problems:
        return f"its run cannot be used: {state.problems[place]}"
    here = state.measured[state.measured["protocol"] == protocol]
    same = here[here["folder"].astype("string").str.endswith(f"/{folder}")]
    if len(same):
        return _lacks(same, cell)
    under = f"{name_model(cell)} under {protocol}"
    why = f"no finished run of {under}"
    if state.planned is not None and (protocol, folder) not in state.planned:
        why = f"the profile {state.profile} does not run {under}"
    if keys.get("variant") == "":  # the table names no variant; the profile may have one
        alike = here[(here["dataset"] == keys["dataset"]) & (here["model"] == keys["model"])]
        if len(alike):
            variants = alike["variant"].unique()
            why += f"; finished is its variant {' and '.join(map(repr, variants))}"
    return why


def _lacks(measured, cell):
    """Return what a finished run does not have of what a cell asks for."""
    epoch, label = cell.get("epoch"), cell.get("label")
    if pd.notna(epoch) and measured["epoch"].notna().any():
        return f"its training ended with epoch {measured['epoch'].max()}"
    if cell["quantity"] not in set(measured["quantity"]):
        return f"the kit does not compute {cell['quantity']}"
    if pd.notna(label) and label not in set(measured["label"].dropna()):
        return f"no image of the class {label} was tested"
    return f"the run kept no predictions of its {cell.get('part')} images"
