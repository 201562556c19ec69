"""How a network is trained: all that a paper states about it, or leaves open."""

import dataclasses

OPTIMIZERS = ("adam", "sgd")
SELECTIONS = ("best", "last")


@dataclasses.dataclass(frozen=True)
class Phase:
    """Some epochs with the same layers trained at the same learning rate.

    Attributes:
        epochs: Number of epochs, at least 1.
        learning_rate: Above 0.
        trainable: ``"all"``; ``"head"``, only the new layers, the backbone frozen; or a number,
            the head and as many last layers of the backbone (samhitha, IV.F.2), whose batch
            normalization stays frozen.
    """

    epochs: int
    learning_rate: float
    trainable: str | int = "all"

    def __post_init__(self):
        known = self.trainable in ("all", "head") or (
            isinstance(self.trainable, int) and self.trainable > 0
        )
        if self.epochs < 1 or self.learning_rate <= 0 or not known:
            raise ValueError(
                f"{self}: expected epochs >= 1, learning_rate > 0 and trainable 'all', 'head' or "
                "a number of layers"
            )


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        network: A name in ``leukkit.models.NAMES``.
        image_size: Side of the network's input in pixels.
        phases: List of `Phase` (or dicts with its fields), in order.
        normalization: ``"backbone"``, ``"unit"`` or ``"z-score"`` (of the training images), as
            in ``leukkit.models.build``.
        weights: ``"none"`` (drawn from the seed), ``"imagenet"``, or the path of a file.
        batch_size: Images per step over all devices.
        optimizer: ``"adam"`` or ``"sgd"``.
        momentum: Of SGD.
        weight_decay: L2 factor of the kernels, added to their gradient; SGD only.
        new_layer_factor: Times the learning rate for the last layer (patel2025, Transfer Learning
            and Fine-Tuning Strategy).
        steps: Batches per epoch; 0 for all of the training images.
        patience: Epochs without a better validation loss until training stops; 0 for never.
        select: ``"best"`` keeps the weights of the epoch with the lowest validation loss,
            ``"last"`` those of the last epoch.
        augmentation: Ranges of `leukkit.augmentation.draw` for transforms drawn anew in each epoch;
            empty for none.
        mixed_precision: Compute in float16, weights and head in float32.
        synchronized: Batch normalization over the images of all devices, not of each.
        deterministic: Two runs with one seed give equal predictions; can be slower.
    """

    network: str
    image_size: int
    phases: list
    normalization: str = "backbone"
    weights: str = "none"
    batch_size: int = 32
    optimizer: str = "adam"
    momentum: float = 0.9
    weight_decay: float = 0.0
    new_layer_factor: float = 1.0
    steps: int = 0
    patience: int = 0
    select: str = "best"
    augmentation: dict = dataclasses.field(default_factory=dict)
    mixed_precision: bool = False
    synchronized: bool = False
    deterministic: bool = True

    def __post_init__(self):
        phases = [phase if isinstance(phase, Phase) else Phase(**phase) for phase in self.phases]
        object.__setattr__(self, "phases", phases)
        for name, known in (("optimizer", OPTIMIZERS), ("select", SELECTIONS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose from {known}")
        if not phases:
            raise ValueError("phases is empty: a recipe needs at least one phase of training")
        if self.network == "dex" and any(phase.trainable != "all" for phase in phases):
            raise ValueError("the three networks of dex are trained whole: trainable = 'all'")
        if self.optimizer != "sgd" and (self.weight_decay or self.new_layer_factor != 1):
            raise ValueError("weight_decay and new_layer_factor need optimizer = 'sgd'")

    @property
    def epochs(self):
        """Number of epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def frozen(self):
        """Whether the backbone sees each image as it is and never changes.

        Then each image goes through it once, and only the head is trained.
        """
        return not self.augmentation and all(phase.trainable == "head" for phase in self.phases)

    def phase_of(self, epoch):
        """Return the number of the phase that an epoch (from 0) belongs to."""
        for number, phase in enumerate(self.phases):
            if epoch < phase.epochs:
                return number
            epoch -= phase.epochs
        raise IndexError(f"epoch {epoch} lies beyond the {self.epochs} epochs of the recipe")

    def as_dict(self):
        """Return the recipe as JSON-serializable dict, for ``fold.json``."""
        return dataclasses.asdict(self)
