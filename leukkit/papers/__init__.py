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
from typing import Any

import pandas as pd
from pandas.api.types import is_object_dtype

from leukkit.papers import profiles
from leukkit.schemas import (
    Bibliography,
    Choice,
    Claim,
    Dataset,
    Matrix,
    Model,
    Profile,
    Recipe,
    Run,
    SchemaError,
    Step,
    Table,
    check,
)

__all__ = ["KEYS", "Card", "CardError", "load", "read"]

KEYS = ("patel2025", "mishra", "farag2025", "samhitha", "sultana")

_FOLDER = pathlib.Path(__file__).parent
_NUMBER = re.compile(r"[-+]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?(e[-+]?\d+)?")
_RESERVED = {"paper", "table", "row", "column", "printed", "value", "where", "quote", "note"}

CardError = SchemaError


class Content(Model):
    """The content of a card's file."""

    key: str
    paper: Bibliography
    summary: str
    run_keys: list[str]
    datasets: dict[str, Dataset]
    protocol: list[Step]
    choices: dict[str, Choice]
    profiles: dict[str, dict[str, Any]]
    tables: list[Table]
    matrices: list[Matrix] = []
    claims: list[Claim]


class Card:
    """One paper: its protocol as stated, the choices it leaves open, and what it printed.

    Attributes:
        key: The paper's short name.
        paper: Bibliographic data.
        summary: One sentence.
        run_keys: The keys of a printed cell that together name a run.
        datasets: Data set name -> what the paper states about it.
        protocol: The stated steps in the order of the paper: ``step``, ``says``, ``where``.
        choices: What the paper leaves open -> ``value`` and ``reason``.
        profiles: ``paper``, and what the built-in others say in its place.
        tables: The printed tables as written in the file; ``cells`` gives them as one frame.
        matrices: The printed confusion matrices.
        claims: One row per number in running text, abstract or caption: ``paper``, ``where``,
            ``quote``, ``quantity``, ``unit``, ``printed``, ``value`` and one column per key
            (and ``note``, where a claim has one).
    """

    def __init__(self, content: Content) -> None:
        self.key = content.key
        self.paper = content.paper
        self.summary = content.summary
        self.run_keys = content.run_keys
        self.datasets = content.datasets
        self.protocol = content.protocol
        self.choices = content.choices
        self.profiles = content.profiles
        self.tables = content.tables
        self.matrices = content.matrices
        self.claims = _frame([_claim(content.key, claim) for claim in content.claims])
        self._cells = _frame([cell for table in self.tables for cell in _cells(self.key, table)])

    def cells(self) -> pd.DataFrame:
        """Return the printed tables as one frame, one row per cell that is not empty.

        Returns:
            A frame with ``paper``, ``table``, ``row``, ``column`` (positions from 0), ``quantity``,
            ``unit``, ``printed`` (as in the paper), ``value`` (float, in ``unit``; NaN for text)
            and one column per key, NA where a table does not use it.
        """
        return self._cells.copy()

    def profile(self, name: str) -> Profile:
        """Return the numbers of a profile.

        Args:
            name: ``"sample"``, ``"paper"``, or the path of a TOML file (`leukkit.papers.profiles`).

        Raises:
            CardError: There is no such profile, or it breaks the rules; names file and key.
        """
        return profiles.resolve(self.key, self.profiles, name, self._runs_of_the_tables())

    def recipe(self, name: str, profile: str) -> Recipe:
        """Return the recipe of the run ``name`` under a profile."""
        return profiles.recipe(self.profile(profile), name)

    def split(self, name: str, profile: str, run: str | None = None) -> dict[str, Any]:
        """Return the table of the split ``name`` under a profile, for `leukkit.splits.divide`.

        Args:
            name: Such as ``"published"`` or ``"leak-free"``.
            profile: As in `profile`.
            run: Name of a run, where the copies of images differ between runs.
        """
        return profiles.split(self.profile(profile), name, run)

    def plan(self, profile: str, split: str | None = None) -> list[Run]:
        """List the runs of a profile, under one split or all."""
        return profiles.plan(self.profile(profile), split)

    def choices_table(self) -> pd.DataFrame:
        """Return what the paper leaves open: ``value`` and ``reason``, one row per choice."""
        rows = {name: (choice.value, choice.reason) for name, choice in self.choices.items()}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "reason"])

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
        cells = self._cells
        named = cells.loc[cells[self.run_keys].notna().all(axis=1), self.run_keys]
        values = named.drop_duplicates().astype(object).itertuples(index=False, name=None)
        rows = [dict(zip(self.run_keys, row, strict=True)) for row in values]
        return {profiles.run_name(row): row for row in rows}


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
    """Read and check a card file, whose name must be the card's key.

    Raises:
        CardError: If the file is not TOML or breaks the rules of a card; says where.
    """
    path = pathlib.Path(path)
    try:
        content = check(Content, tomllib.loads(path.read_text(encoding="utf-8")), "the file")
        if content.key != path.stem:
            raise CardError(f"key is {content.key!r}, but the file is named after {path.stem!r}")
        card = Card(content)
        for name in sorted(content.profiles, key=lambda name: name != "paper"):
            card.profile(name)
        return card
    except (tomllib.TOMLDecodeError, CardError) as error:
        raise CardError(f"{path.name}: {error}") from None


