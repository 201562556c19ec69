"""What is run: split tables, profiles, and the runs that follow from them."""

import pathlib
from typing import Any, Literal, Self

import pydantic
from pydantic import Field

from leukkit.schemas.base import Model
from leukkit.schemas.recipe import Recipe

# What a table must name besides the kind of split, and what it may name.
SPLIT_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "holdout": (("test",), ("by", "missing")),
    "stratified": (("folds",), ()),
    "subject": (("folds",), ("by", "missing", "embargo")),
    "counts": (("test_counts",), ()),
    "official": ((), ()),
}
_ALWAYS = ("split", "validation", "augment", "copies", "tuning", "tuned_by_image")
_ORIGIN = ("paper", "profile", "name")
_COPIES = {"counts": dict, "balance": bool, "each": int, "data_set": bool}


class SplitTable(Model):
    """What is trained on what: the one way to state a protocol. See `leukkit.splits.divide`.

    ``paper``, ``profile`` and ``name`` say where a table comes from; they decide where results lie
    and change nothing else.
    """

    paper: str = "own"
    profile: str = "own"
    name: str = "own"
    split: Literal["holdout", "stratified", "subject", "counts", "official"]
    test: float | None = Field(None, gt=0, lt=1)
    folds: int | None = None
    by: str | None = None
    missing: Literal["error", "image"] = "error"
    embargo: int = Field(0, ge=0)
    test_counts: dict[str, int] | None = None
    validation: float | Literal["test"] = 0.0
    augment: Literal["before", "after"] | None = None
    copies: dict[Literal["counts", "balance", "each", "data_set"], Any] | None = None
    tuning: int = 0
    tuned_by_image: bool = False

    @pydantic.model_validator(mode="after")
    def _keys_of_the_kind(self) -> Self:
        required, optional = SPLIT_KEYS[self.split]
        if missing := [key for key in required if getattr(self, key) is None]:
            raise ValueError(f"split = {self.split!r} also needs {', '.join(missing)}")
        known = {*_ALWAYS, *_ORIGIN, *required, *optional}
        if unknown := sorted(self.model_fields_set - known):
            raise ValueError(
                f"split = {self.split!r} does not use {', '.join(unknown)}; "
                f"known are {', '.join(sorted(known - {*_ORIGIN}))}"
            )
        if (self.augment is None) != (self.copies is None):
            raise ValueError(
                "augment says when, copies how many: give both of them, or neither; found "
                f"augment={self.augment!r} and copies={self.copies}"
            )
        copies = {"balance": True} if self.copies is None else self.copies
        fits = [type(value) is _COPIES[kind] and bool(value) for kind, value in copies.items()]
        if fits != [True]:
            raise ValueError(
                f"copies is {self.copies}; expected one of counts = images of each class, each = "
                "copies of an image, balance = true, or data_set = true, which takes the profile's "
                "copies for the data set of a run"
            )
        if self.augment == "before" and self.tuning and not self.tuned_by_image:
            raise ValueError(
                "augment = 'before' mixes the copies: no grid search without leaks. Set "
                "tuned_by_image = true if the search is to leak as the split does"
            )
        return self

    def record(self) -> dict[str, Any]:
        """Return what the table says, without where it comes from."""
        return self.model_dump(exclude={*_ORIGIN}, exclude_defaults=True)


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
        same_subject: Patients who are one subject on other evidence than identical images.
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
    same_subject: list[list[str]] = []

    @property
    def split(self) -> str:
        """Name of the run's split."""
        return self.table["name"]


class RunEntry(Model):
    """What a profile says of one run beside its recipe (`Run` has the meanings)."""

    dataset: str | None = None
    model: str | None = None
    variant: str = ""
    backbone: str | None = None
    classifier: str | None = None
    segmentation: bool | None = None
    augmentation: bool | None = None
    paper: str | None = None
    splits: list[str] | None = None
    copies: dict[str, Any] | None = None
    table: dict[str, Any] = {}
    members: list[str] = []
    draw: int = 0
    models_kept: list[int] | None = None


class Profile(Model):
    """The numbers and names of a set of runs. What may be left out has a default.

    Attributes:
        key: Of the paper, ``gap`` or ``honest``.
        name: ``sample``, ``paper``, or the path of a TOML file.
        datasets: Data set as the paper calls it -> what is used.
        seed: Of everything random.
        jobs: Folds at once.
        bootstrap_draws: Of intervals.
        models_kept: Numbers of the folds whose model is saved.
        splits: Name -> `SplitTable`.
        made_under: Names of the splits that a run is made under if it names none; all if empty.
        copies: Data set -> how many copies, for runs whose ``augmentation`` is true.
        recipe: Fields of `Recipe` that all runs share.
        networks: Network as the paper calls it -> fields of `Recipe`.
        runs: Name of a run -> what is special about it: fields of `RunEntry` and of `Recipe`.
        leave_out: Runs, networks, data sets or papers that are not run; ``*`` stands for anything.
        same_subject: As in `Run`.
    """

    key: str
    name: str
    datasets: dict[str, str]
    seed: int
    jobs: int = Field(ge=1)
    bootstrap_draws: int = Field(ge=1)
    models_kept: list[int]
    splits: dict[str, SplitTable]
    made_under: list[str] = []
    copies: dict[str, dict[str, Any]] = {}
    recipe: dict[str, Any]
    networks: dict[str, dict[str, Any]] = {}
    runs: dict[str, dict[str, Any]]
    leave_out: list[str] = []
    same_subject: list[list[str]] = []

    @property
    def label(self) -> str:
        """Name under which results are kept: that of a file without its ending."""
        return pathlib.Path(self.name).stem if self.name.endswith(".toml") else self.name
