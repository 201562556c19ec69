"""A network for other programs: exported by Keras, and asked again for the same answers."""

import importlib.util
import pathlib

import numpy as np

from leukkit import saved
from leukkit.files import replace_when_done
from leukkit.metrics.calibration import SMALLEST
from leukkit.predict.model import Predictor, answers

LARGEST_DIFFERENCE = 1e-5  # of a probability: float32, and sums in another order
ONNX = ("onnx", "onnxruntime", "tf2onnx")


def export(predictor: Predictor, folder: pathlib.Path | str, form: str = "saved_model") -> float:
    """Export a network: uint8 RGB pixels in, probabilities out, the temperature included.

    Images are to be prepared as in training: ``predictor.json`` beside the export says how, and
    names the classes. The export is read again, and asked about patches of random colors.

    Args:
        predictor: With a network.
        folder: To make.
        form: ``"saved_model"`` (TensorFlow), or ``"onnx"``: ``model.onnx`` in the folder.

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
    colors = np.random.default_rng(0).integers(0, 256, (16, 4, 4, 3), np.uint8)
    images = np.kron(colors, np.ones((1, -(-side // 4), -(-side // 4), 1), np.uint8))
    images = images[:, :side, :side]
    whole(images[:1])  # Keras exports what was called
    with replace_when_done(folder, is_folder=True) as made:
        if form == "onnx":
            import onnxruntime

            for layer in whole._flatten_layers():
                if isinstance(layer, keras.layers.Normalization):  # a tensor would be an input
                    statistics = (layer.mean, layer.variance)
                    layer.mean, layer.variance = map(ops.convert_to_numpy, statistics)
            whole.export(made / "model.onnx", format="onnx", verbose=False)
            session = onnxruntime.InferenceSession(made / "model.onnx")
            again = session.run(None, {session.get_inputs()[0].name: images})[0]
        else:
            import tensorflow as tf

            whole.export(made, format="tf_saved_model", verbose=False)
            loaded = tf.saved_model.load(str(made))  # holds the variables
            again = loaded.serve(images).numpy()
        difference = float(np.abs(again - answers(predictor, images)[0]).max())
        if not difference <= LARGEST_DIFFERENCE:
            raise ValueError(
                f"{folder}: the export answers otherwise than the model, by up to {difference:.1g} "
                f"(at most {LARGEST_DIFFERENCE:g}); nothing was written. Use another format"
            )
        text = predictor.record.model_dump_json(indent=1)
        (made / saved.RECORD).write_text(f"{text}\n", encoding="utf-8")
    return difference
