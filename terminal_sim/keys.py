"""The terminal's MAC keys: the one of its parameter file, and those that came over the line."""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from processing.wire.iso8583.messages import OfferedKey
from processing.wire.parameter_file import EXCHANGE_KEY_BYTES, MAC_KEY_BYTES, ParameterFile
from terminal_sim.errors import TerminalError

FINGERPRINT_BYTES: Final = 8


class MacKey(msgspec.Struct, frozen=True):
    """A MAC key (AES-128) and its generation, which travels in field 53.

    `exchange` is the exchange key (AES-256) that came with it, under which the next one will
    travel; empty while that is the parameter file's.
    """

    generation: int
    key: bytes
    exchange: bytes = b""

    def __repr__(self) -> str:
        """Return the generation alone: the key must not reach a log."""
        return f"MacKey(generation={self.generation}, key=<hidden>)"


def key_of_file(parameters: ParameterFile) -> MacKey:
    """Return the key that came with the parameter file."""
    return MacKey(parameters.key_generation, parameters.mac_key)


def file_fingerprint(parameters: ParameterFile) -> bytes:
    """Return what tells this parameter file's keys from those of another one.

    A key that came over the line replaces the file's own only while the terminal has that file.
    """
    secret = bytes((parameters.key_generation,)) + parameters.mac_key + parameters.exchange_key
    return hashlib.sha256(b"spk terminal keys\0" + secret).digest()[:FINGERPRINT_BYTES]


def unwrapped(offered: OfferedKey, parameters: ParameterFile, present: MacKey) -> MacKey:
    """Return a key that the centre handed out, opened with the exchange key (RFC 3394).

    `present` is the key in use, with the exchange key that goes with it. Raises `TerminalError`
    when it was not wrapped for this terminal.
    """
    try:
        keys = aes_key_unwrap(present.exchange or parameters.exchange_key, offered.wrapped)
    except (InvalidUnwrap, ValueError) as error:
        raise _not_ours(str(error)) from error
    if len(keys) not in {MAC_KEY_BYTES, MAC_KEY_BYTES + EXCHANGE_KEY_BYTES}:
        raise _not_ours(f"{len(keys)} bytes")
    exchange = keys[MAC_KEY_BYTES:] or present.exchange
    return MacKey(offered.generation, keys[:MAC_KEY_BYTES], exchange)


def _not_ours(why: str) -> TerminalError:
    return TerminalError(
        f"Новый ключ не для этого терминала ({why}). Зарегистрируйте терминал в центре заново",
        f"the new key is not for this terminal ({why}). Have the terminal enrolled again",
    )
