"""What must never reach a log line: secrets and personal data (DESIGN promise 9).

Two nets, because each has holes: a value under a known key is withheld whatever it is, and text
under any key loses what looks like a password in an address, a document number or a row that
PostgreSQL quotes in the DETAIL of an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

WITHHELD: Final = "[withheld]"

SECRET_WORDS: Final = frozenset(
    (
        "pin",
        "puk",
        "password",
        "passphrase",
        "passwd",
        "secret",
        "token",
        "cookie",
        "seed",
        "share",
        "shares",
    )
)
"""A key with one of these among its words (split at `_`, `-` and `.`) is withheld."""

PERSONAL_WORDS: Final = frozenset(
    (
        "snils",
        "enp",
        "surname",
        "patronymic",
        "phone",
        "email",
        "address",
        "birth",
        "birthday",
        "diagnosis",
        "disability",
        "income",
        "passport",
        "category",
        "categories",
        "household",
        "citizen",
        "mcc",
    )
)
"""As `SECRET_WORDS`: what would tell something about a person."""

WITHHELD_KEYS: Final = frozenset(
    (
        "key",
        "mac_key",
        "private_key",
        "master_key",
        "session_key",
        "management_key",
        "terminal_key",
        "authorization",
        "first_name",
        "last_name",
        "full_name",
        "middle_name",
        "given_name",
        "family_name",
        "inn",
    )
)
"""Whole keys that are withheld, where a single word would catch too much (`key_id`)."""

PUBLIC_KEYS: Final = frozenset(
    ("citizen_count", "household_count", "listen_address", "remote_address", "hsm_address")
)
"""Keys that hold a withheld word and yet say nothing about a person."""

DEPTH_MAX: Final = 6
TEXT_CHARACTERS_MAX: Final = 8_000
ITEMS_MAX: Final = 200

_ADDRESS_PASSWORD: Final = re.compile(r"(?<=://)([^\s:/@]*):[^\s@/]*@")
_QUERY_PASSWORD: Final = re.compile(r"(?i)\b(password|sslpassword)=[^\s&]*")
_SNILS: Final = re.compile(r"(?<![\w-])\d{3}-\d{3}-\d{3}[ -]\d{2}(?![\w-])")
_DOCUMENT_NUMBER: Final = re.compile(r"(?<![\w.-])\+?(\d{11,12}|\d{16})(?![\w-])")
_ROW_DETAIL: Final = re.compile(r"(?ms)^DETAIL:.*?(?=^HINT:|^\s*$|^Traceback |\Z)")


def redact_event(event: Mapping[str, object]) -> dict[str, object]:
    """Return a copy of a log event with secrets and personal data withheld."""
    return {str(key): _redact_under(str(key), value, 0) for key, value in event.items()}


def redact_text(text: str) -> str:
    """Return `text` without passwords in addresses, document numbers and quoted rows.

    Sixteen digits are a card number or an ОМС policy, eleven a СНИЛС or a phone, twelve an ИНН.
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        text = text[:TEXT_CHARACTERS_MAX] + "…"
    text = _ROW_DETAIL.sub(f"DETAIL:  {WITHHELD}\n", text)
    text = _ADDRESS_PASSWORD.sub(rf"\1:{WITHHELD}@", text)
    text = _QUERY_PASSWORD.sub(rf"\1={WITHHELD}", text)
    text = _SNILS.sub(WITHHELD, text)
    return _DOCUMENT_NUMBER.sub(WITHHELD, text)


def withheld_key(key: str) -> bool:
    """Whether a value under `key` is withheld whatever it holds."""
    lowered = key.lower()
    if lowered in PUBLIC_KEYS:
        return False
    if lowered in WITHHELD_KEYS:
        return True
    words = re.split(r"[_.\-\s]", lowered)
    return any(word in SECRET_WORDS or word in PERSONAL_WORDS for word in words)


def _redact_under(key: str, value: object, depth: int) -> object:
    if withheld_key(key) and value is not None and not isinstance(value, bool):
        return WITHHELD
    return _redact(value, depth)


def _redact(value: object, depth: int) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return redact_text(value)
        case bytes() | bytearray() | memoryview():
            return bytes(value[:64]).hex()
        case _ if depth >= DEPTH_MAX:
            return "…"
        case Mapping():
            pairs = list(value.items())[:ITEMS_MAX]
            return {str(key): _redact_under(str(key), item, depth + 1) for key, item in pairs}
        case list() | tuple() | set() | frozenset():
            return [_redact(item, depth + 1) for item in list(value)[:ITEMS_MAX]]
        case _:
            return redact_text(str(value))
