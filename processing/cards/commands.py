"""`spk cards`: the operator's side of issuing — stations and their tokens, what is issued."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Final
from uuid import uuid4

import cyclopts
from cyclopts import Parameter

from hsm_stub.client.async_client import connect_async
from processing.cards import application_commands, batch_commands, life_commands, lost_commands
from processing.cards.batch_export import export_batch as export_batch_now
from processing.cards.batch_export import open_orders, read_station_key
from processing.cards.blank_commands import app as blanks_app
from processing.cards.certificate_status import issue_revocation_list, issuer_of
from processing.cards.certificates import CertificateStore, RevocationList
from processing.cards.signing import signer
from processing.cards.stations import new_token, token_sha256
from processing.cards.stop_list import IssuedList, StopListStore
from processing.cards.stop_list import issue_stop_list as issue_stop_list_now
from processing.cards.store import CardStore
from processing.kernel.clock import SystemClock
from processing.kernel.config import read_settings
from processing.kernel.database import REPORTING_LIMITS
from processing.kernel.errors import ConfigurationError
from processing.kernel.private_file import write_private_file
from processing.kernel.roles import Role
from processing.kernel.target_pools import open_targets
from processing.wire.key_use import KeyUseReport
from processing.wire.statement import Domain

APPLICATION_NAME: Final = "spk cards"

app = cyclopts.App(name="cards", help="Order cards, hand them over, keep their lives in order.")


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


app.command(application_commands.order)
app.command(application_commands.orders)
app.command(application_commands.approve)
app.command(application_commands.refuse)
app.command(application_commands.withdraw)
app.command(application_commands.where)
app.command(application_commands.renew)
app.command(batch_commands.point_app)
app.command(batch_commands.batch)
app.command(batch_commands.batches)
app.command(batch_commands.give_batch)
app.command(batch_commands.take_back)
app.command(batch_commands.walk_in)
app.command(batch_commands.expire)
app.command(blanks_app)
app.command(life_commands.block)
app.command(life_commands.unblock)
app.command(life_commands.hand_over)
app.command(life_commands.revoke)
app.command(life_commands.destroy)
app.command(life_commands.life)
app.command(lost_commands.lost)
app.command(lost_commands.waiting)


@app.command
def issue_stop_list(
    *,
    complete: Annotated[
        bool, Parameter(help="A complete list, though an increment would do.")
    ] = False,
) -> None:
    """Issue the next stop-list; a running centre does so every ten minutes by itself."""
    issued = asyncio.run(_issue_stop_list(complete=complete))
    kind = "complete" if issued.complete else f"what changed since number {issued.base}"
    print(
        f"Stop-list {issued.number} ({kind}): {issued.stopped} cards are stopped, "
        f"{len(issued.body)} bytes"
    )


@app.command
def export_batch(
    file: Path,
    /,
    *,
    station: Annotated[str, Parameter(help="Whose open orders.")],
    station_key: Annotated[Path, Parameter(help="The station's public key (PEM, P-256).")],
    make_keys: Annotated[
        bool, Parameter(help="Bring each card's keys and certificates; else it makes its own.")
    ] = False,
    most: Annotated[int, Parameter(help="At most that many orders, the oldest first.")] = 1_000,
) -> None:
    """Write a station's open orders to FILE as a batch that it needs no master key for."""
    point = read_station_key(station_key)
    count, batch = asyncio.run(_export_batch(station, point, most, make_keys=make_keys))
    if not count:
        raise ConfigurationError(f"station {station} has no open order")
    write_private_file(file, batch)
    print(f"{count} cards for {station} are in {file}")


async def _export_batch(
    station: str, point: bytes, most: int, *, make_keys: bool
) -> tuple[int, bytes]:
    settings = read_settings(os.environ)
    async with (
        open_targets(settings, Role.ISSUING, APPLICATION_NAME) as targets,
        connect_async(settings.hsm_address) as hsm,
    ):
        orders = await open_orders(targets.home, station, most)
        now_ms = SystemClock(settings.time_zone).utc_ms()
        return len(orders), await export_batch_now(
            orders, point, uuid4(), hsm, now_ms, make_keys=make_keys
        )


@app.command
def key_use(
    *,
    out: Annotated[
        Path | None, Parameter(help="A new file to write it to, for spk hsm retire --use.")
    ] = None,
) -> None:
    """Tell how many live cards and terminals use each generation of a key."""
    report = asyncio.run(_key_use())
    for use in report.uses:
        until = "" if use.last_day is None else f", the last until {use.last_day}"
        print(f"{use.key:16} {use.generation}  {use.users}{until}")
    if out is not None:
        write_private_file(out, report.encode())


@app.command
def issue_crl() -> None:
    """Issue the next revocation list of every issuing CA whose cards live on.

    The centre does so by itself every hour; OCSP answers do not wait for it.
    """
    for issued in asyncio.run(_issue_crls()):
        print(
            f"Revocation list {issued.number} of {issued.issuer_key_id.hex()}: {issued.entries} "
            f"certificates, {len(issued.body)} bytes, next by {issued.next_update:%Y-%m-%d %H:%M}"
        )


async def _key_use() -> KeyUseReport:
    settings = read_settings(os.environ)
    async with open_targets(
        settings, Role.OPERATOR, APPLICATION_NAME, limits=REPORTING_LIMITS
    ) as targets:
        now_ms = SystemClock(settings.time_zone).utc_ms()
        return await CertificateStore(targets.home).key_use(now_ms)


async def _issue_crls() -> list[RevocationList]:
    settings = read_settings(os.environ)
    async with (
        open_targets(settings, Role.ISSUING, APPLICATION_NAME, limits=REPORTING_LIMITS) as targets,
        connect_async(settings.hsm_address) as hsm,
    ):
        public = await hsm.public_keys()
        usable = public.issuing_certificates_in_use
        store = CertificateStore(targets.home)
        now_ms = SystemClock(settings.time_zone).utc_ms()
        return [await issue_revocation_list(store, hsm, issuer_of(der), now_ms) for der in usable]


async def _issue_stop_list(*, complete: bool) -> IssuedList:
    settings = read_settings(os.environ)
    async with (
        open_targets(settings, Role.ISSUING, APPLICATION_NAME, limits=REPORTING_LIMITS) as targets,
        connect_async(settings.hsm_address) as hsm,
    ):
        region = int((await hsm.status()).region_code)
        store = StopListStore(targets.home)
        sign, clock = signer(hsm, Domain.STOP_LIST), SystemClock(settings.time_zone)
        return await issue_stop_list_now(store, sign, region, clock, complete=complete)


async def _add_station(name: str, sha256: bytes, *, renew: bool) -> bool:
    async with open_targets(read_settings(os.environ), Role.OPERATOR, APPLICATION_NAME) as targets:
        return await CardStore(targets.home).add_station(name, sha256, renew=renew)
