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
"""

import dataclasses
import pathlib
import re
import tomllib

import pandas as pd
from pandas.api.types import is_object_dtype

KEYS = ("patel2025", "mishra", "farag2025", "samhitha", "sultana")

_FOLDER = pathlib.Path(__file__).parent
_NUMBER = re.compile(r"[-+]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?(e[-+]?\d+)?")
_RESERVED = {"paper", "table", "row", "column", "printed", "value", "where", "quote", "note"}
_ORIENTATIONS = ("rows are actual", "rows are predicted", "not stated")

# section -> its fields: name:type (str where none is given), optional ones with a question mark
_FIELDS = {
    "card": "key paper:dict summary datasets:dict protocol:list choices:dict profiles:dict "
    "tables:list matrices:list? claims:list",
    "paper": "title authors:list journal? year:int? volume? number? pages? doi? url? note?",
    "dataset": "title? stated:list note?",
    "statement": "quantity value:object where label? part? unit? note?",
    "protocol": "step says where note?",
    "choice": "value:object reason",
    "table": "name title unit? quantity? where:dict? columns:list rows:list note?",
    "row": "keys:dict printed:list",
    "matrix": "name title? where:dict classes:list orientation printed:list note?",
    "claim": "where keys:dict unit printed quote note?",
}
_TYPES = {"": str, "dict": dict, "list": list, "int": int, "object": object}


class CardError(ValueError):
    """A card that breaks the rules, or a card or profile that does not exist."""


@dataclasses.dataclass(frozen=True)
class Card:
    """One paper: its protocol as stated, the choices it leaves open, and what it printed.

    Attributes:
        key: The paper's short name.
        paper: Bibliographic data.
        summary: One sentence.
        datasets: Data set name -> what the paper states about it.
        protocol: The stated steps in the order of the paper: ``step``, ``says``, ``where``.
        choices: What the paper leaves open -> ``value`` and ``reason``.
        profiles: ``sample`` and ``paper``: the numbers that differ between a quick and a full run.
        tables: The printed tables as written in the file; ``cells`` gives them as one frame.
        matrices: The printed confusion matrices.
        claims: One row per number in running text, abstract or caption: ``paper``, ``where``,
            ``quote``, ``quantity``, ``unit``, ``printed``, ``value`` and one column per key
            (and ``note``, where a claim has one).
    """

    key: str
    paper: dict
    summary: str
    datasets: dict
    protocol: list
    choices: dict
    profiles: dict
    tables: list
    matrices: list
    claims: pd.DataFrame

    def cells(self):
        """Return the printed tables as one frame, one row per cell that is not empty.

        Returns:
            A frame with ``paper``, ``table``, ``row``, ``column`` (positions from 0), ``quantity``,
            ``unit``, ``printed`` (as in the paper), ``value`` (float, in ``unit``; NaN for text)
            and one column per key, NA where a table does not use it.
        """
        return _frame([cell for table in self.tables for cell in _cells(self.key, table)])

    def profile(self, name):
        """Return the numbers of the profile ``name`` (``sample`` or ``paper``)."""
        if name not in self.profiles:
            raise CardError(
                f"{self.key} has no profile {name!r}; it has {', '.join(self.profiles)}"
            )
        return self.profiles[name]


def load(key):
    """Return the card of the paper ``key`` (one of ``KEYS``).

    Raises:
        CardError: If there is no such card, or if its file breaks the rules.
    """
    if key not in KEYS:
        raise CardError(f"there is no paper {key!r}; the papers are {', '.join(KEYS)}")
    return read(_FOLDER / f"{key}.toml")


def read(path):
    """Read and check a card file, whose name must be the card's key.

    Raises:
        CardError: If the file is not TOML or breaks the rules of a card; says where.
    """
    path = pathlib.Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        _check(content, path.stem)
        claims = _frame([_claim(content["key"], claim) for claim in content["claims"]])
        card = Card(**{"matrices": [], **content, "claims": claims})
        card.cells()
        return card
    except (tomllib.TOMLDecodeError, CardError) as error:
        raise CardError(f"{path.name}: {error}") from None


def _check(content, stem):
    _check_fields("card", content, "the file")
    if content["key"] != stem:
        raise CardError(f"key is {content['key']!r}, but the file is named after {stem!r}")
    _check_fields("paper", content["paper"], "[paper]")
    for name, dataset in content["datasets"].items():
        _check_fields("dataset", dataset, f"[datasets.{name}]")
        for number, statement in enumerate(dataset["stated"], start=1):
            _check_fields("statement", statement, f"[datasets.{name}], statement {number}")
    for number, step in enumerate(content["protocol"], start=1):
        _check_fields("protocol", step, f"[[protocol]] {number}")
    for name, choice in content["choices"].items():
        _check_fields("choice", choice, f"[choices.{name}]")
    for name in ("sample", "paper"):
        if name not in content["profiles"]:
            raise CardError(f"[profiles.{name}] is missing")
    _check_same_keys(content["profiles"]["sample"], content["profiles"]["paper"], "profiles")
    for number, matrix in enumerate(content.get("matrices", []), start=1):
        _check_matrix(matrix, f"[[matrices]] {number} ({matrix.get('name', 'no name')})")


def _check_fields(section, entry, place):
    if not isinstance(entry, dict):
        raise CardError(f"{place}: expected a table of fields, found {entry!r}")
    fields = {field.partition(":")[0].rstrip("?"): field for field in _FIELDS[section].split()}
    required = [name for name, field in fields.items() if not field.endswith("?")]
    if missing := [name for name in required if name not in entry]:
        raise CardError(f"{place}: missing field {', '.join(missing)}")
    for name, value in entry.items():
        if name not in fields:
            raise CardError(f"{place}: unknown field {name}; known are {', '.join(fields)}")
        kind = _TYPES[fields[name].partition(":")[2].rstrip("?")]
        if not isinstance(value, kind):
            raise CardError(f"{place}: {name} must be a {kind.__name__}, found {value!r}")


def _check_same_keys(sample, paper, place):
    if different := sorted(set(sample) ^ set(paper)):
        raise CardError(
            f"[{place}]: sample and paper must have the same keys; only in one: {different}"
        )
    for name in sample:
        if isinstance(sample[name], dict) and isinstance(paper[name], dict):
            _check_same_keys(sample[name], paper[name], f"{place}.{name}")


def _check_matrix(matrix, place):
    _check_fields("matrix", matrix, place)
    if matrix["orientation"] not in _ORIENTATIONS:
        raise CardError(f"{place}: orientation must be one of {_ORIENTATIONS}")
    side = len(matrix["classes"])
    if [len(row) for row in matrix["printed"]] != [side] * side:
        raise CardError(f"{place}: {side} classes need {side} rows of {side} numbers")
    if any(type(count) is not int for row in matrix["printed"] for count in row):
        raise CardError(f"{place}: every count must be a whole number")


def _cells(paper, table):
    place = f"[[tables]] {table.get('name', 'without a name')}"
    _check_fields("table", table, place)
    cells, seen = [], set()
    for i, row in enumerate(table["rows"]):
        _check_fields("row", row, f"{place}, row {i + 1}")
        if len(row["printed"]) != len(table["columns"]):
            raise CardError(
                f"{place}, row {i + 1} {row['keys']}: {len(row['printed'])} printed values, "
                f"but the table has {len(table['columns'])} columns"
            )
        for j, (column, printed) in enumerate(zip(table["columns"], row["printed"], strict=True)):
            cell_place = f"{place}, row {i + 1}, column {j + 1}"
            keys = _merge_keys(table, row["keys"], column, cell_place)
            number = _number(keys, keys.pop("unit"), printed, cell_place)
            if (run := frozenset(keys.items())) in seen:
                raise CardError(f"{cell_place}: an earlier cell has the same keys: {keys}")
            seen.add(run)
            position = {"paper": paper, "table": table["name"], "row": i, "column": j}
            cells.append(position | number)
    return [cell for cell in cells if cell["printed"] != ""]


def _merge_keys(table, row, column, place):
    where = table.get("where", {})
    names = [name for part in (where, row, column) for name in part if name != "unit"]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise CardError(f"{place}: {', '.join(twice)} given more than once")
    defaults = {name: table[name] for name in ("quantity", "unit") if name in table}
    keys = defaults | where | row | column
    if "unit" not in keys:
        raise CardError(f"{place}: no unit given")
    return keys


def _claim(paper, claim):
    place = f"[[claims]] {claim.get('printed', '?')} in {claim.get('where', '?')}"
    _check_fields("claim", claim, place)
    number = _number(claim["keys"], claim["unit"], claim["printed"], place)
    texts = {name: claim[name] for name in ("where", "quote", "note") if name in claim}
    return {"paper": paper} | texts | number


def _number(keys, unit, printed, place):
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


def _frame(rows):
    frame = pd.DataFrame(rows).convert_dtypes().astype({"value": "float64"})
    if mixed := [name for name, dtype in frame.dtypes.items() if is_object_dtype(dtype)]:
        raise CardError(f"values of more than one type under the key {', '.join(mixed)}")
    return frame
