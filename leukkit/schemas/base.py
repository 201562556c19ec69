"""What every schema of the kit shares: strict, frozen records, and one sentence for a mistake."""

import hashlib
import json
import re
from typing import Any, TypeVar

import pydantic


class SchemaError(ValueError):
    """Data that breaks its schema; the message names the place and what was expected."""


class Model(pydantic.BaseModel):
    """A checked, frozen record: no unknown keys, no silent conversions, no infinities."""

    model_config = pydantic.ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, arbitrary_types_allowed=True
    )


Checked = TypeVar("Checked", bound=Model)


def check(schema: type[Checked], content: Any, place: str) -> Checked:
    """Check ``content`` against a schema.

    Args:
        schema: The model.
        content: A dict, as TOML or JSON gives it.
        place: Where it comes from, for the message.

    Raises:
        SchemaError: Names the place, the first field that is wrong, what was found and expected.
    """
    try:
        return schema.model_validate(content)
    except pydantic.ValidationError as error:
        raise SchemaError(f"{place}: {explain(error, schema)}") from None


_ALTERNATIVE = re.compile(r"int|float|str|callable|literal\[.*\]")  # of a field with several types


def explain(error: pydantic.ValidationError, schema: type[Model]) -> str:
    """Return the first problem that pydantic found, in one sentence."""
    first, *others = error.errors(include_url=False)
    place, kind, message = first["loc"], first["type"], first["msg"].removeprefix("Value error, ")
    if len(place) > 1 and _ALTERNATIVE.fullmatch(str(place[-1])):
        place = place[:-1]
        message += "".join(f" or {other['msg']}" for other in others if other["loc"][:-1] == place)
    where = ".".join(str(part) for part in place)
    if kind == "missing":
        return f"missing field {where}"
    if kind == "extra_forbidden":
        known = ", ".join(schema.model_fields) if len(first["loc"]) == 1 else ""
        return f"unknown field {where}" + f"; known are {known}" * bool(known)
    if kind == "value_error":
        return f"{where}: {message}" if where else message
    return f"{where}: {message}, found {first['input']!r}"


def digest(value: Any) -> str:
    """Return the SHA-256 (hex) of a JSON-serializable value in canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
