"""Sound messages for the tests, made by hand from fixed keys and numbers."""

from __future__ import annotations

from datetime import date
from typing import Final

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from processing.wire.digest import request_digest
from processing.wire.iso8583.mac import Mac
from processing.wire.iso8583.messages import (
    Envelope,
    Network,
    NetworkCode,
    TerminalTotals,
    Totals,
)
from processing.wire.merkle import inclusion_path, leaf_hash, tree_levels
from processing.wire.outcome import Outcome
from processing.wire.receipt import Receipt, block_statement, decision_bytes, key_id_of
from processing.wire.transaction import (
    CLASS_OF_KIND,
    Answer,
    DecidedLine,
    Decision,
    Evidence,
    Kind,
    Line,
    Request,
    Right,
    SignatureAlgorithm,
    TransactionKey,
)

ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
CARD_SCALAR: Final = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
"""The private key of RFC 6979 A.2.5, published and therefore worthless."""
RECEIPT_SCALAR: Final = 0x519B423D715F8B581F4FA8EE59F4771A5B44C8130B4E3EACCA54A56DDA72B464
"""The private key of NIST's CAVS 186-3 P-256 signature example, published as well."""
TERMINAL_KEY: Final = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C")
"""The AES-128 key of RFC 4493 section 4."""
TERMINAL_ID: Final = "T0000042"
DAY: Final = date(2026, 3, 2)
SIGNED_AT_MS: Final = 1_772_442_000_000
CARD_ID: Final = bytes.fromhex("3F2504E04F8941D39A0C0305E82C3301")
HOLDER_ID: Final = bytes.fromhex("0195519E5A0070008000000000000007")
NONCE: Final = bytes.fromhex("000102030405060708090A0B0C0D0E0F")
CHALLENGE: Final = bytes.fromhex("A1B2C3D4E5F60718")
ENVELOPE: Final = Envelope(
    key_id=1, sent_at_ms=SIGNED_AT_MS + 1000, local_time="120001", provider_id="APTEKA-7"
)
MAC: Final = Mac(TERMINAL_KEY)


def _signed(scalar: int, digest: bytes) -> bytes:
    """Return raw r‖s with low s, made without chance (RFC 6979)."""
    key = ec.derive_private_key(scalar, ec.SECP256R1())
    algorithm = ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True)
    r, s = decode_dss_signature(key.sign(digest, algorithm))
    return r.to_bytes(32) + min(s, ORDER - s).to_bytes(32)


def point_of(scalar: int) -> bytes:
    """Return the public key of a scalar as an uncompressed point."""
    numbers = ec.derive_private_key(scalar, ec.SECP256R1()).public_key().public_numbers()
    return b"\x04" + numbers.x.to_bytes(32) + numbers.y.to_bytes(32)


def signed(request: Request) -> Request:
    """Return the request with the test card's signature."""
    return msgspec.structs.replace(request, signature=_signed(CARD_SCALAR, request_digest(request)))


_LINES: Final = (
    Line("N02BE01-500", 2, 796, 0, 12_550),
    Line("C09AA02-10", 1, 796, 0, 30_000),
)
_CHILDREN: Final = (Kind.COMPLETION, Kind.RETURN, Kind.REVERSAL, Kind.VISIT_FINISH)
_UNSIGNED: Final = (Kind.COMPLETION, Kind.REVERSAL)
_PRICED: Final = (Kind.RESERVE, Kind.SALE, Kind.COMPLETION, Kind.RETURN)
_PARENT_CLASS: Final = {
    Kind.COMPLETION: CLASS_OF_KIND[Kind.RESERVE],
    Kind.RETURN: CLASS_OF_KIND[Kind.SALE],
    Kind.REVERSAL: CLASS_OF_KIND[Kind.SALE],
    Kind.VISIT_FINISH: CLASS_OF_KIND[Kind.VISIT_START],
}


