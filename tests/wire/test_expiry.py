"""Expiry v1 is frozen: its bytes are held against a vector written out by hand."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

from processing.wire.expiry import expiry_bytes, expiry_digest
from processing.wire.transaction import MessageClass, TransactionKey

VECTORS = Path(__file__).parent / "vectors" / "expiry_v1.json"


def test_the_bytes_are_those_of_the_vector() -> None:
    (vector,) = json.loads(VECTORS.read_text(encoding="utf-8"))
    key = TransactionKey(
        date.fromisoformat(vector["business_date"]),
        vector["terminal_id"],
        vector["stan"],
        MessageClass.AUTHORIZATION,
    )
    told = (vector["assigned"], bytes.fromhex(vector["request_digest"]), vector["expires_at_ms"])
    assert expiry_bytes(key, *told).hex() == vector["canonical"]
    assert expiry_digest(key, *told).hex() == vector["digest"]
