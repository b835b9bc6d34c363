"""ECDSA signatures over P-256: DER as cards give them, raw r‖s with low S as the wire carries them.

(r, s) and (r, n−s) verify alike, so one of the two is chosen: s ≤ n/2. Deduplication still never
rests on signatures.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from card_personalization.chip import tlv

# The order of the base point of P-256 (FIPS 186-5, SP 800-186 §3.2.1.3).
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# Its field prime and the coefficient b of y² = x³ - 3x + b (SP 800-186 §3.2.1.3).
_PRIME: Final = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
COORDINATE_BYTES: Final = 32
RAW_BYTES: Final = 64
DIGEST_BYTES: Final = 32
POINT_BYTES: Final = 65
_DER_SEQUENCE: Final = 0x30
_DER_INTEGER: Final = 0x02
_DER_INTEGER_BYTES: Final = 33


def _integer(item: tlv.Tlv) -> int:
    if item.tag != _DER_INTEGER or not 0 < len(item.value) <= _DER_INTEGER_BYTES:
        raise ValueError("an ECDSA signature holds two integers of at most 33 bytes")
    number = int.from_bytes(item.value, "big", signed=True)
    if not 0 < number < P256_ORDER:
        raise ValueError("an ECDSA signature's numbers lie between 0 and the order of P-256")
    return number


def raw_from_der(der: bytes) -> bytes:
    """64 bytes r‖s with low S from a card's DER signature. ValueError if it is none."""
    items = tlv.parse(tlv.unwrap(der, _DER_SEQUENCE))
    if len(items) != 2:
        raise ValueError(f"an ECDSA signature holds two integers, not {len(items)}")
    r, s = _integer(items[0]), _integer(items[1])
    low = min(s, P256_ORDER - s)
    return r.to_bytes(COORDINATE_BYTES, "big") + low.to_bytes(COORDINATE_BYTES, "big")


def der_from_raw(raw: bytes) -> bytes:
    """The DER form of 64 bytes r‖s. ValueError for another length."""
    if len(raw) != RAW_BYTES:
        raise ValueError(f"a raw signature has {RAW_BYTES} bytes, not {len(raw)}")
    r = int.from_bytes(raw[:COORDINATE_BYTES], "big")
    s = int.from_bytes(raw[COORDINATE_BYTES:], "big")
    return utils.encode_dss_signature(r, s)


def is_low_s(raw: bytes) -> bool:
    """Whether s of a raw signature is the smaller of its two forms."""
    return 0 < int.from_bytes(raw[COORDINATE_BYTES:], "big") <= P256_ORDER // 2


def require_point(point: bytes) -> None:
    """ValueError unless these are the 65 bytes of a point on P-256.

    The curve's order is prime, so every point on it but infinity, which has no such form, will do;
    the library multiplies by the order to find that out, which takes as long as a verification.
    """
    if len(point) != POINT_BYTES or point[0] != 0x04:
        raise ValueError(f"an uncompressed P-256 point has {POINT_BYTES} bytes, not {len(point)}")
    x = int.from_bytes(point[1 : 1 + COORDINATE_BYTES], "big")
    y = int.from_bytes(point[1 + COORDINATE_BYTES :], "big")
    if x >= _PRIME or y >= _PRIME or (y * y - x * x * x + 3 * x - _B) % _PRIME:
        raise ValueError("the point does not lie on P-256")


def public_key_from_point(point: bytes) -> ec.EllipticCurvePublicKey:
    """The public key of an uncompressed P-256 point (65 bytes). ValueError if not on the curve."""
    if len(point) != POINT_BYTES:
        raise ValueError(f"an uncompressed P-256 point has {POINT_BYTES} bytes, not {len(point)}")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)


def public_point(scalar: bytes) -> bytes:
    """The uncompressed public point of a private number, 65 bytes. ValueError if out of range."""
    number = int.from_bytes(scalar, "big")
    key = ec.derive_private_key(number, ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def verifies(point: bytes, digest: bytes, raw: bytes) -> bool:
    """Whether a raw signature over a SHA-256 digest was made by the key of this point."""
    return key_verifies(public_key_from_point(point), digest, raw)


def key_verifies(key: ec.EllipticCurvePublicKey, digest: bytes, raw: bytes) -> bool:
    """Whether a raw signature over a SHA-256 digest was made by this key."""
    try:
        key.verify(der_from_raw(raw), digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    except InvalidSignature:
        return False
    return True
