"""A network for other programs: exported by Keras, and asked again for the same answers."""

import importlib.util
import pathlib
from typing import Any

import numpy as np

from leukkit import saved
from leukkit.files import replace_when_done
from leukkit.metrics.calibration import SMALLEST
from leukkit.predict.model import Predictor, answers

LARGEST_DIFFERENCE = 1e-5  # of a probability: float32, and other orders of summing
ASKED = 16  # images
ONNX = ("onnx", "onnxruntime", "tf2onnx")


def export(predictor: Predictor, folder: pathlib.Path | str, form: str = "saved_model") -> float:
    """Export a network from uint8 RGB pixels to probabilities, with its temperature.

    The images must be prepared as in training (crop, segmentation, size: ``predictor.json`` beside
    it says how, and the classes). The export is read again and asked about random images.

    Args:
        predictor: With a network.
        folder: To make: a TensorFlow SavedModel, or one with ``model.onnx`` in it.
        form: ``"saved_model"`` or ``"onnx"`` (the extra ``leukkit[onnx]``).

    Returns:
        The largest difference between its probabilities and those of `predict`.

    Raises:
        ValueError: A classifier on features, packages are missing, or the answers differ by more
            than `LARGEST_DIFFERENCE`; then nothing is written.
        FileExistsError: The folder is there already.
    """
    import keras
    from keras import ops

    folder, side = pathlib.Path(folder), predictor.recipe.image_size
    if predictor.network is None:
        raise ValueError(
            f"{predictor.folder} is {predictor.recipe.classifier} on features, which Keras cannot "
            "export: pack it (leukkit models pack), or export a network"
        )
    missing = [name for name in ONNX if importlib.util.find_spec(name) is None]
    if form == "onnx" and missing:
        raise ValueError(f"ONNX needs {', '.join(missing)}: pip install 'leukkit[onnx]'")
    if folder.exists():
        raise FileExistsError(f"{folder} is there already: give the name of a new folder")
    pixels = keras.Input((side, side, 3), dtype="uint8", name="pixels")
    probabilities = predictor.network(ops.cast(pixels, "float32"), training=False)
    logits = ops.log(ops.maximum(ops.cast(probabilities, "float32"), SMALLEST))
    whole = keras.Model(pixels, ops.softmax(logits / (predictor.record.temperature or 1.0)))
    generator = np.random.default_rng(0)
    colors = generator.integers(0, 256, (ASKED, 4, 4, 3), np.uint8)
    images = colors.repeat(-(-side // 4), axis=1).repeat(-(-side // 4), axis=2)[:, :side, :side]
    with replace_when_done(folder, is_folder=True) as made:
        if form == "onnx":
            whole.export(made / "model.onnx", format="onnx", verbose=False)
        else:
            whole.export(made, format="tf_saved_model", verbose=False)
        again = _ask(made, form, images)
        difference = float(np.abs(again - answers(predictor, images)[0]).max())
        if not difference <= LARGEST_DIFFERENCE:
            raise ValueError(
                f"{folder}: the export answers otherwise than the model, by up to {difference:.1g} "
                f"(at most {LARGEST_DIFFERENCE:g}); nothing was written. Use another format"
            )
        record = predictor.record.model_dump_json(indent=1)
        (made / saved.RECORD).write_text(record + "\n", encoding="utf-8")
    return difference


def _ask(folder: pathlib.Path, form: str, images: np.ndarray) -> Any:
    if form == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(folder / "model.onnx")
        return session.run(None, {session.get_inputs()[0].name: images})[0]
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))  # holds the variables
    return loaded.serve(images).numpy()
