"""What is found in a data set and its parts: leaks, shortcuts, unequal parts, damage."""

import itertools
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import PIL.Image
from scipy.stats import chi2_contingency
from scipy.stats.contingency import association

from leukkit import datasets
from leukkit.check import shortcuts
from leukkit.datasets import near_duplicates as near
from leukkit.files import read_table

Level = Literal["error", "warning", "note"]


class Code(NamedTuple):
    """A kind of finding: an error is a leak, or what makes scores wrong.

    ``kind`` is that in the frame of `datasets.check` whose rows such a finding takes.
    """

    level: Level
    title: str
    kind: str = ""


CODES = {
    "LK001": Code("error", "a patient in two parts"),
    "LK002": Code("error", "a subject under two patient ids, in two parts"),
    "LK003": Code("error", "a source image in two parts"),
    "LK004": Code("error", "the same pixels in two parts"),
    "LK005": Code("error", "copies of one image, by their names, in two parts"),
    "LK006": Code("error", "nearly the same picture in two parts"),
    "LK007": Code("note", "it is not known who the images are of"),
    "LK008": Code("note", "no parts to compare"),
    "LK009": Code("error", "so many pictures alike that pairs cannot be listed"),
    "LK101": Code("warning", "the class can be told without looking at the cell"),
    "LK102": Code("warning", "the class can be told from the kind of file"),
    "LK201": Code("warning", "the parts hold the classes in other shares"),
    "LK202": Code("error", "a part lacks a class"),
    "LK301": Code("error", "an image that cannot be read", "damaged"),
    "LK302": Code("warning", "the same pixels twice", "duplicate"),
    "LK303": Code("error", "the same pixels under two classes", "label-conflict"),
    "LK304": Code("note", "patients who count as one subject", "subject-merge"),
    "LK305": Code("warning", "another number of images than published", "count"),
    "LK306": Code("note", "a file that does not belong to the data set", "unexpected-file"),
    "LK307": Code("note", "images of another size than published", "size"),
    "LK308": Code("note", "a patient with images of two classes"),
    "LK309": Code("note", "nearly the same picture twice, not in two parts"),
}
ORDER = ("training", "validation", "test")
PAIR = ("image_id", "like", "value")
IMAGES = 2000  # that the shortcuts are looked for in, at most: whole subjects, chosen at random
TOLD = 0.6  # AUC from which a shortcut is worth a warning, if its interval excludes chance
SHARES = 0.1  # by which the share of a class may differ between parts
# What programs append to the name of a copy: cell_aug3, cell (2), cell-copy, cell_rot90_flip.
COPY = re.compile(
    r"(?:[ _.-]*(?:\(\d+\)|(?:copy|aug|augmented|rot|rotated|rotate|flip|flipped|hflip|vflip|mirror"
    r"|mirrored|shift|zoom|noise|blur|bright|dark|crop|duplicate)[ _.-]?\d*))+$",
    re.I,
)


class Finding(NamedTuple):
    """One finding.

    Attributes:
        code: Of `CODES`.
        message: A sentence with its counts.
        pairs: Frame with ``image_id``, ``like`` (the image in the other part) and ``value`` (what
            they share); ``like`` and ``value`` are missing where a finding is about single images;
            without rows where it is about none.
    """

    code: str
    message: str
    pairs: pd.DataFrame = pd.DataFrame(columns=PAIR)

    @property
    def level(self) -> Level:
        """``"error"``, ``"warning"`` or ``"note"``."""
        return CODES[self.code].level


def parts(cells: pd.DataFrame, manifest: str | os.PathLike | None = None) -> pd.Series:
    """Return the part that each image belongs to, as text; missing where none is stated.

    Args:
        cells: The cells frame.
        manifest: A CSV file with ``image_id`` (or ``file``) and ``fold`` or ``split``, as
            `leukkit.splits.manifest` makes it; None for the columns ``split`` and ``fold``.

    Raises:
        ValueError: The file lacks a column, names an image twice, or none that is there.
    """
    if manifest is not None:
        return _stated(cells, pathlib.Path(manifest).expanduser())
    if len(cells["split"].dropna().unique()) > 1:
        return cells["split"]
    return ("fold " + cells["fold"].astype("string")).astype(cells["split"].dtype)


def run(
    cells: pd.DataFrame, part: pd.Series | None = None, seed: int = 0
) -> tuple[list[Finding], pd.DataFrame]:
    """Look for everything in `CODES`.

    Args:
        cells: From `leukkit.datasets.load`, with ``damaged="keep"`` to hear of damage.
        part: From `parts`; None for that without a manifest.
        seed: Of what is chosen at random for the shortcuts, and of their folds.

    Returns:
        The findings, in the order of the codes, and the frame of the pairs that are nearly alike
        (`leukkit.datasets.near_duplicates.find`), those in two parts first, for a figure.
    """
    part = parts(cells) if part is None else part
    found: list[Finding] = []
    try:
        pairs = near.find(cells)
    except near.TooMuchAlikeError as error:
        pairs = near.find(cells.head(0))
        found.append(Finding("LK009", str(error)))
    one, two = _ends(cells, part, pairs["image_id"], pairs["image_id_first"])
    in_two = one.ne(two).fillna(False).to_numpy(bool)
    across, within = pairs[in_two], pairs[~in_two]
    found += [
        *_leaks(cells, part),
        *_near("LK006", "in two parts", across, dict(zip(cells["image_id"], part, strict=True))),
        *_near("LK309", "not in two parts", within),
        *_unknown(cells, part),
        *_shortcuts(cells, seed),
        *_shares(cells, part),
        *_problems(cells),
    ]
    found.sort(key=lambda finding: finding.code)
    return found, pd.concat([across, within], ignore_index=True)


