"""Receipts of a block: one signature of the key service, a path to it for each decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hsm_stub.client.commands import BlockSignature
from processing.wire.merkle import leaf_hash, tree_levels
from processing.wire.receipt import decision_bytes, encoded_receipts
from processing.wire.transaction import Decision


class BlockSigner(Protocol):
    """The part of the key service's client that receipts need."""

    async def ping(self) -> None:
        """Return when the key service answers."""

    async def sign_receipt_block(
        self, *, lane: int, block: int, leaf_count: int, signed_at_ms: int, root: bytes
    ) -> BlockSignature:
        """Sign the statement of one block (`processing.wire.receipt.block_statement`)."""


async def sign_block(
    signer: BlockSigner, decisions: Sequence[Decision], signed_at_ms: int
) -> list[bytes]:
    """Return an encoded receipt for each decision of one whole block, in order.

    `decisions` must be all of the block, by ordinal from 0. Raises the errors of the key service.
    """
    lane, block = decisions[0].lane, decisions[0].block
    tree = tree_levels([leaf_hash(decision_bytes(decision)) for decision in decisions])
    signed = await signer.sign_receipt_block(
        lane=lane,
        block=block,
        leaf_count=len(decisions),
        signed_at_ms=signed_at_ms,
        root=tree[-1][0],
    )
    return encoded_receipts(signed.key_id, lane, block, signed_at_ms, signed.signature, tree)
