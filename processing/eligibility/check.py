"""Whether a rule of eligibility fits together, and fits what it refers to.

A typo must never become a silent "no" for somebody who has a right: what points nowhere, what can
never hold and what no example shows is a fault at publication.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import chain
from typing import Final

from processing.eligibility.check_cases import case_faults
from processing.eligibility.directory import Directory
from processing.eligibility.document import (
    CLAUSES_MAX,
    Clause,
    Combination,
    Granting,
    HolderWord,
    Rule,
    Start,
)
from processing.eligibility.fact_names import (
    DISABILITY_CATEGORIES,
    FACTS,
    SEXES,
    FactName,
    FactType,
)
from processing.regulations.faults import DocumentError, Fault, Path

NUMBERS_MAX: Final[dict[FactName, int]] = {
    FactName.AGE: 150,
    FactName.DISABILITY_GROUP: 3,
    FactName.CHILDREN: 50,
    FactName.HOUSEHOLD_SIZE: 50,
    FactName.INCOME_PERCENT: 10_000,
    FactName.INCOME_PER_HEAD: 10**12 - 1,
    FactName.DAYS_SINCE_EVENT: 36_600,
}
"""Highest number that a fact is compared with: more is a slip of the pen."""

_COMPARISONS: Final = {
    FactType.NUMBER: ("at_least", "at_most"),
    FactType.WORDS: ("one_of",),
    FactType.TRUTH: ("equals",),
}
_QUALIFIERS: Final = ("younger_than", "event", "parameter")


def check_rule(rule: Rule, directory: Directory) -> None:
    """Raise `DocumentError` with everything that is wrong."""
    if faults := list(faults_of(rule, directory)):
        raise DocumentError(rule.source.name, faults)


def faults_of(rule: Rule, directory: Directory) -> Iterator[Fault]:
    """Give what does not fit together."""
    return chain(
        _head_faults(rule, directory),
        _grant_faults(rule, directory),
        _proactive_faults(rule, directory),
        _tree_faults(rule),
        *(_clause_faults(rule, number, directory) for number in range(len(rule.clauses))),
        _never_true(rule),
        case_faults(rule, directory),
    )


def points_nowhere(rule: Rule, path: Path, name: str, known: Collection[str]) -> Fault:
    """Return the fault of a code that is in no directory."""
    near = difflib.get_close_matches(name, known, 1)
    ru, en = (
        (f"; может быть, {near[0]}?", f"; did you mean {near[0]}?")
        if near
        else (
            "; проверьте код или внесите его в справочник",
            "; check the code, or add it to the directory",
        )
    )
    return rule.source.fault(path, f"{name} нет в справочнике{ru}", f"there is no {name}{en}")


def _head_faults(rule: Rule, directory: Directory) -> Iterator[Fault]:
    head = rule.eligibility
    if head.valid_to < head.valid_from:
        yield rule.source.fault(
            ("eligibility", "valid_to"),
            f"последний день раньше первого ({head.valid_from}); исправьте один из них",
            f"the last day is before the first ({head.valid_from}); correct one of them",
        )
    if head.measure not in directory.measures:
        path = ("eligibility", "measure")
        yield points_nowhere(rule, path, head.measure, directory.measures)


def _grant_faults(rule: Rule, directory: Directory) -> Iterator[Fault]:
    grant, source = rule.grant, rule.source
    household = grant.holder is HolderWord.HOUSEHOLD
    if grant.category not in directory.categories:
        path = ("grant", "category")
        yield points_nowhere(rule, path, grant.category, directory.categories)
    for number, right in enumerate(rule.rights):
        if right.item_class not in directory.item_classes:
            where = ("right", number, "item_class")
            yield points_nowhere(rule, where, right.item_class, directory.item_classes)
        if right.per_member and not household:
            yield source.fault(
                ("right", number, "per_member"),
                'на каждого члена семьи считают только право семьи; добавьте holder = "household"',
                'only a household\'s right counts members; add holder = "household"',
            )
    if grant.until_age is not None and household:
        yield source.fault(
            ("grant", "until_age"),
            "у семьи нет возраста; уберите это поле или назначайте право гражданину",
            "a household has no age; remove this field or grant the right to the citizen",
        )
    if not any((grant.valid_days, grant.until_age, grant.until_year_end, grant.until_category_end)):
        yield source.fault(
            ("grant",),
            "не сказано, когда право кончается; добавьте valid_days, until_age, until_year_end "
            "или until_category_end",
            "it is not said when the right ends; add valid_days, until_age, until_year_end or "
            "until_category_end",
        )
    if grant.until_category_end and not grounds(rule):
        yield source.fault(
            ("grant", "until_category_end"),
            'ни один пункт не спрашивает категорию; добавьте пункт с fact = "category"',
            'no clause asks for a category; add one with fact = "category"',
        )
    if grant.start is Start.EVENT and rule.proactive is None:
        yield source.fault(
            ("grant", "start"),
            "событие не названо; добавьте раздел [proactive]",
            "no event is named; add the table [proactive]",
        )


def grounds(rule: Rule) -> tuple[str, ...]:
    """Return the categories that the rule asks for, in its order."""
    words: list[str] = []
    for clause in rule.clauses:
        if clause.fact is FactName.CATEGORY:
            words += clause.one_of
        elif clause.fact is FactName.DISABILITY_GROUP:
            highest = 3 if clause.at_most is None else clause.at_most
            groups = range(clause.at_least or 1, highest + 1)
            words += [DISABILITY_CATEGORIES[group] for group in groups if group > 0]
    return tuple(dict.fromkeys(words))


def _proactive_faults(rule: Rule, directory: Directory) -> Iterator[Fault]:
    asks = bool(rule.choices) or any(paper.fact is None for paper in rule.papers)
    if rule.proactive is not None and rule.proactive.granting is not Granting.OFFER and asks:
        yield rule.source.fault(
            ("proactive", "granting"),
            "без заявления не узнать выбора гражданина и не получить документа, нужного всегда; "
            'поставьте granting = "offer"',
            "without an application nobody learns a choice or gets a paper that is always needed; "
            'set granting = "offer"',
        )
    for number, event in enumerate(rule.proactive.events if rule.proactive else ()):
        if event not in directory.events:
            yield points_nowhere(rule, ("proactive", "events", number), event, directory.events)


def _tree_faults(rule: Rule) -> Iterator[Fault]:
    """Give clauses that stand in no tree: twins, orphans, empty ones."""
    source, seen = rule.source, set[str]()
    parents = {clause.parent for clause in rule.clauses}
    by_number = {clause.clause: clause for clause in rule.clauses}
    if len(rule.clauses) > CLAUSES_MAX:
        yield source.fault(
            ("clause", CLAUSES_MAX),
            f"пунктов больше {CLAUSES_MAX}; разделите меру",
            f"there are more than {CLAUSES_MAX} clauses; divide the measure",
        )
    for place, clause in enumerate(rule.clauses):
        path = ("clause", place, "clause")
        number = clause.clause
        if number in seen:
            yield source.fault(
                path,
                f"пункт {number} уже есть; дайте другой номер",
                f"there is a clause {number} already; give it another number",
            )
        seen.add(number)
        parent = by_number.get(clause.parent)
        if clause.parent and parent is None:
            yield source.fault(
                path,
                f"пункта {clause.parent}, к которому относится этот, нет; добавьте его",
                f"clause {clause.parent}, which this one belongs to, is missing; add it",
            )
        if clause.holds is None and number in parents:
            yield source.fault(
                ("clause", place),
                "у пункта есть подпункты, но не сказано, сколько из них нужно; "
                'добавьте holds = "all", "any" или "none"',
                "the clause has sub-clauses but does not say which must hold; "
                'add holds = "all", "any" or "none"',
            )
        if clause.holds is not None and number not in parents:
            yield source.fault(
                ("clause", place, "holds"),
                f"у пункта нет подпунктов; добавьте {number}.1 или назовите fact",
                f"the clause has no sub-clauses; add {number}.1, or name a fact",
            )


def _clause_faults(rule: Rule, place: int, directory: Directory) -> Iterator[Fault]:
    clause, source, path = rule.clauses[place], rule.source, ("clause", place)
    allowed: tuple[str, ...] = ()
    if clause.fact is None:
        if clause.holds is None:
            ru, en = "не сказано, что проверять; добавьте fact", "it tests nothing; add fact"
            yield source.fault(path, ru, en)
            return
    elif clause.holds is not None:
        yield source.fault(
            (*path, "fact"),
            "пункт с подпунктами сам ничего не проверяет; перенесите это в подпункт",
            "a clause with sub-clauses tests nothing itself; move this to a sub-clause",
        )
        return
    else:
        info = FACTS[clause.fact]
        allowed = _COMPARISONS[info.type]
        if info.qualifier is not None:
            allowed = (*allowed, info.qualifier)
            if getattr(clause, info.qualifier) is None:
                yield source.fault(
                    path,
                    f"для «{clause.fact}» нужно поле {info.qualifier}",
                    f"“{clause.fact}” needs the field {info.qualifier}",
                )
        if all(getattr(clause, name) in (None, ()) for name in _COMPARISONS[info.type]):
            words = " / ".join(_COMPARISONS[info.type])
            yield source.fault(
                path,
                f"не сказано, с чем сравнить «{clause.fact}»; добавьте {words}",
                f"it is not said what “{clause.fact}” is compared with; add {words}",
            )
        yield from _value_faults(rule, place, clause, clause.fact, directory)
    for name in (*chain.from_iterable(_COMPARISONS.values()), *_QUALIFIERS):
        if name not in allowed and getattr(clause, name) not in (None, ()):
            yield source.fault(
                (*path, name),
                "это поле здесь ничего не значит; уберите его",
                "this field means nothing here; remove it",
            )


def _value_faults(
    rule: Rule, place: int, clause: Clause, fact: FactName, directory: Directory
) -> Iterator[Fault]:
    path = ("clause", place)
    known = words_of(fact, directory)
    for number, word in enumerate(clause.one_of if known is not None else ()):
        if word not in (known or ()):
            yield points_nowhere(rule, (*path, "one_of", number), word, known or ())
    for name, codes in (("event", directory.events), ("parameter", directory.parameters)):
        code = getattr(clause, name)
        if code is not None and code not in codes:
            yield points_nowhere(rule, (*path, name), code, codes)
    limit = NUMBERS_MAX.get(fact)
    for name in ("at_least", "at_most"):
        number_wanted = getattr(clause, name)
        if limit is not None and number_wanted is not None and number_wanted > limit:
            yield rule.source.fault(
                (*path, name),
                f"для «{fact}» число не больше {limit}",
                f"a number for “{fact}” is at most {limit}",
            )


def words_of(fact: FactName, directory: Directory) -> Collection[str] | None:
    """Return the words that a fact may be compared with; None for numbers and truths."""
    match fact:
        case FactName.SEX:
            return SEXES
        case FactName.CATEGORY:
            return directory.categories
        case FactName.MEASURE | FactName.MEASURE_THIS_YEAR:
            return directory.measures
        case FactName.RECORD:
            return directory.records
        case _:
            return None


def _never_true(rule: Rule) -> Iterator[Fault]:
    """Give numbers that no value can meet: within a clause, and between clauses that all hold."""
    together: defaultdict[tuple[str, FactName, object], list[int]] = defaultdict(list)
    holds = {clause.clause: clause.holds for clause in rule.clauses}
    for place, clause in enumerate(rule.clauses):
        if clause.fact is not None and FACTS[clause.fact].type is FactType.NUMBER:
            alone = holds.get(clause.parent, Combination.ALL) is not Combination.ALL
            group = clause.clause if alone else clause.parent
            which = (clause.younger_than, clause.event, clause.parameter)
            together[(group, clause.fact, which)].append(place)
    for places in together.values():
        lowest, highest = 0, NUMBERS_MAX[FactName.INCOME_PER_HEAD]
        for place in places:
            clause = rule.clauses[place]
            lowest = max(lowest, clause.at_least or 0)
            highest = min(highest, highest if clause.at_most is None else clause.at_most)
            if lowest > highest:
                yield rule.source.fault(
                    ("clause", place),
                    f"не выполнимо никогда: нужно не меньше {lowest} и не больше {highest}",
                    f"it can never hold: at least {lowest} and at most {highest} are wanted",
                )
                break