def request_of(kind: Kind) -> Request:
    """Return the example request of a kind, signed where the kind needs it."""
    unsigned = kind in _UNSIGNED
    parent = None
    if kind in _CHILDREN:
        parent = TransactionKey(DAY, TERMINAL_ID, 100 + kind, _PARENT_CLASS[kind])
    request = Request(
        kind=kind,
        key=TransactionKey(DAY, TERMINAL_ID, 200 + kind, CLASS_OF_KIND[kind]),
        evidence=Evidence.NONE if unsigned else Evidence.TAP,
        issuer_region=77,
        card_id=CARD_ID,
        holder_id=bytes(16) if kind is Kind.INQUIRY else HOLDER_ID,
        terminal_epoch=3,
        terminal_sequence=1000 + kind,
        signed_at_ms=SIGNED_AT_MS,
        challenge=CHALLENGE if kind is Kind.VISIT_FINISH else b"",
        parent=parent,
        service="MED-148",
        service_version=5,
        passport_version=2,
        stop_list_version=41,
        lines=_LINES if kind in _PRICED else (),
        nonce=NONCE,
        algorithm=SignatureAlgorithm.NONE if unsigned else SignatureAlgorithm.ECDSA_P256_SHA256,
        # The wire carries a completion as an advice, so that is how it comes back.
        advice=kind is Kind.COMPLETION,
    )
    return request if unsigned else signed(request)


TOTALS: Final = Totals(
    terminal_id=TERMINAL_ID,
    stan=301,
    business_date=DAY,
    totals=TerminalTotals(
        approved_count=3,
        gross_kopecks=127_650,
        covered_kopecks=100_000,
        paid_kopecks=27_650,
        reversed_count=1,
        reversed_covered_kopecks=42_550,
        returned_count=2,
        returned_covered_kopecks=12_050,
    ),
)
NETWORK: Final = Network(terminal_id=TERMINAL_ID, stan=302, code=NetworkCode.ECHO)

RIGHT: Final = Right(
    holder_id=HOLDER_ID,
    service="MED-148",
    service_version=5,
    item_class="N02BE01",
    unit_okei=796,
    scale=0,
    granted=30,
    remaining=10,
    percent=100,
    valid_to=date(2026, 12, 31),
)


def decision_of(request: Request, ordinal: int = 0) -> Decision:
    """Return an approval of the request: the first kopeck of each line paid, the rest covered."""
    return Decision(
        request_digest=request_digest(request),
        outcome=Outcome.APPROVED,
        approval_code="004711",
        posting_date=DAY,
        decided_at_ms=SIGNED_AT_MS + 1500,
        lane=1,
        block=900,
        ordinal=ordinal,
        lines=tuple(DecidedLine(line.gross_kopecks - 1, 1) for line in request.lines),
    )


def receipt_of(decision: Decision, leaf_count: int = 1) -> Receipt:
    """Return the receipt of a decision in a block of `leaf_count`, the others invented."""
    leaves = [leaf_hash(bytes((i % 256, i // 256))) for i in range(leaf_count)]
    leaves[decision.ordinal] = leaf_hash(decision_bytes(decision))
    levels = tree_levels(leaves)
    public = point_of(RECEIPT_SCALAR)
    key_id, root = key_id_of(public), levels[-1][0]
    signed_at_ms = decision.decided_at_ms + 1
    statement = block_statement(
        key_id, decision.lane, decision.block, leaf_count, signed_at_ms, root
    )
    return Receipt(
        key_id=key_id,
        lane=decision.lane,
        block=decision.block,
        ordinal=decision.ordinal,
        leaf_count=leaf_count,
        signed_at_ms=signed_at_ms,
        root=root,
        signature=_signed(RECEIPT_SCALAR, _sha256(statement)),
        path=tuple(inclusion_path(levels, decision.ordinal)),
    )


def _sha256(data: bytes) -> bytes:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(data)
    return digest.finalize()


def answer_of(request: Request, leaf_count: int = 1, **changes: object) -> Answer:
    """Return the approving answer to a request, its receipt included."""
    decision = decision_of(request)
    answer = Answer(
        outcome=decision.outcome,
        key=request.key,
        decision=decision,
        facts={"remaining": "10"},
        rights=(RIGHT,),
        receipt=receipt_of(decision, leaf_count).encode(),
    )
    return msgspec.structs.replace(answer, **changes)
