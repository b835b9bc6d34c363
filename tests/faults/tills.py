"""The product's own terminals in the town: till, link and log on the disk, at any port.

Their calls block, as a terminal's do; `RealTill.does` makes them in a thread, so that centre and
line go on in the test's loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

import msgspec

from processing.wire.iso8583.mac import Mac
from processing.wire.iso8583.messages import Settlement
from processing.wire.parameter_file import ItemParameters, ParameterFile, ServiceParameters
from processing.wire.transaction import Answer, Evidence, Kind, Line, Request
from terminal_sim.card import AskPin, PresentedCard
from terminal_sim.link import Link, LinkError, LinkLimits
from terminal_sim.results import Result, Sale
from terminal_sim.state import Entry, EntryState
from terminal_sim.store import Store
from terminal_sim.terminal import CardIdentity, Terminal
from terminal_sim.till import Till
from tests.plugins.live_centre import LiveCentre
from tests.plugins.town import (
    PRICE_KOPECKS,
    REGION,
    ZONE,
    Citizen,
    add_shop,
    business_day,
    now_ms,
    signature_of,
)

QUICK: Final = LinkLimits(
    connect_timeout_ms=10_000, answer_timeout_ms=3_000, first_pause_ms=5, pause_max_ms=20
)
"""Limits of a terminal that is to notice that nothing comes."""

PATIENT: Final = LinkLimits(
    connect_timeout_ms=10_000, answer_timeout_ms=20_000, first_pause_ms=5, pause_max_ms=20
)
"""Limits of a terminal that is to wait for its answer, however busy the machine is."""

GIVEN = TypeVar("GIVEN")
ASKED = ParamSpec("ASKED")


class TownCard(PresentedCard):
    """A citizen's card in the reader: the town has their keys, not their chips."""

    def __init__(self, who: Citizen) -> None:
        self.identity = CardIdentity(who.card_id, REGION, f"964390{who.number:013d}")
        self.who = who

    def sign(self, digest: bytes, evidence: Evidence, _ask_pin: AskPin) -> bytes:
        """Sign as the chip does."""
        return signature_of(digest, evidence, self.who)


class RealTill:
    """One of the town's terminals at work, with its state folder."""

    def __init__(self, folder: Path, parameters: ParameterFile, limits: LinkLimits) -> None:
        self._folder = folder
        self._parameters = parameters
        self._limits = limits
        self._thread = ThreadPoolExecutor(1)
        self._open()

    def _open(self) -> None:
        self._store = Store.open(self._folder, self._parameters, now_ms())
        terminal = Terminal(self._parameters, self._store.state, os.urandom)
        self._link = Link(self._parameters, now_ms, self._limits)
        self.till = Till(terminal, self._store, self._link, now_ms, _pause)

    async def does(
        self,
        work: Callable[Concatenate[Till, ASKED], GIVEN],
        *args: ASKED.args,
        **more: ASKED.kwargs,
    ) -> GIVEN:
        """Have the till do something in its thread. Whatever the line does, it comes to an end."""
        async with asyncio.timeout(DEED_SECONDS_MAX):
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, partial(work, self.till, *args, **more)
            )

    def restart(self) -> None:
        """Begin again from what is on the disk, as after a power cut."""
        self._let_go()
        self._open()

    def close(self) -> None:
        """End the terminal."""
        self._thread.shutdown()
        self._let_go()

    def _let_go(self) -> None:
        self._link.close()
        self._store.close()

    @property
    def entries(self) -> list[Entry]:
        """Everything the terminal asked for, decided or not."""
        state = self._store.state
        return [*state.decided.values(), *state.pending.values()]

    @property
    def pending(self) -> list[Request]:
        """What it has no decision on."""
        return [entry.request for entry in self._store.state.pending.values()]

    async def settle_down(self) -> list[Result]:
        """Repeat what is pending over a line that is sound by now, until nothing is."""
        self._link.limits = PATIENT
        results: list[Result] = []
        for _ in range(ROUNDS_MAX):
            if not self.pending and self.till.terminal.next_mac_key is None:
                break
            with contextlib.suppress(LinkError):
                # A connection from before may be closed by now; the next message opens another.
                await self.does(Till.echo)
            results += await self.does(Till.repeat_pending)
        assert not self.pending, f"still undecided: {self.pending}"
        assert self.till.terminal.next_mac_key is None, "the new key was never confirmed"
        return results

    async def check_against(self, live: LiveCentre) -> None:
        """Hold what the terminal was told against the centre: each decision, and the totals.

        Asked again, by a message on a line of its own, the centre must tell each decision again.
        """
        key = self.till.terminal.mac_key
        line = await live.line(
            self._parameters.terminal_id, mac=Mac(key.key), key_id=key.generation
        )
        for entry in self.entries:
            assert entry.state is EntryState.DECIDED
            assert entry.answer is not None
            again = await line.decide(msgspec.structs.replace(entry.request, repeat=True))
            told = f"{entry.request} was told {entry.answer}, and again {again}"
            assert decided(again) == decided(entry.answer), told
        compared = await self.does(Till.totals, business_day())
        assert compared.answer.totals == compared.mine
        assert compared.answer.settlement is Settlement.IN_BALANCE


