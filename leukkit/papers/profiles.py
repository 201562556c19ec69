"""Profiles: the numbers and names of a set of runs, and the runs that follow from them.

``paper`` is complete. Every other profile says only what differs: tables merge key by key, runs by
their names; lists, split tables, grids, ranges and counts are replaced whole. A profile of one's
own is a TOML file; it overrides ``paper`` too, unless its first line says ``extends = "sample"``,
or ``extends = "none"``, which demands every key.

A profile changes numbers and the names of data and networks, never code paths.
"""

import fnmatch
import functools
import pathlib
import tomllib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import Field

from leukkit.files import read_text
from leukkit.schemas import Model, Recipe, SchemaError, SplitTable, check


class Run(Model):
    """A planned run: a split, a recipe and a seed, and where its results lie.

    Attributes:
        paper: First level of the results: a paper's key, ``gap`` or ``honest``.
        profile: Name of the profile, or the path of its file.
        name: Of the run's folder.
        keys: What the printed tables call it: data set, model, variant …
        data: The data set that is used.
        table: Its `SplitTable`, as a dict.
        recipe: None for an ensemble, which is put together from its members.
        members: Names of the runs that an ensemble is made of.
        seed: Of weights, order, augmentation, and (plus ``draw``) of the split.
        draw: Which of several draws of the split.
        models_kept: Numbers of the folds whose model is saved.
        links: What makes two patients one subject (`leukkit.datasets.load`).
    """

    paper: str
    profile: str
    name: str
    keys: dict[str, Any]
    data: str
    table: dict[str, Any]
    recipe: Recipe | None
    members: list[str] = []
    seed: int = 0
    draw: int = 0
    models_kept: list[int] = []
    links: Literal["identical", "several pairs", "single pairs"] = "several pairs"

    @property
    def split(self) -> str:
        """Name of the run's split."""
        return self.table["name"]


