"""Profiles of runs that belong to no single paper: what leaks are worth, and an honest leaderboard.

`leukkit.benchmark.gap` runs one classifier under split after split, `leukkit.benchmark.leaderboard`
the methods of all papers under one leak-free split.
"""

import functools
import pathlib
import tomllib
from typing import Any

from leukkit import papers
from leukkit.papers import profiles
from leukkit.papers.profiles import Profile

_FOLDER = pathlib.Path(__file__).parent


def load(key: str, name: str) -> Profile:
    """Return the numbers of a profile of ``gap`` or ``honest``.

    Args:
        key: ``"gap"`` or ``"honest"``.
        name: ``"sample"``, ``"paper"``, or the path of a TOML file (see `leukkit.papers.profiles`).

    Raises:
        papers.CardError: There is no such profile, or it breaks the rules.
    """
    content = read_file(key)
    known = content.get("profiles", content)
    profile = profiles.resolve(key, {**known, "paper": _with_recipes(known["paper"])}, name)
    for run, entry in profile.runs.items() if key == "honest" else ():
        if entry.paper not in papers.KEYS:  # or listing the methods fails, after hours
            raise papers.CardError(
                f"{name}: runs.{run}: paper is {entry.paper!r}; expected one of "
                f"{', '.join(papers.KEYS)}"
            )
    return profile


@functools.cache
def read_file(key: str) -> dict[str, Any]:
    """Return the content of ``gap.toml`` or ``honest.toml``."""
    return tomllib.loads((_FOLDER / f"{key}.toml").read_text(encoding="utf-8"))


def _with_recipes(profile: dict[str, Any]) -> dict[str, Any]:
    """Fill in the recipes of runs that are taken from a paper's card."""
    filled = {}
    for name, entry in profile["runs"].items():
        entry = dict(entry)
        if of := entry.pop("of", None):
            numbers = papers.load(entry["paper"]).profile("paper")
            recipe, keys = numbers.recipe_of(of), numbers.runs[of].keys
            settings = {field: getattr(recipe, field) for field in recipe.model_fields_set}
            if recipe.network in keys.values():  # the name says it: a profile may name another
                del settings["network"]
            del keys["dataset"]
            entry = {**settings, **keys, **entry}
        filled[name] = entry
    return {**profile, "runs": filled}
