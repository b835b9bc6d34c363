"""What the service keeps of keys in a PKCS#11 token: where it is, and the ring. Nothing secret.

A line of JSON, and the signature of the token's audit key over it, so that nobody but the token's
owner brings a retired generation back or changes a certificate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import msgspec

from hsm_stub.errors import KeyFileDamaged, KeyFileError, KeyFileExists, KeyFileMissing
from hsm_stub.keyring import KeyRing, SigningKey
from hsm_stub.private_file import write_private
from processing.wire.statement import Domain, StatementError, verify_digest

FILE_BYTES_MAX: Final = 1024 * 1024


class TokenFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the token is, and which keys are in it."""

    format: Literal["spk token file"] = "spk token file"
    version: Literal[1] = 1
    module: str
    token: str
    ring: KeyRing


def write_token_file(
    path: Path, file: TokenFile, sign: Callable[[bytes], bytes], *, new: bool = False
) -> None:
    """Write the file; `sign` gives the audit key's signature over a statement's digest."""
    line = msgspec.json.encode(file)
    signature = sign(hashlib.sha256(line).digest())
    try:
        write_private(path, line + b"\n" + signature.hex().encode() + b"\n", new=new)
    except FileExistsError:
        raise KeyFileExists(f"{path} exists and keys are never overwritten") from None
    except OSError as error:
        raise KeyFileError(f"the token file {path} cannot be written: {error.strerror}") from None


def read_token_file(path: Path) -> TokenFile:
    """Return what is in the file; raises `KeyFileError` when it is not as its token wrote it."""
    try:
        with path.open("rb") as opened:
            line, _, signature = opened.read(FILE_BYTES_MAX).partition(b"\n")
        file = msgspec.json.decode(line, type=TokenFile)
        audit = file.ring.active(SigningKey.AUDIT)
        verify_digest(
            Domain.KEY_AUDIT,
            hashlib.sha256(line).digest(),
            audit.key_id,
            bytes.fromhex(signature.decode("ascii").strip()),
            audit.public_point,
        )
    except FileNotFoundError:
        raise KeyFileMissing(
            f"there is no token file {path}; make one with: spk hsm init --backend pkcs11"
        ) from None
    except OSError as error:
        raise KeyFileError(f"the token file {path} cannot be read: {error.strerror}") from None
    except (ValueError, StopIteration, StatementError) as error:
        raise KeyFileDamaged(
            f"{path} is not what its token wrote ({error}); restore it from a backup"
        ) from None
    return file
