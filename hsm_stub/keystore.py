"""The encrypted key file of the software backend: a trial's stand-in for a token.

Layout: one line of JSON (`KeyFileHeader`), a newline, the ciphertext, and 32 bytes of SHA-256
over all before. scrypt (RFC 7914) turns the passphrase into an AES-256-GCM key; the header line
is its associated data. The plain checksum proves nothing against an adversary (GCM does that); it
lets a damaged file be told from a wrong passphrase.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from msgspec import Meta

from hsm_stub.errors import (
    KeyFileDamaged,
    KeyFileError,
    KeyFileExists,
    KeyFileExposed,
    KeyFileMissing,
    WrongPassphrase,
)
from hsm_stub.key_material import KeyMaterial, checked
from hsm_stub.private_file import write_private

FILE_BYTES_MAX: Final = 64 * 1024
SCRYPT_LOG2_N: Final = 17
"""128 MiB and about half a second for each guess at the passphrase."""
_CHECKSUM_BYTES: Final = 32


class KeyFileHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the rest of the file is encrypted; the limits keep a strange file from eating memory."""

    format: Literal["spk key file"] = "spk key file"
    version: Literal[1] = 1
    scrypt_log2_n: Annotated[int, Meta(ge=10, le=20)]
    scrypt_r: Annotated[int, Meta(ge=1, le=16)]
    scrypt_p: Annotated[int, Meta(ge=1, le=4)]
    salt_hex: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]
    nonce_hex: Annotated[str, Meta(pattern=r"^[0-9a-f]{24}\Z")]


class OpenedFile(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of a file, with what opens and closes it."""

    material: KeyMaterial
    header: KeyFileHeader
    key: bytes

    def __repr__(self) -> str:
        """Return the name alone: keys must not reach a log."""
        return "OpenedFile(<hidden>)"

    def content(self) -> bytes:
        """Return the whole file, under a fresh nonce."""
        nonce = secrets.token_bytes(12)
        header = msgspec.structs.replace(self.header, nonce_hex=nonce.hex())
        head = msgspec.json.encode(header)
        plain = msgspec.msgpack.encode(self.material)
        ciphertext = AESGCM(self.key).encrypt(nonce, plain, head)
        content = head + b"\n" + ciphertext
        return content + hashlib.sha256(content).digest()

    def with_material(self, material: KeyMaterial) -> OpenedFile:
        """Return the same file with other keys in it."""
        return msgspec.structs.replace(self, material=checked(material))

    def again(self, path: Path) -> OpenedFile:
        """Return the file as it is on the disk now, under the same passphrase."""
        header, head, ciphertext = _parts(path)
        if header.salt_hex != self.header.salt_hex:
            raise WrongPassphrase(f"{path} has another passphrase now; start the service anew")
        return msgspec.structs.replace(
            self, material=_decrypted(path, self.key, header, head, ciphertext), header=header
        )


def create_key_file(
    path: Path, material: KeyMaterial, passphrase: str, scrypt_log2_n: int = SCRYPT_LOG2_N
) -> None:
    """Write `material` to a new file of mode 0600, whole or not at all.

    Raises `KeyFileExists` rather than overwrite, `KeyFileError` when the folder cannot be written.
    """
    refuse_existing(path)
    header = KeyFileHeader(
        scrypt_log2_n=scrypt_log2_n,
        scrypt_r=8,
        scrypt_p=1,
        salt_hex=secrets.token_hex(16),
        nonce_hex="0" * 24,
    )
    key = _encryption_key(header, passphrase)
    content = OpenedFile(material=material, header=header, key=key).content()
    try:
        write_private(path, content, new=True)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be written: {error.strerror}") from None


def open_key_file(path: Path, passphrase: str) -> KeyMaterial:
    """Return the keys in `path`; each `KeyFileError` says what is wrong and what to do."""
    return read_key_file(path, passphrase).material


def read_key_file(path: Path, passphrase: str) -> OpenedFile:
    """As `open_key_file`, with what is needed to write the file again."""
    header, head, ciphertext = _parts(path)
    key = _encryption_key(header, passphrase)
    material = _decrypted(path, key, header, head, ciphertext)
    return OpenedFile(material=material, header=header, key=key)


def _parts(path: Path) -> tuple[KeyFileHeader, bytes, bytes]:
    head, ciphertext = _checked_parts(path, _read_private(path))
    return _header(path, head), head, ciphertext


def _decrypted(
    path: Path, key: bytes, header: KeyFileHeader, head: bytes, ciphertext: bytes
) -> KeyMaterial:
    try:
        plain = AESGCM(key).decrypt(bytes.fromhex(header.nonce_hex), ciphertext, head)
    except InvalidTag:
        raise WrongPassphrase(
            f"the passphrase does not open {path} (the file itself is not damaged)"
        ) from None
    try:
        return msgspec.msgpack.decode(plain, type=KeyMaterial)
    except msgspec.DecodeError:
        raise KeyFileDamaged(f"{path} opens, but does not hold the keys of this release") from None


def _encryption_key(header: KeyFileHeader, passphrase: str) -> bytes:
    scrypt = Scrypt(
        salt=bytes.fromhex(header.salt_hex),
        length=32,
        n=2**header.scrypt_log2_n,
        r=header.scrypt_r,
        p=header.scrypt_p,
    )
    return scrypt.derive(passphrase.encode())


def _checked_parts(path: Path, content: bytes) -> tuple[bytes, bytes]:
    """Return header line and ciphertext of a file whose checksum is right."""
    body, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    head, newline, ciphertext = body.partition(b"\n")
    if not newline or hashlib.sha256(body).digest() != checksum:
        raise KeyFileDamaged(
            f"{path} is damaged or is no key file (its checksum is wrong); restore it from a backup"
        )
    return head, ciphertext


def _header(path: Path, head: bytes) -> KeyFileHeader:
    try:
        return msgspec.json.decode(head, type=KeyFileHeader)
    except msgspec.DecodeError as error:
        raise KeyFileDamaged(f"{path} is no key file of this release: {error}") from None


def _read_private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise KeyFileExposed(
                    f"{path} may be read by others (mode {stat.S_IMODE(mode):04o}); "
                    f"run: chmod 600 {path}"
                )
            return file.read(FILE_BYTES_MAX)
    except FileNotFoundError:
        raise KeyFileMissing(
            f"there is no key file {path}; create one with: spk hsm init --keys {path}"
        ) from None
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be read: {error.strerror}") from None


def refuse_existing(path: Path) -> None:
    """Raise `KeyFileExists` when something stands at `path`."""
    if path.exists():
        raise _exists(path)


def _exists(path: Path) -> KeyFileExists:
    return KeyFileExists(
        f"{path} exists and keys are never overwritten; move it away, or choose another --keys"
    )
