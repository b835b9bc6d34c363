"""PEM files of what anybody may know: enough to verify receipts and cards offline."""

from __future__ import annotations

import secrets
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hsm_stub.client.commands import PublicKeys
from hsm_stub.errors import ServiceError


def write_public_files(folder: Path, public: PublicKeys) -> tuple[Path, Path]:
    """Write receipt-public-key.pem and issuing-ca.pem to `folder`, replacing older ones.

    Returns their paths; raises `ServiceError` when the folder cannot be written.
    """
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public.receipt_key)
    key_pem = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    ca_pem = b"".join(
        x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
        for der in public.issuing_certificates
    )
    paths = (folder / "receipt-public-key.pem", folder / "issuing-ca.pem")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in zip(paths, (key_pem, ca_pem), strict=True):
            part = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
            part.write_bytes(content)
            part.replace(path)
    except OSError as error:
        raise ServiceError(f"{folder} cannot be written: {error.strerror}") from None
    return paths
