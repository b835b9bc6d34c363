"""So many at a time, so many in the queue."""

from __future__ import annotations

import asyncio

import pytest

from processing.kernel.errors import DatabaseBusyError
from processing.kernel.turns import Turns


async def test_turns_are_bounded_at_the_place_and_in_the_queue() -> None:
    turns, go = Turns(2, 3), asyncio.Event()
    inside: list[int] = []

    async def work(number: int) -> None:
        async with turns:
            inside.append(number)
            await go.wait()

    tasks = [asyncio.ensure_future(work(number)) for number in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(DatabaseBusyError):
        await work(5)
    assert inside == [0, 1]
    tasks[2].cancel()
    await asyncio.wait([tasks[2]])
    last = asyncio.ensure_future(work(6))
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(*tasks[:2], *tasks[3:], last)
    assert inside == [0, 1, 3, 4, 6]
