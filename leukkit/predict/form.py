"""A form in a notebook: choose image files of your own, and see what a saved model says of them."""

import contextlib
import html
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from leukkit.datasets import decode
from leukkit.predict import output
from leukkit.predict.model import Predictor, predict

MOST_BYTES = 50 * 2**20  # of one file
WIDEST = 640  # pixels of the figure on the page


def form(predictor: Predictor) -> Any:
    """Return the form: a button to choose files, one to predict, and a place for the answer.

    Args:
        predictor: A `Predictor`.

    Returns:
        An ``ipywidgets.VBox``; as the last value of a cell it is shown. Nothing that is chosen is
        kept.
    """
    import ipywidgets

    files = ipywidgets.FileUpload(
        accept=",".join(decode.SUFFIXES),
        multiple=True,
        description="Choose images",
        layout={"width": "max-content"},
    )
    button = ipywidgets.Button(description="Predict", button_style="primary")
    place = ipywidgets.VBox()

    def respond(_):
        place.children = [ipywidgets.HTML("working …")]
        try:
            place.children = answer(predictor, files.value)
        except (ValueError, OSError) as error:  # nobody sees what a callback raises
            place.children = [ipywidgets.HTML(html.escape(str(error)))]

    button.on_click(respond)
    return ipywidgets.VBox([ipywidgets.HBox([files, button]), place])


def answer(predictor: Predictor, uploads: Sequence[dict[str, Any]]) -> list[Any]:
    """Return widgets that show what a model says of uploaded files.

    Args:
        predictor: A `Predictor`.
        uploads: As `saved`.

    Returns:
        List of widgets: a table and, for a network, a figure of where it looks in the first images.
    """
    import ipywidgets

    if not uploads:
        return [ipywidgets.HTML("Choose one or more image files first.")]
    with saved(uploads) as paths:
        frame = predict(predictor, paths)
        shown = [ipywidgets.HTML(output.as_html(named(frame)))]
        readable = frame[frame["error"].isna()].head(output.AT_ONCE)
        if predictor.network is not None and len(readable):
            picture = output.as_png(output.draw(predictor, readable))
            layout = {"max_width": f"{WIDEST}px"}
            shown.append(ipywidgets.Image(value=picture, format="png", layout=layout))
    return shown


@contextlib.contextmanager
def saved(uploads: Sequence[dict[str, Any]]) -> Iterator[list[pathlib.Path]]:
    """Write uploaded files into a folder of their own, for the time of the block.

    Args:
        uploads: The value of an ``ipywidgets.FileUpload`` (8.x): dicts with ``name`` and
            ``content`` (bytes or a memoryview).

    Yields:
        The paths, in order. Of a name only its last part is used, and two files of one name do not
        overwrite each other: each lies in a numbered folder.

    Raises:
        ValueError: A file has no name, or more than ``MOST_BYTES``.
    """
    with tempfile.TemporaryDirectory(prefix="leukkit-upload-") as folder:
        paths = []
        for number, upload in enumerate(uploads):
            name = pathlib.PurePosixPath(str(upload["name"]).replace("\\", "/")).name
            if not name.strip(".\0") or "\0" in name:
                raise ValueError(f"the upload {upload['name']!r} has no usable file name")
            content = bytes(upload["content"])
            if len(content) > MOST_BYTES:
                raise ValueError(
                    f"{name} has {len(content) / 2**20:.0f} MB; at most {MOST_BYTES // 2**20} MB"
                )
            path = pathlib.Path(folder, str(number), name)
            path.parent.mkdir()
            path.write_bytes(content)
            paths.append(path)
        yield paths


def named(frame: pd.DataFrame) -> pd.DataFrame:
    """Return predictions with the files' names in place of the paths of the passing folder."""
    names = {path: pathlib.PurePath(path).name for path in frame["image"]}
    errors = [
        text if pd.isna(text) else text.replace(path, names[path])
        for text, path in zip(frame["error"], frame["image"], strict=True)
    ]
    image = frame["image"].map(names).astype("string")
    return frame.assign(image=image, error=pd.array(errors, dtype="string"))
