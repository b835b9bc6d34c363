"""A backend's signing key in the shape `cryptography` builds certificates with."""

from __future__ import annotations

import hashlib
from typing import NoReturn, Self

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from hsm_stub.backends.backend import Backend
from hsm_stub.keyring import KeyEntry, SigningKey


class BackendSigner(ec.EllipticCurvePrivateKey):
    """A private key that signs inside the backend and cannot be read."""

    def __init__(self, backend: Backend, entry: KeyEntry) -> None:
        self._backend = backend
        self._entry = entry
        self._key = SigningKey(entry.key)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    @property
    def curve(self) -> ec.EllipticCurve:
        """Return P-256, the curve of every signing key of the house."""
        return ec.SECP256R1()

    @property
    def key_size(self) -> int:
        """Return the curve's size in bits."""
        return 256

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the public half."""
        return ec.EllipticCurvePublicKey.from_encoded_point(self.curve, self._entry.public_point)

    def sign(self, data: object, signature_algorithm: object) -> bytes:
        """Return the DER signature of SHA-256 over `data`; no other algorithm is offered."""
        if not isinstance(signature_algorithm, ec.ECDSA) or not isinstance(
            signature_algorithm.algorithm, hashes.SHA256
        ):
            raise ValueError("the issuing key signs with ECDSA and SHA-256 only")
        digest = hashlib.sha256(memoryview(data)).digest()  # type: ignore[arg-type]
        raw = self._backend.sign_digest(self._key, self._entry.generation, digest)
        return encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))

    def exchange(self, *_: object) -> NoReturn:
        """Refuse: signing keys agree on no secrets."""
        raise ValueError("a signing key does no key agreement")

    def private_numbers(self) -> NoReturn:
        """Refuse: the key stays inside."""
        raise ValueError("the key cannot be read")

    def private_bytes(
        self,
        encoding: serialization.Encoding,
        format: serialization.PrivateFormat,
        encryption_algorithm: serialization.KeySerializationEncryption,
    ) -> NoReturn:
        """Refuse: the key stays inside."""
        raise ValueError("the key cannot be read")
