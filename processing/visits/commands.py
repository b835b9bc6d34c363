"""`spk visits`: visits that are open, and those that nobody finished."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from processing.kernel.clock import SystemClock
from processing.kernel.config import read_settings
from processing.kernel.database import REPORTING_LIMITS
from processing.kernel.errors import ConfigurationError
from processing.kernel.roles import Role
from processing.kernel.target_pools import open_targets
from processing.visits.model import Visit
from processing.visits.store import VISITS_LISTED_MAX, VisitStore

APPLICATION_NAME: Final = "spk visits"
FORGOTTEN_DAYS: Final = 7
"""How many days back `forgotten` looks, unless told otherwise."""

WIDTH_WITHOUT_TERMINAL: Final = 120

Language = Annotated[Literal["ru", "en"], Parameter(name="--lang", help="Language of the table.")]
Provider = Annotated[str, Parameter(help="Only this provider, by its code.")]

app = cyclopts.App(name="visits", help="List visits that are open, and those that nobody finished.")


@app.command(name="open")
def open_now(*, provider: Provider = "", lang: Language = "ru") -> None:
    """List the visits that have begun and may still be finished, what ends first in front."""
    _show(asyncio.run(_ask(lambda store: store.open_visits(provider))), lang, forgotten=False)


@app.command
def forgotten(
    *,
    since: Annotated[date | None, Parameter(help="First day; a week ago when left out.")] = None,
    until: Annotated[date | None, Parameter(help="Last day; today when left out.")] = None,
    provider: Provider = "",
    lang: Language = "ru",
) -> None:
    """List the visits that nobody finished: their minutes went back, the provider is not paid."""
    last = until or SystemClock(read_settings(os.environ).time_zone).local_date()
    first = since or last - timedelta(days=FORGOTTEN_DAYS)
    if first > last:
        raise ConfigurationError(
            f"--since {first} позже, чем --until {last}"
            if lang == "ru"
            else f"--since {first} is later than --until {last}"
        )
    visits = asyncio.run(_ask(lambda store: store.forgotten_visits(first, last, provider)))
    _show(visits, lang, forgotten=True)


async def _ask(ask: Callable[[VisitStore], Awaitable[tuple[Visit, ...]]]) -> list[Visit]:
    """Ask every database; what ends first in front."""
    settings = read_settings(os.environ)
    async with open_targets(settings, Role.OPERATOR, APPLICATION_NAME, REPORTING_LIMITS) as targets:
        found = [await ask(VisitStore(pool)) for pool in targets.pools.values()]
    return sorted((visit for part in found for visit in part), key=lambda one: one.expires_at)


_HEADS: Final = {
    "ru": ("Начало", "Организация", "Услуга", "Удержано", "Начато", "Закончить до"),
    "en": ("Start", "Provider", "Service", "Held", "Began", "Finish by"),
}
_NONE: Final = {
    ("ru", False): "Незаконченных посещений нет",
    ("en", False): "No visit is open",
    ("ru", True): "Забытых посещений нет",
    ("en", True): "No visit was forgotten",
}
_TITLES: Final = {
    ("ru", False): "Начаты и не закончены",
    ("en", False): "Begun and not finished",
    ("ru", True): "Никто не закончил: удержанное вернулось гражданам",
    ("en", True): "Nobody finished: what they held went back to the citizens",
}


def _show(visits: Sequence[Visit], lang: Literal["ru", "en"], *, forgotten: bool) -> None:
    console = Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL)
    if not visits:
        console.print(_NONE[lang, forgotten])
        return
    table = Table(title=_TITLES[lang, forgotten], title_justify="left")
    for head in _HEADS[lang]:
        table.add_column(head)
    for visit in visits[:VISITS_LISTED_MAX]:
        began = _moment(visit.began_at, visit)
        offline = " (без связи)" if lang == "ru" else " (offline)"
        table.add_row(
            visit.number,
            visit.provider_code,
            visit.service_ru if lang == "ru" else visit.service_en,
            visit.held,
            began + offline if visit.began_offline else began,
            _moment(visit.expires_at, visit),
        )
    console.print(table)
    if len(visits) >= VISITS_LISTED_MAX:
        more = "Показаны не все" if lang == "ru" else "There are more"
        console.print(f"{more}: {VISITS_LISTED_MAX}", style="yellow")


def _moment(moment: datetime, visit: Visit) -> str:
    return f"{moment.astimezone(ZoneInfo(visit.time_zone)):%d.%m.%Y %H:%M}"
