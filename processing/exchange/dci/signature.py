"""Signatures of messages, and the keys behind them.

The description says what a signature looks like, and leaves open which bytes it covers:

    Signature: namespace="spdci", kidId="{sender_id}|{unique_key_id}|{algorithm}",
    algorithm="ed25519", created="1606970629", expires="1607030629",
    headers="(created) (expires) digest", signature="Base64(signing content)"

The form is that of draft-cavage-http-signatures, so the signing content here is that draft's too:
the three lines `(created): …`, `(expires): …` and `digest: SHA-256=…`, joined by line feeds. The
digest is Base64 of SHA-256 over the bytes of `header` followed by those of `message`, exactly as
they stand in the body; nothing is put in order or written anew, so no two sides can disagree
about a canonical form. ed25519 is RFC 8032, ES256 is RFC 7518 section 3.4 (r and s, 32 bytes each).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from enum import StrEnum
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey

SIGNATURE_LENGTH_MAX: Final = 1_024
"""Most characters of a signature; a longer one is no signature."""

SIGNATURE_LIFETIME_SECONDS_MAX: Final = 3_600
"""Longest time from `created` to `expires` that is believed."""

SIGNATURE_LIFETIME_SECONDS: Final = 300
"""How long a signature made here is good."""

CLOCK_SKEW_SECONDS_MAX: Final = 300
"""How far the clocks of two participants may be apart."""

PEER_KEYS_MAX: Final = 16
"""Most keys of one participant."""

_PART: Final = re.compile(r'\s*([A-Za-z]+)="([^"]*)"\s*')
_COVERED: Final = "(created) (expires) digest"
_NAMESPACE: Final = "spdci"
_COORDINATE_BYTES: Final = 32


class Algorithm(StrEnum):
    """How a message is signed."""

    ED25519 = "ed25519"
    ES256 = "ES256"


class SignatureFault(Exception):
    """The signature does not vouch for the message; `str()` says why, for the sender."""


class _Signature(msgspec.Struct, frozen=True):
    sender_id: str
    key_id: str
    algorithm: Algorithm
    created: int
    expires: int
    signature: bytes


class SigningKeys:
    """The centre's own keys: the first of each algorithm signs, all are published."""

    def __init__(self, keys: KeySet) -> None:
        self._keys = keys

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JWK Set (RFC 7517 section 5)."""
        return dict(self._keys.as_dict(private=False))

    def sign(
        self, algorithm: Algorithm, sender_id: str, header: bytes, message: bytes, now_s: int
    ) -> str:
        """Return the text of the field `signature` for these bytes, good for five minutes."""
        key = next(key for key in self._keys.keys if _algorithm_of(key) is algorithm)
        expires = now_s + SIGNATURE_LIFETIME_SECONDS
        content = _content(now_s, expires, header, message)
        match key.private_key:
            case Ed25519PrivateKey() as private:
                signature = private.sign(content)
            case EllipticCurvePrivateKey() as private:
                numbers = decode_dss_signature(private.sign(content, ECDSA(SHA256())))
                signature = b"".join(each.to_bytes(_COORDINATE_BYTES) for each in numbers)
            case _:
                raise AssertionError("the key set holds nothing else")
        return (
            f'Signature: namespace="{_NAMESPACE}", kidId="{sender_id}|{key.kid}|{algorithm}", '
            f'algorithm="{algorithm}", created="{now_s}", expires="{expires}", '
            f'headers="{_COVERED}", signature="{base64.b64encode(signature).decode()}"'
        )

    def encode(self) -> bytes:
        """Return the private keys as a JWK Set, for a file that only the centre may read."""
        return msgspec.json.format(msgspec.json.encode(self._keys.as_dict(private=True)))


def new_signing_keys() -> SigningKeys:
    """Make a key for each algorithm; the key's id is its thumbprint (RFC 7638)."""
    ed25519 = OKPKey.generate_key("Ed25519", {"use": "sig", "alg": "EdDSA"}, auto_kid=True)
    es256 = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
    return SigningKeys(KeySet([ed25519, es256]))


def read_signing_keys(content: bytes) -> SigningKeys:
    """Return the keys that `SigningKeys.encode` wrote; raises ValueError for anything else."""
    keys = read_jwks(content)
    if {_algorithm_of(key) for key in keys.keys if key.is_private} != set(Algorithm):
        raise ValueError("a private key of each algorithm is needed: ed25519 and ES256")
    return SigningKeys(keys)


