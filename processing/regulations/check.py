"""Whether a regulation fits together, and fits what it refers to.

A typo must never become a silent "no" at the counter: what points nowhere, what nobody can reach
and what says two things at once is a fault at publication.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from itertools import chain

from processing.regulations.directory import Directory
from processing.regulations.document import Case, Consumes, Regulation
from processing.regulations.faults import DocumentError, Fault, Path
from processing.regulations.reach import reach_faults
from processing.wire.outcome import Outcome


def check_regulation(regulation: Regulation, directory: Directory) -> None:
    """Raise `DocumentError` with everything that is wrong."""
    if faults := list(faults_of(regulation, directory)):
        raise DocumentError(regulation.source.name, faults)


def faults_of(regulation: Regulation, directory: Directory) -> Iterator[Fault]:
    """Give what does not fit together."""
    return chain(
        _head_faults(regulation, directory),
        _clause_faults(regulation, directory),
        reach_faults(regulation, directory),
        _transaction_faults(regulation),
        _norm_faults(regulation, directory),
        _unshown(regulation),
        *(_case_faults(regulation, directory, number) for number in range(len(regulation.cases))),
    )


def _head_faults(regulation: Regulation, directory: Directory) -> Iterator[Fault]:
    head, source = regulation.regulation, regulation.source
    if head.valid_to < head.valid_from:
        yield source.fault(
            ("regulation", "valid_to"),
            f"последний день раньше первого ({head.valid_from}); исправьте один из них",
            f"the last day is before the first ({head.valid_from}); correct one of them",
        )
    for number, kind in enumerate(head.provider_kinds):
        if kind not in directory.provider_kinds:
            path = ("regulation", "provider_kinds", number)
            yield _points_nowhere(regulation, path, kind, directory.provider_kinds)


def _clause_faults(regulation: Regulation, directory: Directory) -> Iterator[Fault]:
    takes = regulation.transaction.consumes is not Consumes.NOTHING
    for number, clause in enumerate(regulation.clauses):
        path: Path = ("clause", number, "measure")
        if clause.measure is None:
            if takes:
                yield regulation.source.fault(
                    ("clause", number),
                    "нет поля measure; добавьте его",
                    "field measure is missing; add it",
                )
        elif not takes:
            yield regulation.source.fault(
                path,
                'услуга ничего не расходует (consumes = "nothing"): мера ей не нужна; уберите её',
                'the service takes nothing (consumes = "nothing") and needs no measure; remove it',
            )
        elif clause.measure not in directory.measures:
            yield _points_nowhere(regulation, path, clause.measure, directory.measures)
        elif not directory.opened.get(clause.measure):
            yield regulation.source.fault(
                path,
                f"меру {clause.measure} не открывает ни одна категория: её никто не получит; "
                "назначьте её категории или уберите пункт",
                f"no benefit category opens {clause.measure}: nobody can have it; add it to a "
                "category or remove the clause",
            )


def _transaction_faults(regulation: Regulation) -> Iterator[Fault]:
    transaction, source = regulation.transaction, regulation.source
    if regulation.visit is not None and transaction.reserve_minutes is not None:
        yield source.fault(
            ("transaction", "reserve_minutes"),
            "услугу с началом и окончанием нельзя ещё и откладывать; уберите reserve_minutes",
            "what has a start and a finish cannot be reserved as well; remove reserve_minutes",
        )
    if regulation.visit is not None and transaction.consumes is Consumes.NOTHING:
        yield source.fault(
            ("visit",),
            "услуга ничего не расходует: начало и окончание отмечать незачем; уберите [visit]",
            "the service consumes nothing: it needs no start and finish; remove [visit]",
        )
    if transaction.refill_days and transaction.refill_percent is None:
        yield source.fault(
            ("transaction", "refill_days"),
            "без refill_percent не действует; добавьте refill_percent, например 100",
            "has no effect without refill_percent; add refill_percent, such as 100",
        )


def _norm_faults(regulation: Regulation, directory: Directory) -> Iterator[Fault]:
    classes = {entry.item_class for entry in directory.items.values()}
    for number, norm in enumerate(regulation.norms):
        if norm.item_class not in classes:
            where: Path = ("norm", number, "item_class")
            yield _points_nowhere(regulation, where, norm.item_class, classes)


def _unshown(regulation: Regulation) -> Iterator[Fault]:
    """Give clauses and requirements, and categories of a clause, that no case shows."""
    shown = {case.clause for case in regulation.cases}
    for table, numbers in (
        ("clause", [one.clause for one in regulation.clauses]),
        ("requirement", [one.clause for one in regulation.requirements]),
    ):
        for place, number in enumerate(numbers):
            if number not in shown:
                yield regulation.source.fault(
                    (table, place),
                    f"пункт {number} не показан ни одним примером; добавьте [[case]]",
                    f"no example shows clause {number}; add a [[case]]",
                )
    for place, clause in enumerate(regulation.clauses):
        held = {
            right.category
            for case in regulation.cases
            if case.clause == clause.clause
            for right in case.rights
            if right.measure == clause.measure
        }
        for at, category in enumerate(clause.categories):
            if clause.clause in shown and category not in held:
                yield regulation.source.fault(
                    ("clause", place, "categories", at),
                    f"категорию {category} пункта {clause.clause} не показывает ни один пример; "
                    "добавьте [[case]] с правом этой категории",
                    f"no example shows category {category} of clause {clause.clause}; add a "
                    "[[case]] with a right of that category",
                )


def _case_faults(regulation: Regulation, directory: Directory, number: int) -> Iterator[Fault]:
    case, head, source = regulation.cases[number], regulation.regulation, regulation.source
    path: Path = ("case", number)
    clauses = [one.clause for one in regulation.clauses]
    clauses += [one.clause for one in regulation.requirements]
    if case.clause not in clauses:
        yield _points_nowhere(regulation, (*path, "clause"), case.clause, clauses)
    if case.day is not None and not head.valid_from <= case.day <= head.valid_to:
        yield source.fault(
            (*path, "day"),
            f"регламент действует с {head.valid_from} по {head.valid_to}; возьмите день между ними",
            f"the regulation is in force from {head.valid_from} to {head.valid_to}; take a day "
            "between them",
        )
    for field, lines in (("lines", case.lines), ("finish_lines", case.finish_lines or ())):
        for place, line in enumerate(lines):
            if line.item not in directory.items:
                where = (*path, field, place, "item")
                yield _points_nowhere(regulation, where, line.item, directory.items)
    for place in range(len(case.rights)):
        yield from _right_faults(regulation, directory, case, (*path, "rights", place))
    for field in ("minutes", "finish_lines"):
        if getattr(case, field) is not None and regulation.visit is None:
            yield source.fault(
                (*path, field),
                "у этой услуги нет начала и окончания; добавьте [visit] или уберите поле",
                "this service has no start and finish; add [visit] or remove the field",
            )
    if case.finish_lines is not None and case.minutes is None:
        yield source.fault(
            (*path, "finish_lines"),
            "без minutes окончания нет; добавьте minutes",
            "there is no finish without minutes; add minutes",
        )
    yield from _expectation_faults(regulation, case, path)


def _right_faults(
    regulation: Regulation, directory: Directory, case: Case, path: Path
) -> Iterator[Fault]:
    """Give what is wrong with the right of a case that stands at `path`."""
    source, right = regulation.source, case.rights[int(path[-1])]
    classes = {entry.item_class for entry in directory.items.values()}
    if right.item_class not in classes:
        yield _points_nowhere(regulation, (*path, "item_class"), right.item_class, classes)
    if right.measure not in directory.measures:
        yield _points_nowhere(regulation, (*path, "measure"), right.measure, directory.measures)
    opening = directory.opened.get(right.measure, frozenset())
    if right.category is not None and right.category not in opening:
        yield _points_nowhere(regulation, (*path, "category"), right.category, opening)
    members = [name for name, one in directory.items.items() if one.item_class == right.item_class]
    if right.item is not None and right.item not in members:
        yield _points_nowhere(regulation, (*path, "item"), right.item, members)
    if right.granted is None and not regulation.norm(
        right.measure, right.item_class, case.people or 1
    ):
        yield source.fault(
            path,
            "нет поля granted, и нормы для этого права нет; добавьте granted или [[norm]]",
            "field granted is missing, and there is no norm for this right; add granted or a "
            "[[norm]]",
        )
        return
    granted, _ = regulation.granted(case, right)
    if right.used > granted:
        yield source.fault(
            (*path, "used"),
            f"использовано больше, чем назначено ({granted})",
            f"more is used than was granted ({granted})",
        )


def _expectation_faults(regulation: Regulation, case: Case, path: Path) -> Iterator[Fault]:
    source, expect = regulation.source, case.expect
    where = (*path, "expect")
    decided = [outcome.name for outcome in Outcome if outcome.decided]
    if expect.outcome not in decided:
        yield _points_nowhere(regulation, (*where, "outcome"), expect.outcome, decided)
        return
    approved = Outcome[expect.outcome].approved
    given = case.lines if case.finish_lines is None else case.finish_lines
    lines = len(given) if approved else 0
    if len(expect.covered_kopecks) != lines:
        yield source.fault(
            (*where, "covered_kopecks"),
            f"нужно {lines}: сколько покрыто в каждой строке одобренной операции",
            f"{lines} wanted: what is covered of each line of an approved transaction",
        )
    if expect.remaining and len(expect.remaining) != len(case.rights):
        yield source.fault(
            (*where, "remaining"),
            f"нужно {len(case.rights)}: остаток каждого права, в том же порядке",
            f"{len(case.rights)} wanted: what is left of each right, in their order",
        )


def _points_nowhere(regulation: Regulation, path: Path, name: str, known: Collection[str]) -> Fault:
    near = difflib.get_close_matches(name, known, 1)
    ru, en = (
        (f"; может быть, {near[0]}?", f"; did you mean {near[0]}?")
        if near
        else (
            "; проверьте код или внесите его в справочник",
            "; check the code, or add it to the directory",
        )
    )
    return regulation.source.fault(path, f"{name} нет в справочнике{ru}", f"there is no {name}{en}")
