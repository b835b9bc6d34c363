"""Where the passphrase of the key file comes from: a file, SPK_HSM_PASSPHRASE, or the keyboard."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hsm_stub.errors import PassphraseMissing

PASSPHRASE_CHARS_MIN: Final = 12
"""Shortest passphrase new keys are locked with."""


def read_passphrase(environment: Mapping[str, str], file: Path | None) -> str:
    """Return the passphrase that opens existing keys; raises `PassphraseMissing`."""
    given = _given(environment, file)
    if given is None:
        given = getpass.getpass("Passphrase of the key file: ")
    if not given:
        raise PassphraseMissing("the passphrase is empty")
    return given


def choose_passphrase(environment: Mapping[str, str], file: Path | None) -> str:
    """Return the passphrase for new keys, asked twice at the keyboard."""
    given = _given(environment, file)
    if given is None:
        given = getpass.getpass("New passphrase for the key file: ")
        if getpass.getpass("The same again: ") != given:
            raise PassphraseMissing("the two passphrases differ; nothing was written")
    if len(given) < PASSPHRASE_CHARS_MIN:
        raise PassphraseMissing(
            f"the passphrase has {len(given)} characters, it needs at least {PASSPHRASE_CHARS_MIN}"
        )
    return given


def _given(environment: Mapping[str, str], file: Path | None) -> str | None:
    """Return what file or environment give; None when a person can be asked."""
    if file is not None:
        try:
            return file.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise PassphraseMissing(f"the passphrase file {file} cannot be read: {error}") from None
    if (given := environment.get("SPK_HSM_PASSPHRASE")) is not None:
        return given
    if sys.stdin is not None and sys.stdin.isatty():
        return None
    raise PassphraseMissing(
        "no passphrase: set SPK_HSM_PASSPHRASE, give --passphrase-file, or run this at a terminal"
    )
