"""The methods of the honest benchmark as data, and as what runs them.

A profile of the benchmark (``profiles.toml``) holds one section per paper. `cards` turns each into
what `leukkit.network_runs` and `leukkit.reproduction` take, which train and test in the papers'
own notebooks, too: the same code, another protocol.
"""

import functools
import pathlib
import tomllib
from typing import NamedTuple

import pandas as pd

from leukkit import network_runs, papers, profiles, reproduction
from leukkit.papers import CardError

KEY = "honest"  # first level of the results folder
DATASET = "cnmc-2019"
SETTINGS = ("datasets", "seed", "jobs", "bootstrap_draws", "models_kept", "protocols")
FEATURE_PAPER = "farag2025"  # whose method is a classifier on features
# What the section of a paper holds: a classifier on features, or trained networks.
SECTIONS = {
    "features": (
        "image_size",
        "weights",
        "normalization",
        "segmentation",
        "counts",
        "grid_folds",
        "c",
        "gamma",
        "kernels",
        "backbones",
        "runs",
    ),
    "networks": ("copies", "ensemble", "preparation", "training", "runs"),
}
KINDS = {"features": "features + classifier", "networks": "network"}


class Card(NamedTuple):
    """What `network_runs` and `reproduction` need of a paper card: a key, and numbers.

    Attributes:
        key: `KEY`.
        numbers: A profile as these modules take it.
    """

    key: str
    numbers: dict

    def profile(self, name):
        """Return the numbers; there is one profile."""
        return self.numbers


