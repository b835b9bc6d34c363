"""The three ways to ask a registry, read into one condition.

| query_type | query |
| --- | --- |
| idtype-value | `{"type": "SNILS", "value": "11223344595"}` |
| predicate | `[{"seq_num": 1, "expression1": E, "condition": "and", "expression2": E}]` |
| expression | `{"type": …, "value": {"expression": {"collection": "Member", "query": Q}}}` |

Predicates of a list are joined by and. E is `{"attribute_name", "operator", "attribute_value"}`; Q
is `{"surname": {"$eq": "Иванов"}}`, `{"$and": [Q, …]}`, `{"$or": [Q, …]}` or `{"$not": Q}`.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from processing.exchange.dci.attributes import (
    ATTRIBUTES,
    IDENTIFIERS,
    Operator,
    Part,
    attribute_of,
    read_value,
)

COMPARISONS_MAX: Final = 50
"""Most comparisons of one condition."""

CONDITION_DEPTH_MAX: Final = 8
"""Deepest nesting of $and, $or and $not."""

IN_VALUES_MAX: Final = 100
"""Most values of one `in`: so many identifiers may be asked for at once."""


class QueryType(StrEnum):
    """How the query is written."""

    IDTYPE_VALUE = "idtype-value"
    EXPRESSION = "expression"
    PREDICATE = "predicate"


class QueryFault(Exception):
    """The query cannot be read; `str()` names the place and what is expected."""


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One node: a comparison (`attribute`, `operator`, `values`), or `all`, `any` or `none` of.

    As JSON it is what exchange.condition_sql takes.
    """

    attribute: str | None = None
    operator: Operator | None = None
    values: tuple[str, ...] = ()
    all: tuple[Condition, ...] | None = None
    any: tuple[Condition, ...] | None = None
    none: tuple[Condition, ...] | None = None


class _IdValue(msgspec.Struct, frozen=True):
    type: str
    value: str | int | float | bool | list[Any]


class _Expression(msgspec.Struct, frozen=True):
    attribute_name: str
    operator: Operator
    attribute_value: Any


class _Junction(StrEnum):
    AND = "and"
    OR = "or"
    NOT = "not"


class _Predicate(msgspec.Struct, frozen=True):
    expression1: _Expression
    seq_num: float = 0
    condition: _Junction | None = None
    expression2: _Expression | None = None


class _Template(msgspec.Struct, frozen=True):
    query: dict[str, Any]
    collection: str = ""


class _TemplateValue(msgspec.Struct, frozen=True):
    expression: _Template


class _ExpressionQuery(msgspec.Struct, frozen=True):
    value: _TemplateValue
    type: str = ""


_PREDICATES = Annotated[list[_Predicate], Meta(min_length=1, max_length=COMPARISONS_MAX)]

_OPERATORS: Final = {
    "$eq": Operator.EQ,
    "$lt": Operator.LT,
    "$le": Operator.LE,
    "$lte": Operator.LE,
    "$gt": Operator.GT,
    "$ge": Operator.GE,
    "$gte": Operator.GE,
    "$in": Operator.IN,
}


def read_query(query_type: QueryType, query: object, allowed: Collection[Part]) -> Condition:
    """Return what a query asks for; raises `QueryFault`, also for a part that is not allowed."""
    return _Reader(allowed).read(query_type, query)


