"""`spk cards lost`: one action for a lost card; `spk cards waiting`: who waits for a new one."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

from cyclopts import Parameter

from hsm_stub.client.async_client import connect_async
from processing.cards.copies import card_store
from processing.cards.life_commands import By, Language, Reason
from processing.cards.lost import report_lost
from processing.cards.model import Application, Refusal
from processing.cards.signing import signer
from processing.cards.store import CardStore
from processing.cards.temporary_page import PageFormat, temporary_page
from processing.kernel.clock import SystemClock
from processing.kernel.config import read_settings
from processing.kernel.errors import ConfigurationError
from processing.kernel.private_file import write_private_file
from processing.kernel.roles import Role
from processing.kernel.target_pools import open_targets
from processing.register.identifiers import IdentifierError, read_snils
from processing.wire.api import PROBLEMS, LentCard, ProblemType
from processing.wire.statement import Domain

WAITING_SHOWN_MAX: Final = 1_000
"""Most people who wait for a card that `spk cards waiting` lists."""

_FORMATS: Final[dict[str, PageFormat]] = {".pdf": "pdf", ".png": "png", ".svg": "svg"}
_APPLICATION_NAME: Final = "spk cards"


def lost(
    who: Annotated[str, Parameter(help="The lost card's GUID, or its holder's СНИЛС.")],
    /,
    *,
    by: By,
    reason: Reason,
    out: Annotated[Path, Parameter(help="The sheet to print: a new .pdf, .png or .svg file.")],
    pickup: Annotated[str, Parameter(help="Where the new card waits, for the sheet.")] = "",
    lang: Language = "ru",
) -> None:
    """Suspend a lost card everywhere, ask for a new one, and give a temporary card at once."""
    russian = lang == "ru"
    kind = _FORMATS.get(out.suffix.lower())
    if kind is None or out.exists():
        raise ConfigurationError(
            f"{out}: нужен новый файл с именем на .pdf, .png или .svg"
            if russian
            else f"{out}: give a new file that ends in .pdf, .png or .svg"
        )
    lent = asyncio.run(_lost(who, by, reason))
    if isinstance(lent, Refusal):
        words = PROBLEMS[lent.kind]
        raise ConfigurationError(
            f"{words.ru}. {words.ru_remedy}" if russian else f"{words.en}. {words.en_remedy}"
        )
    place = pickup or (
        "в эмиссионном центре, где принято заявление"
        if russian
        else "at the issuing office that took the application"
    )
    sheet = temporary_page(lent.text, str(lent.card_id), lent.valid_to, place, lang, kind)
    write_private_file(out, sheet)
    print(
        f"Карта {lent.lost_card_id} приостановлена, новая заказана. Временная карта "
        f"{lent.card_id} действует по {lent.valid_to:%d.%m.%Y}: напечатайте {out} и удалите файл"
        if russian
        else f"Card {lent.lost_card_id} is suspended, a new one is asked for. Temporary card "
        f"{lent.card_id} serves until {lent.valid_to}: print {out} and delete the file"
    )


def waiting(*, lang: Language = "ru") -> None:
    """List who waits for a new card in the place of a lost one, the longest first."""
    for one in asyncio.run(_waiting()):
        state = (
            ("на станции" if one.ordered else "ждёт")
            if lang == "ru"
            else ("at a station" if one.ordered else "waits")
        )
        print(f"{one.applied_at:%Y-%m-%d %H:%M}  {one.citizen_id}  {state}  ({one.applied_by})")


async def _lost(who: str, by: str, reason: str) -> LentCard | Refusal:
    settings = read_settings(os.environ)
    async with (
        open_targets(settings, Role.ISSUING, _APPLICATION_NAME, patient=True) as targets,
        connect_async(settings.hsm_address) as hsm,
    ):
        store = card_store(targets)
        card_id = await _card_of(store, who)
        if card_id is None:
            return Refusal(ProblemType.CARD_NOT_IN_USE)
        clock = SystemClock(settings.time_zone)
        sign = signer(hsm, Domain.TEMPORARY_CARD)
        return await report_lost(store, sign, clock, card_id, by=by, reason=reason)


async def _card_of(store: CardStore, who: str) -> UUID | None:
    """Return the card that a GUID or a holder's СНИЛС names."""
    try:
        return UUID(who)
    except ValueError:
        pass
    try:
        snils = read_snils(who)
    except IdentifierError as error:
        raise ConfigurationError(f"{who}: {error.ru} / {error.en}") from error
    citizen = await store.citizen(None, snils)
    return None if citizen is None else await store.card_in_use(citizen.citizen_id)


async def _waiting() -> list[Application]:
    async with open_targets(read_settings(os.environ), Role.ISSUING, _APPLICATION_NAME) as targets:
        return await CardStore(targets.home).applications(WAITING_SHOWN_MAX)
