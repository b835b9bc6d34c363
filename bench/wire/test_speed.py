"""What one message costs to read and write, beside one bare P-256 verification.

Run with `pytest bench/wire --benchmark-only`. Figures of different machines compare only as ratios
to `test_bare_verify`.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from pytest_benchmark.fixture import BenchmarkFixture

from processing.wire.digest import request_digest
from processing.wire.iso8583.answers import decode_answer, encode_answer
from processing.wire.iso8583.codec import decode
from processing.wire.iso8583.framing import FrameReader, Framing
from processing.wire.iso8583.requests import encode_request, parse_message
from processing.wire.iso8583.spec import Profile
from processing.wire.transaction import Kind
from tests.wire.examples import CARD_SCALAR, ENVELOPE, MAC, answer_of, point_of, request_of

SALE = request_of(Kind.SALE)
FRAME = encode_request(SALE, ENVELOPE, Profile.BINARY, MAC)
PARSED = parse_message(FRAME, Profile.BINARY)
ANSWER = answer_of(SALE, 256)
ANSWER_FRAME = encode_answer(ANSWER, PARSED, MAC)


def test_bare_verify(benchmark: BenchmarkFixture) -> None:
    """One ECDSA P-256 verification: the unit in which the others are told."""
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point_of(CARD_SCALAR))
    r, s = (int.from_bytes(SALE.signature[at : at + 32]) for at in (0, 32))
    signature, digest = encode_dss_signature(r, s), request_digest(SALE)
    algorithm = ec.ECDSA(Prehashed(hashes.SHA256()))
    assert benchmark(key.verify, signature, digest, algorithm) is None


def test_framing(benchmark: BenchmarkFixture) -> None:
    """One frame out of a stream."""
    reader = FrameReader(Framing())
    wrapped = Framing().wrap(FRAME)
    assert benchmark(reader.feed, wrapped)[0].message == FRAME


def test_codec(benchmark: BenchmarkFixture) -> None:
    """Bytes to fields."""
    assert benchmark(decode, FRAME, Profile.BINARY) == PARSED.decoded


def test_parse_message(benchmark: BenchmarkFixture) -> None:
    """Bytes to a checked request."""
    assert benchmark(parse_message, FRAME, Profile.BINARY) == PARSED


def test_mac(benchmark: BenchmarkFixture) -> None:
    """One check of a terminal's MAC."""
    assert benchmark(PARSED.authentic, MAC)


def test_digest(benchmark: BenchmarkFixture) -> None:
    """Digest v1 of a request of two lines."""
    assert len(benchmark(request_digest, SALE)) == 32


def test_encode_answer(benchmark: BenchmarkFixture) -> None:
    """An answer with one right and a receipt of eight levels."""
    assert benchmark(encode_answer, ANSWER, PARSED, MAC) == ANSWER_FRAME


def test_encode_request(benchmark: BenchmarkFixture) -> None:
    """A request of two lines, as a terminal sends it."""
    assert benchmark(encode_request, SALE, ENVELOPE, Profile.BINARY, MAC) == FRAME


def test_decode_answer(benchmark: BenchmarkFixture) -> None:
    """An answer, as a terminal reads it."""
    assert benchmark(decode_answer, ANSWER_FRAME, Profile.BINARY, MAC) == ANSWER
