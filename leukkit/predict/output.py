"""Predictions as text, CSV, JSON, HTML, figures, and in a notebook as a form to choose files."""

import contextlib
import html
import io
import json
import pathlib
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from leukkit import NOT_FOR_CLINICAL_USE, explain
from leukkit.datasets import decode
from leukkit.files import printable, replace_when_done
from leukkit.metrics import conformal
from leukkit.predict.model import AT_ONCE, SEEN, Predictor, look, looks, predict, with_checks
from leukkit.predict.patients import rounded

MOST_ROWS = 60  # of a table in the terminal
MOST_BYTES = 50 * 2**20  # of one uploaded file
WIDEST = 640  # pixels of the figure in a form
CELL = "text-align: left; vertical-align: top; padding: 3px 14px 3px 0"  # where no style sheet is


def describe(predictor: Predictor, level: float = 0.9) -> list[str]:
    """Return lines of text that say what the model is, and what its answers are worth.

    ``level`` as in `predict`.
    """
    record, recipe = predictor.record, predictor.recipe
    lines = [
        f"model: {recipe.network} ({record.weights[:60]}), {recipe.image_size} pixels, "
        f"trained on {record.dataset} to tell {', '.join(predictor.classes)} apart",
        f"run: {record.paper}, {record.run}; split {record.split}{_leak(predictor)}",
    ]
    if record.temperature is None:
        lines.append(f"not calibrated: {record.not_calibrated}")
    else:
        lines.append(
            f"calibrated: temperature {record.temperature:.2f}, from "
            f"{record.validation_images} validation images of {record.subjects} {record.counted}"
        )
    lines.append(_promise(predictor, level))
    if predictor.reference is None:
        lines.append(f"no warning for strange images: {record.no_threshold}")
    else:
        share = max(1 - record.quantile, 1 / (record.subjects + 1))
        lines.append(
            f"an image is called out of distribution beyond a distance of "
            f"{record.threshold:.1f}; at most about {share:.1%} of the images of further "
            f"{record.counted} like the {record.subjects} of validation lie beyond it"
        )
    return [printable(line) for line in lines]


