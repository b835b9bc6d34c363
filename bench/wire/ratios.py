"""What the wire costs per message, as a ratio to one bare P-256 verification.

Run with `python -m bench.wire.ratios`. Every figure is CPU time of this process. The subjects and
the verification take turns in short rounds, so that a neighbour on the machine disturbs all of them
alike; of each the best round counts (`min`), and the median stands beside it.
"""

from __future__ import annotations

import gc
import hashlib
import statistics
import time
from collections.abc import Callable
from typing import Final

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature

from processing.wire.digest import canonical_bytes, request_digest
from processing.wire.iso8583.answers import encode_answer
from processing.wire.iso8583.codec import decode
from processing.wire.iso8583.requests import encode_request, parse_message
from processing.wire.iso8583.spec import Profile
from processing.wire.transaction import Kind, Line, Request, faults_of
from tests.wire.examples import (
    CARD_SCALAR,
    ENVELOPE,
    MAC,
    answer_of,
    point_of,
    request_of,
    signed,
)

ROUNDS: Final = 40
ROUND_CALLS: Final = 200
WARM_UP_CALLS: Final = 2_000
LEAVES: Final = 256
"""Decisions of a block: receipts then carry a path of eight levels."""

GOALS: Final = {
    "parse_message, 1 line": 0.20,
    "parse_message, 3 lines": 0.30,
    "encode_answer, 1 line": 0.12,
    "canonical_bytes, 1 line": 0.04,
}


def subjects() -> dict[str, Callable[[], object]]:
    """Return what is measured, by name; the first is the bare verification."""
    one, three = sale_of(1), sale_of(3)
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point_of(CARD_SCALAR))
    r, s = (int.from_bytes(one.signature[at : at + 32]) for at in (0, 32))
    signature, digest = encode_dss_signature(r, s), request_digest(one)
    algorithm = ec.ECDSA(Prehashed(hashes.SHA256()))
    named: dict[str, Callable[[], object]] = {
        "bare verify": lambda: key.verify(signature, digest, algorithm)
    }
    for request in (one, three):
        lines = f"{len(request.lines)} line{'s' if len(request.lines) > 1 else ''}"
        named |= _of_request(request, lines)
    return named


def _of_request(request: Request, lines: str) -> dict[str, Callable[[], object]]:
    frame = encode_request(request, ENVELOPE, Profile.BINARY, MAC)
    parsed = parse_message(frame, Profile.BINARY)
    # An approved sale carries its balance as a fact and no rights.
    answer = answer_of(request, LEAVES, rights=())
    with_right = answer_of(request, LEAVES)
    return {
        f"decode, {lines}": lambda: decode(frame, Profile.BINARY),
        f"parse_message, {lines}": lambda: parse_message(frame, Profile.BINARY),
        f"faults_of, {lines}": lambda: faults_of(request),
        f"authentic, {lines}": lambda: parsed.authentic(MAC),
        f"canonical_bytes, {lines}": lambda: canonical_bytes(request),
        f"SHA-256, {lines}": lambda: hashlib.sha256(canonical_bytes(request)).digest(),
        f"encode_answer, {lines}": lambda: encode_answer(answer, parsed, MAC),
        f"encode_answer with a right, {lines}": lambda: encode_answer(with_right, parsed, MAC),
    }


def sale_of(count: int) -> Request:
    """Return a signed sale of `count` lines."""
    lines = tuple(Line(f"N02BE01-{500 + number}", 2, 796, 0, 12_550) for number in range(count))
    return signed(msgspec.structs.replace(request_of(Kind.SALE), lines=lines))


def measured(named: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Return CPU microseconds per call of every round, by name."""
    rounds: dict[str, list[float]] = {name: [] for name in named}
    for call in named.values():
        for _ in range(WARM_UP_CALLS // 10):
            call()
    for _ in range(ROUNDS):
        for name, call in named.items():
            begun = time.process_time_ns()
            for _ in range(ROUND_CALLS):
                call()
            rounds[name].append((time.process_time_ns() - begun) / 1000 / ROUND_CALLS)
    return rounds


def main() -> None:
    """Print the table."""
    gc.disable()
    rounds = measured(subjects())
    bare = rounds["bare verify"]
    print(f"{'':32}{'min µs':>9}{'median':>9}{'/verify':>9}{'median':>9}{'goal':>7}")
    for name, spent in rounds.items():
        ratio = min(spent) / min(bare)
        usual = statistics.median(spent) / statistics.median(bare)
        goal = f"{GOALS[name]:.2f}" if name in GOALS else ""
        figures = f"{min(spent):9.2f}{statistics.median(spent):9.2f}{ratio:9.3f}{usual:9.3f}"
        print(f"{name:32}{figures}{goal:>7}")


if __name__ == "__main__":
    main()
