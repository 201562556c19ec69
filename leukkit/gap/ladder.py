"""The steps of the gap's ladders, their protocols, and the profiles: see `leukkit.gap`."""

import pathlib
import tomllib
from typing import NamedTuple

from leukkit import profiles

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
    Step("augmented", "copies-after-by-subject", "by subject", "same subject, other id"),
    Step("plain", "plain-by-image", "by image", ""),
    Step("plain", "plain-by-source-image", "by source image", "same source image"),
    Step("plain", "plain-by-patient", "by patient id", "same patient id"),
    Step("plain", "plain-by-subject", "by subject", "same subject, other id"),
)


def load(name):
    """Return the numbers of a profile.

    Args:
        name: ``"sample"``, ``"paper"``, or the path of a TOML file with the same keys.

    Raises:
        papers.CardError: There is no such profile, or the file lacks a key or has one too many.
    """
    built_in = pathlib.Path(__file__).with_name("profiles.toml").read_text(encoding="utf-8")
    return profiles.load(profiles.BuiltIn(PAPER, tomllib.loads(built_in)), name)


def table_of(protocol, profile):
    """Return a protocol as a table for `protocols.divide`.

    Args:
        protocol: ``<copies>-by-<group>``: ``copies-before``, ``copies-after`` or ``plain``, and
            ``image``, ``source-image``, ``patient`` or ``subject``.
        profile: The profile's numbers.
    """
    copies, _, group = protocol.partition("-by-")
    table = {"split": "stratified", "folds": profile["folds"]}
    if group != "image":
        table |= {"split": "subject", "by": group.replace("-", "_")}
    if copies != "plain":
        augment = copies.removeprefix("copies-")
        table |= {"augment": augment, "copies": {"counts": profile["counts"]}}
    return table