def read_jwks(content: bytes) -> KeySet:
    """Return a JWK Set of Ed25519 and P-256 keys with ids; raises ValueError that says what is off.

    Keys of other kinds (encryption, RSA) are left out.
    """
    try:
        value = msgspec.json.decode(content, type=dict[str, Any])
        given = [key for key in value["keys"] if _usable(key)]
        keys = KeySet.import_key_set({"keys": given})
        for key in keys.keys:
            _ = key.public_key
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, JoseError) as error:
        raise ValueError(f"no JWK Set: {error}") from None
    if not 0 < len(keys.keys) <= PEER_KEYS_MAX or not all(key.kid for key in keys.keys):
        raise ValueError(
            f"the JWK Set needs 1 to {PEER_KEYS_MAX} keys with a kid, of kty OKP crv Ed25519 or "
            "kty EC crv P-256"
        )
    return keys


def verify(
    text: str, keys: KeySet, sender_id: str, header: bytes, message: bytes, now_s: int
) -> None:
    """Return when one of the sender's keys signed these bytes lately; else `SignatureFault`."""
    parsed = _parse(text)
    if parsed.sender_id != sender_id:
        raise SignatureFault("kidId names another sender")
    key = next((key for key in keys.keys if key.kid == parsed.key_id), None)
    if key is None:
        raise SignatureFault("kidId names a key that is not registered")
    if _algorithm_of(key) is not parsed.algorithm:
        raise SignatureFault("the key is of another algorithm")
    if parsed.created > now_s + CLOCK_SKEW_SECONDS_MAX or parsed.expires < now_s:
        raise SignatureFault("created and expires do not enclose the present")
    if not 0 <= parsed.expires - parsed.created <= SIGNATURE_LIFETIME_SECONDS_MAX:
        raise SignatureFault(f"it lives longer than {SIGNATURE_LIFETIME_SECONDS_MAX} seconds")
    content = _content(parsed.created, parsed.expires, header, message)
    try:
        _check(key.public_key, parsed.signature, content)
    except InvalidSignature:
        raise SignatureFault("the bytes of header and message are not those signed") from None


def _check(public: object, signature: bytes, content: bytes) -> None:
    match public:
        case Ed25519PublicKey():
            public.verify(signature, content)
        case EllipticCurvePublicKey():
            if len(signature) != 2 * _COORDINATE_BYTES:
                raise InvalidSignature
            r = int.from_bytes(signature[:_COORDINATE_BYTES])
            s = int.from_bytes(signature[_COORDINATE_BYTES:])
            public.verify(encode_dss_signature(r, s), content, ECDSA(SHA256()))
        case _:
            raise InvalidSignature


def _parse(text: str) -> _Signature:
    """Return the parts; `keyId` is taken for the published spelling `kidId`."""
    if len(text) > SIGNATURE_LENGTH_MAX:
        raise SignatureFault(f"it is longer than {SIGNATURE_LENGTH_MAX} characters")
    parts: dict[str, str] = {}
    for piece in text.strip().removeprefix("Signature:").split(","):
        match = _PART.fullmatch(piece)
        if match is None or match[1] in parts:
            raise SignatureFault('it is no list of name="value" parts')
        parts[match[1]] = match[2]
    owner, separator, rest = parts.get("kidId", parts.get("keyId", "")).partition("|")
    key_id, second, named = rest.rpartition("|")
    if parts.get("namespace") != _NAMESPACE or parts.get("headers") != _COVERED:
        raise SignatureFault(f'namespace must be "{_NAMESPACE}" and headers "{_COVERED}"')
    if not separator or not second or named != parts.get("algorithm"):
        raise SignatureFault('kidId must be "{sender_id}|{unique_key_id}|{algorithm}"')
    try:
        return _Signature(
            sender_id=owner,
            key_id=key_id,
            algorithm=Algorithm(named),
            created=_seconds(parts["created"]),
            expires=_seconds(parts["expires"]),
            signature=base64.b64decode(parts["signature"], validate=True),
        )
    except (KeyError, ValueError, binascii.Error):
        raise SignatureFault(
            "algorithm must be ed25519 or ES256, created and expires seconds since 1970, "
            "signature Base64"
        ) from None


def _seconds(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise ValueError(text)
    return int(text)


def _content(created: int, expires: int, header: bytes, message: bytes) -> bytes:
    digest = base64.b64encode(hashlib.sha256(header + message).digest()).decode()
    return f"(created): {created}\n(expires): {expires}\ndigest: SHA-256={digest}".encode()


def _usable(key: object) -> bool:
    if not isinstance(key, dict) or key.get("use", "sig") != "sig":
        return False
    return (key.get("kty"), key.get("crv")) in {("OKP", "Ed25519"), ("EC", "P-256")}


def _algorithm_of(key: object) -> Algorithm:
    return Algorithm.ED25519 if isinstance(key, OKPKey) else Algorithm.ES256
