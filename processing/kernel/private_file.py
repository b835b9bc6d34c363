"""Files that only their owner may read: tokens and parameter files with keys in them."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from processing.kernel.errors import ConfigurationError

OWNER_ONLY = 0o600


def write_private_file(path: Path, content: bytes, *, replace: bool = False) -> None:
    """Write a file with mode 0600, whole or not at all.

    Raises `ConfigurationError` when it cannot be written, or exists and `replace` is false.
    """
    if path.exists() and not replace:
        raise ConfigurationError(f"{path} exists already; move it away or give another path")
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
