"""Terminals as the centre keeps them (SQL schema `terminals`)."""

from __future__ import annotations

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


class Terminal(msgspec.Struct, frozen=True, kw_only=True):
    """One terminal, whose it is, and the services allowed there."""

    terminal_id: str
    state: TerminalState
    key_generation: int
    region: int
    time_zone: str
    provider: Provider
    services: tuple[str, ...]


class Offer(msgspec.Struct, frozen=True):
    """What can be rung up at a terminal: services in force there, and every item."""

    services: tuple[ServiceParameters, ...]
    items: tuple[ItemParameters, ...]
