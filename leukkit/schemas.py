"""The data that travels through the kit: split tables and recipes, and what all schemas share.

Pure data: what may stand in it is checked here, once, and nothing is computed.
"""

import bisect
import hashlib
import inspect
import itertools
import json
import os
import pathlib
import re
import types
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

import pandas as pd
import pydantic
from pydantic import Field
from typing_extensions import TypedDict  # typing's, from Python 3.12 on

if TYPE_CHECKING:
    import keras


class SchemaError(ValueError):
    """Data that breaks its schema; the message names the place and what was expected."""


class Model(pydantic.BaseModel):
    """A checked, frozen record: no unknown keys, no silent conversions, no infinities."""

    model_config = pydantic.ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )


Checked = TypeVar("Checked", bound=Model)


def check(schema: type[Checked], content: Any, place: str = "") -> Checked:
    """Check a dict, as TOML or JSON gives it, that comes from ``place``.

    Raises:
        SchemaError: Names the place, the first field that is wrong, what was found and expected.
    """
    try:
        return schema.model_validate(content)
    except pydantic.ValidationError as error:
        problem = _explain(error, schema)
        raise SchemaError(f"{place}: {problem}" if place else problem) from None


_ALTERNATIVE = re.compile(  # what stands at the end of a place for one of several types
    r"(constrained-)?(int|float)|str|callable|literal\[.*\]"
)


def _explain(error: pydantic.ValidationError, schema: type[Model]) -> str:
    """Return the first problem that pydantic found, in one sentence."""
    first, *others = error.errors(include_url=False)
    place, kind, message = first["loc"], first["type"], first["msg"].removeprefix("Value error, ")
    if len(place) > 1 and _ALTERNATIVE.fullmatch(str(place[-1])):
        place = place[:-1]
        message += "".join(f" or {other['msg']}" for other in others if other["loc"][:-1] == place)
    where = ".".join(map(str, place))
    if kind == "missing":
        return f"missing field {where}"
    if kind == "extra_forbidden":
        known = ", ".join(schema.model_fields) if len(first["loc"]) == 1 else ""
        return f"unknown field {where}" + f"; known are {known}" * bool(known)
    if kind != "value_error":
        message += f", found {first['input']!r}"
    return f"{where}: {message}" if where else message


