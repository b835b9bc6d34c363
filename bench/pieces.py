"""The pieces of a worker's path that can be called alone, without waiting for anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterator
from typing import Final

import msgspec

from bench.counters import Counters, Reading
from bench.wire.ratios import sale_of, subjects
from hsm_stub.client.commands import BlockSignature
from processing.authorization.model import CardKey
from processing.authorization.proof import KnownCard
from processing.journal.receipts import sign_block
from processing.wire.digest import request_digest
from tests.wire.examples import CARD_SCALAR, decision_of, point_of

CALLS: Final = 400
WARM_CALLS: Final = 200
BLOCK: Final = 64
"""Decisions of the block whose receipts are made."""

VERIFY: Final = "verify (bare)"
PROVE: Final = "verify, from the raw signature"
RECEIPTS: Final = f"receipts of a block of {BLOCK}"

_WIRE: Final = {
    VERIFY: "bare verify",
    "parse": "parse_message, 1 line",
    "check the MAC": "authentic, 1 line",
    "canonical bytes and SHA-256": "SHA-256, 1 line",
    "write the answer, with its MAC": "encode_answer, 1 line",
}
"""Pieces of the wire, and how `bench.wire.ratios` calls them."""

NAMES: Final = (*_WIRE, PROVE, RECEIPTS)

Call = Callable[[], tuple[Reading, int]]


class _Signer:
    """A key service that answers at once."""

    async def ping(self) -> None:
        """Be there."""

    async def sign_receipt_block(
        self, *, lane: int, block: int, leaf_count: int, signed_at_ms: int, root: bytes
    ) -> BlockSignature:
        """Return a signature of the right size."""
        return BlockSignature(key_id=b"bench-01", signature=bytes(64))


def turns() -> Iterator[tuple[str, Call]]:
    """Yield each piece by name with a call that runs it for a while and tells what it spent."""
    wire = subjects()
    calls: dict[str, tuple[Callable[[], object], int]] = {
        name: (wire[there], 1) for name, there in _WIRE.items()
    }
    sale = sale_of(1)
    digest, point = request_digest(sale), point_of(CARD_SCALAR)
    card = KnownCard(CardKey(sale.card_id, sale.holder_id, point, point))
    calls[PROVE] = (lambda: card.proves(sale, digest), 1)
    decisions = [
        msgspec.structs.replace(decision_of(sale), ordinal=ordinal) for ordinal in range(BLOCK)
    ]
    calls[RECEIPTS] = (lambda: _finished(sign_block(_Signer(), decisions, 0)), BLOCK)
    for name, (call, sales) in calls.items():
        yield name, lambda call=call, sales=sales: _timed(call, sales)  # type: ignore[misc]


def _finished(coroutine: Coroutine[object, None, object]) -> None:
    """Run what never waits, without a loop's own cost."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("a piece waited for something")


def _timed(call: Callable[[], object], sales: int) -> tuple[Reading, int]:
    times = max(1, CALLS // sales)
    for _ in range(max(1, WARM_CALLS // sales)):
        call()
    with Counters([os.getpid()]) as counters:
        before = counters.read()
        for _ in range(times):
            call()
        return counters.read().since(before), times * sales
