"""From pixels to what a kept model says of them: embeddings and probabilities.

The two kinds of model, a network and a classifier on the features of one, give the same.
"""

import zipfile

import numpy as np

from leukkit import classifiers, embeddings, features, kept_models, models, profiles
from leukkit.kept_models import classifier_files
from leukkit.kept_models.classifier_files import ModelFileError


def load_network(path, facts):
    """Return the ``keras.Model`` of a file, without running code from it.

    Args:
        path: The file, ``model.keras``.
        facts: The fields of its ``predictor.json``.

    Raises:
        ModelFileError: The file is damaged, holds code (a Lambda layer, say), or another network.
    """
    if not zipfile.is_zipfile(path):  # Keras would go by the content, and read older formats
        raise ModelFileError(f"{path} is no .keras file (a zip archive): it is damaged")
    try:
        network = models.load(path)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        raise ModelFileError(
            f"{path} cannot be loaded in Keras' safe mode, which runs no code from the file: "
            f"{error}"
        ) from error
    side, classes = facts["image_size"], len(facts["classes"])
    expected = ((None, side, side, 3), (None, classes))
    if (network.input_shape, network.output_shape) != expected:
        raise ModelFileError(
            f"{path} goes from {network.input_shape} to {network.output_shape}; its "
            f"{kept_models.RECORD} says {side} pixels and {classes} classes"
        )
    return network


def of_network(network):
    """Return the function from uint8 images to embeddings and probabilities of a network."""
    model = embeddings.with_embeddings(network)

    def answer(pixels):
        from keras import ops

        outputs = model(pixels.astype(np.float32), training=False)
        vectors, probabilities = (ops.convert_to_numpy(values) for values in outputs)
        probabilities = probabilities.astype(np.float64)
        return vectors, probabilities / probabilities.sum(axis=1, keepdims=True)

    return answer


def of_classifier(path, facts):
    """Return the function from uint8 images to features and scores of a classifier on features.

    Args:
        path: The classifier's file, ``model.skops``.
        facts: The fields of its ``predictor.json``.

    Raises:
        ModelFileError: The file cannot be trusted, or the network's weights are other ones.
        FileNotFoundError: The weights of the network are missing.
    """
    classifier = classifier_files.load(path)
    name, weights = facts["backbone"], profiles.find_weights(facts["weights"])
    try:
        found = models.weights_id(name, weights, facts["seed"])
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"the model needs the weights of {name} that it was made with, {facts['weights']}: "
            f"{error}. Put the file there, or set the environment variable in its path"
        ) from error
    if found != facts["weights_id"]:
        raise ModelFileError(
            f"the weights {facts['weights']} of {name} are other ones than the model was made with "
            f"({found[:20]} in place of {facts['weights_id'][:20]}); get the right file"
        )
    backbone = models.build_backbone(name, facts["image_size"], weights, facts["seed"])

    def answer(pixels):
        from keras import ops

        inputs = features.network_input(pixels, name, facts["normalization"])
        vectors = ops.convert_to_numpy(backbone(inputs, training=False))
        return vectors, classifiers.class_scores(classifier, vectors, facts["classes"])

    return answer
