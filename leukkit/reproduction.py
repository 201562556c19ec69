"""Run what a paper card asks for with frozen features and a classical classifier.

Every cell of a printed table names its run (data set, backbone, classifier, segmentation,
augmentation); `plan` lists each run once, and `run` makes the missing ones under a protocol.
"""

import itertools
from typing import NamedTuple

from leukkit import (
    datasets,
    feature_folds,
    files,
    profiles,
    protocol_tables,
    protocols,
    results,
    splits,
)

KEYS = ("dataset", "backbone", "classifier", "segmentation", "augmentation")
PROTOCOLS = {
    "published": protocols.published,
    "image-level": protocols.image_level,
    "patient": protocols.patient_level,
    "leak-free": protocols.leak_free,
}


class Run(NamedTuple):
    """One trained and tested classifier, in the paper's own terms.

    ``dataset`` and ``backbone`` are the paper's; a profile says what stands in for them.
    """

    dataset: str
    backbone: str
    classifier: str
    segmentation: bool
    augmentation: bool

    @property
    def images(self):
        """Data set, segmentation and augmentation: what tells the images of two runs apart."""
        return self.dataset, self.segmentation, self.augmentation

    @property
    def model(self):
        """Name of the run's folder, e.g. ``all-idb2_densenet201_svm_segmented_augmented``."""
        steps = ["segmented"] * self.segmentation + ["augmented"] * self.augmentation
        return "_".join([self.dataset, self.backbone, self.classifier, *steps])


def plan(card, profile):
    """List the runs that the card's tables need and the profile can make, each once.

    Args:
        card: A `papers.Card` whose tables name runs by `KEYS`.
        profile: Numbers of a profile; its ``datasets`` and ``backbones`` map the paper's names to
            what is used; what they leave out, or map to ``""``, is not run. ``extra_runs`` adds
            runs that the paper did not print. ``models_kept`` numbers the folds whose classifier is
            kept for `leukkit.predictor`, of the runs that ``runs_kept`` names (none: of all).

    Raises:
        ValueError: ``runs_kept`` names a run that the card does not have.

    Returns:
        List of `Run`, ordered so that runs on the same images follow each other.
    """
    cells = card.cells()
    printed = cells.loc[cells[list(KEYS)].notna().all(axis=1), list(KEYS)]
    rows = printed.astype(object).itertuples(index=False)  # plain bools, for JSON
    runs = {Run(*row) for row in rows} | {Run(**extra) for extra in profile["extra_runs"]}
    if unknown := set(profile.get("runs_kept", ())) - {run.model for run in runs}:
        raise ValueError(f"runs_kept names runs that are none of {card.key}'s: {sorted(unknown)}")
    possible = [
        run
        for run in runs
        if profile["datasets"].get(run.dataset) and profile["backbones"].get(run.backbone)
    ]
    return sorted(possible, key=lambda run: (run.images, run))


def load_cells(profile, dataset, phases=("training",)):
    """Load what the profile uses for one of the paper's data sets: `datasets.load_phases`."""
    return datasets.load_phases(profile["datasets"][dataset], phases)


def divide(cells, profile, dataset, protocol, augmentation):
    """Divide the images of a data set by a protocol, with the profile's numbers.

    Args:
        cells: What `load_cells` gave.
        profile: The profile's numbers.
        dataset: The paper's name of the data set.
        protocol: A table of the profile's ``protocols``, where it has any; else one of `PROTOCOLS`.
        augmentation: Whether training images are copied.

    Returns:
        A `protocols.Protocol`.
    """
    if protocol in profile.get("protocols", {}):
        table = profile["protocols"][protocol]
        if augmentation:
            table = table | {"augment": "after", "copies": {"counts": profile["counts"][dataset]}}
        return protocols.divide(cells, table, profile["seed"], protocol, profile["grid_folds"])
    counts = profile["counts"][dataset] if augmentation else None
    common = {"seed": profile["seed"], "tuning_folds": profile["grid_folds"]}
    if protocol == "published":
        return protocols.published(cells, counts, test=profile["test_share"], **common)
    missing = {"missing": profile["unknown_subject"]} if protocol == "leak-free" else {}
    make = PROTOCOLS[protocol]
    return make(cells, counts, folds=profile["folds"], **common, **missing)


def leakage(profile, dataset, names, augmentation=False):
    """Measure what leaks under several protocols.

    Args:
        profile: The profile's numbers.
        dataset: The paper's name of a data set.
        names: Names in `PROTOCOLS`.
        augmentation: Whether the protocols augment.

    Returns:
        Frame, one row per protocol: the shares (0..1) of `splits.leakage` over all test images
        of all folds; NA where the data set does not know.
    """
    cells = load_cells(profile, dataset)
    return splits.leakage_shares(
        {name: divide(cells, profile, dataset, name, augmentation) for name in names}
    )


def run(card, profile_name, protocol, runs=None, results_dir=None):
    """Make the runs of a protocol that are not finished yet.

    Args:
        card: A `papers.Card`.
        profile_name: ``"sample"``, ``"paper"`` or the path of a profile's TOML file.
        protocol: One of `PROTOCOLS`.
        runs: List of `Run`; None for all of `plan`.
        results_dir: Folder of the results; None for ``results`` of the project.

    Returns:
        The runs' folders, in the order of ``runs``.

    Raises:
        results.ConfigurationError: A finished fold was made with other settings.
    """
    profile = profiles.load(card, profile_name)
    runs = plan(card, profile) if runs is None else runs
    base = results_dir or files.results_dir()
    place = (base, card.key, profiles.label(profile_name), protocol)
    for images, same_images in itertools.groupby(runs, lambda this: this.images):
        dataset, _, augmentation = images
        table = profile.get("protocols", {}).get(protocol)
        phases = protocol_tables.phases(table) if table else ("training",)
        cells = load_cells(profile, dataset, phases)
        divided = divide(cells, profile, dataset, protocol, augmentation)
        for _, same_features in itertools.groupby(same_images, lambda this: this.backbone):
            feature_folds.make_missing(profile, list(same_features), divided, place)
    return [results.fold_dir(*place, this.model, 0).parent for this in runs]
