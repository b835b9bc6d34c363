"""How a rule comes into force: one person proposes, another approves, as service regulations do.

Both steps run the document's test cases first, in both ways of evaluating, and take nothing while
one of them fails. A way back is a new version with the old text.
"""

from __future__ import annotations

from datetime import date

import msgspec

from processing.eligibility.bulk import answers_of_cases
from processing.eligibility.check import check_rule
from processing.eligibility.directory import Directory
from processing.eligibility.document import Rule, read_rule
from processing.eligibility.store import EligibilityStore
from processing.eligibility.trial import CaseResult, run_cases
from processing.kernel.database import Connection
from processing.regulations.faults import Language
from processing.regulations.publication import PublicationError, Refusal


class RulePublicationError(PublicationError):
    """A rule that does not come into force; nothing was changed."""

    def text(self, language: Language) -> str:
        """Return what stands against it, and what to do."""
        # The words are those of service regulations, whose commands have another first word.
        return super().text(language).replace("spk regulation", "spk eligibility")


async def try_cases(connection: Connection, rule: Rule) -> list[CaseResult]:
    """Return the results of all cases of a checked rule, with what the database answers."""
    in_bulk = await answers_of_cases(connection, rule)
    return [
        msgspec.structs.replace(result, in_bulk=answer)
        for result, answer in zip(run_cases(rule), in_bulk, strict=True)
    ]


async def propose(connection: Connection, rule: Rule, body: bytes, by: str) -> None:
    """Keep a draft for another person to approve.

    Raises `DocumentError` and `RulePublicationError`.
    """
    store = EligibilityStore(connection)
    await _require_sound(connection, rule, await store.directory())
    _require_nothing_against(rule.title, await store.propose(rule, body, by))


async def approve(connection: Connection, measure: str, version: int, by: str, today: date) -> Rule:
    """Put a draft in force from its first day; return it.

    Raises `DocumentError` when the directory no longer knows what it refers to, and
    `PublicationError`.
    """
    store = EligibilityStore(connection)
    title = f"{measure} v{version}"
    body = await store.document(measure, version)
    if body is None:
        raise RulePublicationError(title, Refusal.NOT_PROPOSED)
    rule = read_rule(body, title)
    await _require_sound(connection, rule, await store.directory())
    _require_nothing_against(title, await store.approve(rule, body, by, today))
    return rule


async def _require_sound(connection: Connection, rule: Rule, directory: Directory) -> None:
    check_rule(rule, directory)
    if not all(result.passed for result in await try_cases(connection, rule)):
        raise RulePublicationError(rule.title, Refusal.CASE_FAILED)


def _require_nothing_against(title: str, against: str | None) -> None:
    if against is not None:
        raise RulePublicationError(title, Refusal(against))