def digest(value: Any) -> str:
    """Return the SHA-256 (hex) of a JSON-serializable value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


# What a table must say of each kind of split, and what it may say, beside the keys of all kinds.
_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "holdout": (("test",), ("by", "missing")),
    "stratified": (("folds",), ()),
    "subject": (("folds",), ("by", "missing", "embargo")),
    "counts": (("test_counts",), ()),
    "official": ((), ("missing",)),
    "manifest": (("manifest",), ("by", "missing")),
}
_KEYS_OF_SOME = {key for required, optional in _KEYS.values() for key in (*required, *optional)}
_ORIGIN = ("paper", "profile", "name")
_Count = Annotated[int, Field(ge=1)]
_Size = Annotated[int, Field(ge=0)]
_Positive = Annotated[float, Field(gt=0)]
_COPIES = {"counts": dict, "balance": bool, "each": int, "data_set": bool}


class SplitTable(Model):
    """What is trained on what: the one way to state a protocol. See `leukkit.splits.divide`.

    ``paper``, ``profile`` and ``name`` say where a table comes from; they decide where results lie
    and change nothing else.
    """

    paper: str = "own"
    profile: str = "own"
    name: str = "own"
    split: Literal["holdout", "stratified", "subject", "counts", "official", "manifest"]
    test: float | None = Field(None, gt=0, lt=1)
    folds: Annotated[int, Field(ge=2)] | None = None
    by: str | None = None
    missing: Literal["error", "image"] = "error"
    embargo: int = Field(0, ge=0)
    test_counts: dict[str, _Count] | None = None
    manifest: str | None = None
    validation: Annotated[float, Field(ge=0, lt=1)] | Literal["test"] = 0.0
    augment: Literal["before", "after"] | None = None
    copies: dict[Literal["counts", "balance", "each", "data_set"], Any] | None = None
    tuning: Literal[0] | Annotated[int, Field(ge=2)] = 0
    tuned_by_image: bool = False

    @pydantic.model_validator(mode="after")
    def _keys_of_the_kind(self) -> Self:
        required, optional = _KEYS[self.split]
        if missing := [key for key in required if getattr(self, key) is None]:
            raise ValueError(f"split = {self.split!r} also needs {', '.join(missing)}")
        unused = _KEYS_OF_SOME.difference(required, optional)
        if unknown := sorted(self.model_fields_set & unused):
            known = sorted(set(type(self).model_fields).difference(unused, _ORIGIN))
            raise ValueError(
                f"split = {self.split!r} does not use {', '.join(unknown)}; "
                f"known are {', '.join(known)}"
            )
        if (self.augment is None) != (self.copies is None):
            raise ValueError(
                "augment says when, copies how many: give both of them, or neither; found "
                f"augment={self.augment!r} and copies={self.copies}"
            )
        copies: dict[Any, Any] = {"balance": True} if self.copies is None else dict(self.copies)
        fits = [type(value) is _COPIES[kind] and bool(value) for kind, value in copies.items()]
        numbers = [*copies.get("counts", {}).values()] if fits == [True] else []
        numbers += [copies.get("each", 1)]
        if fits != [True] or not all(type(one) is int and one > 0 for one in numbers):
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


class Phase(Model):
    """Some epochs with the same layers trained at the same learning rate.

    Attributes:
        epochs: Number of epochs.
        learning_rate: Above 0.
        trainable: ``"all"``; ``"head"``, the new layers alone, the backbone frozen; or a number:
            the head and as many last layers of the backbone (samhitha, IV.F.2), whose batch
            normalization stays frozen.
    """

    epochs: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    trainable: Literal["all", "head"] | Annotated[int, Field(ge=1)] = "all"


class Segmentation(TypedDict, total=False):
    """Settings of `leukkit.segmentation.segment_nucleus`, and when it is done."""

    __pydantic_config__ = Model.model_config  # type: ignore[misc]
    k: _Count
    threshold: int | float
    minimum_area: _Size
    opening: _Size
    rule: Literal["above threshold", "highest cluster", "green multi-Otsu"]
    after_resizing: bool


class Recipe(Model):
    """All of a method but the data: a network and its training, or its features and a classifier.

    A recipe with ``phases`` trains a network; one with a ``classifier`` fits it to the features of
    a frozen one. ``recipe.replace(image_size=96)`` gives a changed copy; a cell that ends in a
    recipe shows it as a table.

    Attributes:
        network: A backbone of `leukkit.models`.
        head: What stands on it: the name of a function of `leukkit.models.heads`, or a function
            from the feature map to what enters the last layer.
        image_size: Side of the network's input in pixels.
        width: Share of the channels that each layer of network and head has.
        weights: ``"none"`` (random, from the seed), ``"imagenet"``, ``"synthetic"`` (the kit's own,
            for a small width), or the path of a file, in which environment variables that hold an
            absolute path are filled in: no other one, such as a token, gets into an error.
        normalization: ``"backbone"``, ``"unit"`` or ``"z-score"``, see `leukkit.models.build`.
        segmentation: None, or what `leukkit.images.Preparation` takes.
        stain: ``"reinhard"`` gives each image the mean and spread of color that the training
            images of its fold have (`leukkit.images.preparation`); None leaves colors alone.
        distortion: How the copies that a split appends differ from their originals: ranges of
            `leukkit.augmentation.draw`.
        classifier: ``"svm"``, ``"rf"`` or ``"xgboost"`` on features; None to train a network.
        scaled: Whether the classifier is given standardized features.
        c, gamma, kernels: The grid of the support vector machine (farag2025, Table II).
        class_weight: Of the support vector machine.
        phases: How the network is trained, in order.
        batch_size: Images per step over all devices.
        optimizer: ``"adam"`` or ``"sgd"``.
        momentum: Of SGD.
        weight_decay: L2 factor of the kernels, added to their gradient; SGD only.
        new_layer_factor: Times the learning rate for the last layer (patel2025, Transfer Learning
            and Fine-Tuning Strategy); SGD only.
        steps: Batches per epoch; 0 for all of the training images.
        patience: Epochs without a better validation loss until training stops; 0 for never.
        select: ``"best"`` keeps the epoch with the lowest validation loss, ``"last"`` the last one.
        augmentation: Ranges of transforms that are new in each epoch; empty for none.
        mixed_precision: Compute in float16, weights and head in float32.
        batch_norm_momentum: Of the moving averages of batch normalization; None for each layer's
            own (0.99 or so), which needs a thousand steps.
        synchronized: Batch normalization over the images of all devices, not of each.
        deterministic: Two runs with one seed give equal predictions; can be slower.
    """

    network: str
    head: str | Callable = "pooled"
    image_size: int = Field(ge=1)
    width: float = Field(1.0, gt=0, le=1)
    weights: str = Field("none", min_length=1)
    normalization: Literal["backbone", "unit", "z-score"] = "backbone"
    segmentation: Segmentation | None = None
    stain: Literal["reinhard"] | None = None
    distortion: dict[str, Any] = {}
    classifier: Literal["svm", "rf", "xgboost"] | None = None
    scaled: bool = False
    c: list[_Positive] = []
    gamma: list[_Positive] = []
    kernels: list[Literal["rbf", "poly"]] = []
    class_weight: Literal["balanced"] | None = None
    phases: list[Phase] = []
    batch_size: int = Field(32, ge=1)
    optimizer: Literal["adam", "sgd"] = "adam"
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    new_layer_factor: float = Field(1.0, gt=0)
    steps: int = Field(0, ge=0)
    patience: int = Field(0, ge=0)
    select: Literal["best", "last"] = "best"
    augmentation: dict[str, Any] = {}
    mixed_precision: bool = False
    batch_norm_momentum: float | None = Field(None, ge=0, lt=1)
    synchronized: bool = False
    deterministic: bool = True

    @pydantic.field_validator("head")
    @classmethod
    def _nameable(cls, head: str | Callable) -> str | Callable:
        if isinstance(head, str):
            return head
        if head.__module__ == "leukkit.models.heads":
            return head.__name__
        _function_record(head)
        return head

    @pydantic.model_validator(mode="after")
    def _one_method(self) -> Self:
        if bool(self.phases) == (self.classifier is not None):
            raise ValueError(
                "a recipe needs phases of training, or a classifier on frozen features, and not "
                f"both; found phases={self.phases} and classifier={self.classifier!r}"
            )
        if self.classifier == "svm" and not (self.c and self.gamma and self.kernels):
            raise ValueError(
                "classifier 'svm' needs at least one value each of c, gamma and kernels"
            )
        if self.network == "dex" and any(phase.trainable != "all" for phase in self.phases):
            raise ValueError("the three networks of dex are trained whole: trainable = 'all'")
        if self.optimizer != "sgd" and (self.weight_decay or self.new_layer_factor != 1):
            raise ValueError("weight_decay and new_layer_factor need optimizer = 'sgd'")
        if self.distortion or self.augmentation:
            from leukkit import augmentation

            augmentation.check(self.augmentation)
            augmentation.check(self.distortion)
        return self

    def replace(self, **changes: Any) -> "Recipe":
        """Return a copy with some fields changed, checked like a new one."""
        return check(Recipe, dict(self) | changes, "recipe")

    def build(self, classes: int, statistics: tuple | None = None, seed: int = 0) -> "keras.Model":
        """Return the uncompiled ``keras.Model`` that this recipe trains.

        Args:
            classes: Number of classes.
            statistics: Mean and standard deviation per channel (0..255) for ``"z-score"``. Training
                takes them from its own images; without any, 128 and 64 stand in, to look at layers.
            seed: Of random weights.
        """
        from leukkit import models

        if self.normalization == "z-score" and statistics is None:
            statistics = ((128.0,) * 3, (64.0,) * 3)
        return models.build(
            self.network,
            classes,
            self.image_size,
            self.weights_source,
            self.head,
            normalization=self.normalization,
            statistics=statistics,
            seed=seed,
            width=self.width,
        )

    @property
    def weights_source(self) -> str | None:
        """The weights as `leukkit.models.build` takes them: None, a word or a path."""

        def fill(variable: re.Match) -> str:
            value = pathlib.Path(os.environ.get(variable[1].strip("{}"), "")).expanduser()
            return str(value) if value.is_absolute() else variable[0]

        path = pathlib.Path(re.sub(r"\$(\w+|\{\w+\})", fill, self.weights)).expanduser()
        return None if self.weights == "none" else str(path)

    @property
    def epochs(self) -> int:
        """Number of epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def frozen(self) -> bool:
        """Whether the backbone sees each image as it is and never changes.

        Then each image goes through it once, and only the head is trained.
        """
        return not self.augmentation and all(phase.trainable == "head" for phase in self.phases)

    def phase_of(self, epoch: int) -> int:
        """Return the number of the phase that an epoch (from 0) belongs to."""
        if epoch >= self.epochs:
            raise IndexError(f"epoch {epoch} lies beyond the {self.epochs} epochs of the recipe")
        ends = itertools.accumulate(phase.epochs for phase in self.phases)
        return bisect.bisect(list(ends), epoch)

    def record(self) -> dict[str, Any]:
        """Return the recipe as JSON-serializable dict, for hashes and ``fold.json``."""
        # Without one as before there was the setting: hashes of finished results stay valid.
        fields = self.model_dump(exclude={"head"} | ({"stain"} if self.stain is None else set()))
        head = self.head if isinstance(self.head, str) else _function_record(self.head)
        return fields | {"head": head}

    @classmethod
    def from_record(cls, recorded: Mapping[str, Any], place: str) -> Self:
        """Return the recipe of a `record`; a head of one's own is in it by its name alone.

        Raises:
            SchemaError: The record is damaged; names the ``place`` where it stands.
        """
        fields = dict(recorded)
        if isinstance(fields.get("head"), dict):
            fields["head"] = fields["head"].get("function")
        return check(cls, fields, place)

    def table(self) -> pd.DataFrame:
        """Return the settings that matter for this kind of recipe, one row each."""
        names, grid = list(type(self).model_fields), {"c", "gamma", "kernels", "class_weight"}
        if self.classifier is None:
            hidden = {"classifier", "scaled", *grid}
            if self.optimizer == "adam":
                hidden |= {"momentum", "weight_decay", "new_layer_factor"}
        else:
            hidden = {"head", *names[names.index("phases") :]}
            if self.classifier != "svm":
                hidden |= grid
        hidden |= {"width"} if self.width == 1 else set()
        hidden |= {"stain"} if self.stain is None else set()
        rows = {name: in_words(value) for name, value in self if name not in hidden}
        return pd.Series(rows, name="value").rename_axis("setting").to_frame()

    def __repr__(self) -> str:
        return self.table().to_string(max_colwidth=None)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return self.table().to_html()


