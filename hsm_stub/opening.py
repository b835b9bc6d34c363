"""Opening the keys of a service, wherever they are: a key file, or the token that a file names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from hsm_stub.backends.backend import Backend, KeyStore
from hsm_stub.backends.software import SoftwareBackend
from hsm_stub.key_file import KeyFile
from hsm_stub.passphrase import read_passphrase

P11_SUFFIX: Final = ".p11"
"""How the file of a token is told from a key file."""


class OpenKeys(msgspec.Struct, frozen=True):
    """Opened keys: where generations come and go, and a backend that uses them as they are now."""

    store: KeyStore
    backend: Callable[[], Backend]


def open_keys(keys: Path, environment: Mapping[str, str], passphrase_file: Path | None) -> OpenKeys:
    """Return the keys at `keys`; raises the errors of `hsm_stub.errors`.

    The passphrase of a token is its user PIN.
    """
    passphrase = read_passphrase(environment, passphrase_file)
    if keys.suffix == P11_SUFFIX:
        from hsm_stub.backends.pkcs11 import Pkcs11Backend

        token = Pkcs11Backend.opened(keys, passphrase)
        return OpenKeys(token, token.again)
    key_file = KeyFile.opened(keys, passphrase)
    return OpenKeys(key_file, lambda: SoftwareBackend(key_file.read_again()))
