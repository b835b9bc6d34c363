"""The recovery file: the keys, encrypted to the custodians' recovery key (HPKE, RFC 9180).

Its private half exists on the custodians' sheets alone, as shares. So the file is written anew at
each rotation without them, and nobody but enough of them together can read it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec

from hsm_stub.errors import KeyFileDamaged, ShareError
from hsm_stub.key_material import KeyMaterial, point_of
from hsm_stub.private_file import write_private

MAGIC: Final = b"spk recovery file\x01"
FILE_BYTES_MAX: Final = 1024 * 1024
_SUITE: Final = hpke.Suite(hpke.KEM.P256, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_POINT_BYTES: Final = 65


def recovery_path(keys: Path) -> Path:
    """Return where the recovery file of a key file lies: beside it."""
    return keys.with_name(keys.name + ".recovery")


def write_recovery_file(path: Path, material: KeyMaterial) -> None:
    """Write the keys for their custodians; raises OSError."""
    point = material.recovery_point
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    sealed = _SUITE.encrypt(msgspec.msgpack.encode(material), key, MAGIC + point)
    write_private(path, MAGIC + point + sealed)


def read_recovery_file(path: Path, secret: bytes) -> KeyMaterial:
    """Return the keys; raises `ShareError` when `secret` is of another set of custodians."""
    data = path.read_bytes()[:FILE_BYTES_MAX]
    if not data.startswith(MAGIC):
        raise KeyFileDamaged(f"{path} is no recovery file of this release")
    point = data[len(MAGIC) : len(MAGIC) + _POINT_BYTES]
    key = ec.derive_private_key(int.from_bytes(secret), ec.SECP256R1())
    if point_of(key.public_key()) != point:
        raise ShareError("these shares belong to another ceremony than the recovery file")
    try:
        plain = _SUITE.decrypt(data[len(MAGIC) + _POINT_BYTES :], key, MAGIC + point)
        return msgspec.msgpack.decode(plain, type=KeyMaterial)
    except (InvalidTag, ValueError):
        raise KeyFileDamaged(f"{path} is damaged; restore it from another copy") from None
