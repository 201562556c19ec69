"""What is written beside results: ``fold.json`` and ``predictor.json``."""

from typing import Any, Final, Literal, Self

import pydantic
from pydantic import Field

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


FOLD_FORMAT: Final = 3  # up to 2 the column `subject` was called `identity`


class FoldRecord(Model):
    """``fold.json``: a finished fold, its configuration and the facts of its making.

    Attributes:
        leakage: ``test_images`` and the shares (0..1) of `splits.leakage`; None where unknown.
        links: What made patients one subject (`leukkit.datasets.load`); ``""`` without a list.
        images: Part of the fold -> number of images.
        selected: What was chosen in the fold: hyperparameters, epoch, or weights of an ensemble.
        weights_used: What the network began with, in words.
        devices, parameters, epochs: Of a trained network.
        not_saved: Why a model that was to be saved is not; ``""`` if there is nothing to say.
    """

    format: Literal[3] = FOLD_FORMAT
    configuration_hash: str
    configuration: Configuration
    folds: int = Field(ge=1)
    seconds: float
    finished: str
    commit: str
    hardware: dict[str, Any]
    versions: dict[str, str]
    leakage: dict[str, float | int | None]
    links: str = ""
    images: dict[str, int]
    selected: dict[str, Any] = {}
    weights_used: str = ""
    devices: str = ""
    parameters: int | None = None
    epochs: int | None = None
    not_saved: str = ""


SAVED_FORMAT: Final = 2  # 1 kept a copy of the fold's facts beside fold.json


class Sizes(Model):
    """Width and height in pixels of the training images' files."""

    smallest: list[int]
    usual: list[int]
    largest: list[int]


class SavedRecord(Model):
    """``predictor.json``: what a saved model needs to be used on other images.

    Attributes:
        model: File name of the model.
        sha256: File name -> its hash, of the model and of the arrays beside it.
        recipe: `Recipe.record`; ``seed``, ``weights``: as in the fold's `Configuration`.
        crop: Side of the center crop, None if there is none.
        sizes: Of the training images' files; None where the files are gone.
        temperature: That the probabilities are scaled with; None, and why: ``not_calibrated``.
        threshold: Distance beyond which an image is out of distribution; None, and why:
            ``no_threshold``. ``quantile``: the share of validation images below it.
        reference_images, validation_images: How many images these rest on.
    """

    format: Literal[2] = SAVED_FORMAT
    model: Literal["model.keras", "model.skops"]
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
    crop: int | None
    sizes: Sizes | None
    temperature: float | None = Field(gt=0)
    not_calibrated: str
    threshold: float | None
    no_threshold: str
    quantile: float
    reference_images: int
    validation_images: int

    @pydantic.model_validator(mode="after")
    def _fields_agree(self) -> Self:
        arrays = set(self.sha256) - {self.model}
        if self.model not in self.sha256 or not arrays <= {"predictor.npz"}:
            raise ValueError(f"sha256 names {sorted(self.sha256)}, not the files of {self.model}")
        if (self.threshold is None) == bool(arrays):
            raise ValueError("a threshold and predictor.npz go together: one of them is missing")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"a class is named twice in {self.classes}")
        return self
