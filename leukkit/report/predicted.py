"""What `leukkit predict` and notebook 08 show: predictions as text, CSV, JSON, HTML and figures."""

import html
import io
import json
import pathlib

import pandas as pd

from leukkit import NOT_FOR_CLINICAL_USE, results
from leukkit import predictor as predictors
from leukkit.files import replace_when_done

AT_ONCE = 16  # images in a figure


def describe(predictor):
    """Return lines of text that say what the model is, and what its answers are worth."""
    facts = predictor.facts
    named = [name if value is True else value for name, value in facts["run"].items()]
    run = ", ".join(str(value) for value in named if value not in ("", None, False))
    lines = [
        f"model: {facts['backbone']} ({facts['weights_id'][:60]}), {facts['image_size']} pixels, "
        f"trained on {facts['dataset']} to tell {', '.join(predictor.classes)} apart",
        f"run: {facts['paper']}, {run}; protocol {facts['protocol']}{_leak(predictor)}",
    ]
    if facts["temperature"] is None:
        lines.append(f"not calibrated: {facts['not_calibrated']}")
    else:
        lines.append(
            f"calibrated: temperature {facts['temperature']:.2f}, from "
            f"{facts['validation_images']} validation images"
        )
    if predictor.reference is None:
        lines.append(f"no warning for strange images: {facts['no_threshold']}")
    else:
        share = max(1 - facts["quantile"], 1 / (facts["validation_images"] + 1))
        lines.append(
            f"an image is called unlike the training images beyond a distance of "
            f"{facts['threshold']:.1f}; about {share:.1%} of images like the "
            f"{facts['validation_images']} validation images lie beyond it"
        )
    return [printable(line) for line in lines]


def as_text(frame, most=60):
    """Return predictions as a table for the terminal, warnings and errors below it.

    Args:
        frame: What `leukkit.predictor.predict` gave.
        most: Rows of the table; of more the first half and the last half are shown.
    """
    done = frame[frame["error"].isna()]
    shown = done if len(done) <= most else pd.concat([done.head(most // 2), done.tail(most // 2)])
    parts = []
    if len(shown):
        parts.append(_readable(shown).map(printable).to_string(index=False))
    if len(shown) < len(done):
        parts.append(f"({len(done) - len(shown)} rows in the middle are left out)")
    for kind in ("warning", "error"):
        for row in frame[frame[kind].notna()].itertuples():
            parts.append(f"{kind}: {printable(row.image)}: {printable(_alone(row, kind))}")
    return "\n".join(parts)


def as_html(frame):
    """Return predictions as an HTML table; whatever stands in an image's name is escaped."""
    table = _readable(frame)
    for kind in ("warning", "error"):
        if frame[kind].notna().any():
            table[kind] = [
                "" if pd.isna(getattr(row, kind)) else _alone(row, kind)
                for row in frame.itertuples()
            ]
    return table.to_html(index=False, escape=True, border=0, justify="left") + (
        f"<p><i>{html.escape(NOT_FOR_CLINICAL_USE)}</i></p>"
    )


def write(frame, predictor, path):
    """Write predictions to a file.

    Args:
        frame: What `leukkit.predictor.predict` gave.
        predictor: The `leukkit.predictor.Predictor`.
        path: A ``.csv``, or a ``.json`` that also says what the model is.

    Raises:
        ValueError: Another kind of file.
    """
    path = pathlib.Path(path)
    check_output(path)
    if path.suffix.lower() == ".csv":
        text = frame.to_csv(index=False)
    else:
        record = {
            "note": NOT_FOR_CLINICAL_USE,
            "model": {"folder": str(predictor.folder), **predictor.facts},
            "images": json.loads(frame.to_json(orient="records", double_precision=15)),
        }
        text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    with replace_when_done(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_output(path):
    """Raise ValueError if `write` cannot write a file of this name."""
    if pathlib.Path(path).suffix.lower() not in (".csv", ".json"):
        raise ValueError(f"{path}: predictions are written as .csv or .json; name the file so")


def draw(predictor, frame):
    """Draw images and, under each, where the network looks (`plots.grad_cam_grid`).

    Args:
        predictor: A `leukkit.predictor.Predictor` of a network.
        frame: What `leukkit.predictor.predict` gave; rows with an error are left out.

    Returns:
        The Axes.

    Raises:
        ValueError: No image could be read, or the model is a classifier on features.
    """
    from leukkit import plots

    done = frame[frame["error"].isna()]
    if not len(done):
        raise ValueError(f"none of the {len(frame)} images could be read: nothing to draw")
    pixels, maps = predictors.look(predictor, list(done["image"]))
    unlike = done["unlike_training"].fillna(False).to_numpy(bool)
    titles = [_title(*row) for row in zip(done.itertuples(), unlike, strict=True)]
    return plots.grad_cam_grid(pixels, maps, titles)


def write_figures(predictor, frame, folder):
    """Write a PNG for every sixteen images: each image, and where the network looks.

    Returns:
        The paths of the figures.
    """
    done = frame[frame["error"].isna()]
    folder, written = pathlib.Path(folder), []
    for start in range(0, len(done), AT_ONCE):
        part = done.iloc[start : start + AT_ONCE]
        written.append(folder / f"grad-cam-{start + 1}-to-{start + len(part)}.png")
        picture = as_png(draw(predictor, part))
        with replace_when_done(written[-1]) as path:
            path.write_bytes(picture)
    return written


def as_png(axes):
    """Return the figure of some Axes as the bytes of a PNG, and close it."""
    import matplotlib.pyplot as plt

    figure, file = axes.flat[0].figure, io.BytesIO()
    figure.savefig(file, format="png", dpi=120)
    plt.close(figure)
    return file.getvalue()


def printable(text):
    """Return text in which no character can move the cursor or color the terminal."""
    return "".join(
        sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in str(text)
    )


def _readable(frame):
    """Return the columns that a subject looks at, rounded."""
    table = frame[["image", "predicted"]].fillna("")
    for name in frame:
        if name.startswith("prob_"):
            table[name.removeprefix("prob_")] = frame[name].map("{:.3f}".format, na_action="ignore")
    if frame["distance"].notna().any():
        table["distance"] = frame["distance"].map("{:.1f}".format, na_action="ignore")
        table["of threshold"] = (frame["distance"] / frame["threshold"]).map(
            "{:.2f}".format, na_action="ignore"
        )
        table["unlike training"] = frame["unlike_training"].map({True: "UNLIKE", False: ""})
    return table.astype("object").fillna("")


def _alone(row, kind):
    """Return a row's warning or error without the path, which stands beside it."""
    return getattr(row, kind).removeprefix(f"{row.image}: ")


def _title(row, unlike):
    name = pathlib.PurePath(row.image).name
    short = name if len(name) <= 22 else f"{name[:10]}…{name[-11:]}"
    said = "UNLIKE TRAINING" if unlike else f"{row.predicted}, {row.confidence:.0%}"
    return f"{printable(short)}\n{said}".replace("$", r"\$")  # or Matplotlib sees mathematics


def _leak(predictor):
    """Return what leaked in the fold's own test, where the fold says so."""
    if not (predictor.folder / "fold.json").is_file():
        return ""
    leakage = results.read_record(predictor.folder)["leakage"] or {}
    if not leakage.get("subject"):
        return ""
    return (
        f", in whose test {leakage['subject']:.0%} of the images are of subjects also in "
        "training: its scores, and the temperature, promise too much for other subjects"
    )
