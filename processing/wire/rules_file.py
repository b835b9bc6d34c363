"""The rules of one terminal, signed by the centre: which services and items it rings up, and how.

The rows of the regulations in force there, as in the terminal's parameter file, which they take the
place of. Published by the centre, kept by the terminal; whoever has the file checks the signature,
wherever it came from. An issue has an age: past `use_minutes` no card is served by it without the
centre, so that whoever withholds newer rules only silences the terminal. JSON in UTF-8: the
document (base64, so that its bytes are what was signed), the key's id, the signature
(`processing.wire.statement`, purpose PARAMETER_FILE).
"""

from __future__ import annotations

import hashlib
from datetime import date
from typing import Final, Self

import msgspec

from processing.wire.parameter_file import (
    SIZE_MAX_BYTES,
    ItemParameters,
    ParameterFile,
    ServiceParameters,
)
from processing.wire.statement import Domain, StatementError, verify_statement

VERSION: Final = 1
MARK_DIGITS: Final = 16
TAG_DIGITS: Final = 32
USE_MINUTES_MAX: Final = 31 * 24 * 60
"""Longest that a terminal may go on by one issue: as long as a regulation's grace."""

RULES_MAX_BYTES: Final = 2 * SIZE_MAX_BYTES
"""Longest file that is read: the longest parameter file in base64, and its signature."""


class RulesFileError(ValueError):
    """A file of rules that is not believed; the message says why and what to do."""

    exit_code = 2


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a terminal rings up. `issued_at_ms` rises from one issue to the next.

    For `use_minutes` after it cards may be served without the centre. `services` are in force at
    the issue, `coming` those versions that are approved and begin later: the terminal goes over to
    them by itself.
    """

    version: int = VERSION
    terminal_id: str
    issued_at_ms: int
    use_minutes: int
    services: tuple[ServiceParameters, ...]
    items: tuple[ItemParameters, ...]
    coming: tuple[ServiceParameters, ...] = ()

    @property
    def document(self) -> bytes:
        """The bytes that are signed; the same rules always give the same."""
        return msgspec.json.encode(self)

    @property
    def mark(self) -> str:
        """Return what tells these rules from others, whenever they were issued."""
        return rules_mark(self.services, items_digest(self.items), self.coming)

    @property
    def usable_until_ms(self) -> int:
        """Return until when cards may be served offline by them, UTC milliseconds."""
        return self.issued_at_ms + self.use_minutes * 60_000

    def applied_to(self, parameters: ParameterFile, today: date) -> ParameterFile:
        """Return a terminal's parameters with these rules of a day in place of its own."""
        begun = {one.service: one for one in self.services}
        for one in sorted(self.coming, key=lambda one: one.version):
            if one.valid_from is not None and one.valid_from <= today:
                begun[one.service] = one
        services = tuple(begun[service] for service in sorted(begun))
        return msgspec.structs.replace(parameters, services=services, items=self.items)


def items_digest(items: tuple[ItemParameters, ...]) -> bytes:
    """Return what tells these items from others: SHA-256."""
    return hashlib.sha256(msgspec.json.encode(items)).digest()


def rules_mark(
    services: tuple[ServiceParameters, ...],
    items: bytes,
    coming: tuple[ServiceParameters, ...] = (),
) -> str:
    """Return the mark of rules: `MARK_DIGITS` hexadecimal digits; `items` is `items_digest`.

    A network message's answer names it, so that a terminal learns that there are newer rules.
    """
    whole = hashlib.sha256(msgspec.json.encode((*services, *coming)) + items)
    return whole.hexdigest()[:MARK_DIGITS].upper()


class SignedRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document and its signature, as the file holds them."""

    document: bytes
    key_id: bytes
    signature: bytes

    @property
    def tag(self) -> str:
        """Return what tells this issue from others: its ETag over HTTP."""
        return hashlib.sha256(self.document).hexdigest()[:TAG_DIGITS]

    def encode(self) -> bytes:
        """Return the file's bytes."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return what a file holds, not believed yet; raises `RulesFileError`."""
        if len(data) > RULES_MAX_BYTES:
            raise RulesFileError(f"the file of rules is over {RULES_MAX_BYTES} bytes")
        try:
            return msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RulesFileError(f"not a file of rules: {error}; fetch it again") from error

    def rules(self, terminal_id: str, public_keys: tuple[bytes, ...]) -> Rules:
        """Return the rules, once signature and terminal are right.

        `public_keys` are those of the terminal's parameter file. Raises `RulesFileError`.
        """
        if not any(self._signed_by(key) for key in public_keys):
            raise RulesFileError(
                "the rules are not signed by a key of this terminal's centre: fetch them again, or "
                "have the terminal enrolled again if the centre has new keys"
            )
        try:
            rules = msgspec.json.decode(self.document, type=Rules)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RulesFileError(f"the rules are of another program's making: {error}") from error
        if rules.version != VERSION:
            raise RulesFileError(f"this program reads rules of version {VERSION}: update it")
        if not 0 < rules.use_minutes <= USE_MINUTES_MAX:
            raise RulesFileError(f"use_minutes: 1 to {USE_MINUTES_MAX}")
        if rules.terminal_id != terminal_id:
            raise RulesFileError(
                f"the rules are of terminal {rules.terminal_id}, not {terminal_id}"
            )
        return rules

    def _signed_by(self, public_key: bytes) -> bool:
        try:
            verify_statement(
                Domain.PARAMETER_FILE, self.document, self.key_id, self.signature, public_key
            )
        except StatementError:
            return False
        return True
