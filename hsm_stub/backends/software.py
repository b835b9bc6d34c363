"""The software backend: keys in this process's memory, for trial and tests."""

from __future__ import annotations

import os

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from hsm_stub.key_material import KeyMaterial, private_key
from hsm_stub.keyring import MasterKey, SigningKey

_PREHASHED = ec.ECDSA(Prehashed(hashes.SHA256()))


class SoftwareBackend:
    """Keys taken from a key file (see `Backend` for the methods)."""

    name = "software"

    def __init__(self, material: KeyMaterial) -> None:
        self.ring = material.ring
        masters = {key.value: key for key in MasterKey}
        signers = {key.value: key for key in SigningKey}
        self._masters = {
            (masters[one.key], one.generation): CMAC(AES(one.secret))
            for one in material.secrets
            if one.key in masters
        }
        self._signers = {
            (signers[one.key], one.generation): private_key(one.secret)
            for one in material.secrets
            if one.key in signers
        }

    def cmac(self, key: MasterKey, generation: int, message: bytes) -> bytes:
        """Return the AES-CMAC of `message` (16 bytes)."""
        # Set up once and copied: half the cost of a derivation is the key's set-up.
        cmac = self._masters[key, generation].copy()
        cmac.update(message)
        return cmac.finalize()

    def sign_digest(self, key: SigningKey, generation: int, digest: bytes) -> bytes:
        """Return the signature of a SHA-256 digest, raw r‖s (64 bytes)."""
        r, s = decode_dss_signature(self._signers[key, generation].sign(digest, _PREHASHED))
        return r.to_bytes(32) + s.to_bytes(32)

    def random(self, count: int) -> bytes:
        """Return random bytes of the operating system."""
        return os.urandom(count)

    def close(self) -> None:
        """Drop the references to the keys; Python cannot wipe the memory itself."""
        self._masters.clear()
        self._signers.clear()