class RunEntry(Model):
    """What a profile says of one run (`Run` has the meanings).

    ``settings`` are the other keys, fields of its recipe. ``segmentation`` and ``augmentation`` are
    such fields if they are tables; true or false is what a printed table calls the run.
    """

    dataset: str | None = None  # the first of the profile
    model: str | None = None  # without a backbone: the name of the run
    variant: str = ""
    backbone: str | None = None
    classifier: str | None = None
    segmentation: bool | None = None
    augmentation: bool | None = None
    paper: str | None = None
    splits: list[str] = []
    copies: dict[str, Any] | None = None
    table: dict[str, Any] = {}
    members: list[str] = []
    draw: int = 0
    models_kept: list[int] | None = None
    settings: dict[str, Any] = {}

    @pydantic.model_validator(mode="before")
    @classmethod
    def _put_settings_apart(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        settings = {
            key: value
            for key, value in content.items()
            if key not in cls.model_fields
            or key == "settings"
            or (isinstance(value, dict) and key in ("segmentation", "augmentation"))
        }
        about = {key: value for key, value in content.items() if key not in settings}
        return {**about, "settings": settings}

    @property
    def network(self) -> str:
        """The network as the paper calls it."""
        return str(self.model or self.backbone)

    @property
    def keys(self) -> dict[str, Any]:
        """What the printed tables call the run: data set, model, variant and so on."""
        names = ["dataset", "model", "variant"]
        if self.backbone is not None:
            names = ["dataset", "backbone", "classifier", "segmentation", "augmentation", "variant"]
        return {name: getattr(self, name) for name in names + ["paper"] * bool(self.paper)}


class Variant(Model):
    """Runs that are made once more in another way, each as ``<run>_<variant>``.

    Attributes:
        of: Their names; ``*`` stands for anything.
        recipe: Fields of `Recipe` that replace theirs.
        splits: Names of the splits they are made under; those of the run if empty.
    """

    of: list[str] = ["*"]
    recipe: dict[str, Any] = {}
    splits: list[str] = []


_Table = Annotated[SplitTable, pydantic.BeforeValidator(functools.partial(check, SplitTable))]


class Profile(Model):
    """The numbers and names of a set of runs. What may be left out has a default.

    Attributes:
        key: Of the paper, ``gap`` or ``honest``.
        name: ``sample``, ``paper``, or the path of a TOML file.
        datasets: Data set as the paper calls it -> what is used: a name, or the path of a folder
            of one's own.
        seed: Of everything random.
        jobs: Folds at once.
        models_kept: Numbers of the folds whose model is saved.
        splits: Name -> `SplitTable`.
        made_under: Names of the splits that a run is made under if it names none; all if empty.
        copies: Data set -> how many copies, for runs whose ``augmentation`` is true.
        recipe: Fields of `Recipe` that all runs share.
        networks: Network as the paper calls it -> fields of `Recipe`.
        runs: Name of a run -> what is special about it.
        variants: Name -> `Variant`: runs that are made once more in another way.
        leave_out: Runs, networks, data sets or papers that are not run; ``*`` stands for anything.
        links: As in `Run`.
    """

    key: str
    name: str
    datasets: dict[str, str] = Field(min_length=1)
    seed: int = Field(ge=0)
    jobs: int = Field(ge=1)
    models_kept: list[Annotated[int, Field(ge=0)]]
    splits: dict[str, _Table]
    made_under: list[str] = []
    copies: dict[str, dict[str, Any]] = {}
    recipe: dict[str, Any]
    networks: dict[str, dict[str, Any]] = {}
    runs: dict[str, RunEntry]
    variants: dict[str, Variant] = {}
    leave_out: list[str] = []
    links: Literal["identical", "several pairs", "single pairs"] = "several pairs"

    _runs: list[Run] = []  # what `plan` lists

    @pydantic.model_validator(mode="after")
    def _names_are_known(self) -> Self:
        """Fill in what splits and runs leave out; refuse names that the profile does not have."""
        for called, used in self.datasets.items():
            if "/" in used and not pathlib.Path(used).expanduser().is_absolute():
                raise ValueError(
                    f"datasets.{called} is the folder {used!r}, which a notebook takes in its "
                    "own folder: expected a path from the root, such as "
                    f"{pathlib.Path(used).absolute()}"
                )
        for name, table in self.splits.items():
            origin = {"paper": self.key, "profile": self.name, "name": name}
            self.splits[name] = table.model_copy(update=origin)
        for name, entry in self.runs.items():
            dataset = entry.dataset or next(iter(self.datasets))
            model = entry.model or (None if entry.backbone else name)
            self.runs[name] = entry.model_copy(update={"dataset": dataset, "model": model})
            if dataset not in self.datasets:
                raise ValueError(
                    f"runs.{name}: unknown data set {dataset!r}; known are "
                    f"{', '.join(self.datasets)}"
                )
        own = list(self.runs)
        for name, variant in self.variants.items():
            self._add(name, variant, own)
        for section, given, known in (
            *((f"variants.{name}", variant.of, own) for name, variant in self.variants.items()),
            ("copies", self.copies, set(self.datasets)),
            ("networks", self.networks, {entry.network for entry in self.runs.values()}),
            ("leave_out", self.leave_out, {one for name in self.runs for one in self._names(name)}),
        ):
            if unknown := [name for name in given if not fnmatch.filter(known, name)]:
                raise ValueError(
                    f"{section}: no run has {', '.join(unknown)}; known are "
                    f"{', '.join(sorted(known))}"
                )
        self._runs = [
            self._run(name, kind)
            for name, entry in self.runs.items()
            if not self._is_left_out(name)
            for kind in self._splits_of(name, entry)
        ]
        if not self._runs:
            raise ValueError(f"leave_out = {self.leave_out} leaves no run to make")
        folds = max((table.folds or 1 for table in self.splits.values()), default=0)
        kept = [self.models_kept, *(entry.models_kept or [] for entry in self.runs.values())]
        none = [number for numbers in kept for number in numbers if number >= folds]
        if none and not any(table.manifest for table in self.splits.values()):  # it holds the folds
            raise ValueError(f"models_kept: no split has a fold {none[0]}; they go to {folds - 1}")
        return self

    def plan(self, split: str | None = None) -> list[Run]:
        """List the runs, each under its splits.

        Args:
            split: Name of a split; None for all.

        Raises:
            SchemaError: There is no such split.
        """
        if split is not None:
            self._known("split", split, self.splits)
        return [run for run in self._runs if split in (None, run.split)]

    def recipe_of(self, name: str) -> Recipe:
        """Return the recipe of a run.

        Raises:
            SchemaError: There is no such run, or it is an ensemble, which has no recipe of its own.
        """
        entry = self._entry(name)
        if entry.members:
            raise SchemaError(
                f"{name} is an ensemble of {', '.join(entry.members)}: it has no recipe"
            )
        general = self.recipe | self.networks.get(entry.network, {})
        fields = {"network": entry.network} | general | entry.settings
        if entry.classifier is not None:
            fields["classifier"] = entry.classifier.removesuffix("-scaled")
        if entry.backbone is not None:
            fields["scaled"] = str(entry.classifier).endswith("-scaled")
        if entry.segmentation is False:
            fields["segmentation"] = None
        return check(Recipe, fields, f"runs.{name}")

    def split(self, name: str, run: str | None = None) -> dict[str, Any]:
        """Return a split's table; with what ``run`` changes: mostly how many copies.

        Raises:
            SchemaError: There is no such split or run, or nothing says how many copies.
        """
        table = self._known("split", name, self.splits).model_dump(exclude_unset=True)
        if run is None:
            return table
        entry, place = self._entry(run), f"runs.{run}, splits.{name}"
        table |= entry.table
        when, copies = table.pop("augment", "after"), table.pop("copies", {})
        if entry.augmentation is False:
            copies = {}
        elif entry.copies is not None:
            copies = entry.copies
        elif entry.augmentation or "data_set" in copies:
            if entry.dataset not in self.copies:
                raise SchemaError(f"{place}: [copies] does not say how many of {entry.dataset}")
            copies = self.copies[entry.dataset]
        if copies:
            table |= {"augment": when, "copies": copies}
        check(SplitTable, table, place)
        return table

    def _add(self, name: str, variant: Variant, own: list[str]) -> None:
        """Add the runs of a variant; an ensemble's is made of its members'."""
        for run in {run: None for of in variant.of for run in fnmatch.filter(own, of)}:
            entry = self.runs[run]
            changes = {
                "variant": "_".join(filter(None, (entry.variant, name))),
                "splits": variant.splits or entry.splits,
                "members": [f"{member}_{name}" for member in entry.members],
                "models_kept": [],
                "settings": {} if entry.members else entry.settings | variant.recipe,
            }
            self.runs[f"{run}_{name}"] = entry.model_copy(update=changes)

    def _run(self, name: str, split: str) -> Run:
        entry = self.runs[name]
        if entry.members and entry.settings:
            raise SchemaError(
                f"runs.{name}: an ensemble has no recipe to take {', '.join(entry.settings)}"
            )
        return Run(
            paper=self.key,
            profile=self.name,
            name=name,
            keys=entry.keys,
            data=self.datasets[str(entry.dataset)],
            table=self.split(split, name),
            recipe=None if entry.members else self.recipe_of(name),
            members=entry.members,
            seed=self.seed,
            draw=entry.draw,
            models_kept=self.models_kept if entry.models_kept is None else entry.models_kept,
            links=self.links,
        )

    def _splits_of(self, name: str, entry: RunEntry) -> Iterable[str]:
        """Return the names of the splits that a run is made under."""
        kinds = entry.splits or self.made_under or self.splits
        if unknown := [kind for kind in kinds if kind not in self.splits]:
            raise SchemaError(f"runs.{name}: unknown split {unknown[0]!r}")
        return kinds

    def _entry(self, name: str) -> RunEntry:
        return self._known("run", name, self.runs)

    def _known(self, kind: str, name: str, among: Mapping[str, Any]) -> Any:
        if name not in among:
            raise SchemaError(
                f"{self.key}, profile {self.name}: no {kind} {name!r}; it has {', '.join(among)}"
            )
        return among[name]

    def _names(self, run: str) -> list[str]:
        """Return what a run can be left out by."""
        entry = self._entry(run)
        names = (run, entry.dataset, entry.model, entry.backbone, entry.paper)
        return [name for name in names if name]

    def _is_left_out(self, run: str) -> bool:
        """Tell whether a run is left out, itself or one of its members."""
        members = self._entry(run).members
        if ensembles := [name for name in members if self._entry(name).members]:
            raise SchemaError(f"runs.{run}: {', '.join(ensembles)} is itself an ensemble")
        names = [name for one in (run, *members) for name in self._names(one)]
        return any(fnmatch.filter(names, pattern) for pattern in self.leave_out)


def resolve(
    key: str,
    known: Mapping[str, dict[str, Any]],
    name: str,
    runs: Mapping[str, dict[str, Any]] | None = None,
    over: Mapping[str, Any] | None = None,
) -> Profile:
    """Return a profile with all of its numbers.

    Args:
        key: Whose profiles these are: a paper's, ``gap`` or ``honest``.
        known: The built-in profiles, ``paper`` among them.
        name: One of them, or the path of a TOML file.
        runs: Runs that follow from printed tables; the profile's own are merged into them.
        over: What is laid over all of it: keys of a profile, and perhaps another ``name``.

    Raises:
        SchemaError: There is no such profile, or it has an unknown, missing or wrong key.
    """
    if "paper" not in known:
        raise SchemaError("[profiles.paper] is missing")
    known = {**known, "paper": {"extends": "none", **known["paper"]}}
    if str(name).endswith(".toml"):
        path, place = pathlib.Path(name).expanduser(), str(name)
        if not path.exists():
            raise SchemaError(f"the profile {path} does not exist; built in are {', '.join(known)}")
        try:
            content = tomllib.loads(read_text(path))
        except tomllib.TOMLDecodeError as error:
            raise SchemaError(f"{path}: {error}") from None
    elif name in known:
        place, content = f"[profiles.{name}]", known[name]
    else:
        raise SchemaError(
            f"{key} has no profile {name!r}; it has {', '.join(known)}. Any other is the path of a "
            "TOML file"
        )
    others = [other for other in known if other != name]
    base = content.get("extends", "paper")
    while base != "none":
        if base not in others:
            expected = ", ".join(["none", *others])
            raise SchemaError(f"{place}: extends is {base!r}; expected {expected}")
        others.remove(base)
        content = _lay_over(known[base], content)
        base = known[base].get("extends", "paper")
    if runs:
        content = _lay_over({"runs": runs}, content)
    content = _lay_over({**content, "key": key, "name": str(name)}, over or {})
    content.pop("extends", None)
    return check(Profile, content, place)


def _lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a profile's content over another's: its tables merge, and the tables in ``runs``."""
    merged = _merge(below, above, 2)
    if "runs" in above:
        merged["runs"] = _merge(below.get("runs"), above["runs"], 2)
    return merged


def _merge(below: Any, above: Any, levels: int) -> Any:
    """Merge tables so many levels deep; anything else replaces what is below it."""
    if levels == 0 or not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    return below | {name: _merge(below.get(name), part, levels - 1) for name, part in above.items()}
