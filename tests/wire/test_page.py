"""docs/wire.md says what the code does, and its bytes can be checked without the code."""

from __future__ import annotations

import hashlib
import re

import iso8583
import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from ecdsa import NIST256p, SigningKey, VerifyingKey

from processing.wire.iso8583.answers import decode_answer
from processing.wire.iso8583.framing import FrameReader, Framing
from processing.wire.iso8583.requests import parse_message
from processing.wire.iso8583.spec import Profile
from processing.wire.receipt import Receipt
from processing.wire.transaction import Answer
from tests.wire.examples import CARD_SCALAR, MAC, RECEIPT_SCALAR, TERMINAL_KEY, point_of
from tests.wire.page import BLOCKS, PAGE, SALE, marked, refreshed
from tests.wire.test_independent import foreign_spec

TEXT = PAGE.read_text(encoding="utf-8")


def _dump(name: str) -> bytes:
    """Return the bytes of the first hex dump in a block, read from the page as a person would."""
    block = TEXT.split(f"<!-- generated: {name} -->")[1].split("```")[1]
    rows = re.findall(r"^[0-9a-f]{4}  ((?:[0-9a-f]{2} ){1,16})", block, re.MULTILINE)
    return bytes.fromhex("".join(rows))


def _frame(name: str) -> bytes:
    (frame,) = FrameReader(Framing()).feed(_dump(name))
    return frame.message


def test_generated_parts_are_fresh() -> None:
    assert sorted(marked(TEXT)) == sorted(BLOCKS)
    assert refreshed(TEXT) == TEXT, "run: python -m tests.wire.page"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("terminal", TERMINAL_KEY),
        ("card", CARD_SCALAR.to_bytes(32)),
        ("card's public", point_of(CARD_SCALAR)),
        ("receipt's public", point_of(RECEIPT_SCALAR)),
    ],
)
def test_keys_of_the_example_stand_in_the_page(name: str, key: bytes) -> None:
    assert key.hex().upper() in TEXT, name


def test_example_can_be_checked_by_hand() -> None:
    """Follow the page with other libraries: fields, MAC, digest, signature."""
    frame = _frame("sale")
    fields, _ = iso8583.decode(frame, foreign_spec(Profile.BINARY))
    mac = CMAC(AES(TERMINAL_KEY))
    mac.update(frame[:-8])
    assert mac.finalize()[:8].hex().upper() == fields["64"]
    canonical = _dump("sale-digest")
    proof = bytes.fromhex(fields["55"])
    assert proof[:3] == b"\xdf\x01\x10"
    assert proof[3:19] in canonical, "the nonce is signed"
    signature = proof[proof.index(b"\xdf\x02\x40") + 3 :][:64]
    key = SigningKey.from_secret_exponent(CARD_SCALAR, NIST256p).verifying_key
    assert isinstance(key, VerifyingKey)
    assert key.verify_digest(signature, hashlib.sha256(canonical).digest())
    assert hashlib.sha256(canonical).hexdigest() in TEXT


def test_examples_are_what_the_code_reads() -> None:
    parsed = parse_message(_frame("sale"), Profile.BINARY)
    hexed = parse_message(_frame("sale-hex"), Profile.HEX)
    assert parsed.message == hexed.message
    assert parsed.authentic(MAC)
    assert hexed.authentic(MAC)
    answer = decode_answer(_frame("answer"), Profile.BINARY, MAC)
    assert isinstance(answer, Answer)
    assert answer.key == SALE.key
    assert answer.decision is not None
    Receipt.decode(answer.receipt).verify(answer.decision, point_of(RECEIPT_SCALAR))
