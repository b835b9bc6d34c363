"""Why the database did not take a row, in words."""

from __future__ import annotations

from typing import Final

from processing.register.importing.headers import Header
from processing.register.importing.rejects import RowFault
from processing.register.importing.store import Problem
from processing.register.kinds.shape import RecordKind
from processing.register.records import KIND_BY_NAME
from processing.register.rules import RULES

REASONS: Final[dict[str, tuple[str, str]]] = {
    "snils_of_another": (
        "в регистре с этим СНИЛС другой человек",
        "the register knows another person with this SNILS",
    ),
    "held_by_another": (
        "в регистре эта запись принадлежит другому",
        "in the register this record belongs to somebody else",
    ),
    "same_enp": ("тот же номер полиса ОМС (ЕНП)", "the same policy number (ENP)"),
    "same_inn": ("тот же ИНН", "the same INN"),
    "same_name_and_birth": (
        "те же фамилия, имя, отчество и дата рождения",
        "the same full name and birth date",
    ),
    "similar_name_same_birth": (
        "похожие фамилия, имя, отчество и та же дата рождения",
        "a similar name and the same birth date",
    ),
    "same_name_near_birth": (
        "то же имя, дата рождения отличается опиской",
        "the same name, the birth date differs by a slip of the pen",
    ),
    "changed_surname": (
        "другая фамилия, те же имя, отчество и дата рождения (смена фамилии?)",
        "another surname, the same first name, patronymic and birth date (a changed surname?)",
    ),
}
"""Why a row may be about a record that is known already."""

_WAITS: Final = (
    "; ждёт решения: spk register import duplicates",
    "; waits for a decision: spk register import duplicates",
)

_CODES: Final[dict[str, tuple[str, str]]] = {
    "skipped": ("решено не вносить", "it was decided not to take this row"),
    "candidate_gone": (
        "записи, к которой решено отнести строку, больше нет",
        "the record that this row was said to be about is gone",
    ),
    "likely_known": (
        "похоже, этот человек уже есть в регистре под другим СНИЛС",
        "this person seems to be in the register already under another SNILS",
    ),
}


def worded(problem: Problem, kind: RecordKind, header: Header) -> RowFault:
    """Return the fault of a row that the database did not take, placed at its column."""
    column, (ru, en) = _column_of(problem, kind), _sentence(problem, kind)
    if problem.outcome == "waiting":
        ru, en = ru + _WAITS[0], en + _WAITS[1]
    place = header.fields.get(column) if column is not None else None
    return RowFault(column=place, ru=ru, en=en)


def _sentence(problem: Problem, kind: RecordKind) -> tuple[str, str]:
    match problem.code:
        case "unknown_reference":
            return _unknown(problem, kind)
        case "repeated":
            earlier = problem.other_line
            return (
                f"запись уже есть в файле с другими значениями, строка {earlier}; оставьте одну",
                f"the file has this record already with other values, row {earlier}; leave one",
            )
        case "rule":
            return _broken_rule(problem.field or "")
        case code:
            return _CODES.get(code) or REASONS[code]


def _column_of(problem: Problem, kind: RecordKind) -> str | None:
    """Return the name of the field whose cell is to be marked."""
    if problem.code == "unknown_reference":
        return next(f.name for f in kind.fields if f.column == problem.field)
    if problem.code == "rule":
        fault = RULES.get(problem.field or "")
        return fault.field if fault is not None else None
    if problem.code == "held_by_another":
        return next(f.name for f in kind.fields if f.refers_to is not None)
    return kind.natural_key[0]


def _unknown(problem: Problem, kind: RecordKind) -> tuple[str, str]:
    field = next(field for field in kind.fields if field.column == problem.field)
    other = KIND_BY_NAME[field.refers_to or kind.kind]
    return (
        f"{field.ru}: такой записи нет в регистре ({other.ru.lower()}); сначала внесите её",
        f"{field.en}: the register has no such record ({other.en.lower()}); enter that first",
    )


def _broken_rule(rule: str) -> tuple[str, str]:
    fault = RULES.get(rule)
    if fault is not None:
        return fault.ru, fault.en
    return (
        f"не принято правилом регистра «{rule}»",
        f"refused by the register's rule “{rule}”",
    )
