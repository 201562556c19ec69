"""The networks of the papers by name, and what each is made of."""

from leukkit.models.backbones import BACKBONES

# What differs from "the backbone of the same name with global averages and one dense layer".
SPECIAL = {
    "vgg19": ("vgg19", "vgg19"),
    "vgg16-cnn": ("vgg16", "convolutions"),
    "efficientnetb0-attention": ("efficientnetb0", "attention"),
}
DEX = ("densenet121", "efficientnetb7", "xception")  # sultana, the ensemble's three members
NAMES = (
    "vgg19",
    "resnet18",
    "shufflenet",
    "googlenet",
    "vgg16-cnn",
    "densenet121",
    "densenet169",
    "densenet201",
    "resnet50",
    "mobilenetv2",
    "mobilenet-0.25",
    "efficientnetb0",
    "efficientnetb0-attention",
    "efficientnetb7",
    "inceptionv3",
    "xception",
    "seresnet152",
    "dex",
)


def has_imagenet(name):
    """Return whether ImageNet weights of the network called ``name`` are published."""
    return all(BACKBONES[backbone].url for backbone in backbones_of(name))


def smallest_image(name):
    """Return the smallest side of the images, in pixels, that the network called ``name`` takes."""
    return max(BACKBONES[backbone].smallest_image for backbone in backbones_of(name))


def parts(name):
    """Return the backbone and the kind of head of the network called ``name``."""
    return SPECIAL.get(name, (name, "pooled"))


def backbones_of(name):
    """Return the names of the one or more backbones of the network called ``name``."""
    if name not in NAMES:
        raise ValueError(f"unknown network {name!r}; choose one of: {', '.join(NAMES)}")
    return DEX if name == "dex" else (parts(name)[0],)
