"""A table: what a terminal ends with when one frame of one message suffers one fault.

Each cell is the product's own terminal over a failing line. Afterwards the line is sound, whatever
was held back arrives late, and then the terminal's log, its totals, the journal and the counters
must tell the same story.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from processing.wire.transaction import Kind, TransactionKey
from terminal_sim.errors import TerminalError
from terminal_sim.link import LinkError, LinkLimits
from terminal_sim.results import Result
from terminal_sim.state import NO_TOTALS, Asked
from terminal_sim.till import Till
from tests.authorization.audit import audit
from tests.faults.proxy import Fault, FaultyLine, Script, Way, faulty_line
from tests.faults.tills import PATIENT, QUICK, RealTill, TownCard, no_pin, pills, real_till
from tests.plugins.live_centre import LiveCentre, assert_until
from tests.plugins.town import business_day, citizen, now_ms, signed

MARIA: Final = citizen(1)
CARD: Final = TownCard(MARIA)

DECIDED: Final = "decided"
"""The centre's decision, or its answer to a question, came in the end."""

NOT_DECIDED: Final = "not decided"
"""The centre said that it decided nothing; the terminal keeps the request and will repeat it."""

NO_ANSWER: Final = "no answer"
"""Nothing came that could be believed; the terminal keeps the request and will repeat it."""


async def _nothing(_till: RealTill) -> None:
    """Prepare nothing."""


async def _sold(till: RealTill) -> TransactionKey:
    """Sell over the line while it is sound."""
    result = await till.does(Till.sell, CARD, pills(MARIA, 2), no_pin)
    assert result.decided
    return result.request.key


async def _reserved(till: RealTill) -> TransactionKey:
    """Put something aside over the line while it is sound."""
    goods = pills(MARIA, 2, kind=Kind.RESERVE)
    result = await till.does(Till.sell, CARD, goods, no_pin)
    assert result.exit_code == 0
    return result.request.key


async def _kept(till: RealTill) -> TransactionKey:
    """Put a sale on the disk and lose power before it is sent."""
    unsent = till.till.terminal.sale(
        CARD.identity, MARIA.holder_id, "MED", 1, pills(MARIA).lines, now_ms()
    )
    request = signed(unsent, MARIA)
    till.till.store.write(Asked(request))
    till.restart()
    return request.key


async def _sell(till: RealTill, _: None) -> str:
    return _ending(await till.does(Till.sell, CARD, pills(MARIA), no_pin))


async def _advise(till: RealTill, _: None) -> str:
    await till.does(Till.sell, CARD, pills(MARIA, offline=True), no_pin)
    (result,) = await till.does(Till.repeat_pending)
    return _ending(result)


async def _take_back(till: RealTill, key: TransactionKey) -> str:
    return _ending(await till.does(Till.reverse, key))


async def _reserve(till: RealTill, _: None) -> str:
    return _ending(await till.does(Till.sell, CARD, pills(MARIA, kind=Kind.RESERVE), no_pin))


async def _complete(till: RealTill, key: TransactionKey) -> str:
    return _ending(await till.does(Till.complete, key, ["PILL=1@100"]))


async def _give_back(till: RealTill, key: TransactionKey) -> str:
    return _ending(await till.does(Till.give_back, CARD, key, ["PILL=1@100"]))


async def _inquire(till: RealTill, _: None) -> str:
    rights = await till.does(Till.rights, CARD)
    return DECIDED if rights.answer.outcome.approved else NOT_DECIDED


async def _settle(till: RealTill, _: None) -> str:
    compared = await till.does(Till.totals, business_day())
    return DECIDED if compared.answer.outcome.approved else NOT_DECIDED


async def _echo(till: RealTill, _: None) -> str:
    answer = await till.does(Till.echo)
    return DECIDED if answer.outcome.approved else NOT_DECIDED


async def _change_key(till: RealTill, _: None) -> str:
    before = till.till.terminal.mac_key.generation
    try:
        await till.does(Till.change_key)
    except LinkError:
        raise
    except TerminalError:
        # It has both keys and knows not which one counts: it finds out with what it sends next.
        await till.does(Till.echo)
    assert till.till.terminal.mac_key.generation == before + 1
    return DECIDED


def _ending(result: Result) -> str:
    if result.decided:
        return DECIDED
    return NO_ANSWER if result.answer is None else NOT_DECIDED


class Deed(msgspec.Struct, frozen=True):
    """One kind of message: what comes before it, how the till sends it, how often it asks."""

    prepare: Callable[[RealTill], Awaitable[Any]]
    act: Callable[[RealTill, Any], Awaitable[str]]
    asks: int = 3


DEEDS: Final = {
    "sale": Deed(_nothing, _sell),
    "advice": Deed(_nothing, _advise, asks=1),
    "reversal": Deed(_sold, _take_back),
    "reversal before its sale": Deed(_kept, _take_back),
    "reversal of a reserve": Deed(_reserved, _take_back),
    "reserve": Deed(_nothing, _reserve),
    "completion": Deed(_reserved, _complete),
    "return": Deed(_sold, _give_back),
    "inquiry": Deed(_nothing, _inquire),
    "totals": Deed(_nothing, _settle),
    "network": Deed(_nothing, _echo, asks=1),
    "key change": Deed(_nothing, _change_key, asks=1),
}

