"""What is written beside results: ``fold.json`` and ``predictor.json``."""

import hashlib
import io
from collections.abc import Set
from typing import Annotated, Any, Final, Literal, Self

import pandas as pd
import pydantic
from pydantic import Field

from leukkit.metrics import check_predictions, conformal
from leukkit.schemas import Model, digest


class Configuration(Model):
    """All that the predictions of a fold depend on, and what its run is called.

    Attributes:
        paper, profile, split: Where the run belongs.
        run: Its name; ``keys``: what the printed tables call it.
        table: What the `SplitTable` says.
        draw: Which draw of the split.
        recipe: `Recipe.record`, None for an ensemble.
        members: Hashes of the members' folds, of an ensemble.
        seed: Of the run.
        dataset: The data set used; ``classes``: in the order of the columns.
        images: Part of the fold -> SHA-256 of what it sees of the cells.
        weights: What the network began with: the SHA-256 of a file, or rule and seed.
    """

    paper: str
    profile: str
    split: str
    run: str
    keys: dict[str, Any]
    table: dict[str, Any]
    draw: int
    recipe: dict[str, Any] | None
    members: list[str]
    seed: int
    dataset: str
    classes: list[str]
    images: dict[str, str]
    weights: str

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of the configuration."""
        return digest(self.model_dump())

    def differences(self, other: Self, but: Set[str] = frozenset()) -> list[str]:
        """Return the fields in which another one differs, those in ``but`` left out."""
        first, second = (
            {
                f"{name}.{key}".removesuffix("."): part  # recipe.network, but seed
                for name, value in each.model_dump(exclude={*but}).items()
                for key, part in (value.items() if isinstance(value, dict) else [("", value)])
            }
            for each in (self, other)
        )
        return sorted(name for name in first | second if first.get(name) != second.get(name))


PARTS: Final = {  # table -> whose predictions
    "predictions": "test",
    "validation_predictions": "validation",
    "training_predictions": "train",
    "weighted_predictions": "test",
}


FOLD_FORMAT: Final = 5  # up to 4 names of images decided on splits by image and on copies
_Number = Annotated[int, Field(ge=0, lt=2**31)]
_Share = Annotated[float, Field(ge=0, le=1)]


class FoldRecord(Model):
    """``fold.json``: a finished fold, its configuration and the facts of its making.

    Attributes:
        tables: File name of each table written with the fold -> its SHA-256 (hex).
        leakage: The shares of `splits.leakage`; None where unknown.
        links: What made patients one subject (`leukkit.datasets.load`); ``""`` without a list.
        images: Part of the fold -> number of images.
        selected: What was chosen in the fold: hyperparameters, epoch, or weights of an ensemble.
        weights_used: What the network began with, in words.
        arithmetic: Devices and threads, where the last digits depend on them; else ``""``.
        parameters, epochs: Of a trained network.
        not_saved: Why a model that was to be saved is not; ``""`` if there is nothing to say.
    """

    format: Literal[5] = FOLD_FORMAT
    configuration_hash: str
    configuration: Configuration
    folds: int = Field(ge=1, lt=100_000)
    seconds: float = Field(ge=0)
    finished: Annotated[pydantic.AwareDatetime, Field(strict=False)]  # in JSON it is text
    commit: str
    hardware: str
    versions: dict[str, str]
    tables: dict[str, str]
    leakage: dict[str, _Share | None]
    links: str = ""
    images: dict[str, _Number]
    selected: dict[str, Any] = {}
    weights_used: str = ""
    arithmetic: str = ""
    parameters: _Number | None = None
    epochs: _Number | None = None
    not_saved: str = ""

    @pydantic.model_validator(mode="after")
    def _fields_agree(self) -> Self:
        if self.configuration_hash != self.configuration.hash:
            raise ValueError("configuration is not the one that configuration_hash was made of")
        if missing := {*PARTS.values()} - {*self.images}:
            raise ValueError(f"images: no number for {', '.join(sorted(missing))}")
        return self

    def differences(self, other: Self) -> list[str]:
        """Return in what another fold shows that it is of another run."""
        found = self.configuration.differences(other.configuration, but={"images", "members"})
        if self.arithmetic != other.arithmetic:
            found.append(f"arithmetic ({self.arithmetic}; {other.arithmetic})")
        return found + ["folds"] * (self.folds != other.folds)

    def read_table(self, name: str, content: bytes) -> pd.DataFrame:
        """Return a table of the fold, given its file's name and content.

        Raises:
            ValueError: It was not written with the fold, holds what is no prediction, or another
                number of them than the part has images.
        """
        if self.tables.get(name) != hashlib.sha256(content).hexdigest():
            raise ValueError("not the table that was written with fold.json, by its SHA-256")
        text = {"image_id": "string", "subject": "string", "label": "string"}
        # A patient may be called NA: nothing but an empty field is missing.
        file = io.BytesIO(content)
        table = pd.read_csv(file, dtype=text, keep_default_na=False, na_values=[""])
        if part := PARTS.get(name.removesuffix(".csv")):
            check_predictions(table)
            if len(table) != (images := self.images[part]):
                raise ValueError(f"{len(table)} rows for {images} images of the {part}")
        return table


SAVED_FORMAT: Final = 4  # up to 3 a classifier needed a file of weights that lay elsewhere
BACKBONES: Final = tuple(  # what Keras and torch call their files of weights
    f"backbone{suffix}" for suffix in (".h5", ".hdf5", ".weights.h5", ".keras", ".safetensors")
)


class Sizes(Model):
    """Width and height in pixels of the training images' files."""

    smallest: list[int]
    usual: list[int]
    largest: list[int]


