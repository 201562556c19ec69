"""Is an image unlike those a model was trained on? Mahalanobis distance of its embedding.

The embedding is what a network makes of an image before its head decides: the mean of its last
feature map.

Lee et al. 2018, "A simple unified framework for detecting out-of-distribution samples and
adversarial attacks", section 2.1: the distance of an image's embedding to the nearest class mean,
under one covariance for all classes. There are often fewer images than features, so the covariance
is shrunk: Ledoit & Wolf 2004, "A well-conditioned estimator for large-dimensional covariance
matrices". The threshold is a quantile of the distances of validation images, each subject counting
once (`leukkit.metrics.conformal`). Sun et al. 2022,
"Out-of-distribution detection with deep nearest neighbors", is the other simple choice; on features
of C-NMC cells it missed more of the images that were made strange.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from leukkit.metrics import conformal

# One in twenty images of a new subject is called unlike: the operating point at which the
# literature compares detectors (Lee et al. 2018 and Sun et al. 2022 at 95% true positives).
QUANTILE = 0.95
MOST_IMAGES = 2000  # bounds size and time; a covariance gains little from more
EMBEDDED_AT_ONCE = 32  # images


class Reference(NamedTuple):
    """What is kept of the training embeddings.

    Attributes:
        means: float32 (classes, features), the mean of each class.
        directions: float32 (directions, features), orthonormal: those the training images vary in.
        variances: float64 (directions,), the shrunk variance along each, above 0.
        rest: The shrunk variance in all other directions, above 0.
    """

    means: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    rest: float


def with_embeddings(network: Any) -> Any:
    """Return a network that gives the embedding beside the class probabilities, in one pass.

    Args:
        network: A network of `leukkit.models.build`: a layer "features" and a nested model "head";
            or one with such networks nested in it, the mean of whose probabilities is its output.

    Returns:
        A ``keras.Model`` from the network's images to float32 embeddings (n, features), the global
        average of the feature map (of each member, one after the other), and its probabilities
        (n, classes). ValueError as `members`.
    """
    import keras

    image = keras.Input(network.input_shape[1:], name="image")
    vectors, answers = [], []
    for member in members(network):
        to_features = keras.Model(member.input, member.get_layer("features").output)
        features = to_features(image)
        vectors.append(keras.layers.GlobalAveragePooling2D(dtype="float32")(features))
        answers.append(member.get_layer("head")(features))
    if len(vectors) > 1:
        vectors = [keras.layers.Concatenate(dtype="float32")(vectors)]
        answers = [keras.layers.Average(dtype="float32")(answers)]
    return keras.Model(image, [*vectors, *answers])


def members(network: Any) -> list:
    """Return the network itself in a list, or the networks nested in it if it is an ensemble.

    ValueError where neither has layers "features" and "head".
    """
    import keras

    def has_features(one):
        return {"features", "head"} <= {layer.name for layer in one.layers}

    if has_features(network):
        return [network]
    nested = [one for one in network.layers if isinstance(one, keras.Model) and has_features(one)]
    if not nested:
        raise ValueError(
            f"model {network.name!r} has no layers 'features' and 'head', nor nested models that "
            "have; expected a network of leukkit.models.build"
        )
    return nested


def embed(network: Any, inputs: Any, positions: ArrayLike) -> np.ndarray:
    """Return the embeddings of the images at some positions, float32 (positions, features).

    ``inputs`` are uint8 images (n, side, side, 3), or float32 feature maps (n, height, width,
    channels) of the frozen backbone; then the network is not used.
    """
    positions = np.asarray(positions)
    starts = range(0, len(positions), EMBEDDED_AT_ONCE)
    chosen = [inputs[positions[start : start + EMBEDDED_AT_ONCE]] for start in starts]
    if inputs.dtype != np.uint8:
        return np.concatenate([np.asarray(maps).mean(axis=(1, 2)) for maps in chosen])
    from keras import ops

    # One by one, not compiled: few images, and compiling a deep network takes longer.
    model = with_embeddings(network)
    vectors = [model(images.astype(np.float32), training=False)[0] for images in chosen]
    return np.concatenate([ops.convert_to_numpy(one) for one in vectors])


def some_of(positions: ArrayLike, seed: int) -> np.ndarray:
    """Return all positions, or `MOST_IMAGES` of them chosen by the seed, in ascending order."""
    positions = np.asarray(positions)
    if len(positions) > MOST_IMAGES:
        positions = np.random.default_rng(seed).choice(positions, MOST_IMAGES, replace=False)
    return np.sort(positions)


def fit(embeddings: ArrayLike, labels: ArrayLike) -> Reference:
    """Fit class means and the shrunk covariance.

    The covariance is taken apart into its directions, so that neither it nor its inverse is made:
    with n images of d features it has at most min(n, d) directions that are not ``rest``. The
    embeddings are (n, features), of training images.

    Raises:
        ValueError: Not as many labels as embeddings, values that are not finite, or embeddings
            that are alike within each class (a network that gives the same for every image).
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    embeddings = np.asarray(embeddings, np.float64)
    _, codes = np.unique(np.asarray(labels), return_inverse=True)
    if embeddings.ndim != 2 or len(embeddings) != len(codes):
        raise ValueError(
            f"embeddings of shape {embeddings.shape} for {len(codes)} labels; expected one row each"
        )
    if not np.isfinite(embeddings).all():
        raise ValueError("the embeddings of training images hold values that are not finite")
    means = np.stack([embeddings[codes == code].mean(axis=0) for code in np.unique(codes)])
    centered = embeddings - means[codes]
    variance = np.square(centered).mean()  # of the average feature
    if variance < 1e-12 * max(1.0, np.square(means).max()):
        raise ValueError("the embeddings of the training images do not differ within a class")
    shrinkage = ledoit_wolf_shrinkage(centered, assume_centered=True)
    _, singular, directions = np.linalg.svd(centered, full_matrices=False)
    own = np.square(singular) / len(centered)
    present = own > 1e-10 * own[0]
    shrunk = (1 - shrinkage) * own[present] + shrinkage * variance
    # Without shrinkage nothing is known of the other directions: the smallest known variance.
    rest = float(shrinkage * variance or shrunk.min())
    return Reference(means.astype(np.float32), directions[present].astype(np.float32), shrunk, rest)