def in_words(value: Any) -> str:
    """Return a setting as a reader would write it."""
    if callable(value):
        return f"{value.__name__} (your own)"
    if isinstance(value, list) and value and isinstance(value[0], Phase):
        return "; ".join(
            f"{phase.epochs} epoch{'s' * (phase.epochs > 1)} at {phase.learning_rate:g}, "
            + {"all": "all layers", "head": "head"}.get(
                str(phase.trainable), f"head and last {phase.trainable} layers"
            )
            for phase in value
        )
    if isinstance(value, dict):
        return ", ".join(f"{key} {in_words(part)}" for key, part in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(in_words, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None else str(value)


def _function_record(function: Callable) -> dict[str, str]:
    """Return what a head of one's own is known by: module, name, source and defaults.

    Raises:
        ValueError: Two different ones could not be told apart by that.
    """
    if not isinstance(function, types.FunctionType):
        raise ValueError(f"head {function!r} is no function: write one with def, and its name here")
    name = function.__qualname__
    if function.__name__ == "<lambda>" or function.__closure__:
        raise ValueError(
            f"head {name} is a lambda or uses variables of a function around it, so its source "
            "does not say what it does. Write it with def, in a cell or module of its own, and "
            "give numbers as defaults of its arguments"
        )
    try:
        source = inspect.getsource(function)
    except OSError:
        raise ValueError(
            f"the source of head {name} cannot be read: define it with def in a cell or a file"
        ) from None
    text = "\n".join([source, repr(function.__defaults__), repr(function.__kwdefaults__)])
    return {
        "function": f"{function.__module__}.{name}",
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
