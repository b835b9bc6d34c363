"""The receipt file: one decision with its signed receipt, kept by the terminal, checked by anyone.

JSON in UTF-8, byte strings as hexadecimal text so that a person can compare them. The file says
what was decided, not for whom: no name, no category, no full card number. `decision` gives the
journal entry that `receipt.Receipt.verify` proves with the centre's public key alone.
"""

from __future__ import annotations

from datetime import date
from typing import Final, Self

import msgspec

from processing.wire.outcome import Outcome
from processing.wire.receipt import Receipt
from processing.wire.transaction import (
    LINES_MAX,
    DecidedLine,
    Decision,
    MessageClass,
    TransactionKey,
)

VERSION: Final = 1
SIZE_MAX_BYTES: Final = 64 * 1024
"""Longest receipt file that is read."""


class ReceiptFileError(ValueError):
    """A receipt file that cannot be read; the message names the field."""

    exit_code = 2


class ReceiptFileLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one line costs whom, in kopecks, and the item as it was rung up."""

    item: str
    covered_kopecks: int
    paid_kopecks: int


class ReceiptFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One decision as the terminal received it.

    `request_digest` (32 bytes) and `receipt` (`receipt.Receipt`, encoded) are hexadecimal text;
    `outcome` is the reason code; `decided_at_ms` UTC milliseconds. What the file says beyond
    `decision` (the key, the items) stands on the request digest and is not proved by the receipt.
    """

    version: int = VERSION
    business_date: date
    terminal_id: str
    stan: int
    message_class: MessageClass
    request_digest: str
    outcome: Outcome
    approval_code: str
    posting_date: date
    decided_at_ms: int
    lane: int
    block: int
    ordinal: int
    lines: tuple[ReceiptFileLine, ...] = ()
    receipt: str

    @classmethod
    def of(
        cls, key: TransactionKey, items: tuple[str, ...], decision: Decision, receipt: bytes
    ) -> Self:
        """Return the file of one decision; `items` are the request's, one per decided line.

        A decline decides no lines; then `items` may be longer and is left out. A reversal decides
        the lines of its original without naming them; lines beyond `items` stand unnamed.
        """
        unnamed = ("",) * (len(decision.lines) - len(items))
        return cls(
            business_date=key.business_date,
            terminal_id=key.terminal_id,
            stan=key.stan,
            message_class=key.message_class,
            request_digest=decision.request_digest.hex(),
            outcome=decision.outcome,
            approval_code=decision.approval_code,
            posting_date=decision.posting_date,
            decided_at_ms=decision.decided_at_ms,
            lane=decision.lane,
            block=decision.block,
            ordinal=decision.ordinal,
            lines=tuple(
                ReceiptFileLine(item, line.covered_kopecks, line.paid_kopecks)
                for item, line in zip((*items, *unnamed), decision.lines, strict=False)
            ),
            receipt=receipt.hex(),
        )

    def encode(self) -> bytes:
        """Return the file's bytes."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return the receipt file in `data`; raises `ReceiptFileError` naming the field."""
        if len(data) > SIZE_MAX_BYTES:
            raise ReceiptFileError(f"the receipt file is over {SIZE_MAX_BYTES} bytes")
        try:
            file = msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ReceiptFileError(f"not a receipt file: {error}") from error
        if faults := file.faults():
            raise ReceiptFileError(f"the receipt file is wrong: {'; '.join(faults)}")
        return file

    def faults(self) -> list[str]:
        """Return what is wrong with the values, each as "field: reason"; empty when sound."""
        amounts = [n for line in self.lines for n in (line.covered_kopecks, line.paid_kopecks)]
        checks = (
            (self.version == VERSION, f"version: this program reads version {VERSION}"),
            (len(_unhex(self.request_digest)) == 32, "request_digest: 64 hexadecimal digits"),
            (bool(_unhex(self.receipt)), "receipt: hexadecimal digits"),
            (
                len(self.approval_code) in (0, 6) and self.approval_code.isascii(),
                "approval_code: six characters or none",
            ),
            (0 <= self.decided_at_ms < 2**63, "decided_at_ms: not negative"),
            (0 <= self.lane < 2**16, "lane: 0 to 65535"),
            (0 <= self.block < 2**63, "block: not negative"),
            (0 <= self.ordinal < 2**16, "ordinal: 0 to 65535"),
            (len(self.lines) <= LINES_MAX, f"lines: at most {LINES_MAX}"),
            (all(0 <= n < 2**63 for n in amounts), "lines: amounts are not negative"),
        )
        return [text for sound, text in checks if not sound]

    @property
    def decision(self) -> Decision:
        """The journal entry that the receipt proves."""
        return Decision(
            request_digest=_unhex(self.request_digest),
            outcome=self.outcome,
            approval_code=self.approval_code,
            posting_date=self.posting_date,
            decided_at_ms=self.decided_at_ms,
            lane=self.lane,
            block=self.block,
            ordinal=self.ordinal,
            lines=tuple(DecidedLine(x.covered_kopecks, x.paid_kopecks) for x in self.lines),
        )

    def verify(self, *public_keys: bytes) -> None:
        """Raise `receipt.ReceiptError` unless the receipt proves this decision.

        `public_keys` are the centre's receipt keys, uncompressed P-256 points (65 bytes).
        """
        Receipt.decode(_unhex(self.receipt)).verify(self.decision, *public_keys)


def _unhex(text: str) -> bytes:
    """Return the bytes of hexadecimal text, or nothing when it is none."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
