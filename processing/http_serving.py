"""The HTTP side of the composition root: what the HTTP gateway stands on, opened and served.

One process of a centre serves HTTP: the only one, or the supervisor of its workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from structlog.typing import FilteringBoundLogger

from hsm_stub.client.async_client import AsyncHsmClient
from hsm_stub.client.errors import HsmError
from processing.cards.certificate_status import Issuers, OcspResponder
from processing.cards.certificates import CertificateStore
from processing.cards.copies import CopiedCards, card_store
from processing.cards.issuing import Issuing
from processing.cards.passport import Passports
from processing.cards.passport_refresh import PassportRefresh
from processing.cards.report_check import IssuingAuthority
from processing.cards.signing import content_key_id, signer
from processing.cards.stop_list import StopListStore
from processing.cards.store import CardStore
from processing.exchange.dci.running import running_exchange
from processing.gateways.http import HttpParts, Probe, http_application
from processing.gateways.pki import PkiParts
from processing.gateways.terminal_passport import PassportParts
from processing.kernel.clock import Clock
from processing.kernel.config import ListenAddress, Settings
from processing.kernel.errors import ConfigurationError, DatabaseError
from processing.kernel.metrics import Measurements
from processing.kernel.roles import Role
from processing.kernel.target_pools import TargetPools
from processing.terminals.copies import terminal_store
from processing.terminals.keys import TerminalKeys
from processing.terminals.rules import TerminalRules
from processing.terminals.trust import TerminalTrust
from processing.wire.statement import Domain

ISSUERS_CHECK_SECONDS: Final = 30
"""How soon OCSP knows of another issuing CA; a station's report asks at once."""

COPIES_CHECK_SECONDS: Final = 1
"""How soon a database that was away is told which cards were blocked, replaced or issued."""


@dataclass(frozen=True)
class Ground:
    """What every part of a centre stands on. `pools` act as spk_processing."""

    settings: Settings
    pools: TargetPools
    hsm: AsyncHsmClient
    open_pools: Callable[[Role], AbstractAsyncContextManager[TargetPools]]
    clock: Clock
    log: FilteringBoundLogger


@contextlib.asynccontextmanager
async def serving_http(
    ground: Ground, probes: Mapping[str, Probe], measurements: Measurements
) -> AsyncIterator[None]:
    """Serve HTTP for the time of the block; raises before it listens when something is missing."""
    settings, log = ground.settings, ground.log
    async with (
        ground.open_pools(Role.ISSUING) as issuing_pools,
        running_exchange(settings.home, ground.open_pools, ground.clock, log) as exchange,
    ):
        cards = card_store(issuing_pools)
        issuers = Issuers(ground.hsm.public_keys)
        passports = Passports(
            issuing_pools.home,
            signer(ground.hsm, Domain.SOCIAL_PASSPORT),
            ground.clock,
            content_key_id(ground.hsm),
        )
        terminals = terminal_store(ground.pools)
        parts = HttpParts(
            measurements=measurements,
            probes=probes,
            issuing=await _issuing(ground, cards, passports, issuers),
            stop_lists=StopListStore(issuing_pools.home),
            pki=_pki(ground, issuing_pools, issuers),
            exchange=exchange,
            rules=TerminalRules(
                terminals,
                signer(ground.hsm, Domain.PARAMETER_FILE),
                ground.clock,
                content_key_id(ground.hsm),
            ),
            passports=PassportParts(
                PassportRefresh(passports, cards, ground.hsm, _monotonic_ms),
                terminals,
                TerminalKeys(terminals, ground.hsm),
                ground.clock,
            ),
            trust=TerminalTrust(
                ground.hsm.public_keys, signer(ground.hsm, Domain.TRUST_LIST), ground.clock
            ),
        )
        runner = web.AppRunner(http_application(parts), access_log=None)
        await runner.setup()
        listen = settings.http_listen
        site = web.TCPSite(runner, listen.host, listen.port)
        with taking("SPK_HTTP_LISTEN", listen):
            await site.start()
        log.info("serving http", host=listen.host, port=int(runner.addresses[0][1]))
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(_keep_issuers(issuers))]
        if isinstance(cards, CopiedCards):
            tasks.append(loop.create_task(_keep_copies(cards, log)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await runner.cleanup()


async def _issuing(
    ground: Ground, cards: CardStore, passports: Passports, issuers: Issuers
) -> Issuing:
    async def renew() -> IssuingAuthority:
        await issuers.renew()
        return IssuingAuthority(issuers.certificates)

    return Issuing(
        cards,
        await renew(),
        passports,
        ground.clock,
        renew,
        signer(ground.hsm, Domain.TEMPORARY_CARD),
    )


def _pki(ground: Ground, pools: TargetPools, issuers: Issuers) -> PkiParts:
    certificates = CertificateStore(pools.home)
    return PkiParts(certificates, OcspResponder(certificates, ground.hsm, issuers), issuers)


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


async def _keep_issuers(issuers: Issuers) -> None:
    """Learn of an issuing CA that the key service has since."""
    while True:
        await asyncio.sleep(ISSUERS_CHECK_SECONDS)
        with contextlib.suppress(HsmError):
            await issuers.renew()


async def _keep_copies(cards: CopiedCards, log: FilteringBoundLogger) -> None:
    """Finish telling the other databases what an interruption left untold."""
    while True:
        await asyncio.sleep(COPIES_CHECK_SECONDS)
        try:
            await cards.deliver()
        except DatabaseError as error:
            log.error("cards not copied", fault=str(error))


@contextlib.contextmanager
def taking(variable: str, address: ListenAddress) -> Iterator[None]:
    """Say in the operator's words why an address cannot be listened on."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else str(error)
        raise ConfigurationError(
            f"{variable}={address} cannot be listened on: {reason}. Stop what listens there, or "
            f"set {variable} to another host:port"
        ) from error