def _stated(cells: pd.DataFrame, path: pathlib.Path) -> pd.Series:
    table = read_table(path, [])
    names = [name for name in ("image_id", "file") if name in table]
    said = [name for name in ("split", "fold") if name in table]
    if not (names and said):
        raise ValueError(
            f"{path}: expected the columns image_id (or file) and fold (or split); found were "
            f"{', '.join(table)}"
        )
    listed = table.set_index(names[0])[said[0]]
    if listed.index.has_duplicates:
        twice = listed.index[listed.index.duplicated()][0]
        raise ValueError(f"{path}: {twice} has more than one row. Keep one")
    if not cells["image_id"].isin(listed.index).any():
        raise ValueError(
            f"{path}: none of its {len(listed)} images is here, e.g. {listed.index[0]}; the images "
            f"here are called like {cells['image_id'].iloc[0]}"
        )
    listed = listed.replace("", pd.NA)
    listed = ("fold " + listed) if said[0] == "fold" else listed
    return cells["image_id"].map(listed).astype(cells["image_id"].dtype)


def _place(part: Any) -> tuple:
    """Return the place of a part: training, validation, test, then others by name."""
    return (ORDER.index(part) if part in ORDER else len(ORDER), str(part))


def _leaks(cells: pd.DataFrame, part: pd.Series) -> Iterator[Finding]:
    names = cells["image_id"].map(_without_copy)
    of_one_id = cells.groupby("subject")["patient"].transform("nunique") <= 1
    columns = {
        "LK001": ("patient", cells["patient"]),
        "LK002": ("subject", cells["subject"].where(~of_one_id.fillna(True))),
        "LK003": ("source image", cells["source_image"]),
        "LK004": ("pixels", cells["sha256"]),
        "LK005": ("name", names.where(names.duplicated(keep=False))),
    }
    for code, (word, values) in columns.items():
        frame = pd.DataFrame({"image_id": cells["image_id"], "part": part, "value": values})
        for earlier, later, shared in _shared(frame.dropna()):
            if code == "LK002":  # what a patient's own id gives away is told under LK001
                one, two = _ends(cells, cells["patient"], shared["image_id"], shared["like"])
                shared = shared[~one.eq(two).fillna(False).to_numpy(bool)]
            if shared.empty:
                continue
            count, different = shared["image_id"].nunique(), shared["value"].nunique()
            total = int((part == later).sum())
            some = ", ".join(map(str, shared["value"].drop_duplicates().head(3)))
            what = "" if code == "LK004" else f": {some}{', …' if different > 3 else ''}"
            yield Finding(
                code,
                f"{count} of {total} images in {later} share their {word} with images in {earlier} "
                f"({different} in all{what})",
                shared.reset_index(drop=True),
            )


