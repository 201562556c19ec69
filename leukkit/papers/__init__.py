"""The paper cards: what each paper states, leaves open and printed, one TOML file per paper.

A card is data. It is checked in full whenever it is read, because every comparison in the kit
rests on it: a table row with one value too few would shift every number after it.

How a printed number is written down:

* ``[[tables]]`` holds one entry per printed table. The keys that say which run a cell belongs to
  come from three places: ``where`` (the whole table), ``keys`` of the row, and the column. They
  must not overlap; only ``unit`` may be given again, and the column wins over the row, the row
  over the table.
* ``printed`` is a string, exactly as printed, without a percent sign; ``""`` is an empty cell.
  Anything that is not a number needs ``unit = "text"``.
* ``[[claims]]`` holds the numbers of the running text, and ``[[matrices]]`` the confusion matrices.

``[profiles.paper]`` holds what the paper says about its runs, once; every other profile overrides
it (see `leukkit.papers.profiles`).
"""

import functools
import pathlib
import re
import tomllib
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Self

import pandas as pd
import pydantic
from pandas.api.types import is_object_dtype
from pydantic import Field

from leukkit.files import read_text
from leukkit.papers.profiles import Profile, Run, resolve
from leukkit.schemas import Model, Recipe, SchemaError, check

__all__ = ["KEYS", "Card", "CardError", "load", "read"]

KEYS = ("patel2025", "mishra", "farag2025", "samhitha", "sultana")

# unit -> what a value is multiplied by to be in percent
PERCENT = {"percent": 1, "percent of row": 1, "fraction": 100}
TAKEN_FOR = "taken for "  # and a class: the quantity of a count of a confusion matrix

_FOLDER = pathlib.Path(__file__).parent
_NUMBER = re.compile(r"[-+]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?(e[-+]?\d+)?")
_RESERVED = {"paper", "table", "row", "column", "printed", "value", "where", "quote", "note"}

CardError = SchemaError


class Bibliography(Model):
    """Where a paper was published."""

    title: str
    authors: list[str] = []
    journal: str = ""
    year: int | None = None
    volume: str = ""
    number: str = ""
    pages: str = ""
    doi: str = ""
    url: str = ""
    note: str = ""


class Statement(Model):
    """A number that a paper states about a data set."""

    quantity: str
    value: Any
    where: str
    label: str = ""
    part: str = ""
    unit: str = ""
    note: str = ""


class Dataset(Model):
    """What a paper states about a data set."""

    title: str = ""
    stated: list[Statement]
    note: str = ""


class Step(Model):
    """A step of the protocol, in the paper's words."""

    step: str
    says: str
    where: str
    note: str = ""


class Choice(Model):
    """What a paper leaves open: what is done here, and why."""

    value: Any
    reason: str


class Deviation(Model):
    """What a paper states, in its words, and the kit does otherwise: what instead, and why."""

    says: str
    where: str
    instead: str
    reason: str


class Row(Model):
    """A row of a printed table."""

    keys: dict[str, Any]
    printed: list[Any]


class Table(Model):
    """A printed table; the module says how a cell gets its keys."""

    name: str
    title: str
    unit: str = ""
    quantity: str = ""
    where: dict[str, Any] = {}
    columns: list[dict[str, Any]]
    rows: list[Row]
    note: str = ""

    def cells(self) -> Iterator[dict[str, Any]]:
        """Yield the cells that are not empty, each with its keys."""
        seen = []
        for i, row in enumerate(self.rows):
            place = f"[[tables]] {self.name}, row {i + 1}"
            if len(row.printed) != len(self.columns):
                raise CardError(
                    f"{place} {row.keys}: {len(row.printed)} printed values, "
                    f"but the table has {len(self.columns)} columns"
                )
            for j, (column, printed) in enumerate(zip(self.columns, row.printed, strict=True)):
                place = f"[[tables]] {self.name}, row {i + 1}, column {j + 1}"
                given = [*self.where, *row.keys, *column]
                if twice := sorted({name for name in given if given.count(name) > 1} - {"unit"}):
                    raise CardError(f"{place}: {', '.join(twice)} given more than once")
                general = {"quantity": self.quantity, "unit": self.unit, **self.where}
                keys = general | row.keys | column
                if not (unit := keys.pop("unit")):
                    raise CardError(f"{place}: no unit given")
                number = _number(keys, unit, printed, place)
                if keys in seen:
                    raise CardError(f"{place}: an earlier cell has the same keys: {keys}")
                seen.append(keys)
                if printed != "":
                    yield {"table": self.name, "row": i, "column": j} | number


