"""The rules of one terminal, signed by the centre: which services and items it rings up, and how.

The rows of the regulations in force there, as in the terminal's parameter file, which they take the
place of. Published by the centre, kept by the terminal; whoever has the file checks the signature,
wherever it came from. JSON in UTF-8: the document (base64, so that its bytes are what was signed),
the key's id, the signature (`processing.wire.statement`, purpose PARAMETER_FILE).
"""

from __future__ import annotations

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
RULES_MAX_BYTES: Final = 2 * SIZE_MAX_BYTES
"""Longest file that is read: the longest parameter file in base64, and its signature."""


class RulesFileError(ValueError):
    """A file of rules that is not believed; the message says why and what to do."""

    exit_code = 2


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a terminal rings up. `issued_at_ms` rises from one issue to the next."""

    version: int = VERSION
    terminal_id: str
    issued_at_ms: int
    services: tuple[ServiceParameters, ...]
    items: tuple[ItemParameters, ...]

    @property
    def document(self) -> bytes:
        """The bytes that are signed; the same rules always give the same."""
        return msgspec.json.encode(self)

    def applied_to(self, parameters: ParameterFile) -> ParameterFile:
        """Return a terminal's parameters with these rules in place of its own."""
        return msgspec.structs.replace(parameters, services=self.services, items=self.items)


class SignedRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document and its signature, as the file holds them."""

    document: bytes
    key_id: bytes
    signature: bytes

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
