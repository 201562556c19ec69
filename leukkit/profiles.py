"""The numbers of a run: a card's profile, or a TOML file with the same keys.

A profile changes numbers, never code paths. ``datasets`` and ``backbones`` map the paper's names to
what is used instead: in the sample profile drawn images stand in for the real ones.
"""

import os
import pathlib
import tomllib
from typing import NamedTuple

from leukkit.papers import CardError


class BuiltIn(NamedTuple):
    """The built-in profiles of what is no paper, in the form of a card's: for `load`.

    Attributes:
        key: First level of its results, e.g. ``gap``.
        profiles: Dict of a profile's name to its numbers.
    """

    key: str
    profiles: dict

    def profile(self, name):
        """Return the numbers of the profile ``name``."""
        if name not in self.profiles:
            raise CardError(
                f"{self.key} has no profile {name!r}; it has {', '.join(self.profiles)}. Any other "
                "is the path of a TOML file"
            )
        return self.profiles[name]


def load(card, name):
    """Return the numbers of a profile.

    Args:
        card: A `papers.Card`, or a `BuiltIn`.
        name: ``"sample"``, ``"paper"``, or the path of a TOML file with the same keys.

    Returns:
        A dict.

    Raises:
        papers.CardError: There is no such profile, or the file lacks a key or has one too many.
    """
    if not str(name).endswith(".toml"):
        return card.profile(name)
    path = pathlib.Path(name)
    if not path.exists():
        raise CardError(
            f"the profile {path} does not exist; built in are {', '.join(card.profiles)}"
        )
    profile = tomllib.loads(path.read_text(encoding="utf-8"))
    expected = card.profile("paper")
    missing, unknown = expected.keys() - profile.keys(), profile.keys() - expected.keys()
    if missing or unknown:
        raise CardError(
            f"{path}: a profile of {card.key} has the keys {', '.join(sorted(expected))}; "
            f"missing: {', '.join(sorted(missing)) or 'none'}; "
            f"unknown: {', '.join(sorted(unknown)) or 'none'}"
        )
    return profile


def label(name):
    """Return the name under which results of a profile are kept: a file's name without ending."""
    return pathlib.Path(name).stem if str(name).endswith(".toml") else name


def weights(profile):
    """Return the profile's backbone weights as `find_weights` does."""
    return find_weights(profile["weights"])


def find_weights(named):
    """Return weights as `features.extract` and `models.build` take them.

    Args:
        named: As a profile or a recipe names them.

    Returns:
        ``"imagenet"``, None for random weights (``"none"``), or a path, in which environment
        variables are filled in.
    """
    return None if named == "none" else os.path.expandvars(named)
