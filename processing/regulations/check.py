"""Whether a regulation fits together, and fits what it refers to.

A typo must never become a silent "no" at the counter: what points nowhere, what nobody can reach
and what says two things at once is a fault at publication.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import chain

from processing.regulations.directory import Directory
from processing.regulations.document import Case, Regulation
from processing.regulations.faults import DocumentError, Fault, Path
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
        _twins(regulation),
        _uncovered_clauses(regulation),
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
    for number, clause in enumerate(regulation.clauses):
        path = ("clause", number, "measure")
        if clause.measure not in directory.measures:
            yield _points_nowhere(regulation, path, clause.measure, directory.measures)
        elif clause.measure not in directory.opened:
            yield regulation.source.fault(
                path,
                f"меру {clause.measure} не открывает ни одна категория: её никто не получит; "
                "назначьте её категории или уберите пункт",
                f"no benefit category opens {clause.measure}: nobody can have it; add it to a "
                "category or remove the clause",
            )


def _twins(regulation: Regulation) -> Iterator[Fault]:
    """Give clauses of one number, and clauses that price one measure twice."""
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    measures: defaultdict[str, list[int]] = defaultdict(list)
    for number, clause in enumerate(regulation.clauses):
        numbers[clause.clause].append(number)
        measures[clause.measure].append(number)
    for name, places in numbers.items():
        for place in places[1:]:
            yield regulation.source.fault(
                ("clause", place, "clause"),
                f"пункт {name} уже есть; дайте другой номер",
                f"there is a clause {name} already; give it another number",
            )
    for measure, places in measures.items():
        first = regulation.clauses[places[0]].clause
        for place in places[1:]:
            yield regulation.source.fault(
                ("clause", place, "measure"),
                f"цену по мере {measure} уже задаёт пункт {first}: из двух правил неясно, какое "
                "верно; оставьте одно",
                f"clause {first} prices {measure} already: of two rules none is the right one; "
                "keep one",
            )


def _uncovered_clauses(regulation: Regulation) -> Iterator[Fault]:
    shown = {case.clause for case in regulation.cases}
    for number, clause in enumerate(regulation.clauses):
        if clause.clause not in shown:
            yield regulation.source.fault(
                ("clause", number),
                f"пункт {clause.clause} не показан ни одним примером; добавьте [[case]]",
                f"no example shows clause {clause.clause}; add a [[case]]",
            )


def _case_faults(regulation: Regulation, directory: Directory, number: int) -> Iterator[Fault]:
    case, head, source = regulation.cases[number], regulation.regulation, regulation.source
    path: Path = ("case", number)
    clauses = [clause.clause for clause in regulation.clauses]
    if case.clause not in clauses:
        yield _points_nowhere(regulation, (*path, "clause"), case.clause, clauses)
    if case.day is not None and not head.valid_from <= case.day <= head.valid_to:
        yield source.fault(
            (*path, "day"),
            f"регламент действует с {head.valid_from} по {head.valid_to}; возьмите день между ними",
            f"the regulation is in force from {head.valid_from} to {head.valid_to}; take a day "
            "between them",
        )
    for place, line in enumerate(case.lines):
        if line.item not in directory.items:
            where = (*path, "lines", place, "item")
            yield _points_nowhere(regulation, where, line.item, directory.items)
    classes = {entry.item_class for entry in directory.items.values()}
    for place, right in enumerate(case.rights):
        where = (*path, "rights", place)
        if right.item_class not in classes:
            yield _points_nowhere(regulation, (*where, "item_class"), right.item_class, classes)
        if right.measure not in directory.measures:
            known = directory.measures
            yield _points_nowhere(regulation, (*where, "measure"), right.measure, known)
        if right.used > right.granted:
            yield source.fault(
                (*where, "used"),
                f"использовано больше, чем назначено ({right.granted})",
                f"more is used than was granted ({right.granted})",
            )
    yield from _expectation_faults(regulation, case, path)


def _expectation_faults(regulation: Regulation, case: Case, path: Path) -> Iterator[Fault]:
    source, expect = regulation.source, case.expect
    where = (*path, "expect")
    decided = [outcome.name for outcome in Outcome if outcome.decided]
    if expect.outcome not in decided:
        yield _points_nowhere(regulation, (*where, "outcome"), expect.outcome, decided)
        return
    approved = Outcome[expect.outcome].approved
    lines = len(case.lines) if approved else 0
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
