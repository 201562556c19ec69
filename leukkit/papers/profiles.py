"""Profiles: the numbers and names of a set of runs, and the runs that follow from them.

``paper`` is complete. Every other profile says only what differs: tables merge key by key, runs by
their names; lists, split tables, grids, ranges and counts are replaced whole. A profile of one's
own is a TOML file; it overrides ``paper`` too, unless its first line says ``extends = "sample"``,
or ``extends = "none"``, which demands every key.

A profile changes numbers and the names of data and networks, never code paths.
"""

import fnmatch
import pathlib
import tomllib
from collections.abc import Mapping
from typing import Any

from leukkit.schemas import Profile, Recipe, Run, RunEntry, SchemaError, SplitTable, check

# Tables that are merged key by key, and those whose entries are.
_MERGED = ("datasets", "recipe", "splits", "copies", "networks")
_MERGED_BY_ENTRY = ("runs",)
_TABLES_OF_TABLES = ("splits", "copies", "networks", "runs")


def resolve(
    key: str,
    known: Mapping[str, dict[str, Any]],
    name: str,
    runs: Mapping[str, dict[str, Any]] | None = None,
) -> Profile:
    """Return a profile with all of its numbers.

    Args:
        key: Whose profiles these are: a paper's, ``gap`` or ``honest``.
        known: The built-in profiles, ``paper`` among them.
        name: One of them, or the path of a TOML file.
        runs: Runs that follow from printed tables; the profile's own are merged into them.

    Raises:
        SchemaError: There is no such profile, or it has an unknown, missing or wrong key.
    """
    if "paper" not in known:
        raise SchemaError("[profiles.paper] is missing")
    if str(name).endswith(".toml"):
        path, place = pathlib.Path(name).expanduser(), str(name)
        if not path.exists():
            raise SchemaError(f"the profile {path} does not exist; built in are {', '.join(known)}")
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise SchemaError(f"{path}: {error}") from None
    elif name in known:
        place, content = f"[profiles.{name}]", dict(known[name])
    else:
        raise SchemaError(
            f"{key} has no profile {name!r}; it has {', '.join(known)}. Any other is the path of a "
            "TOML file"
        )
    _check_sections(content, place)
    base = content.pop("extends", "none" if name == "paper" else "paper")
    others = [other for other in known if other != name]
    while base != "none":
        if base not in others:
            expected = ", ".join(["none", *others])
            raise SchemaError(f"{place}: extends is {base!r}; expected {expected}")
        others.remove(base)
        below = dict(known[base])
        _check_sections(below, f"[profiles.{base}]")
        base = below.pop("extends", "none" if base == "paper" else "paper")
        content = merge(below, content)
    if runs:
        content = merge({"runs": dict(runs)}, content)
    if "splits" in content:
        tables = {
            kind: {**table, "paper": key, "profile": str(name), "name": kind}
            for kind, table in content["splits"].items()
        }
        content = {**content, "splits": _checked(tables, place)}
    profile = check(Profile, {**content, "key": key, "name": str(name)}, place)
    try:
        _check_names(profile)
        plan(profile)
    except SchemaError as error:
        raise SchemaError(f"{place}: {error}") from None
    return profile


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return a profile's content with another one laid over it."""
    merged = {**below, **above}
    for section in _MERGED:
        if isinstance(below.get(section), dict) and isinstance(above.get(section), dict):
            merged[section] = {**below[section], **above[section]}
    for section in _MERGED_BY_ENTRY:
        if section in below and section in above:
            one, two = below[section], above[section]
            merged[section] = {**one, **{name: {**one.get(name, {}), **two[name]} for name in two}}
    return merged


def plan(profile: Profile, split: str | None = None) -> list[Run]:
    """List the runs of a profile, each under its splits.

    Args:
        profile: What `resolve` gave.
        split: Name of a split; None for all.

    Raises:
        SchemaError: A run names an unknown split, data set or setting.
    """
    if split is not None and split not in profile.splits:
        raise SchemaError(
            f"{profile.key} has no split {split!r}; it has {', '.join(profile.splits)}"
        )
    runs = []
    for name in profile.runs:
        entry, settings = _entry(profile, name)
        if _is_left_out(profile, name, entry):
            continue
        for kind in entry.splits or profile.made_under or profile.splits:
            if kind not in profile.splits:
                raise SchemaError(f"runs.{name}: unknown split {kind!r}")
            if split in (None, kind):
                runs.append(_run(profile, name, entry, settings, kind))
    return runs


def recipe(profile: Profile, name: str) -> Recipe:
    """Return the recipe of a run.

    Raises:
        SchemaError: There is no such run, or it is an ensemble, which has no recipe of its own.
    """
    entry, settings = _entry(profile, name)
    if entry.members:
        raise SchemaError(f"{name} is an ensemble of {', '.join(entry.members)}: it has no recipe")
    return _recipe(profile, name, entry, settings)


def split(profile: Profile, name: str, run: str | None = None) -> dict[str, Any]:
    """Return a split's table; with the copies of ``run``, where they differ between runs."""
    if name not in profile.splits:
        raise SchemaError(
            f"{profile.key} has no split {name!r}; it has {', '.join(profile.splits)}"
        )
    table = profile.splits[name].model_dump(exclude_unset=True)
    return table if run is None else _table(profile, run, _entry(profile, run)[0], table)


def keys(profile: Profile, name: str) -> dict[str, Any]:
    """Return what the printed tables call a run: data set, model, variant and so on."""
    return _keys(_entry(profile, name)[0])


def run_name(keys: Mapping[str, Any]) -> str:
    """Return the name of a run from its keys, e.g. ``all-idb2_densenet201_svm_segmented``."""
    words = {"segmentation": "segmented", "augmentation": "augmented"}
    parts = [words.get(key, value) for key, value in keys.items() if value]
    return "_".join(str(part) for part in parts)


