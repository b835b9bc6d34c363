"""PEM files of what anybody may know: enough to verify receipts, documents and cards offline."""

from __future__ import annotations

import re
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hsm_stub.client.commands import PublicKeys
from hsm_stub.errors import ServiceError
from hsm_stub.keyring import SigningKey
from hsm_stub.private_file import write_private

FILES_OF_KEYS = {
    SigningKey.RECEIPT: "receipt-public-key.pem",
    SigningKey.JOURNAL: "journal-public-keys.pem",
    SigningKey.CONTENT: "content-public-keys.pem",
    SigningKey.AUDIT: "audit-public-keys.pem",
}
PEM_BYTES_MAX = 64 * 1024


def write_public_files(folder: Path, public: PublicKeys) -> tuple[Path, ...]:
    """Write the PEM files to `folder`, replacing older ones, and return their paths.

    Each holds every generation of a key, the newest first; issuing-ca.pem every CA whose cards live
    on, the one in use first. Raises `ServiceError` when the folder cannot be written.
    """
    contents = {}
    for key, name in FILES_OF_KEYS.items():
        mine = [one for one in public.keys if one.key == key.value]
        newest_first = sorted(mine, key=lambda one: -one.generation)
        contents[name] = b"".join(_key_pem(one.point) for one in newest_first)
    contents["issuing-ca.pem"] = b"".join(
        x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
        for der in public.issuing_certificates
    )
    paths = tuple(folder / name for name in contents)
    try:
        for path, content in zip(paths, contents.values(), strict=True):
            write_private(path, content)
            path.chmod(0o644)
    except OSError as error:
        raise ServiceError(f"{folder} cannot be written: {error.strerror}") from None
    return paths


def read_points(path: Path) -> tuple[bytes, ...]:
    """Return the public points (65 bytes) of the keys in a PEM file; raises `ServiceError`."""
    try:
        with path.open("rb") as file:
            content = file.read(PEM_BYTES_MAX)
        keys = [
            serialization.load_pem_public_key(pem)
            for pem in re.findall(rb"-----BEGIN.*?END PUBLIC KEY-----", content, re.DOTALL)
        ]
    except (OSError, ValueError) as error:
        raise ServiceError(f"the public keys in {path} cannot be read: {error}") from None
    points = tuple(
        key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        for key in keys
        if isinstance(key, ec.EllipticCurvePublicKey)
    )
    if not points:
        raise ServiceError(f"there is no P-256 public key in {path}")
    return points


def _key_pem(point: bytes) -> bytes:
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