_Lab = Annotated[list[float], Field(min_length=3, max_length=3)]


class SavedRecord(Model):
    """``predictor.json``: what a saved model needs to be used on other images.

    Attributes:
        model: File name of the model.
        sha256: File name -> its hash, of the model and of what lies beside it: the arrays, and the
            weights of the backbone under a classifier, unless a seed or the kit gives them.
        recipe: `Recipe.record`, of a path of weights the name alone.
        seed, weights: As in the fold's `Configuration`; ``leakage``: as in its `FoldRecord`.
        crop: Side of the center crop, None if there is none.
        sizes: Of the training images' files; None where the files are gone.
        temperature: That the probabilities are scaled with; None, and why: ``not_calibrated``.
            ``subjects``: how many of what ``counted`` names the validation images are of.
        limits: `conformal.limits` of their calibrated predictions, None for infinite; empty, and
            why: ``no_sets``.
        threshold: Distance beyond which an image is out of distribution; None, and why:
            ``no_threshold``. ``quantile``: the share of a new subject's images below it.
        reference_images, validation_images: How many images these rest on.
        gray: Whether the training images could be gray ones turned into RGB.
        stain: That of `leukkit.images.Preparation`; None if the recipe has none.
    """

    format: Literal[4] = SAVED_FORMAT
    model: Literal["model.keras", "model.npz"]
    sha256: dict[str, str]
    configuration_hash: str
    paper: str
    profile: str
    split: str
    run: str
    keys: dict[str, Any]
    dataset: str
    classes: list[str] = Field(min_length=2)
    recipe: dict[str, Any]
    seed: int
    weights: str
    leakage: dict[str, _Share | None]
    crop: int | None
    sizes: Sizes | None
    temperature: float | None = Field(gt=0)
    not_calibrated: str
    subjects: int
    counted: str
    limits: list[_Share | None]
    no_sets: str
    threshold: float | None
    no_threshold: str
    quantile: float
    reference_images: int
    validation_images: int
    gray: bool = False
    stain: Annotated[list[_Lab], Field(min_length=2, max_length=2)] | None = None

    @pydantic.model_validator(mode="after")
    def _fields_agree(self) -> Self:
        weights = set(self.sha256) - {self.model, "predictor.npz"}
        if len(self.sha256) - len(weights) < 2 or len(weights) > 1 or weights - {*BACKBONES}:
            raise ValueError(f"sha256 names {sorted(self.sha256)}, not the files of {self.model}")
        if any(self.sha256[name] != self.weights for name in weights):
            raise ValueError(f"{weights.pop()} holds other weights than the model was made with")
        if len(self.limits) != (0 if self.no_sets else len(conformal.LEVELS)):
            raise ValueError(f"{len(self.limits)} limits of sets, and no_sets is {self.no_sets!r}")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"a class is named twice in {self.classes}")
        if (self.stain is None) != (self.recipe.get("stain") is None):
            raise ValueError("stain: a recipe that has one and its statistics go together")
        return self