def distances(reference: Reference, embeddings: ArrayLike) -> np.ndarray:
    """Return the Mahalanobis distance, float64 (n,), of each embedding to the nearest class mean.

    ValueError if the embeddings (n, features) have other features than the reference.
    """
    embeddings = np.asarray(embeddings, np.float64)
    features = reference.means.shape[1]
    if embeddings.ndim != 2 or embeddings.shape[1] != features:
        raise ValueError(
            f"embeddings have shape {embeddings.shape}, those of training have {features} features"
        )
    directions = reference.directions.astype(np.float64)
    squares = np.empty((len(reference.means), len(embeddings)))
    for code, mean in enumerate(reference.means.astype(np.float64)):
        centered = embeddings - mean
        along = np.square(centered @ directions.T)
        squares[code] = (along / reference.variances).sum(axis=1)
        if len(directions) < features:
            beyond = np.square(centered).sum(axis=1) - along.sum(axis=1)
            squares[code] += np.maximum(beyond, 0) / reference.rest
    return np.sqrt(squares.min(axis=0))


def threshold(validation_distances: ArrayLike, subjects: ArrayLike) -> float:
    """Return the distance above which an image is called unlike the training images.

    The smallest distance that at least a share `QUANTILE` of the images of *further* subjects stay
    below, on average: `conformal.quantile`. Of fewer than 19 subjects the largest; then at most
    about one in K + 1 images of further subjects lies above it. ValueError where there are no
    distances, or some that are not finite.
    """
    found = np.asarray(validation_distances, np.float64)
    if not len(found) or not np.isfinite(found).all():
        raise ValueError(
            f"{np.sum(~np.isfinite(found))} of {len(found)} validation images are at no finite "
            "distance: expected finite distances, at least one"
        )
    return min(conformal.quantile(found, subjects, QUANTILE), float(found.max()))
