"""Any sound request, for property tests."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from processing.wire.transaction import (
    AMOUNT_MAX_KOPECKS,
    CLASS_OF_KIND,
    LINES_MAX,
    OF_A_PARENTS_LINES,
    QUANTITY_MAX,
    Evidence,
    IdentifierKind,
    Kind,
    Line,
    MessageClass,
    Request,
    TransactionKey,
)
from tests.wire.examples import request_of

_KEYS = st.builds(
    TransactionKey,
    st.dates(),
    st.text("ABCZ0189", min_size=8, max_size=8),
    st.integers(1, 999_999),
    st.sampled_from(MessageClass),
)
_ITEMS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9./-]{0,19}", fullmatch=True)


def _lines(kind: Kind) -> st.SearchStrategy[Line]:
    return st.builds(
        Line,
        _ITEMS,
        st.integers(0 if kind in OF_A_PARENTS_LINES else 1, QUANTITY_MAX),
        st.integers(1, 9999),
        st.integers(0, 6),
        st.integers(0, AMOUNT_MAX_KOPECKS // LINES_MAX),
    )


@st.composite
def any_requests(draw: st.DrawFn) -> Request:
    """Return any sound request; its signature is any 64 bytes, since the wire checks none."""
    base = request_of(draw(st.sampled_from(Kind)))
    kind = base.kind
    key = msgspec.structs.replace(draw(_KEYS), message_class=CLASS_OF_KIND[kind])
    most = LINES_MAX if base.lines else 0
    signed = base.evidence is not Evidence.NONE
    return msgspec.structs.replace(
        base,
        key=key,
        identifier_kind=draw(st.sampled_from(IdentifierKind)),
        evidence=draw(st.sampled_from((Evidence.TAP, Evidence.PIN))) if signed else Evidence.NONE,
        issuer_region=draw(st.integers(1, 99)),
        card_id=draw(st.binary(min_size=16, max_size=16)),
        holder_id=draw(st.binary(min_size=16, max_size=16).filter(any)),
        terminal_epoch=draw(st.integers(0, 2**32 - 1)),
        terminal_sequence=draw(st.integers(0, 2**63 - 1)),
        signed_at_ms=draw(st.integers(0, 2**53 - 1)),
        challenge=draw(st.binary(max_size=32)),
        parent=draw(_KEYS) if base.parent else None,
        service=draw(st.from_regex(r"[A-Z0-9][A-Z0-9.-]{0,15}", fullmatch=True)),
        service_version=draw(st.integers(0, 2**31 - 1)),
        passport_version=draw(st.integers(0, 2**31 - 1)),
        stop_list_version=draw(st.integers(0, 2**31 - 1)),
        lines=tuple(draw(st.lists(_lines(kind), min_size=1 if most else 0, max_size=most))),
        nonce=draw(st.binary(min_size=16, max_size=16)),
        signature=draw(st.binary(min_size=64, max_size=64)) if signed else b"",
        repeat=draw(st.booleans()),
    )