def _cells(paper: str, table: Table) -> list[dict[str, Any]]:
    cells, seen = [], set()
    for i, row in enumerate(table.rows):
        place = f"[[tables]] {table.name}, row {i + 1}"
        if len(row.printed) != len(table.columns):
            raise CardError(
                f"{place} {row.keys}: {len(row.printed)} printed values, "
                f"but the table has {len(table.columns)} columns"
            )
        for j, (column, printed) in enumerate(zip(table.columns, row.printed, strict=True)):
            keys = _merge_keys(table, row.keys, column, f"{place}, column {j + 1}")
            unit = keys.pop("unit")
            number = _number(keys, unit, printed, f"{place}, column {j + 1}")
            if (run := frozenset(keys.items())) in seen:
                raise CardError(
                    f"{place}, column {j + 1}: an earlier cell has the same keys: {keys}"
                )
            seen.add(run)
            cells.append({"paper": paper, "table": table.name, "row": i, "column": j} | number)
    return [cell for cell in cells if cell["printed"] != ""]


def _merge_keys(table: Table, row: dict, column: dict, place: str) -> dict[str, Any]:
    names = [name for part in (table.where, row, column) for name in part if name != "unit"]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise CardError(f"{place}: {', '.join(twice)} given more than once")
    defaults = {name: value for name in ("quantity", "unit") if (value := getattr(table, name))}
    keys = defaults | table.where | row | column
    if "unit" not in keys:
        raise CardError(f"{place}: no unit given")
    return keys


def _claim(paper: str, claim: Claim) -> dict[str, Any]:
    place = f"[[claims]] {claim.printed} in {claim.where}"
    number = _number(claim.keys, claim.unit, claim.printed, place)
    texts = {"where": claim.where, "quote": claim.quote} | (
        {"note": claim.note} if claim.note else {}
    )
    return {"paper": paper} | texts | number


def _number(keys: dict[str, Any], unit: str, printed: Any, place: str) -> dict[str, Any]:
    if "quantity" not in keys:
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


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    if not rows:
        columns = ["paper", "where", "quote", "quantity", "unit", "printed", "value"]
        return pd.DataFrame(columns=columns, dtype="string").astype({"value": "float64"})
    frame = pd.DataFrame(rows).convert_dtypes().astype({"value": "float64"})
    if mixed := [str(name) for name, dtype in frame.dtypes.items() if is_object_dtype(dtype)]:
        raise CardError(f"values of more than one type under the key {', '.join(mixed)}")
    return frame