DEED_SECONDS_MAX: Final = 100.0
"""Longest that a call of a till may take: three attempts with their limits on a busy machine."""

ROUNDS_MAX: Final = 20
"""How often a terminal may have to go through its pending requests on a sound line."""


def _pause(milliseconds: int) -> None:
    time.sleep(milliseconds / 1000)


def decided(answer: Answer) -> tuple[object, ...]:
    """Return what must be the same each time a request is answered; a receipt is signed anew."""
    return answer.outcome, answer.decision, answer.facts


def pills(
    who: Citizen, quantity: int = 1, *, kind: Kind = Kind.SALE, offline: bool = False
) -> Sale:
    """Return what is rung up for a citizen."""
    return Sale(
        holder_id=who.holder_id,
        service="MED",
        version=1,
        lines=(Line("PILL", quantity, 796, 0, quantity * PRICE_KOPECKS),),
        offline=offline,
        kind=kind,
    )


def no_pin() -> str:
    """Answer a question that a tap never asks."""
    raise AssertionError("the town's sales are signed by tap")


@contextlib.asynccontextmanager
async def real_till(
    live: LiveCentre, folder: Path, terminal_id: str, port: int, limits: LinkLimits = PATIENT
) -> AsyncIterator[RealTill]:
    """Give a new terminal of the town, with the centre at `port`, for the block."""
    await live.databases.everywhere(lambda one: add_shop(one, terminal_id))
    parameters = _parameters(
        live,
        terminal_id,
        port,
        mac_key=await live.mac_key(terminal_id),
        exchange_key=await live.exchange_key(terminal_id),
    )
    till = RealTill(folder / terminal_id, parameters, limits)
    try:
        yield till
    finally:
        till.close()


def _parameters(
    live: LiveCentre, terminal_id: str, port: int, *, mac_key: bytes, exchange_key: bytes
) -> ParameterFile:
    return ParameterFile(
        terminal_id=terminal_id,
        provider_code="APTEKA-7",
        provider_name_ru="Аптека 7",
        provider_name_en="Pharmacy 7",
        region=REGION,
        time_zone=ZONE,
        centre_host="127.0.0.1",
        centre_port=port,
        key_generation=1,
        mac_key=mac_key,
        exchange_key=exchange_key,
        receipt_keys=(live.receipt_public_key,),
        issuing_cas=(b"none: the town's cards are not read",),
        services=(
            ServiceParameters(
                service="MED",
                version=1,
                name_ru="Лекарства",
                name_en="Medicines",
                evidence=1,
                consumes=1,
                shortage=1,
            ),
        ),
        items=(
            ItemParameters(
                item="PILL",
                item_class="PILL",
                unit_okei=796,
                scale=0,
                name_ru="Таблетки",
                name_en="Pills",
            ),
        ),
    )