def _checked(splits: dict[str, dict[str, Any]], place: str) -> dict[str, SplitTable]:
    return {
        name: check(SplitTable, table, f"{place}: splits.{name}") for name, table in splits.items()
    }


def _check_sections(content: Mapping[str, Any], place: str) -> None:
    for section in _TABLES_OF_TABLES:
        entries = content.get(section, {})
        if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
            raise SchemaError(f"{place}: {section} must be a table of tables, found {entries!r}")


def _check_names(profile: Profile) -> None:
    """Refuse what is said of a network, data set or run that the profile does not have."""
    entries = {name: _entry(profile, name)[0] for name in profile.runs}
    networks = {str(entry.model or entry.backbone) for entry in entries.values()}
    for section, given, known in (
        ("copies", profile.copies, set(profile.datasets)),
        ("networks", profile.networks, networks),
        ("leave_out", profile.leave_out, {n for item in entries.items() for n in _names(*item)}),
    ):
        if unknown := [name for name in given if not fnmatch.filter(known, name)]:
            raise SchemaError(
                f"{section}: no run has {', '.join(unknown)}; known are {', '.join(sorted(known))}"
            )


def _entry(profile: Profile, name: str) -> tuple[RunEntry, dict[str, Any]]:
    """Return what a profile says of a run: `RunEntry`, and fields of its recipe."""
    if name not in profile.runs:
        raise SchemaError(
            f"{profile.key}, profile {profile.name}: no run {name!r}; it has "
            f"{', '.join(profile.runs)}"
        )
    content = profile.runs[name]
    # segmentation and augmentation: true or false is a key of a printed run, a table a setting.
    about = {
        key: value
        for key, value in content.items()
        if key in RunEntry.model_fields
        and not (isinstance(value, dict) and key in ("segmentation", "augmentation"))
    }
    settings = {key: value for key, value in content.items() if key not in about}
    entry = check(RunEntry, about, f"runs.{name}")
    if entry.dataset is None:
        entry = entry.model_copy(update={"dataset": next(iter(profile.datasets))})
    if entry.model is None and entry.backbone is None:
        entry = entry.model_copy(update={"model": name})
    return entry, settings


def _is_left_out(profile: Profile, name: str, entry: RunEntry) -> bool:
    if entry.dataset not in profile.datasets:
        raise SchemaError(
            f"runs.{name}: unknown data set {entry.dataset!r}; known are "
            f"{', '.join(profile.datasets)}"
        )
    names = _names(name, entry)
    return any(fnmatch.filter(names, pattern) for pattern in profile.leave_out) or any(
        _is_left_out(profile, member, _entry(profile, member)[0]) for member in entry.members
    )


def _names(name: str, entry: RunEntry) -> list[str]:
    """Return what a run can be left out by."""
    names = (name, entry.dataset, entry.model, entry.backbone, entry.paper)
    return [one for one in names if one]


def _run(profile: Profile, name: str, entry: RunEntry, settings: dict[str, Any], kind: str) -> Run:
    if entry.members and settings:
        raise SchemaError(f"runs.{name}: an ensemble has no recipe to take {', '.join(settings)}")
    table = profile.splits[kind].model_dump(exclude_unset=True)
    kept = profile.models_kept if entry.models_kept is None else entry.models_kept
    return Run(
        paper=profile.key,
        profile=profile.name,
        name=name,
        keys=_keys(entry),
        data=profile.datasets[str(entry.dataset)],
        table=_table(profile, name, entry, table),
        recipe=None if entry.members else _recipe(profile, name, entry, settings),
        members=entry.members,
        seed=profile.seed,
        draw=entry.draw,
        models_kept=kept,
        same_subject=profile.same_subject,
    )


def _keys(entry: RunEntry) -> dict[str, Any]:
    if entry.backbone is None:
        keys = {"dataset": entry.dataset, "model": entry.model, "variant": entry.variant}
    else:
        names = ("dataset", "backbone", "classifier", "segmentation", "augmentation")
        keys = {name: getattr(entry, name) for name in names}
    return {**keys, "paper": entry.paper} if entry.paper else keys


def _table(profile: Profile, name: str, entry: RunEntry, table: dict[str, Any]) -> dict[str, Any]:
    """Return a split's table with the copies of a run, and with what it changes besides."""
    table, place = {**table, **entry.table}, f"runs.{name}, splits.{table['name']}"
    copies = table.get("copies") or {}
    if entry.augmentation is False:
        copies = {}
    elif entry.copies is not None:
        copies = entry.copies
    elif entry.augmentation or "data_set" in copies:
        if entry.dataset not in profile.copies:
            raise SchemaError(f"{place}: [copies] does not say how many of {entry.dataset}")
        copies = profile.copies[str(entry.dataset)]
    when = table.get("augment", "after")
    table = {key: value for key, value in table.items() if key not in ("augment", "copies")}
    table = {**table, "augment": when, "copies": copies} if copies else table
    check(SplitTable, table, place)
    return table


def _recipe(profile: Profile, name: str, entry: RunEntry, settings: dict[str, Any]) -> Recipe:
    network = str(entry.model or entry.backbone)
    fields = {"network": network, **profile.recipe, **profile.networks.get(network, {}), **settings}
    if entry.classifier is not None:
        fields["classifier"] = entry.classifier.removesuffix("-scaled")
    if entry.backbone is not None:
        fields["scaled"] = str(entry.classifier).endswith("-scaled")
    if entry.segmentation is False:
        fields["segmentation"] = None
    return check(Recipe, fields, f"runs.{name}")