class _Reader:
    def __init__(self, allowed: Collection[Part]) -> None:
        self._allowed = allowed
        self._comparisons = 0

    def read(self, query_type: QueryType, query: object) -> Condition:
        try:
            match query_type:
                case QueryType.IDTYPE_VALUE:
                    return self._id_value(msgspec.convert(query, _IdValue))
                case QueryType.PREDICATE:
                    predicates = msgspec.convert(query, _PREDICATES)
                    predicates.sort(key=lambda one: one.seq_num)
                    return Condition(all=tuple(self._predicate(one) for one in predicates))
                case QueryType.EXPRESSION:
                    template = msgspec.convert(query, _ExpressionQuery).value.expression
                    return self._template(template.query, 1)
        except msgspec.ValidationError as error:
            raise QueryFault(f"query: {error}") from None

    def _id_value(self, query: _IdValue) -> Condition:
        attribute = attribute_of(query.type)
        if attribute is None or attribute.name not in IDENTIFIERS:
            raise QueryFault(f"query.type {query.type!r}: one of {', '.join(IDENTIFIERS)}")
        many = isinstance(query.value, list)
        return self._comparison(query.type, Operator.IN if many else Operator.EQ, query.value)

    def _predicate(self, predicate: _Predicate) -> Condition:
        first = self._expression(predicate.expression1)
        second = predicate.expression2 and self._expression(predicate.expression2)
        match predicate.condition, second:
            case _Junction.NOT, None:
                return Condition(none=(first,))
            case None, None:
                return first
            case _Junction.AND, Condition():
                return Condition(all=(first, second))
            case _Junction.OR, Condition():
                return Condition(any=(first, second))
            case _Junction.NOT, Condition():
                return Condition(all=(first, Condition(none=(second,))))
            case _:
                raise QueryFault("query: condition and expression2 belong together")

    def _expression(self, expression: _Expression) -> Condition:
        return self._comparison(
            expression.attribute_name, expression.operator, expression.attribute_value
        )

    def _template(self, query: dict[str, Any], depth: int) -> Condition:
        if depth > CONDITION_DEPTH_MAX:
            raise QueryFault(f"query: nested deeper than {CONDITION_DEPTH_MAX}")
        if not query:
            raise QueryFault("query: an empty condition asks for everybody; name an attribute")
        parts = tuple(self._member(key, value, depth) for key, value in query.items())
        return parts[0] if len(parts) == 1 else Condition(all=parts)

    def _member(self, key: str, value: object, depth: int) -> Condition:
        if key in {"$and", "$or"}:
            if not isinstance(value, list) or not value:
                raise QueryFault(f"query.{key}: a list of conditions is expected")
            parts = tuple(self._template(_mapping(one, key), depth + 1) for one in value)
            return Condition(all=parts) if key == "$and" else Condition(any=parts)
        if key == "$not":
            return Condition(none=(self._template(_mapping(value, key), depth + 1),))
        if not isinstance(value, dict):
            return self._comparison(key, Operator.EQ, value)
        comparisons = tuple(
            self._comparison(key, _operator(key, name), operand) for name, operand in value.items()
        )
        if not comparisons:
            raise QueryFault(f"query.{key}: an operator is expected: {', '.join(_OPERATORS)}")
        return comparisons[0] if len(comparisons) == 1 else Condition(all=comparisons)

    def _comparison(self, name: str, operator: Operator, value: object) -> Condition:
        self._comparisons += 1
        if self._comparisons > COMPARISONS_MAX:
            raise QueryFault(f"query: more than {COMPARISONS_MAX} comparisons")
        attribute = attribute_of(name)
        if attribute is None:
            known = ", ".join(each.name for each in ATTRIBUTES)
            raise QueryFault(f"query: there is no attribute {name[:50]!r}; known: {known}")
        if attribute.part not in self._allowed:
            raise QueryFault(f"query: {attribute.name} is not among the parts agreed with you")
        if operator not in {Operator.EQ, Operator.IN} and not attribute.ordered:
            raise QueryFault(f"query: {attribute.name} is compared by eq and in only")
        values = _operands(value) if operator is Operator.IN else [value]
        if not 0 < len(values) <= IN_VALUES_MAX:
            raise QueryFault(f"query: {attribute.name} in 1 to {IN_VALUES_MAX} values")
        try:
            read = tuple(read_value(attribute, one) for one in values)
        except ValueError as error:
            raise QueryFault(f"query: {error}") from None
        return Condition(attribute=attribute.name, operator=operator, values=read)


def _mapping(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise QueryFault(f"query.{place}: a condition is an object")
    return value


def _operator(attribute: str, name: str) -> Operator:
    if name not in _OPERATORS:
        raise QueryFault(f"query.{attribute}: {name[:20]!r} is none of {', '.join(_OPERATORS)}")
    return _OPERATORS[name]


def _operands(value: object) -> list[Any]:
    """Return the values of an `in`: a list, an object with `values`, or a text with commas."""
    if isinstance(value, dict):
        value = value.get("values")
    if isinstance(value, str):
        return value.split(",")
    return value if isinstance(value, list) else [value]