@functools.cache
def read_file():
    """Return the content of ``profiles.toml``."""
    path = pathlib.Path(__file__).with_name("profiles.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def load(name):
    """Return the numbers of a profile of the benchmark.

    Args:
        name: ``"sample"``, ``"paper"``, or the path of a TOML file with the same keys.

    Returns:
        A dict (see ``profiles.toml``).

    Raises:
        papers.CardError: There is no such profile, or it lacks a key or has one too many.
    """
    profile = profiles.load(profiles.BuiltIn(KEY, read_file()["profiles"]), name)
    for section, keys in SECTIONS.items():
        for paper, part in profile[section].items():
            known = {FEATURE_PAPER} if section == "features" else {*papers.KEYS} - {FEATURE_PAPER}
            if paper not in known:
                raise CardError(
                    f"{name}: [{section}.{paper}]: the papers of this kind are "
                    f"{', '.join(sorted(known))}"
                )
            if different := sorted(set(keys) ^ part.keys()):
                raise CardError(
                    f"{name}: [{section}.{paper}] must have the keys {', '.join(keys)}; missing or "
                    f"too many: {', '.join(different)}"
                )
    return profile


def cards(profile):
    """Return each paper's section as what runs it.

    Args:
        profile: What `load` gave.

    Returns:
        Dict of ``(section, paper)`` to a `Card`.
    """
    made = {("features", paper): _features(profile, paper) for paper in profile["features"]}
    return made | {("networks", paper): _networks(profile, paper) for paper in profile["networks"]}


def plan(section, card):
    """Return the runs of a card: `reproduction.Run` or `network_runs.Run`."""
    if section == "networks":
        return network_runs.plan(card, card.numbers)
    return [reproduction.Run(dataset=DATASET, **run) for run in card.numbers["runs"]]


def methods(profile):
    """List the methods of a profile, and those of the paper profile that it leaves out.

    Args:
        profile: What `load` gave.

    Returns:
        Frame, one row per method: ``paper, method, kind, image (px), what is trained, begins with``
        and ``in this profile``. Members of an ensemble are no methods of their own.
    """
    here, everything = _rows(profile), _rows(load("paper"))
    known = {(row["paper"], row["method"]) for row in here}
    rows = [row | {"in this profile": True} for row in here]
    rows += [
        row | {"in this profile": False}
        for row in everything
        if (row["paper"], row["method"]) not in known
    ]
    frame = pd.DataFrame(rows)
    order = frame["paper"].map(papers.KEYS.index)
    return frame.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def name_of(configuration):
    """Return paper and method of a run, from the configuration in its ``fold.json``.

    Returns:
        ``(paper, method)``: the key of the paper, and the network that was used with its
        classifier or variant, e.g. ``densenet201 + svm`` or ``vgg19 (frozen-features)``. None for
        the member of an ensemble, which is no method of its own.
    """
    run = configuration["run"]
    if "classifier" in run:
        return FEATURE_PAPER, f"{configuration['backbone']} + {run['classifier']}"
    if run["variant"] == network_runs.MEMBER:
        return None
    if run["variant"] == network_runs.ENSEMBLE:
        return "sultana", run["model"]
    paper, _, variant = run["variant"].partition("-")
    return paper, _named(configuration["recipe"]["network"], variant)


def _named(network, variant):
    return f"{network} ({variant})" if variant else network


def _rows(profile):
    return [
        {"paper": paper, "kind": KINDS[section]} | row
        for (section, paper), card in cards(profile).items()
        for this in plan(section, card)
        if (row := _describe(section, card.numbers, this)) is not None
    ]


def _describe(section, numbers, this):
    if section == "features":
        backbone = numbers["backbones"][this.backbone]
        configuration = {"run": this._asdict(), "backbone": backbone}
        trained = {"svm": "SVM, by a grid search", "rf": "random forest", "xgboost": "XGBoost"}
        classifier, _, scaled = this.classifier.partition("-")
        return {
            "method": name_of(configuration)[1],
            "image (px)": numbers["image_size"],
            "what is trained": trained[classifier] + " on standardized features" * bool(scaled),
            "begins with": _weights(numbers["weights"]),
        }
    if this.variant == network_runs.MEMBER:
        return None
    if this.recipe is None:
        return {
            "method": this.model,
            "image (px)": numbers["preparation"]["image_size"],
            "what is trained": f"mean of {', '.join(numbers['ensemble'])}",
            "begins with": _weights(numbers["training"]["weights"]),
        }
    configuration = {"run": this.keys, "recipe": this.recipe.as_dict()}
    parts = {"all": "all layers", "head": "head"}
    phases = [
        f"{parts.get(phase.trainable, f'last {phase.trainable} layers')}, "
        + (f"{phase.epochs} epochs" if phase.epochs > 1 else "1 epoch")
        for phase in this.recipe.phases
    ]
    steps = f" of {this.recipe.steps} steps" * bool(this.recipe.steps)
    return {
        "method": name_of(configuration)[1],
        "image (px)": this.recipe.image_size,
        "what is trained": "; ".join(phases) + steps,
        "begins with": _weights(this.recipe.weights),
    }


def _weights(named):
    known = {"none": "drawn weights", "imagenet": "ImageNet"}
    return known.get(named, pathlib.Path(named).name)


def _features(profile, paper):
    part = profile["features"][paper]
    # The grid search divides the training part itself: no images are set aside for validation.
    tables = {
        name: {key: value for key, value in table.items() if key != "validation"}
        for name, table in profile["protocols"].items()
    }
    return Card(KEY, {key: profile[key] for key in SETTINGS} | part | {"protocols": tables})


def _networks(profile, paper):
    part = profile["networks"][paper]
    copies = {"augment": "after", "copies": part["copies"]} if part["copies"] else {}
    tables = {name: table | copies for name, table in profile["protocols"].items()}
    runs = [{**run, "dataset": DATASET, "variant": _variant(paper, run)} for run in part["runs"]]
    numbers = {key: profile[key] for key in SETTINGS} | part
    return Card(KEY, numbers | {"protocols": tables, "runs": runs})


def _variant(paper, run):
    """Return a variant that names the paper, so that two papers' runs of a network stay apart."""
    if run["variant"] in (network_runs.MEMBER, network_runs.ENSEMBLE):
        return run["variant"]
    return "-".join(filter(None, (paper, run["variant"])))
