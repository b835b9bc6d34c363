"""Commands on rules: check, explain, try, compare and publish them."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import Final

from rich.console import Console

from processing.eligibility.changes import changes
from processing.eligibility.check import check_rule
from processing.eligibility.directory import Directory
from processing.eligibility.document import Rule, read_rule
from processing.eligibility.explaining import explain_rule
from processing.eligibility.publication import approve, propose, try_cases
from processing.eligibility.session import (
    bytes_of,
    in_transaction,
    local_today,
    told,
    with_database,
)
from processing.eligibility.store import EligibilityStore
from processing.eligibility.trial import CaseResult
from processing.eligibility.wording import one_of
from processing.regulations.faults import Language
from processing.wire.figures import format_kopecks

EXIT_CODE_CASE_FAILED: Final = 1


def check(document: Path, *, lang: Language = "ru") -> None:
    """Tell everything that is wrong with a rule: its form, and what it refers to.

    Args:
        document: The TOML document.
        lang: The language of the answer.
    """
    rule, _ = checked(document, lang)
    print(f"{rule.title}: {one_of(lang, ('ошибок нет', 'no faults'))}")


def explain(document: Path, *, lang: Language = "ru") -> None:
    """Print a rule in sentences (Markdown)."""
    rule, directory = checked(document, lang)
    print(explain_rule(rule, directory, lang), end="")


def try_rule(document: Path, *, lang: Language = "ru") -> None:
    """Run a rule's test cases, in both ways of evaluating; nothing is written."""
    rule, _ = checked(document, lang)
    results = with_database(lambda connection: try_cases(connection, rule))
    console = Console(highlight=False, markup=False)
    for result in results:
        _print_result(console, rule, result, lang)
    failed = sum(not result.passed for result in results)
    summary = (
        f"примеров {len(results)}, не сошлось {failed}",
        f"{len(results)} cases, {failed} failed",
    )
    console.print(f"{rule.title}: {one_of(lang, summary)}")
    if failed:
        sys.exit(EXIT_CODE_CASE_FAILED)


def diff(before: Path, after: Path, *, lang: Language = "ru") -> None:
    """Tell in words what changes from one document to another.

    Args:
        before: The document in force.
        after: The draft.
        lang: The language of the answer.
    """
    with told(lang):
        old, new = (read_rule(bytes_of(one), one.name) for one in (before, after))
    print(*changes(old, new, lang), sep="\n")


def publish(document: Path, *, by: str, lang: Language = "ru") -> None:
    """Propose a rule; it comes into force when another person approves it.

    Args:
        document: The TOML document, with the next version's number.
        by: Who proposes it.
        lang: The language of the answer.
    """
    with told(lang):
        body = bytes_of(document)
        rule = read_rule(body, document.name)
        in_transaction(lambda connection: propose(connection, rule, body, by))
    said = ("внесено; утверждает другой человек", "proposed; another approves")
    print(f"{rule.title}: {one_of(lang, said)}")


def approve_version(measure: str, version: int, *, by: str, lang: Language = "ru") -> None:
    """Put a proposed version in force from its first day.

    Args:
        measure: The measure, such as SCHOOL.MEAL.
        version: The version that was proposed.
        by: Who approves it: not who proposed it.
        lang: The language of the answer.
    """
    today = local_today()
    with told(lang):
        rule = in_transaction(lambda connection: approve(connection, measure, version, by, today))
    first = rule.eligibility.valid_from
    said = (f"утверждено, действует с {first}", f"approved, in force from {first}")
    print(f"{rule.title}: {one_of(lang, said)}")


def amount(
    region: int,
    parameter: str,
    kopecks: int,
    *,
    since: date,
    basis: str,
    by: str,
    lang: Language = "ru",
) -> None:
    """Set an amount that incomes are compared with, such as the subsistence minimum.

    Args:
        region: The region's number.
        parameter: PM, PM.WORKING, PM.PENSION or PM.CHILD.
        kopecks: The amount.
        since: Its first day; a later one replaces it, none is ever edited.
        basis: The act that sets it.
        by: Who enters it.
        lang: The language of the answer.
    """
    new = in_transaction(
        lambda connection: EligibilityStore(connection).set_amount(
            region, parameter, since, kopecks, basis, by
        )
    )
    said = (
        ("внесено", "set")
        if new
        else ("на этот день величина уже внесена и не меняется", "is set for this day already")
    )
    print(f"{parameter} {since}: {format_kopecks(kopecks)}: {one_of(lang, said)}")
    if not new:
        sys.exit(EXIT_CODE_CASE_FAILED)


def checked(document: Path, lang: Language) -> tuple[Rule, Directory]:
    """Return a sound rule and what it refers to; tells what is wrong and leaves else."""
    with told(lang):
        rule = read_rule(bytes_of(document), document.name)
        directory = with_database(lambda connection: EligibilityStore(connection).directory())
        check_rule(rule, directory)
    return rule, directory


def _print_result(console: Console, rule: Rule, result: CaseResult, lang: Language) -> None:
    place = rule.source.place(("case", result.number - 1))
    mark, style = ("✓", "green") if result.passed else ("✗", "red")
    clause = f"{one_of(lang, ('пункт', 'clause'))} {result.case.clause}"
    console.print(mark, style=style, end=" ")
    console.print(f"{rule.source.name}:{place.line} {clause}: {result.case.title_ru}")
    console.print(f"    {result.sentence(lang)}")
