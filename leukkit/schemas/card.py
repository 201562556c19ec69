"""The parts of a paper card: what a paper states, leaves open and printed."""

from typing import Any, Literal, Self

import pydantic

from leukkit.schemas.base import Model


class Bibliography(Model):
    """Where a paper was published."""

    title: str
    authors: list[str]
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


class Row(Model):
    """A row of a printed table."""

    keys: dict[str, Any]
    printed: list[Any]


class Table(Model):
    """A printed table; see `leukkit.papers` for how a cell gets its keys."""

    name: str
    title: str
    unit: str = ""
    quantity: str = ""
    where: dict[str, Any] = {}
    columns: list[dict[str, Any]]
    rows: list[Row]
    note: str = ""


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


class Claim(Model):
    """A number of the running text, abstract or a caption."""

    where: str
    keys: dict[str, Any]
    unit: str
    printed: Any
    quote: str
    note: str = ""