ASKED_ONCE: Final = {
    Way.TO_CENTRE: {Fault.TWICE, Fault.AGAIN, Fault.SPLIT, Fault.LAST},
    Way.TO_TERMINAL: {Fault.TWICE, Fault.AGAIN, Fault.SPLIT, Fault.LAST, Fault.CUT_AFTER},
}
"""Faults that the terminal does not notice: it has its answer at the first attempt."""

SAID_NO: Final = {(Way.TO_CENTRE, Fault.NOISE), (Way.TO_CENTRE, Fault.FLIP)}
"""Faults that the centre answers with "nothing decided": 101 to noise, 104 to a changed MAC."""


SILENT: Final = {Fault.DROP, Fault.HOLD, Fault.SWAP, Fault.JOIN, Fault.TRICKLE}
"""Faults that leave the terminal waiting."""


def ending_of(deed: str, way: Way, fault: Fault, *, always: bool) -> str:
    """Return what the table says: how the first call of the till ends.

    `always`: the fault befalls every frame, so that asking again does not help.
    """
    told_no = (way, fault) in SAID_NO and deed not in ("totals", "network", "key change")
    if fault in ASKED_ONCE[way]:
        return DECIDED
    if told_no and (fault is Fault.NOISE or always or DEEDS[deed].asks == 1):
        # Whoever is told that its message cannot be read gains nothing by sending it again.
        return NOT_DECIDED
    return NO_ANSWER if always or DEEDS[deed].asks == 1 else DECIDED


class Cell(msgspec.Struct, frozen=True):
    """One cell of the table; `always`: the fault befalls every frame of this way."""

    deed: str
    way: Way
    fault: Fault
    always: bool = False

    @property
    def expected(self) -> str:
        """How the till's first call ends."""
        return ending_of(self.deed, self.way, self.fault, always=self.always)

    @property
    def limits(self) -> LinkLimits:
        """How long the terminal waits: it notices some faults by waiting in vain only."""
        return QUICK if self.fault in SILENT else PATIENT


async def _fill(cell: Cell, live: LiveCentre, folder: Path, number: int) -> str:
    """Make the fault, mend the line, and hold both sides against each other; return the ending."""
    deed, script = DEEDS[cell.deed], Script(cell.way)
    async with (
        faulty_line(live.number, script) as line,
        real_till(live, folder, f"CELL{number:04d}", line.port, cell.limits) as till,
    ):
        prepared = await deed.prepare(till)
        script.begin(cell.fault, after=cell.fault if cell.always else Fault.NONE)
        try:
            ending = await deed.act(till, prepared)
        except LinkError:
            ending = NO_ANSWER
        await assert_until(partial(_made, line, cell), f"{cell} was made")
        script.mend()
        line.release()
        await till.settle_down()
        await _expect_it_works(deed, till)
        await till.check_against(live)
    return ending


def _made(line: FaultyLine, cell: Cell) -> bool:
    return line.done[cell.way, cell.fault] > 0


async def _expect_it_works(deed: Deed, till: RealTill) -> None:
    """Do it once more; who asks once only may first have to notice that the line was closed."""
    for _ in range(2):
        with contextlib.suppress(LinkError):
            if await deed.act(till, await deed.prepare(till)) == DECIDED:
                return
        await till.settle_down()
    raise AssertionError("the line is sound, and yet there is no answer")


async def assert_table(live: LiveCentre, folder: Path, cells: list[Cell]) -> None:
    """Fill the cells side by side and compare them with the table; then audit."""
    endings = await asyncio.gather(
        *(_fill(cell, live, folder, number) for number, cell in enumerate(cells))
    )
    found = dict(zip(cells, endings, strict=True))
    assert found == {cell: cell.expected for cell in cells}
    assert not any(await live.databases.everywhere(audit))


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.NONE])
async def test_one_frame_suffers(live: LiveCentre, tmp_path: Path, fault: Fault) -> None:
    cells = [Cell(deed, way, fault) for deed in DEEDS for way in Way]
    await assert_table(live, tmp_path, cells)


@pytest.mark.parametrize(
    "fault", [Fault.DROP, Fault.HOLD, Fault.FLIP, Fault.NOISE, Fault.HALF, Fault.RESET]
)
async def test_every_frame_suffers(live: LiveCentre, tmp_path: Path, fault: Fault) -> None:
    cells = [Cell(deed, way, fault, always=True) for deed in DEEDS for way in Way]
    await assert_table(live, tmp_path, cells)


async def test_an_answer_that_comes_again_is_not_taken_for_the_next(
    live: LiveCentre, tmp_path: Path
) -> None:
    script = Script(Way.TO_TERMINAL)
    async with (
        faulty_line(live.number, script) as line,
        real_till(live, tmp_path, "CELL0000", line.port) as till,
    ):
        await _sold(till)
        script.begin(Fault.AGAIN)
        today = await till.does(Till.totals, business_day())
        yesterday = await till.does(Till.totals, business_day() - timedelta(days=1))
        assert today.answer.totals == today.mine
        assert yesterday.answer.totals == NO_TOTALS
        assert line.held == 0
