"""The software backend: keys in this process's memory, for trial and tests."""

from __future__ import annotations

from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from hsm_stub.backends.backend import MasterKey, SigningKey
from hsm_stub.key_material import KeyMaterial


class SoftwareBackend:
    """Keys taken from a key file (see `Backend` for the methods)."""

    name = "software"

    def __init__(self, material: KeyMaterial) -> None:
        self.region_code = material.region_code
        self._masters = {
            MasterKey.TERMINAL: material.terminal_master,
            MasterKey.CARD: material.card_master,
        }
        self._signers = {
            SigningKey.RECEIPT: _private_key(material.receipt_signing),
            SigningKey.ISSUING_CA: _private_key(material.issuing_ca),
        }
        self._certificates = (x509.load_der_x509_certificate(material.issuing_certificate),)

    def cmac(self, key: MasterKey, message: bytes) -> bytes:
        """Return the AES-CMAC of `message` (16 bytes)."""
        cmac = CMAC(AES(self._masters[key]))
        cmac.update(message)
        return cmac.finalize()

    def sign_digest(self, key: SigningKey, digest: bytes) -> bytes:
        """Return the signature of a SHA-256 digest, raw r‖s (64 bytes)."""
        der = self._signers[key].sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        r, s = decode_dss_signature(der)
        return r.to_bytes(32) + s.to_bytes(32)

    def public_point(self, key: SigningKey) -> bytes:
        """Return the public key as an uncompressed point (65 bytes)."""
        return (
            self._signers[key]
            .public_key()
            .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        )

    def issuing_certificates(self) -> tuple[x509.Certificate, ...]:
        """Return the issuing CA's self-signed certificate."""
        return self._certificates

    def close(self) -> None:
        """Drop the references to the keys; Python cannot wipe the memory itself."""
        self._masters.clear()
        self._signers.clear()


def _private_key(pkcs8: bytes) -> ec.EllipticCurvePrivateKey:
    return cast(
        "ec.EllipticCurvePrivateKey", serialization.load_der_private_key(pkcs8, password=None)
    )