class Matrix(Model):
    """A printed confusion matrix."""

    name: str
    title: str = ""
    where: dict[str, Any]
    classes: list[str]
    orientation: Literal["rows are actual", "rows are predicted", "not stated"]
    printed: list[list[int]]
    note: str = ""

    @pydantic.model_validator(mode="after")
    def _square(self) -> Self:
        side = len(self.classes)
        if [len(row) for row in self.printed] != [side] * side:
            raise ValueError(f"{self.name}: {side} classes need {side} rows of {side} numbers")
        return self

    def cells(self) -> Iterator[dict[str, Any]]:
        """Yield the counts, each with its keys and its share of the images of the actual class."""
        is_turned = self.orientation == "rows are predicted"
        rows = zip(*self.printed, strict=True) if is_turned else self.printed
        for i, (label, row) in enumerate(zip(self.classes, rows, strict=True)):
            for j, (predicted, count) in enumerate(zip(self.classes, row, strict=True)):
                place = {"table": self.name, "row": j if is_turned else i}
                place["column"] = i if is_turned else j
                yield (
                    place
                    | self.where
                    | {
                        "label": label,
                        "quantity": f"{TAKEN_FOR}{predicted}",
                        "unit": "percent of row",
                        "printed": f"{count} of {sum(row)}",
                        "value": 100 * count / sum(row),
                    }
                )


class Claim(Model):
    """A number of the running text, abstract or a caption."""

    where: str
    keys: dict[str, Any]
    unit: str
    printed: Any
    quote: str
    note: str = ""

    def columns(self) -> dict[str, Any]:
        """Return the claim as a row of a frame."""
        texts = {"where": self.where, "quote": self.quote}
        if self.note:
            texts["note"] = self.note
        place = f"[[claims]] {self.printed} in {self.where}"
        return texts | _number(self.keys, self.unit, self.printed, place)


