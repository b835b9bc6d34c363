"""`spk cards`: the operator's side of issuing — stations and their tokens, blocking of cards."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import cyclopts
from cyclopts import Parameter

from processing.cards.copies import card_store
from processing.cards.model import CardCode
from processing.cards.stations import new_token, token_sha256
from processing.cards.store import CardStore
from processing.kernel.config import read_settings
from processing.kernel.errors import ConfigurationError
from processing.kernel.private_file import write_private_file
from processing.kernel.roles import Role
from processing.kernel.target_pools import open_targets

APPLICATION_NAME: Final = "spk cards"

app = cyclopts.App(name="cards", help="Register personalization stations, block cards.")

CardId = Annotated[UUID, Parameter(help="The card's GUID, as spk card show prints it.")]


@app.command
def add_station(
    name: str,
    /,
    *,
    token_file: Annotated[Path, Parameter(help="Where to write the token; only you may read it.")],
    renew: Annotated[bool, Parameter(help="Replace the token of an existing station.")] = False,
) -> None:
    """Register a personalization station and write its token to a new file.

    Args:
        name: 1 to 32 letters A-Z a-z, digits and hyphens.
    """
    token = new_token(name)
    # The file comes first: a token that the centre knows and nobody has would be of no use.
    write_private_file(token_file, f"{token}\n".encode())
    try:
        added = asyncio.run(_add_station(name, token_sha256(token), renew=renew))
    except BaseException:
        token_file.unlink(missing_ok=True)
        raise
    if not added:
        token_file.unlink(missing_ok=True)
        raise ConfigurationError(
            f"station {name} exists already; --renew replaces its token, the old one stops working"
        )
    print(f"Station {name} may order cards with the token in {token_file}")


@app.command
def block(card_id: CardId, /) -> None:
    """Block a card at once, for everyone it may act for."""
    asyncio.run(_set_state(card_id, CardCode.BLOCKED))
    print(f"Card {card_id} is blocked")


@app.command
def unblock(card_id: CardId, /) -> None:
    """Let a blocked card work again, as when a lost card was found."""
    asyncio.run(_set_state(card_id, CardCode.ACTIVE))
    print(f"Card {card_id} is active")


async def _add_station(name: str, sha256: bytes, *, renew: bool) -> bool:
    async with open_targets(read_settings(os.environ), Role.OPERATOR, APPLICATION_NAME) as targets:
        return await CardStore(targets.home).add_station(name, sha256, renew=renew)


async def _set_state(card_id: UUID, state: CardCode) -> None:
    settings = read_settings(os.environ)
    # A block must not wait for a database that is away.
    async with open_targets(settings, Role.OPERATOR, APPLICATION_NAME, patient=True) as targets:
        found = await card_store(targets).set_card_state(card_id, state)
    if found is None:
        raise ConfigurationError(f"there is no card {card_id}; spk card show reads it off the card")
    if found is not state:
        raise ConfigurationError(f"card {card_id} was replaced by a newer one and stays unusable")
