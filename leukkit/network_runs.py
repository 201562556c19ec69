"""Run what a paper card asks for with networks that are trained.

A profile lists its runs: data set, network, variant, and what is special in their training. Each is
made once under every protocol that the profile names for it.
"""

import time
from typing import NamedTuple

import joblib

from leukkit import (
    locations,
    profiles,
    protocol_tables,
    protocols,
    reproduction,
    results,
    splits,
)
from leukkit.metrics import ensembles
from leukkit.training import Recipe
from leukkit.training.cross_validation import fold_tasks

KEYS = ("dataset", "model", "variant")
ENSEMBLE, MEMBER = "ensemble", "member"


class Run(NamedTuple):
    """One network, trained and tested.

    Attributes:
        dataset: The paper's name of the data set.
        model: The paper's network, a name in ``leukkit.models.NAMES``.
        variant: What tells two runs of a network apart; ``""`` if nothing does.
        recipe: How it is trained; None for an ensemble, which is put together from its members.
        protocols: Names of the protocols it is made under.
        models_kept: Numbers of the folds whose network is kept; the profile's if the run names
            none.
    """

    dataset: str
    model: str
    variant: str
    recipe: Recipe | None
    protocols: tuple
    models_kept: tuple = ()

    @property
    def keys(self):
        """Dict of data set, model and variant."""
        return {name: getattr(self, name) for name in KEYS}

    @property
    def folder(self):
        """Name of the run's folder, e.g. ``all-2021_vgg19_full-training``."""
        return results.run_name(self.keys)


def plan(card, profile):
    """List the runs of a profile.

    Args:
        card: A `papers.Card`.
        profile: Numbers of a profile.

    Returns:
        List of `Run`, in the order of the profile.

    Raises:
        papers.CardError, ValueError, TypeError: The profile names an unknown protocol or setting.
    """
    return [_run(profile, dict(entry)) for entry in profile["runs"]]


def divide(profile, dataset, protocol):
    """Divide the images of a data set by a protocol of the profile.

    Returns:
        A `protocols.Protocol`.
    """
    table = profile["protocols"][protocol]
    cells = reproduction.load_cells(profile, dataset, protocol_tables.phases(table))
    return protocols.divide(cells, table, profile["seed"])


def leakage(profile, dataset):
    """Measure what leaks under each protocol of the profile: `splits.leakage_shares`."""
    divided = {name: divide(profile, dataset, name) for name in profile["protocols"]}
    return splits.leakage_shares(divided)


def run(card, profile_name, protocol, runs=None, results_dir=None, tensorboard=False):
    """Make the runs of a protocol that are not finished yet.

    Folds of all networks are tasks of one ``joblib.Parallel``: see `training.cross_validate`.

    Args:
        card: A `papers.Card`.
        profile_name: ``"sample"``, ``"paper"`` or the path of a profile's TOML file.
        protocol: A name in the profile's ``protocols``.
        runs: List of `Run`; None for all of `plan`. Those not made under this protocol are passed
            over.
        results_dir: Folder of the results; None for ``results`` of the project.
        tensorboard: Whether to write TensorBoard logs into the folds' folders.

    Returns:
        The runs' folders.

    Raises:
        results.ConfigurationError: A finished fold was made with other settings.
        training.TrainingError: A fold could not be trained or written.
    """
    profile = profiles.load(card, profile_name)
    runs = plan(card, profile) if runs is None else runs
    runs = [this for this in runs if protocol in this.protocols]
    place = {
        "results_dir": results_dir or locations.results_dir(),
        "profile": profiles.label(profile_name),
        "protocol": protocol,
    }
    divided = {name: divide(profile, name, protocol) for name in {this.dataset for this in runs}}
    tasks = []
    for this in runs:
        if this.recipe is not None:
            _, missing = fold_tasks(
                card.key,
                divided[this.dataset].cells,
                divided[this.dataset].folds,
                recipe=this.recipe,
                run=this.keys,
                augmentation=profile["preparation"].get("augmentation"),
                seed=profile["seed"],
                models_kept=this.models_kept,
                tensorboard=tensorboard,
                **place,
            )
            tasks += missing
    joblib.Parallel(n_jobs=profile["jobs"])(tasks)
    for this in runs:
        if this.recipe is None:
            _combine(card, profile, this, place, len(divided[this.dataset].folds))
    return [folder(card, profile_name, protocol, this, results_dir) for this in runs]


def folder(card, profile_name, protocol, this, results_dir=None):
    """Return the folder of a run's folds."""
    base, name = results_dir or locations.results_dir(), profiles.label(profile_name)
    return results.fold_dir(base, card.key, name, protocol, this.folder, 0).parent


def _run(profile, entry):
    keys = {name: entry.pop(name) for name in KEYS}
    names = tuple(entry.pop("protocols", profile["protocols"]))
    kept = tuple(entry.pop("models_kept", profile["models_kept"]))
    if unknown := set(names) - set(profile["protocols"]):
        raise ValueError(f"run {keys}: unknown protocols {sorted(unknown)}")
    if keys["variant"] == ENSEMBLE:
        return Run(**keys, recipe=None, protocols=names)
    settings = {"image_size": profile["preparation"]["image_size"], **profile["training"], **entry}
    recipe = Recipe(**{"network": keys["model"], **settings})
    return Run(**keys, recipe=recipe, protocols=names, models_kept=kept)


def _combine(card, profile, this, place, folds):
    """Write the folds of an ensemble: the mean of its members, and weighted by validation."""
    started = time.monotonic()
    members = [Run(this.dataset, name, MEMBER, None, ()) for name in profile["ensemble"]]
    base = (place["results_dir"], card.key, place["profile"], place["protocol"])
    for number in range(folds):
        found = [results.fold_dir(*base, member.folder, number) for member in members]
        target = results.fold_dir(*base, this.folder, number)
        records = [results.read_record(path) for path in found]
        configuration = {
            "paper": card.key,
            "protocol": place["protocol"],
            "run": this.keys,
            "members": [record["configuration_hash"] for record in records],
        }
        if results.is_done(target, configuration):
            continue
        parts = ("predictions", "validation_predictions", "training_predictions")
        frames = {part: [results.read_fold(path, part) for path in found] for part in parts}
        weights = ensembles.fit_weights(frames["validation_predictions"])
        tables = {part: ensembles.mean(several) for part, several in frames.items()}
        tables["weighted_predictions"] = ensembles.mean(frames["predictions"], weights)
        results.write_fold(
            target,
            configuration,
            tables.pop("predictions"),
            folds=folds,
            tables=tables,
            leakage=records[0]["leakage"],
            seed=profile["seed"],
            seconds=time.monotonic() - started,
            weights_used="; ".join(
                f"{member.model}: {record['weights_used']}"
                for member, record in zip(members, records, strict=True)
            ),
            selected={
                member.model: round(float(weight), 2)
                for member, weight in zip(members, weights, strict=True)
            },
            images=records[0]["images"],
        )