def as_text(frame: pd.DataFrame) -> str:
    """Return predictions as a table for the terminal, warnings and errors below it.

    Of many rows the first and the last are shown.
    """
    shown = done = frame[frame["error"].isna()]
    if len(done) > MOST_ROWS:
        shown = pd.concat([done.head(MOST_ROWS // 2), done.tail(MOST_ROWS // 2)])
    parts = []
    if len(shown):
        parts.append(_readable(shown).map(printable).to_string(index=False))
    if len(shown) < len(done):
        parts.append(f"({len(done) - len(shown)} rows in the middle are left out)")
    for kind in ("warning", "error"):
        told = frame[frame[kind].fillna(SEEN) != SEEN]  # how many were seen stands below
        for image, text in zip(told["image"], _without_path(told, kind), strict=True):
            parts.append(f"{kind}: {printable(image)}: {printable(text)}")
    if seen := frame["seen"].sum():
        parts.append(
            f"{seen} of {len(frame)} images were in the model's training or validation part; their "
            "answers say nothing about new images"
        )
    return "\n".join(parts)


def as_html(frame: pd.DataFrame) -> str:
    """Return predictions as an HTML table; whatever stands in an image's name is escaped."""
    table = _readable(frame)
    for kind in ("warning", "error"):
        if frame[kind].notna().any():
            table[kind] = _without_path(frame, kind)
    shown = table.to_html(index=False, escape=True, border=0)
    for tag in ("th", "td"):
        shown = shown.replace(f"<{tag}>", f'<{tag} style="{CELL}">')
    return f"{shown}<p><i>{html.escape(NOT_FOR_CLINICAL_USE)}</i></p>"


def write(frame: pd.DataFrame, predictor: Predictor, path: pathlib.Path | str) -> None:
    """Write predictions to a ``.csv``, or a ``.json`` that also says what the model is."""
    path = pathlib.Path(path)
    check_output(path)
    if path.suffix.lower() == ".csv":
        # Or a spreadsheet computes what a file or a patient is called.
        for name in {"image", "error", "patient"} & {*frame}:
            told = frame[name].str.replace(r"^(?=[-+=@\t\r])", "'", regex=True)
            frame = frame.assign(**{name: told})
        text = frame.to_csv(index=False)
    else:
        record = {
            "note": NOT_FOR_CLINICAL_USE,
            "model": {"folder": str(predictor.folder), **predictor.record.model_dump()},
            "images": json.loads(frame.to_json(orient="records", double_precision=15)),
        }
        text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    with replace_when_done(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_output(path: pathlib.Path | str) -> None:
    """Raise ValueError if `write` cannot write a file of this name."""
    if pathlib.Path(path).suffix.lower() not in (".csv", ".json"):
        raise ValueError(f"{path}: predictions are written as .csv or .json; name the file so")


def draw(predictor: Predictor, frame: pd.DataFrame) -> np.ndarray:
    """Draw images and, under each, where the network looks (`plots.grad_cam_grid`).

    Rows with an error are left out. The titles say which maps fail their checks; without the
    columns of `check_maps` these are made. Returns the Axes; ValueError where no image could be
    read, or the model is a classifier on features.
    """
    done = frame[frame["error"].isna()]
    if not len(done):
        raise ValueError(f"none of the {len(frame)} images could be read: nothing to draw")
    if "map_fails" in done:
        return _grid(done, *look(predictor, list(done["image"])))
    rows, pixels, maps = zip(*looks(predictor, done), strict=True)
    return _grid(pd.concat(rows), np.concatenate(pixels), np.concatenate(maps))


def write_figures(
    predictor: Predictor, frame: pd.DataFrame, folder: pathlib.Path | str
) -> tuple[pd.DataFrame, list[pathlib.Path]]:
    """Check Grad-CAM, and write a PNG for every sixteen images: each, and where the network looks.

    Returns what `check_maps` gives, and the paths of the figures.
    """
    checked: list[pd.DataFrame] = []
    written: list[pathlib.Path] = []
    for rows, pixels, maps in looks(predictor, frame):
        first = 1 + AT_ONCE * len(checked)
        written.append(pathlib.Path(folder, f"grad-cam-{first}-to-{first + len(rows) - 1}.png"))
        checked.append(rows)
        picture = as_png(_grid(rows, pixels, maps))
        with replace_when_done(written[-1]) as path:
            path.write_bytes(picture)
    return with_checks(frame, checked), written


def _grid(rows, pixels, maps):
    from leukkit import plots

    strange = rows.fillna({"out_of_distribution": False})
    return plots.grad_cam_grid(list(pixels), list(maps), [*map(_title, strange.itertuples())])


def as_png(axes: np.ndarray) -> bytes:
    """Return the figure of some Axes as the bytes of a PNG, and close it."""
    import matplotlib.pyplot as plt

    figure, file = axes.flat[0].figure, io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    plt.close(figure)
    return file.getvalue()


def form(predictor: Predictor) -> Any:
    """Return the form: a button to choose files, one to predict, and a place for the answer.

    As the last value of a cell the ``ipywidgets.VBox`` is shown. Nothing that is chosen is kept.
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
            place.children = _answer(predictor, files.value)
        except (ValueError, OSError) as error:  # nobody sees what a callback raises
            place.children = [ipywidgets.HTML(html.escape(str(error)))]

    button.on_click(respond)
    return ipywidgets.VBox([ipywidgets.HBox([files, button]), place])


def _answer(predictor: Predictor, uploads: Any) -> list[Any]:
    """Return a table of answers and, for a network, where it looks in the first images."""
    import ipywidgets

    if isinstance(uploads, dict):  # of ipywidgets 7: by name
        uploads = [{"name": name, **upload} for name, upload in uploads.items()]
    if not uploads:
        return [ipywidgets.HTML("Choose one or more image files first.")]
    with saved(uploads) as paths:
        frame = predict(predictor, paths)
        shown = [ipywidgets.HTML(as_html(named(frame)))]
        readable = frame[frame["error"].isna()].head(AT_ONCE)
        if predictor.network is not None and len(readable):
            picture = as_png(draw(predictor, readable))
            layout = {"max_width": f"{WIDEST}px", "align_self": "flex-start"}  # never stretched
            shown.append(ipywidgets.Image(value=picture, format="png", layout=layout))
    return shown


@contextlib.contextmanager
def saved(uploads: Sequence[dict[str, Any]]) -> Iterator[list[pathlib.Path]]:
    """Write uploads (``name, content``) into a folder for the time of the block; yield the paths.

    Of a name only its last part is used, and two files of one name do not overwrite each other:
    each lies in a numbered folder. ValueError: one has no name, or more than ``MOST_BYTES``.
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


def _promise(predictor, level):
    """Return what the sets of classes promise, and on what that rests."""
    record, place = predictor.record, conformal.place(level)
    if not record.limits:
        return f"no sets of classes: {record.no_sets}"
    of, limit = f"{record.subjects} validation {record.counted}", record.limits[place]
    if limit is None:
        return (
            f"sets of classes: with {of} no set smaller than all classes can be promised at "
            f"{level:.0%}; that takes {conformal.fewest(level)}"
        )
    fitted = "" if predictor.network is not None else ", by a classifier fitted without them"
    return (
        f"sets of classes: hold the true one for {level:.0%} of the images of new "
        f"{record.counted}, on average over these; each class of a probability of {1 - limit:.3f} "
        f"or more is in the set (from {of}{fitted})"
    )


def _readable(frame):
    """Return the columns that people look at, rounded."""
    table = frame[["image", "predicted"]].fillna("")
    for name in frame.filter(regex="^prob_"):
        table[name.removeprefix("prob_")] = rounded(frame[name])
    if frame["set"].notna().any():
        table["set"] = frame["set"]
    if frame["distance"].notna().any():
        table["distance"] = rounded(frame["distance"], 1)
        table["of threshold"] = rounded(frame["distance"] / frame["threshold"], 2)
        table["out of distribution"] = frame["out_of_distribution"].map({True: "yes", False: ""})
    if "map_fails" in frame:
        fails = "fails: " + frame["map_fails"]
        table["Grad-CAM"] = fails.mask(frame["map_passes"].fillna(False), "passes")
        table["heat / area of nucleus"] = rounded(frame["map_nucleus_ratio"], 1)
    return table.astype("object").fillna("")


def _without_path(frame, kind):
    """Return warnings or errors without the path, which stands beside them."""
    texts = zip(frame["image"], frame[kind].fillna(""), strict=True)
    return [text.removeprefix(f"{image}: ") for image, text in texts]


def _title(row):
    name = pathlib.PurePath(row.image).name
    short = name if len(name) <= 22 else f"{name[:10]}…{name[-11:]}"
    said = f"{row.predicted}, {row.confidence:.0%}"
    if row.out_of_distribution:
        said = "OUT OF DISTRIBUTION"
    title = f"{printable(short)}\n{said}".replace("$", r"\$")  # or Matplotlib sees mathematics
    return title + explain.caption(row.map_fails)


def _leak(predictor):
    """Return what leaked in the fold's own test."""
    leakage = predictor.record.leakage
    if not leakage.get("subject"):
        return ""
    return (
        f", in whose test {leakage['subject']:.0%} of the images are of subjects also in "
        "training: its scores, and the temperature, promise too much for other subjects"
    )
