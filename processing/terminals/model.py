"""Terminals as the centre keeps them (SQL schema `terminals`)."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from uuid import UUID

import msgspec

from processing.wire.parameter_file import ItemParameters, ServiceParameters


class TerminalState(IntEnum):
    """`terminals.terminal.state`."""

    ACTIVE = 1
    BLOCKED = 2


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """Who gives services at a terminal."""

    provider_id: UUID
    code: str
    kind: str
    name_ru: str
    name_en: str
    contract: str


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """What a terminal said last about itself (0800); None: it never did."""

    heard_at: datetime | None = None
    signed_on: bool = False
    signed_at: datetime | None = None
    cut_over_at: datetime | None = None


class Terminal(msgspec.Struct, frozen=True, kw_only=True):
    """One terminal, whose it is, and the services allowed there.

    `key_generation` is that of its MAC key, `next_key_generation` of the key that was handed out
    and has not been used yet, `exchange_generation` of the key that wraps MAC keys. All come from
    generation `master_generation` of the terminal master, the next from `next_master_generation`.
    `writes_passports`: whether it may renew the social passports of cards at its reader.
    """

    terminal_id: str
    state: TerminalState
    key_generation: int
    region: int
    time_zone: str
    provider: Provider
    services: tuple[str, ...]
    next_key_generation: int | None = None
    exchange_generation: int = 1
    master_generation: int = 1
    next_master_generation: int | None = None
    writes_passports: bool = False
    presence: Presence = Presence()


class KeyOffer(msgspec.Struct, frozen=True):
    """A MAC key that a terminal may have: its generation, and that of the key that wraps it.

    And the generations of the terminal master that its keys come from now, and then.
    """

    key_generation: int
    exchange_generation: int
    master_generation: int
    next_master_generation: int


class Offer(msgspec.Struct, frozen=True):
    """What can be rung up at a terminal: services in force there, and every item.

    `coming` are versions that are approved and begin later.
    """

    services: tuple[ServiceParameters, ...]
    items: tuple[ItemParameters, ...]
    coming: tuple[ServiceParameters, ...] = ()
