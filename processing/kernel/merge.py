"""Several ordered streams as one, with one element of each in memory."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

from processing.kernel.errors import DatabaseError

_T = TypeVar("_T")


async def merged(
    streams: Sequence[AsyncIterator[_T]], order: Callable[[_T], Any]
) -> AsyncIterator[tuple[int, _T]]:
    """Yield the elements of all streams by `order`, each with its stream's place among `streams`.

    Raises `DatabaseError` when a stream is not in that order: databases with different collations
    sort text differently, and what they say could not be compared.
    """
    heap: list[tuple[Any, int, _T]] = []

    async def draw(place: int, after: Any) -> None:
        try:
            element = await anext(streams[place])
        except StopAsyncIteration:
            return
        rank = order(element)
        if after is not None and rank < after:
            raise DatabaseError(
                f"database {place + 1} of {len(streams)} sorts text in another order than the "
                "rest: create all of them with the same collation, best C"
            )
        heapq.heappush(heap, (rank, place, element))

    for place in range(len(streams)):
        await draw(place, None)
    while heap:
        rank, place, element = heapq.heappop(heap)
        yield place, element
        await draw(place, rank)
