"""The steps of the gap's ladders, their protocols, and the profiles: see `leukkit.gap`."""

import importlib.resources
import pathlib
import tomllib
from typing import NamedTuple

PAPER = "gap"  # the first level below results/


class Step(NamedTuple):
    """One step of a ladder.

    Attributes:
        ladder: ``augmented`` or ``plain``.
        protocol: Name of its protocol, see `table_of`.
        label: What is done, in words.
        closed: The leak that the step before has and this one has not; ``""`` for the first.
        copies_tested: Whether augmented copies in the test parts are scored, too, as papers do.
    """

    ladder: str
    protocol: str
    label: str
    closed: str
    copies_tested: bool = False


STEPS = (
    Step("augmented", "copies-before-by-image", "copies, then split by image", "", True),
    Step("augmented", "copies-before-by-image", "the same, originals scored", "copies in the test"),
    Step("augmented", "copies-after-by-image", "by image, then copies", "copies of one cell"),
    Step("augmented", "copies-after-by-source-image", "by source image", "same source image"),
    Step("augmented", "copies-after-by-patient", "by patient id", "same patient id"),
    Step("augmented", "copies-after-by-identity", "by identity", "same person, other id"),
    Step("plain", "plain-by-image", "by image", ""),
    Step("plain", "plain-by-source-image", "by source image", "same source image"),
    Step("plain", "plain-by-patient", "by patient id", "same patient id"),
    Step("plain", "plain-by-identity", "by identity", "same person, other id"),
)


def load(name):
    """Return the numbers of a profile.

    Args:
        name: ``"sample"``, ``"paper"``, or the path of a TOML file with the same keys.

    Raises:
        ValueError: There is no such profile, or the file lacks a key or has one too many.
    """
    text = (
        importlib.resources.files("leukkit.gap")
        .joinpath("profiles.toml")
        .read_text(encoding="utf-8")
    )
    built_in = tomllib.loads(text)
    if name in built_in:
        return built_in[name]
    path = pathlib.Path(name)
    if path.suffix != ".toml" or not path.exists():
        raise ValueError(
            f"the profile {name} does not exist; built in are {', '.join(built_in)}, any other is "
            "the path of a TOML file (as docs/profiles/cnmc-subset-gap.toml)"
        )
    profile = tomllib.loads(path.read_text(encoding="utf-8"))
    expected = built_in["paper"].keys()
    missing, unknown = expected - profile.keys(), profile.keys() - expected
    if missing or unknown:
        raise ValueError(
            f"{path}: a profile of the gap has the keys {', '.join(sorted(expected))}; "
            f"missing: {', '.join(sorted(missing)) or 'none'}; "
            f"unknown: {', '.join(sorted(unknown)) or 'none'}"
        )
    return profile


def table_of(protocol, profile):
    """Return a protocol as a table for `protocols.divide`.

    Args:
        protocol: ``<copies>-by-<group>``: ``copies-before``, ``copies-after`` or ``plain``, and
            ``image``, ``source-image``, ``patient`` or ``identity``.
        profile: The profile's numbers.
    """
    copies, _, group = protocol.partition("-by-")
    table = {"split": "stratified", "folds": profile["folds"]}
    if group != "image":
        table |= {"split": "identity", "by": group.replace("-", "_")}
    if copies != "plain":
        augment = copies.removeprefix("copies-")
        table |= {"augment": augment, "copies": {"counts": profile["counts"]}}
    return table
