"""A recipe: everything about a method but the data."""

import hashlib
import inspect
import os
import types
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

import pandas as pd
import pydantic
from pydantic import Field

from leukkit.schemas.base import Model, check

if TYPE_CHECKING:
    import keras


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
    trainable: Literal["all", "head"] | int = "all"

    @pydantic.field_validator("trainable")
    @classmethod
    def _some_layers(cls, value: str | int) -> str | int:
        if isinstance(value, int) and value < 1:
            raise ValueError(f"expected 'all', 'head' or a number of layers, found {value}")
        return value


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
        weights: ``"none"`` (random, from the seed), ``"imagenet"``, or the path of a file, in which
            environment variables are filled in.
        normalization: ``"backbone"``, ``"unit"`` or ``"z-score"``, see `leukkit.models.build`.
        segmentation: None, or keywords of `leukkit.segmentation.segment_nucleus`.
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
        synchronized: Batch normalization over the images of all devices, not of each.
        deterministic: Two runs with one seed give equal predictions; can be slower.
    """

    network: str
    head: str | Callable = "pooled"
    image_size: int = Field(ge=1)
    weights: str = "none"
    normalization: Literal["backbone", "unit", "z-score"] = "backbone"
    segmentation: dict[str, Any] | None = None
    distortion: dict[str, Any] = {}
    classifier: Literal["svm", "rf", "xgboost"] | None = None
    scaled: bool = False
    c: list[float] = []
    gamma: list[float] = []
    kernels: list[Literal["rbf", "poly"]] = []
    class_weight: Literal["balanced"] | None = None
    phases: list[Phase] = []
    batch_size: int = Field(32, ge=1)
    optimizer: Literal["adam", "sgd"] = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    new_layer_factor: float = 1.0
    steps: int = Field(0, ge=0)
    patience: int = Field(0, ge=0)
    select: Literal["best", "last"] = "best"
    augmentation: dict[str, Any] = {}
    mixed_precision: bool = False
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
        return self

    def replace(self, **changes: Any) -> "Recipe":
        """Return a copy with some fields changed, checked like a new one."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return check(Recipe, fields | changes, "recipe")

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
        )

    @property
    def weights_source(self) -> str | None:
        """The weights as `leukkit.models.build` takes them: None, ``"imagenet"`` or a path."""
        return None if self.weights == "none" else os.path.expandvars(self.weights)

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
        begun = 0
        for number, phase in enumerate(self.phases):
            begun += phase.epochs
            if epoch < begun:
                return number
        raise IndexError(f"epoch {epoch} lies beyond the {self.epochs} epochs of the recipe")

    def record(self) -> dict[str, Any]:
        """Return the recipe as JSON-serializable dict, for hashes and ``fold.json``."""
        fields = self.model_dump(exclude={"head"})
        head = self.head if isinstance(self.head, str) else _function_record(self.head)
        return fields | {"head": head}

    @classmethod
    def from_record(cls, recorded: Mapping[str, Any], place: str) -> Self:
        """Return the recipe of a `record`; a head of one's own is in it by its name alone.

        Args:
            recorded: The record.
            place: Where it stands, for messages.

        Raises:
            SchemaError: It is damaged.
        """
        fields = dict(recorded)
        if isinstance(fields.get("head"), dict):
            fields["head"] = fields["head"].get("function")
        return check(cls, fields, place)

    def table(self) -> pd.DataFrame:
        """Return the settings that matter for this kind of recipe, one row each."""
        of_classifier = ("scaled", "c", "gamma", "kernels", "class_weight")
        of_training = list(type(self).model_fields)[list(type(self).model_fields).index("phases") :]
        left_out = of_training if self.classifier else ("classifier", *of_classifier)
        if self.classifier not in ("svm", None):
            left_out = (*left_out, *of_classifier[1:])
        if self.optimizer == "adam":
            left_out = (*left_out, "momentum", "weight_decay", "new_layer_factor")
        rows = {
            name: in_words(getattr(self, name))
            for name in type(self).model_fields
            if name not in left_out and not (self.classifier and name == "head")
        }
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
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def _function_record(function: Callable) -> dict[str, str]:
    """Return what a head of one's own is known by: module, name, source and defaults.

    Raises:
        ValueError: Not a function, or a lambda, a closure, or one whose source cannot be read: two
            different ones could not be told apart.
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
    defaults = [repr(function.__defaults__), repr(function.__kwdefaults__)]
    text = "\n".join([source, *defaults])
    return {
        "function": f"{function.__module__}.{name}",
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
