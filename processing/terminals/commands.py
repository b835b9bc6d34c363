"""`spk terminals`: list, enrol, block and unblock terminals."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from hsm_stub.client.async_client import connect_async
from processing.kernel.clock import SystemClock
from processing.kernel.config import ListenAddress, Settings, read_settings
from processing.kernel.errors import ConfigurationError
from processing.kernel.private_file import write_private_file
from processing.kernel.roles import Role
from processing.kernel.target_pools import open_targets
from processing.terminals.copies import terminal_store
from processing.terminals.enrolment import parameters_of
from processing.terminals.model import Terminal, TerminalState
from processing.terminals.network import TERMINAL_MASTER
from processing.terminals.store import TERMINALS_LISTED_MAX, TerminalStore
from processing.wire.parameter_file import FramingName, ProfileName

app = cyclopts.App(name="terminals", help="List, enrol, block and unblock terminals.")

TerminalId = Annotated[str, Parameter(help="Eight characters A-Z 0-9, such as AP000001.")]


@app.command(name="list")
def show_list() -> None:
    """List the terminals with their providers, services and states."""
    asyncio.run(_list())


@app.command
def enrol(
    terminal_id: TerminalId,
    /,
    *,
    out: Annotated[Path, Parameter(help="The parameter file; only you may read it.")],
    centre_host: Annotated[
        str | None, Parameter(help="Where the terminal reaches the centre; else as it listens.")
    ] = None,
    centre_port: Annotated[int | None, Parameter(help="As centre-host.")] = None,
    content_url: Annotated[
        str | None, Parameter(help="Where it fetches stop-lists; else the centre's HTTP gateway.")
    ] = None,
    framing: FramingName = FramingName.LENGTH_2,
    profile: ProfileName = ProfileName.BINARY,
    replace: Annotated[bool, Parameter(help="Write over an existing file.")] = False,
    new_keys: Annotated[
        bool, Parameter(help="End the keys of every earlier file, as after a theft.")
    ] = False,
    writes_passports: Annotated[
        bool | None,
        Parameter(help="Let it renew passports on cards at its reader, or no longer."),
    ] = None,
) -> None:
    """Derive a terminal's keys and write its parameter file."""
    settings = read_settings(os.environ)
    listen = settings.iso8583_listen
    address = ListenAddress(
        listen.host if centre_host is None else centre_host,
        listen.port if centre_port is None else centre_port,
    )
    content = asyncio.run(
        _parameters(
            settings,
            terminal_id,
            address,
            framing,
            profile,
            content_url=content_url,
            new_keys=new_keys,
            writes_passports=writes_passports,
        )
    )
    write_private_file(out, content, replace=replace)
    print(f"Terminal {terminal_id}: parameters for {address} written to {out}")


@app.command
def block(terminal_id: TerminalId, /) -> None:
    """Refuse everything this terminal asks from now on."""
    asyncio.run(_set_state(terminal_id, TerminalState.BLOCKED))
    print(f"Terminal {terminal_id} is blocked")


@app.command
def unblock(terminal_id: TerminalId, /) -> None:
    """Serve this terminal again."""
    asyncio.run(_set_state(terminal_id, TerminalState.ACTIVE))
    print(f"Terminal {terminal_id} is active")


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[TerminalStore]:
    # A block must not wait for a database that is away.
    async with open_targets(settings, Role.OPERATOR, "spk terminals", patient=True) as targets:
        yield terminal_store(targets)


async def _list() -> None:
    async with _store(read_settings(os.environ)) as store:
        terminals = await store.terminals()
    table = Table(title="Terminals")
    for name in ("terminal", "state", "key"):
        table.add_column(name, no_wrap=True)
    for name in ("signed on", "heard", "provider", "services"):
        table.add_column(name)
    for terminal in terminals:
        table.add_row(
            terminal.terminal_id,
            terminal.state.name.lower(),
            _key_shown(terminal),
            _since(terminal.presence.signed_at if terminal.presence.signed_on else None, terminal),
            _since(terminal.presence.heard_at, terminal),
            terminal.provider.name_ru,
            " ".join(terminal.services),
        )
    console = Console()
    console.print(table if terminals else "No terminals yet: spk region create makes a region.")
    if len(terminals) == TERMINALS_LISTED_MAX:
        console.print(f"Only the first {TERMINALS_LISTED_MAX} are shown.")


def _key_shown(terminal: Terminal) -> str:
    """Return the key's generation, and the one that was handed out and is not in use yet."""
    following = terminal.next_key_generation
    return str(terminal.key_generation) + ("" if following is None else f" → {following}")


def _since(moment: datetime | None, terminal: Terminal) -> str:
    """Return a moment as the terminal's clock shows it."""
    if moment is None:
        return "—"
    return f"{moment.astimezone(ZoneInfo(terminal.time_zone)):%Y-%m-%d %H:%M}"


async def _parameters(
    settings: Settings,
    terminal_id: str,
    centre: ListenAddress,
    framing: FramingName,
    profile: ProfileName,
    *,
    content_url: str | None,
    new_keys: bool,
    writes_passports: bool | None,
) -> bytes:
    async with _store(settings) as store, connect_async(settings.hsm_address) as hsm:
        if new_keys:
            active = (await hsm.public_keys()).active_generation(TERMINAL_MASTER)
            await store.renew_keys(terminal_id, active)
        if writes_passports is not None:
            await store.let_write_passports(terminal_id, may=writes_passports)
        terminal = await store.terminal(terminal_id)
        if terminal is None:
            raise _unknown(terminal_id)
        parameters = await parameters_of(
            terminal,
            store,
            hsm,
            centre,
            SystemClock(terminal.time_zone).local_date(),
            framing=framing,
            profile=profile,
            content_url=content_url or f"http://{settings.http_listen}",
        )
    return parameters.encode()


async def _set_state(terminal_id: str, state: TerminalState) -> None:
    async with _store(read_settings(os.environ)) as store:
        if not await store.set_state(terminal_id, state):
            raise _unknown(terminal_id)


def _unknown(terminal_id: str) -> ConfigurationError:
    return ConfigurationError(f"there is no terminal {terminal_id}; spk terminals list shows all")
