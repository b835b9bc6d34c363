"""Digest v1 is frozen: vectors/digest_v1.json never changes, it only grows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from processing.wire.digest import canonical_bytes, request_digest
from processing.wire.transaction import Kind, Request, faults_of
from tests.wire.examples import request_of

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "vectors" / "digest_v1.json").read_text(encoding="ascii")
)
_BYTES = ("card_id", "holder_id", "challenge", "nonce")


def _request(plain: dict[str, Any]) -> Request:
    raw = {name: bytes.fromhex(plain[name]) for name in _BYTES}
    return msgspec.convert({**plain, **raw}, Request)


def _u(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


def _counted(text: str) -> bytes:
    return _u(len(text), 1) + text.encode()


def _key(plain: dict[str, Any]) -> bytes:
    day = int(plain["business_date"].replace("-", ""))
    tail = _u(plain["stan"], 4) + _u(plain["message_class"], 1) + b"\0"
    return _u(day, 4) + str(plain["terminal_id"]).encode() + tail


def _recomputed(plain: dict[str, Any]) -> bytes:
    """Follow the table of docs/wire.md by hand, without the module under test."""
    data = b"spk/request\x01\0\0\0\0"
    for name in ("algorithm", "kind", "identifier_kind", "evidence", "issuer_region"):
        data += _u(plain[name], 1)
    data += bytes.fromhex(plain["card_id"]) + bytes.fromhex(plain["holder_id"])
    data += _key(plain["key"])
    data += _u(plain["terminal_epoch"], 4) + _u(plain["terminal_sequence"], 8)
    data += _u(plain["signed_at_ms"], 8)
    data += _u(len(plain["challenge"]) // 2, 1) + bytes.fromhex(plain["challenge"])
    data += b"\x01" + _key(plain["parent"]) if plain["parent"] else b"\0"
    data += _counted(plain["service"])
    for name in ("service_version", "passport_version", "stop_list_version"):
        data += _u(plain[name], 4)
    data += bytes.fromhex(plain["nonce"])
    data += _u(sum(line["gross_kopecks"] for line in plain["lines"]), 8)
    data += _u(len(plain["lines"]), 1)
    for line in plain["lines"]:
        data += _counted(line["item"]) + _u(line["quantity"], 8) + _u(line["unit_okei"], 2)
        data += _u(line["scale"], 1) + _u(line["gross_kopecks"], 8)
    return data


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: str(vector["name"]))
def test_vector(vector: dict[str, Any]) -> None:
    canonical = bytes.fromhex(vector["canonical"])
    assert _recomputed(vector["request"]) == canonical
    assert hashlib.sha256(canonical).hexdigest() == vector["digest"]
    request = _request(vector["request"])
    assert canonical_bytes(request) == canonical
    assert request_digest(request).hex() == vector["digest"]


def test_file_is_frozen() -> None:
    """The first eleven vectors as published; new ones may follow them."""
    digests = "".join(vector["digest"] for vector in VECTORS[:11])
    assert hashlib.sha256(digests.encode()).hexdigest() == FROZEN


FROZEN = "168684b190d6a86deeef42ba35394d547c65ef4abaa3502d5016b708cafca7b0"


def test_every_kind_has_a_vector() -> None:
    assert {vector["request"]["kind"] for vector in VECTORS} == {int(kind) for kind in Kind}


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: str(kind.name))
def test_examples_are_sound(kind: Kind) -> None:
    assert faults_of(request_of(kind)) == []


_CHANGED = {
    "issuer_region": 78,
    "card_id": b"c" * 16,
    "holder_id": b"h" * 16,
    "terminal_epoch": 4,
    "terminal_sequence": 2,
    "signed_at_ms": 5,
    "challenge": b"\1",
    "service": "X",
    "service_version": 6,
    "passport_version": 7,
    "stop_list_version": 8,
    "lines": (),
    "nonce": b"n" * 16,
    "identifier_kind": 2,
    "evidence": 2,
    "algorithm": 0,
    "parent": request_of(Kind.REVERSAL).parent,
    "kind": 5,
    "key": request_of(Kind.RETURN).key,
}
_TRAVEL = {"advice": True, "repeat": True, "signature": b"s" * 64}


def test_every_field_is_signed_or_named_as_travel() -> None:
    assert set(_CHANGED) | set(_TRAVEL) == set(Request.__struct_fields__)


@pytest.mark.parametrize("name", sorted(_CHANGED))
def test_content_changes_the_digest(name: str) -> None:
    sale = request_of(Kind.SALE)
    changed = msgspec.structs.replace(sale, **{name: _CHANGED[name]})
    assert request_digest(changed) != request_digest(sale)


@pytest.mark.parametrize("name", sorted(_TRAVEL))
def test_travel_does_not(name: str) -> None:
    sale = request_of(Kind.SALE)
    changed = msgspec.structs.replace(sale, **{name: _TRAVEL[name]})
    assert request_digest(changed) == request_digest(sale)
