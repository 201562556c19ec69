"""The honest benchmark: one protocol for the methods of all five papers, on C-NMC 2019.

Each paper split by image. Here all methods are trained and tested on the same images, under two
protocols without that leak: ``subject``, folds of whole subjects of the training phase; and
``official``, trained on the training phase and tested on the preliminary phase, as in the challenge
that the images come from. What a method is, its profile says (``profiles.toml``); nothing is chosen
on the images that are scored.

``leukkit honest`` runs both and prints the leaderboards.
"""

from leukkit import network_runs, profiles, protocols, reproduction
from leukkit.honest import catalog
from leukkit.honest.catalog import load
from leukkit.honest.scores import QUANTITIES, leaderboard, measure, read, references
from leukkit.honest.times import time_methods
from leukkit.protocol_tables import NoPhaseError, phases

__all__ = [
    "PROTOCOLS",
    "QUANTITIES",
    "divide",
    "leaderboard",
    "leakage",
    "load",
    "measure",
    "methods",
    "parts",
    "problem",
    "read",
    "references",
    "run",
    "time_methods",
]

PROTOCOLS = ("subject", "official")


def methods(profile_name):
    """List the methods of a profile, and those that it leaves out: `catalog.methods`."""
    return catalog.methods(load(profile_name))


def divide(profile_name, protocol):
    """Divide the images as one protocol does for all methods, before a paper's own copies.

    Returns:
        A `protocols.Protocol`.

    Raises:
        protocol_tables.NoPhaseError: ``official``, and the images have no preliminary phase.
    """
    profile = load(profile_name)
    table = profile["protocols"][protocol]
    cells = reproduction.load_cells(profile, catalog.DATASET, phases(table))
    return protocols.divide(cells, table, profile["seed"], protocol)


def problem(profile_name, protocol):
    """Say why a protocol cannot be run on the images of a profile; ``""`` if it can."""
    try:
        divide(profile_name, protocol)
    except NoPhaseError as error:
        return str(error)
    return ""


def leakage(profile_name):
    """Measure what leaks under each protocol that can be run: `splits.leakage_shares`."""
    from leukkit import splits

    possible = [name for name in PROTOCOLS if not problem(profile_name, name)]
    return splits.leakage_shares({name: divide(profile_name, name) for name in possible})


def parts(profile_name):
    """Count what each protocol that can be run trains, validates and tests on.

    Returns:
        Frame indexed by protocol, fold and part: ``images``, ``subjects``, and images per class.
    """
    import pandas as pd

    rows = []
    for name in (name for name in PROTOCOLS if not problem(profile_name, name)):
        divided = divide(profile_name, name)
        for number, fold in enumerate(divided.folds):
            for part, positions in fold._asdict().items():
                cells = divided.cells.iloc[positions]
                row = {"protocol": name, "fold": number, "part": part, "images": len(cells)}
                row["subjects"] = cells["subject"].nunique()
                rows.append(row | cells["label"].value_counts().sort_index().to_dict())
    return pd.DataFrame(rows).set_index(["protocol", "fold", "part"])


def run(profile_name, protocol, results_dir=None):
    """Train and test every method of a profile under one protocol, where that is not done yet.

    Args:
        profile_name: ``"sample"``, ``"paper"``, or the path of a TOML file with the same keys.
        protocol: One of `PROTOCOLS`.
        results_dir: Folder of the results; None for `files.results_dir`.

    Returns:
        The runs' folders, ``results/honest/<profile>/<protocol>/<model>``.

    Raises:
        protocol_tables.NoPhaseError: ``official``, and the images have no preliminary phase.
        results.ConfigurationError: A finished fold was made with other settings.
        training.TrainingError: A fold could not be trained or written.
    """
    label, folders = profiles.label(profile_name), []
    for (section, _), card in catalog.cards(load(profile_name)).items():
        make = network_runs.run if section == "networks" else reproduction.run
        planned = catalog.plan(section, card)
        folders += make(card, label, protocol, runs=planned, results_dir=results_dir)
    return folders
