"""`spk cards block`, `hand-over`, `destroy` …: a card is moved on in its life, or shown."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated, Literal
from uuid import UUID

from cyclopts import Parameter

from processing.cards.copies import card_store
from processing.cards.life import Move, Stage
from processing.cards.model import LifeStep
from processing.cards.store import CardStore
from processing.kernel.config import read_settings
from processing.kernel.errors import ConfigurationError
from processing.kernel.roles import Role
from processing.kernel.target_pools import open_targets

CardId = Annotated[UUID, Parameter(help="The card's GUID, as spk card show prints it.")]
By = Annotated[str, Parameter(help="Who does it: the name goes into the card's life.")]
Reason = Annotated[str, Parameter(help="Why: it goes into the card's life.")]
Language = Annotated[Literal["ru", "en"], Parameter(help="The language of the answer.")]

_APPLICATION_NAME = "spk cards"


def block(card_id: CardId, /, *, by: By, reason: Reason, lang: Language = "ru") -> None:
    """Suspend a card at once, for everyone it may act for."""
    _move(card_id, Stage.SUSPENDED, by, reason, lang)


def unblock(card_id: CardId, /, *, by: By, reason: Reason, lang: Language = "ru") -> None:
    """Let a suspended card work again, as when a lost card was found."""
    _move(card_id, Stage.ACTIVE, by, reason, lang)


def hand_over(card_id: CardId, /, *, by: By, reason: Reason, lang: Language = "ru") -> None:
    """Hand an issued card over: it becomes active and takes the place of the one before."""
    _move(card_id, Stage.ACTIVE, by, reason, lang, role=Role.ISSUING)


def revoke(card_id: CardId, /, *, by: By, reason: Reason, lang: Language = "ru") -> None:
    """End a card's life for good, as when its holder died."""
    _move(card_id, Stage.REVOKED, by, reason, lang)


def destroy(card_id: CardId, /, *, by: By, reason: Reason, lang: Language = "ru") -> None:
    """Write down that a card that serves no more was taken in and destroyed."""
    _move(card_id, Stage.DESTROYED, by, reason, lang)


def life(card_id: CardId, /, *, lang: Language = "ru") -> None:
    """Show what happened to a card: when, by whom, why."""
    steps = asyncio.run(_life(card_id))
    if not steps:
        raise ConfigurationError(
            "об этой карте ничего не записано" if lang == "ru" else "nothing is known of this card"
        )
    for step in steps:
        words = Stage[step.to_stage.upper()]
        print(
            f"{step.made_at:%Y-%m-%d %H:%M:%S}  {words.ru if lang == 'ru' else words.en}: "
            f"{step.reason} ({step.made_by})"
        )


def _move(
    card_id: UUID, to: Stage, by: str, reason: str, lang: str, role: Role = Role.OPERATOR
) -> None:
    if not by.strip() or not reason.strip():
        raise ConfigurationError(
            "назовите себя и причину: --by, --reason"
            if lang == "ru"
            else "say who you are and why: --by, --reason"
        )
    move = asyncio.run(_moved(card_id, to, by, reason, role))
    told = move.ru if lang == "ru" else move.en
    if not move.done:
        raise ConfigurationError(f"{card_id}: {told}")
    print(f"{card_id}: {told}")


async def _moved(card_id: UUID, to: Stage, by: str, reason: str, role: Role) -> Move:
    settings = read_settings(os.environ)
    # A block must not wait for a database that is away.
    async with open_targets(settings, role, _APPLICATION_NAME, patient=True) as targets:
        return await card_store(targets).move(card_id, to, by, reason)


async def _life(card_id: UUID) -> list[LifeStep]:
    async with open_targets(read_settings(os.environ), Role.OPERATOR, _APPLICATION_NAME) as targets:
        return await CardStore(targets.home).life(card_id)