class Card(Model):
    """One paper: its protocol as stated, the choices it leaves open, and what it printed.

    The audit needs no more than tables, matrices and claims; a paper that is run has all of it.

    Attributes:
        key: The paper's short name.
        paper: Bibliographic data.
        summary: One sentence.
        run_keys: The keys of a printed cell that together name a run.
        datasets: Data set name -> what the paper states about it.
        protocol: The stated steps in the order of the paper: ``step``, ``says``, ``where``.
        choices: What the paper leaves open -> ``value`` and ``reason``.
        deviations: What it states and is not done -> ``says, where, instead, reason``.
        profiles: ``paper``, and what the built-in others say in its place.
        tables: The printed tables as written in the file; ``cells`` gives them as one frame.
        matrices: The printed confusion matrices.
        stated: The claims as written in the file; ``claims`` gives them as a frame.
    """

    key: str
    paper: Bibliography
    summary: str = ""
    run_keys: list[str] = []
    datasets: dict[str, Dataset] = {}
    protocol: list[Step] = []
    choices: dict[str, Choice] = {}
    deviations: dict[str, Deviation] = {}
    profiles: dict[str, dict[str, Any]] = {}
    tables: list[Table] = []
    matrices: list[Matrix] = []
    stated: list[Claim] = Field([], alias="claims")

    _cells: pd.DataFrame
    _claims: pd.DataFrame
    _resolved: dict[str, Profile] = {}

    @pydantic.model_validator(mode="after")
    def _read_numbers(self) -> Self:
        self._cells = _frame(self.key, (cell for table in self.tables for cell in table.cells()))
        self._claims = _frame(self.key, (claim.columns() for claim in self.stated))
        return self

    def cells(self) -> pd.DataFrame:
        """Return the printed tables as one frame, one row per cell that is not empty.

        Returns:
            A frame with ``paper``, ``table``, ``row``, ``column`` (positions from 0), ``quantity``,
            ``unit``, ``printed`` (as in the paper), ``value`` (float, in ``unit``; NaN for text)
            and one column per key, NA where a table does not use it.
        """
        return self._cells.copy()

    @property
    def claims(self) -> pd.DataFrame:
        """The numbers of running text, abstract and captions, one row each.

        Columns as in ``cells``, with ``where``, ``quote`` (and ``note``, where a claim has one) for
        ``table``, ``row`` and ``column``.
        """
        return self._claims

    @functools.cached_property
    def results(self) -> pd.DataFrame:
        """Every number printed of a run: ``cells``, then what figures and prose alone print.

        Returns:
            A frame as ``cells`` gives. Added are the claims whose number no cell repeats under the
            same keys (``table`` is where the claim stands, ``row`` its position), and the counts of
            the matrices: ``label`` is the actual class (rows, where the paper does not say),
            ``quantity`` is ``taken for <class>``, ``value`` the share of the row in percent.
        """
        claims = self._claims.rename(columns={"where": "table"})
        claims = claims.assign(row=range(len(claims)), column=0)
        alone = claims[[not self._repeats(claim) for claim in claims.to_dict("records")]]
        counts = _frame(self.key, (cell for matrix in self.matrices for cell in matrix.cells()))
        return pd.concat([self._cells, alone, counts], ignore_index=True)

    def _repeats(self, claim: dict[str, Any]) -> bool:
        """Tell whether a cell prints the number of a claim, whose keys may leave some out."""
        cells = self._cells
        value = claim["value"] * PERCENT.get(claim["unit"], 1)
        values = cells["value"] * cells["unit"].map(PERCENT).astype(float).fillna(1)
        same = (values - value).abs() < 1e-9
        for name in set(cells) - _RESERVED - {"unit"}:
            if pd.notna(claim.get(name, pd.NA)):
                same &= (cells[name] == claim[name]).fillna(False).astype(bool)
        return bool(same.any())

    def profile(self, name: str) -> Profile:
        """Return the numbers of a profile.

        Args:
            name: ``"sample"``, ``"paper"``, or the path of a TOML file (`leukkit.papers.profiles`).

        Raises:
            CardError: There is no such profile, or it breaks the rules; names file and key.
        """
        if name in self._resolved:
            return self._resolved[name]
        profile = resolve(self.key, self.profiles, name, self._runs_of_the_tables())
        if name in self.profiles:  # a file may change
            self._resolved[name] = profile
        return profile

    def recipe(self, name: str, profile: str) -> Recipe:
        """Return the recipe of the run ``name`` under a profile."""
        return self.profile(profile).recipe_of(name)

    def split(self, name: str, profile: str, run: str | None = None) -> dict[str, Any]:
        """Return the table of the split ``name`` under a profile, for `leukkit.splits.divide`.

        Args:
            name: Such as ``"published"`` or ``"leak-free"``.
            profile: As in `profile`.
            run: Name of a run, where the copies of images differ between runs.
        """
        return self.profile(profile).split(name, run)

    def plan(self, profile: str, split: str | None = None) -> list[Run]:
        """List the runs of a profile, under one split or all."""
        return self.profile(profile).plan(split)

    def choices_table(self) -> pd.DataFrame:
        """Return what the paper leaves open: ``value`` and ``reason``, one row per choice."""
        rows = {name: (choice.value, choice.reason) for name, choice in self.choices.items()}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "reason"])

    def deviations_table(self) -> pd.DataFrame:
        """Return what is stated and not done: ``says, where, instead, reason``, a row each."""
        rows = [deviation.model_dump() for deviation in self.deviations.values()]
        return pd.DataFrame(rows, index=list(self.deviations), columns=list(Deviation.model_fields))

    def protocol_table(self) -> pd.DataFrame:
        """Return the protocol as stated: ``where``, ``step``, ``says``, in the paper's order."""
        rows = [(step.where, step.step, step.says) for step in self.protocol]
        return pd.DataFrame(rows, columns=["where", "step", "says"])

    def _runs_of_the_tables(self) -> dict[str, dict[str, Any]]:
        """Return a run for each combination of keys in the tables, if they name all of the keys.

        The other papers' tables leave something out (a variant, say): their profiles list the runs.
        """
        if "classifier" not in self.run_keys:
            return {}
        keys = [key for key in self.run_keys if key != "variant"]  # which no printed cell has
        named = self._cells[keys].dropna().drop_duplicates().astype(object)
        words = {"segmentation": "segmented", "augmentation": "augmented"}
        return {
            "_".join(words.get(key, str(value)) for key, value in row.items() if value): row
            for row in named.to_dict("records")
        }


