"""An opened key file: its keys, and the generations that come and go in it (`KeyStore`)."""

from __future__ import annotations

from pathlib import Path

from hsm_stub.errors import KeyFileError
from hsm_stub.key_material import KeyMaterial, with_entry, with_next_generation
from hsm_stub.keyring import KeyEntry, KeyName, KeyRing
from hsm_stub.keystore import OpenedFile, read_key_file
from hsm_stub.private_file import write_private
from hsm_stub.recovery import recovery_path, write_recovery_file


class KeyFile:
    """A key file whose passphrase was given once. Changes are on the disk when a method returns."""

    def __init__(self, path: Path, opened: OpenedFile) -> None:
        self._path = path
        self._opened = opened

    @classmethod
    def opened(cls, path: Path, passphrase: str) -> KeyFile:
        """Return the file at `path`; raises the errors of `open_key_file`."""
        return cls(path, read_key_file(path, passphrase))

    def __repr__(self) -> str:
        """Return the place alone: keys must not reach a log."""
        return f"KeyFile({str(self._path)!r})"

    @property
    def material(self) -> KeyMaterial:
        """Return the keys as they were last read or written."""
        return self._opened.material

    @property
    def ring(self) -> KeyRing:
        """Return which keys there are."""
        return self._opened.material.ring

    def read_again(self) -> KeyMaterial:
        """Return the keys as they are on the disk now; raises `KeyFileError`."""
        self._opened = self._opened.again(self._path)
        return self.material

    def add(self, key: KeyName, created_at_ms: int) -> KeyEntry:
        """Make the next generation of `key`, the active one; the one before is retiring."""
        self._write(with_next_generation(self.material, key, created_at_ms))
        return self.ring.active(key)

    def put(self, entry: KeyEntry) -> None:
        """Keep an entry's new state; a destroyed one loses its secret for good."""
        self._write(with_entry(self.material, entry))

    def _write(self, material: KeyMaterial) -> None:
        opened = self._opened.with_material(material)
        try:
            if material.recovery_point:
                # First, so that no key is ever in use that the custodians could not restore.
                write_recovery_file(recovery_path(self._path), material)
            write_private(self._path, opened.content())
        except OSError as error:
            raise KeyFileError(
                f"the key file {self._path} cannot be written: {error.strerror}; nothing changed"
            ) from None
        self._opened = opened