def _shared(frame: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield each two parts and the images of the later whose value the earlier has, too."""
    of_part = dict(iter(frame.groupby("part")))
    for earlier, later in itertools.combinations(sorted(of_part, key=_place), 2):
        first = of_part[earlier].drop_duplicates("value").set_index("value")["image_id"]
        rows = of_part[later]
        rows = rows[rows["value"].isin(first.index)]
        yield earlier, later, rows.assign(like=rows["value"].map(first))[[*PAIR]]


def _ends(cells: pd.DataFrame, values: pd.Series, *ends: pd.Series) -> list[pd.Series]:
    """Return the values, which go with the cells, of the images at each end of some pairs."""
    of = values.set_axis(cells["image_id"])
    return [end.map(of) for end in ends]


def _without_copy(image_id: str) -> str:
    """Return the name without its ending, and without what marks a copy."""
    path = pathlib.PurePosixPath(image_id)
    return COPY.sub("", path.with_suffix("").name) or path.name


def _near(
    code: str, where: str, pairs: pd.DataFrame, part_of: dict | None = None
) -> Iterator[Finding]:
    if pairs.empty:
        return
    told = pairs.rename(columns={"image_id_first": "like"})
    told["value"] = [near.describe(pair) for pair in pairs.to_dict("records")]
    if part_of:  # the later part first, as in all findings
        ends = told[["image_id", "like"]].to_numpy(object)
        later_first = [sorted(two, key=lambda name: _place(part_of[name]))[::-1] for two in ends]
        told[["image_id", "like"]] = later_first
    of_whom = "; ".join(
        f"{row.pairs} of {row.Index}" + f": {row.patients}" * bool(row.patients)
        for row in near.count(pairs).itertuples()
        if row.pairs
    )
    best = told.iloc[0]
    yield Finding(
        code,
        f"{len(told)} pairs of images {where} are nearly the same picture ({of_whom}), e.g. "
        f"{best['image_id']} and {best['like']}: {best['value']}",
        told[[*PAIR]],
    )


def _unknown(cells: pd.DataFrame, part: pd.Series) -> Iterator[Finding]:
    missing = cells[cells["subject"].isna()]
    if len(missing):
        yield Finding(
            "LK007",
            f"{len(missing)} of {len(cells)} images name no patient: cells of one person may lie "
            "in two parts, and nothing here can show it",
            pd.DataFrame({"image_id": [*missing["image_id"]], "like": pd.NA, "value": pd.NA}),
        )
    if part.nunique() < 2:
        yield Finding(
            "LK008",
            "the images are not divided into parts, so no leak can be looked for: use folders "
            "train, val, test, a column split or fold, or a manifest",
        )


def _shortcuts(cells: pd.DataFrame, seed: int) -> Iterator[Finding]:
    readable = cells[cells["sha256"].notna() & cells["label"].notna()]
    chosen = _some(readable, seed)
    chosen.attrs = cells.attrs
    try:
        scored = shortcuts.check(chosen, folds=3, seed=seed, missing="image", brief=True)
    except ValueError as error:
        yield Finding("LK101", f"shortcuts were not looked for: {error}")
        return
    told = [
        f"the {row['shortcut']} ({row['sees']}) {row['auc']:.2f} [{row['auc low']:.2f}, "
        f"{row['auc high']:.2f}]"
        for row in scored.to_dict("records")
        if row["auc low"] > 0.5 and row["auc"] >= TOLD
    ]
    if told:
        yield Finding(
            "LK101",
            f"AUC of a random forest that sees one thing only, on {len(chosen)} images, by "
            f"{scored['groups'].iloc[0]} {scored['groups_are'].iloc[0]}: {'; '.join(told)}",
        )
    kinds = [_kind(path) for path in chosen["path"]]
    table = pd.crosstab(pd.Series(kinds), chosen["label"].astype(object).reset_index(drop=True))
    if len(table) > 1 and association(table) >= 0.3 and chi2_contingency(table).pvalue < 0.001:
        most = ", ".join(
            f"{label}: {table[label].idxmax()} ({table[label].max() / table[label].sum():.0%})"
            for label in table
        )
        yield Finding("LK102", f"files of the classes differ in kind: {most}")


def _some(cells: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return whole subjects, chosen at random, with `IMAGES` images or somewhat less."""
    if len(cells) <= IMAGES:
        return cells.reset_index(drop=True)
    who = cells["subject"].fillna(cells["sha256"]).astype(object)
    order = np.random.default_rng(seed).permutation(pd.unique(who))
    sizes = who.value_counts()[order].cumsum()
    return cells[who.isin(sizes.index[sizes <= IMAGES])].reset_index(drop=True)


def _kind(path: str) -> str:
    """Return what a file's header says beside its pixels."""
    with PIL.Image.open(path) as image:
        extras = sorted(set(map(str, image.info)) - {"jfif", "jfif_version", "jfif_unit"})
        made = image.getexif().get(PIL.ExifTags.Base.Software) or image.info.get("software") or ""
        size = f"{image.width}x{image.height}"
        return " ".join(filter(None, (str(image.format), size, str(made)[:30], *extras)))


def _shares(cells: pd.DataFrame, part: pd.Series) -> Iterator[Finding]:
    labeled = cells["label"].notna() & part.notna()
    counts = pd.crosstab(part[labeled].astype(object), cells["label"][labeled].astype(object))
    if len(counts) < 2:
        return
    for name, row in counts.iterrows():
        if lacking := [label for label in cells.attrs["classes"] if not row.get(label, 0)]:
            told = f"{name} holds no image of {', '.join(lacking)}: no score can be had from it"
            yield Finding("LK202", told)
    shares = counts.div(counts.sum(axis=1), axis=0)
    spread = shares.max() - shares.min()
    if spread.max() > SHARES:
        label = spread.idxmax()
        told = ", ".join(f"{name} {share:.0%}" for name, share in shares[label].items())
        yield Finding("LK201", f"share of {label}: {told}")


def _problems(cells: pd.DataFrame) -> Iterator[Finding]:
    code_of = {code.kind: name for name, code in CODES.items()}
    for kind, rows in datasets.check(cells).groupby("kind", sort=False):
        first = rows["detail"].iloc[0]
        others = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
        told = pd.DataFrame({"image_id": rows["image_id"], "like": pd.NA, "value": rows["detail"]})
        yield Finding(code_of[str(kind)], f"{len(rows)}: {first}{others}", told)
    by_patient = cells.dropna(subset=["patient", "label"]).groupby("patient")["label"].nunique()
    if len(mixed := by_patient[by_patient > 1]):
        some = ", ".join(map(str, mixed.index[:3]))
        more = ", …" if len(mixed) > 3 else ""
        yield Finding("LK308", f"{len(mixed)} patients have images of two classes: {some}{more}")
