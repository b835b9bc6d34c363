"""Rows of `eligibility.fact` as facts, and facts as such rows."""

from __future__ import annotations

from datetime import date
from typing import Any

import asyncpg
import msgspec

from processing.eligibility.facts import Facts

_JSON = ("categories", "events")
_LISTS = ("household_births", "measures", "year_measures", "records")


def facts_of(row: asyncpg.Record) -> Facts:
    """Return the facts of a row."""
    found: dict[str, Any] = {}
    for name in Facts.__struct_fields__:
        value = row[name]
        if value is not None and name in _JSON:
            value = msgspec.json.decode(value, type=dict[str, date])
        elif value is not None and name in _LISTS:
            value = tuple(value)
        found[name] = value
    return Facts(**found)


def row_of(facts: Facts) -> dict[str, Any]:
    """Return facts as values of columns, for asyncpg."""
    found: dict[str, Any] = {}
    for name in Facts.__struct_fields__:
        value = getattr(facts, name)
        if value is not None and name in _JSON:
            value = msgspec.json.encode(value).decode()
        elif value is not None and name in _LISTS:
            value = list(value)
        found[name] = value
    return found
