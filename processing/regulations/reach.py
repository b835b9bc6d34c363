"""Whether each rule of a regulation can be chosen, and only one of them at a time.

A rule that nothing reaches, or that another one forestalls, says something that never happens; of
two rules for one right none is the right one. Both are faults.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Final

from processing.regulations.directory import Directory
from processing.regulations.document import Consumes, EvidenceWord, Regulation
from processing.regulations.faults import Fault, Path
from processing.wire.outcome import Outcome

REFUSED_BY_REGULATION: Final = (
    Outcome.REGULATION_OUTDATED,
    Outcome.EVIDENCE_WEAK,
    Outcome.AMOUNT_WRONG,
    Outcome.NO_ENTITLEMENT,
    Outcome.ALLOWANCE_EXHAUSTED,
    Outcome.TOO_EARLY,
)
"""Refusals for which a regulation may have words of its own."""


def reach_faults(regulation: Regulation, directory: Directory) -> Iterator[Fault]:
    """Give rules that overlap, and rules that nothing reaches."""
    yield from _numbers(regulation)
    yield from _categories(regulation, directory)
    yield from _overlaps(regulation)
    yield from _shadowed(regulation, directory)
    yield from _norms(regulation)
    yield from _requirements(regulation)
    yield from _words(regulation)


def _numbers(regulation: Regulation) -> Iterator[Fault]:
    """Give clauses and requirements that bear the number of another."""
    seen: set[str] = set()
    for table, entries in (
        ("clause", [one.clause for one in regulation.clauses]),
        ("requirement", [one.clause for one in regulation.requirements]),
    ):
        for place, number in enumerate(entries):
            if number in seen:
                yield regulation.source.fault(
                    (table, place, "clause"),
                    f"пункт {number} уже есть; дайте другой номер",
                    f"there is a clause {number} already; give it another number",
                )
            seen.add(number)


def _categories(regulation: Regulation, directory: Directory) -> Iterator[Fault]:
    """Give categories of a clause that never have its measure."""
    for place, clause in enumerate(regulation.clauses):
        opening = directory.opened.get(clause.measure or "", frozenset())
        for number, category in enumerate(clause.categories):
            if category not in opening:
                known = ", ".join(sorted(opening)) or "—"
                yield regulation.source.fault(
                    ("clause", place, "categories", number),
                    f"категория {category} меру {clause.measure} не открывает: пункт к ней никогда "
                    f"не применится; открывают {known}",
                    f"category {category} does not open {clause.measure}: the clause never applies "
                    f"to it; there are {known}",
                )


def _overlaps(regulation: Regulation) -> Iterator[Fault]:
    """Give clauses that price the same measure for the same category."""
    first: dict[tuple[str, str | None], str] = {}
    for place, clause in enumerate(regulation.clauses):
        if clause.measure is None:
            continue
        for number, category in enumerate(clause.categories or (None,)):
            earlier = first.get((clause.measure, category))
            if earlier is None:
                first[clause.measure, category] = clause.clause
                continue
            path: Path = ("clause", place, "measure")
            ru, en = "", ""
            if category is not None:
                path = ("clause", place, "categories", number)
                ru, en = f" для категории {category}", f" for {category}"
            yield regulation.source.fault(
                path,
                f"цену по мере {clause.measure}{ru} уже задаёт пункт {earlier}: из двух правил "
                "неясно, какое верно; оставьте одно",
                f"clause {earlier} prices {clause.measure}{en} already: of two rules none is the "
                "right one; keep one",
            )


def _shadowed(regulation: Regulation, directory: Directory) -> Iterator[Fault]:
    """Give clauses for all other categories where others already have every category."""
    named: defaultdict[str, set[str]] = defaultdict(set)
    for clause in regulation.clauses:
        named[clause.measure or ""].update(clause.categories)
    for place, clause in enumerate(regulation.clauses):
        opening: Collection[str] = directory.opened.get(clause.measure or "", frozenset())
        if not clause.categories and opening and named[clause.measure or ""].issuperset(opening):
            yield regulation.source.fault(
                ("clause", place),
                f"до пункта {clause.clause} очередь не дойдёт: все категории, которые открывают "
                f"меру {clause.measure}, названы в других пунктах; уберите его",
                f"clause {clause.clause} is never reached: other clauses name all categories that "
                f"open {clause.measure}; remove it",
            )


def _norms(regulation: Regulation) -> Iterator[Fault]:
    """Give norms of no clause, and norms that leave open which of two applies."""
    measures = {clause.clause: clause.measure for clause in regulation.clauses}
    for place, norm in enumerate(regulation.norms):
        if measures.get(norm.clause) is None:
            yield regulation.source.fault(
                ("norm", place, "clause"),
                f"пункта {norm.clause} с мерой нет: норма ни к чему не относится",
                f"there is no clause {norm.clause} with a measure: the norm belongs to nothing",
            )
            continue
        if norm.people_to < norm.people_from:
            yield regulation.source.fault(
                ("norm", place, "people_to"),
                f"меньше, чем people_from ({norm.people_from}): такой семьи не бывает",
                f"less than people_from ({norm.people_from}): there is no such household",
            )
        for other in regulation.norms[:place]:
            same = other.item_class == norm.item_class
            same = same and measures.get(other.clause) == measures[norm.clause]
            if same and other.people_from <= norm.people_to and norm.people_from <= other.people_to:
                yield regulation.source.fault(
                    ("norm", place, "people_from"),
                    f"для семьи из {max(norm.people_from, other.people_from)} чел. норма "
                    f"{norm.item_class} уже задана; разведите people_from и people_to",
                    f"a norm of {norm.item_class} for {max(norm.people_from, other.people_from)} "
                    "people is given already; part people_from and people_to",
                )


def _requirements(regulation: Regulation) -> Iterator[Fault]:
    """Give requirements that ask for one thing twice."""
    facts = [one.fact for one in regulation.requirements]
    for place, fact in enumerate(facts):
        if fact in facts[:place]:
            yield regulation.source.fault(
                ("requirement", place, "fact"),
                f"{fact} уже требует пункт {regulation.requirements[facts.index(fact)].clause}",
                f"clause {regulation.requirements[facts.index(fact)].clause} asks for {fact} "
                "already",
            )


def _words(regulation: Regulation) -> Iterator[Fault]:
    """Give words for refusals that this regulation never gives, or gives twice."""
    transaction = regulation.transaction
    never = {
        Outcome.TOO_EARLY: transaction.refill_percent is None,
        Outcome.EVIDENCE_WEAK: transaction.evidence is EvidenceWord.TAP,
        Outcome.ALLOWANCE_EXHAUSTED: transaction.consumes is Consumes.NOTHING,
        Outcome.NO_ENTITLEMENT: transaction.consumes is Consumes.NOTHING
        and not regulation.requirements,
    }
    known = {outcome.name: outcome for outcome in REFUSED_BY_REGULATION}
    seen: set[str] = set()
    for place, words in enumerate(regulation.refusals):
        path: Path = ("refusal", place, "outcome")
        outcome = known.get(words.outcome)
        if outcome is None or never.get(outcome, False):
            listed = ", ".join(name for name, one in known.items() if not never.get(one, False))
            yield regulation.source.fault(
                path,
                f"{words.outcome}: такого отказа по этому регламенту не бывает; бывают {listed}",
                f"{words.outcome}: this regulation never refuses so; there are {listed}",
            )
        elif words.outcome in seen:
            yield regulation.source.fault(
                path,
                f"слова для {words.outcome} уже есть; оставьте одни",
                f"there are words for {words.outcome} already; keep one",
            )
        seen.add(words.outcome)