@functools.cache
def load(key: str) -> Card:
    """Return the card of the paper ``key`` (one of ``KEYS``).

    Raises:
        CardError: If there is no such card, or if its file breaks the rules.
    """
    if key not in KEYS:
        raise CardError(f"there is no paper {key!r}; the papers are {', '.join(KEYS)}")
    return read(_FOLDER / f"{key}.toml")


def read(path: pathlib.Path | str) -> Card:
    """Read and check a card file, whose name must be the card's key, if it gives one.

    Raises:
        CardError: If the file is not TOML or breaks the rules of a card; says where.
    """
    path, text = pathlib.Path(path), read_text(path)
    try:
        card = check(Card, {"key": path.stem, **tomllib.loads(text)})
        if card.key != path.stem:
            raise CardError(f"key is {card.key!r}, but the file is named after {path.stem!r}")
        for name in sorted(card.profiles, key=lambda name: name != "paper"):
            card.profile(name)
        return card
    except (tomllib.TOMLDecodeError, CardError) as error:
        raise CardError(f"{path.name}: {error}") from None


def _number(keys: dict[str, Any], unit: str, printed: Any, place: str) -> dict[str, Any]:
    """Return the columns of a printed number, after checking them."""
    if not keys.get("quantity"):
        raise CardError(f"{place}: no quantity given")
    for name, value in keys.items():
        if name in _RESERVED or not isinstance(value, str | bool | int):
            raise CardError(f"{place}: {name} = {value!r} cannot be a key of a printed number")
    if not isinstance(printed, str):
        raise CardError(f"{place}: printed must be a string as in the paper, found {printed!r}")
    if printed == "" or unit == "text":
        value = float("nan")
    elif _NUMBER.fullmatch(printed):
        value = float(printed.replace(",", ""))
    else:
        raise CardError(f'{place}: {printed!r} is not a number; words need unit = "text"')
    first = {"quantity": keys["quantity"], "unit": unit, "printed": printed, "value": value}
    return first | keys


def _frame(paper: str, rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame([{"paper": paper} | row for row in rows])
    if frame.empty:
        columns = ["paper", "where", "quote", "quantity", "unit", "printed", "value"]
        return pd.DataFrame(columns=columns, dtype="string").astype({"value": "float64"})
    frame = frame.convert_dtypes().astype({"value": "float64"})
    if mixed := [str(name) for name, dtype in frame.dtypes.items() if is_object_dtype(dtype)]:
        raise CardError(f"values of more than one type under the key {', '.join(mixed)}")
    return frame
