"""Commands with right values, for tests that change one of them."""

from __future__ import annotations

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hsm_stub.client import commands as c
from tests.hsm_stub.running import NOW_MS

GUID = bytes.fromhex("0123456789abcdef0123456789abcdef")
CARD_NUMBER = "9643907700000000015"
DAY_MS = 86_400_000


def card_point() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


def certificate_command(slot: c.CertificateSlot, **changes: object) -> c.IssueCardCertificate:
    command = c.IssueCardCertificate(
        slot=slot,
        public_key=card_point(),
        card_guid=GUID,
        card_number=CARD_NUMBER,
        not_before_ms=NOW_MS,
        not_after_ms=NOW_MS + 1826 * DAY_MS,
    )
    return msgspec.structs.replace(command, **changes)
