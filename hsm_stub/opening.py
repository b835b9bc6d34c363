"""Opening the keys of a service, wherever they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hsm_stub.backends.backend import KeyStore
from hsm_stub.key_file import KeyFile
from hsm_stub.passphrase import read_passphrase


def open_store(
    keys: Path, environment: Mapping[str, str], passphrase_file: Path | None
) -> KeyStore:
    """Return the keys at `keys`; raises the errors of `hsm_stub.errors`."""
    return KeyFile.opened(keys, read_passphrase(environment, passphrase_file))
