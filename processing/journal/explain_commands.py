"""`spk explain`: why a transaction was decided as it was, for whoever asks."""

from __future__ import annotations

import asyncio
import os
import re
from datetime import date
from typing import Final

import cyclopts
from rich.console import Console
from rich.table import Table

from processing.journal.told import Told, decisions_told
from processing.kernel.config import read_settings
from processing.kernel.database import REPORTING_LIMITS
from processing.kernel.errors import ConfigurationError
from processing.kernel.roles import Role
from processing.kernel.target_pools import open_targets
from processing.wire.explanation import Audience
from processing.wire.figures import Language, format_kopecks, format_moment

APPLICATION_NAME: Final = "spk explain"
EXIT_CODE_NOT_FOUND: Final = 1

_AUDIENCES: Final[dict[Audience, tuple[str, str]]] = {
    Audience.CASHIER: ("Кассиру", "To the cashier"),
    Audience.CITIZEN: ("Гражданину", "To the citizen"),
    Audience.OPERATOR: ("Оператору", "To the operator"),
}
_KINDS_RU: Final = {
    "INQUIRY": "запрос прав",
    "RESERVE": "резерв",
    "SALE": "продажа",
    "COMPLETION": "выдача отложенного",
    "RETURN": "возврат товара",
    "REVERSAL": "отмена",
    "VISIT_START": "начало посещения",
    "VISIT_FINISH": "окончание посещения",
}

app = cyclopts.App(name="explain", help="Tell why a transaction was decided as it was.")


@app.default
def explain_transaction(day: str, terminal: str, stan: str, *, lang: Language = "ru") -> int:
    """Tell every decision under a terminal's number: what, why, and what would change it.

    Args:
        day: The business date, YYYY-MM-DD.
        terminal: The terminal, eight characters.
        stan: The number on the receipt (STAN).
        lang: The language of the answer.
    """
    business_date, number = _day(day), _number(stan)
    found = asyncio.run(_find(business_date, terminal.upper(), number))
    console = Console(highlight=False)
    if not found:
        says = {
            "ru": f"{day} {terminal} {stan}: такой операции нет. Проверьте дату, терминал и номер",
            "en": f"{day} {terminal} {stan}: no such transaction. Check date, terminal and number",
        }
        console.print(says[lang], markup=False)
        return EXIT_CODE_NOT_FOUND
    for told in found:
        console.print(_table(told, f"{day} {terminal.upper()} {number:06d}", lang))
    return 0


async def _find(day: date, terminal: str, stan: int) -> list[Told]:
    settings = read_settings(os.environ)
    async with open_targets(settings, Role.OPERATOR, APPLICATION_NAME, REPORTING_LIMITS) as targets:
        return await decisions_told(targets, day, terminal, stan)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{text} is not a date; write it as YYYY-MM-DD") from None


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise ConfigurationError(f"{text} is not a number of 1 to 6 digits, as on the receipt")
    return int(text)


def _table(told: Told, quoted: str, lang: Language) -> Table:
    table = Table(title=f"{quoted} · {_kind(told, lang)}", show_header=False, show_lines=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    outcome = f"{int(told.outcome)} {told.outcome.name} {told.approval_code}".rstrip()
    table.add_row("Решение" if lang == "ru" else "Decision", outcome)
    when = format_moment(told.decided_at, told.names.zone, lang)
    place = "/".join(map(str, told.place))
    table.add_row(
        "Когда и где в журнале" if lang == "ru" else "When, and where in the journal",
        f"{when} · {place}",
    )
    if told.covered_kopecks:
        covered, paid = sum(told.covered_kopecks), sum(told.paid_kopecks)
        words = ("покрыто", "платит гражданин") if lang == "ru" else ("covered", "citizen pays")
        table.add_row(
            "Деньги" if lang == "ru" else "Money",
            f"{words[0]} {format_kopecks(covered)}, {words[1]} {format_kopecks(paid)}",
        )
    for audience, names in _AUDIENCES.items():
        why = told.explained(audience, lang)
        said = ". ".join(part for part in (why.happened, why.fact, why.remedy) if part)
        table.add_row(names[0] if lang == "ru" else names[1], f"{said}.")
    rule = told.explained(Audience.OPERATOR, lang).rule
    table.add_row("Правило" if lang == "ru" else "Rule", rule)
    facts = ", ".join(f"{name}={value}" for name, value in told.facts.items())
    table.add_row("Факты" if lang == "ru" else "Facts", facts or "—")
    return table


def _kind(told: Told, lang: Language) -> str:
    if told.kind is None:
        return "резерв истёк" if lang == "ru" else "reservation expired"
    name = _KINDS_RU[told.kind.name] if lang == "ru" else told.kind.name.lower().replace("_", " ")
    if told.advice:
        name += ", офлайн" if lang == "ru" else ", offline"
    if told.assigned:
        name += f" (№ {told.assigned})"
    return name
