"""The trust list: the keys and CAs that terminals believe, signed by the centre.

A terminal begins with the keys of its parameter file. When the centre's keys are rotated, it learns
the new ones from this list, without being enrolled anew. JSON in UTF-8: the document (base64, so
that its bytes are what was signed), the id of the content key that signed it and the signature
(`processing.wire.statement`, purpose TRUST_LIST), and the successions.

A succession is the next generation of a content key, signed by the one before (purpose
KEY_SUCCESSION) when it was made. So a terminal that knows any earlier key gets from it to the one
that signed the list, also when the earlier one has been retired or destroyed since. From then on it
believes the keys of the list alone: a retired key can name no successor to it any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Self

import msgspec

from processing.wire.bilingual import BilingualFault
from processing.wire.parameter_file import ParameterFile
from processing.wire.receipt import key_id_of
from processing.wire.statement import Domain, StatementError, verify_statement

VERSION: Final = 1
TRUST_LIST_MAX_BYTES: Final = 512 * 1024
"""Longest list that is read; one with 255 generations of everything is shorter."""
SUCCESSIONS_MAX: Final = 254
"""A key has at most 255 generations."""
USE_MINUTES: Final = 30 * 24 * 60
"""How long a list serves after its issue: then nothing is given offline until a newer one came."""


class TrustFault(BilingualFault):
    """Why a trust list is not believed. The list is closed."""

    UNREADABLE = (
        "это не список ключей центра, или он повреждён: получите его ещё раз",
        "this is no trust list, or a damaged one: fetch it again",
    )
    KEY_OTHER = (
        "ключ списка не выводится из известных терминалу: зарегистрируйте терминал в центре заново",
        "no key of the terminal leads to the one that signed the list: have it enrolled again",
    )
    SIGNATURE_WRONG = (
        "подпись списка ключей неверна: не используйте его и сообщите в центр",
        "the trust list's signature is wrong: do not use it, tell the centre",
    )
    VERSION_OTHER = (
        "список ключей новее этой программы: обновите её",
        "the trust list is newer than this program: update it",
    )


class TrustListError(ValueError):
    """A list that is not believed; `fault` says why."""

    exit_code = 2

    def __init__(self, fault: TrustFault) -> None:
        super().__init__(fault.en)
        self.fault = fault


class Succession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key's next generation: its point (65 bytes), signed with the generation before.

    `key` is the key's name in the key service, `before_key_id` the id of the generation before.
    """

    key: str
    generation: int
    point: bytes
    before_key_id: bytes
    signature: bytes

    @property
    def document(self) -> bytes:
        """The bytes that are signed."""
        return succession_document(self.key, self.generation, self.point)


def succession_document(key: str, generation: int, point: bytes) -> bytes:
    """Return what a generation signs about the one that follows: name, number and point of it."""
    return f"{key}\n{generation}\n".encode() + point


class TrustList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a terminal believes. `issued_at_ms` rises from one issue to the next.

    `content_keys` sign stop-lists, passports, rules, codes and this list; `receipt_keys` every
    generation that ever signed a receipt; `issuing_cas` (DER) those whose cards are served. In each
    the one in use comes first. Points are uncompressed (65 bytes).
    """

    version: int = VERSION
    issued_at_ms: int
    use_minutes: int = USE_MINUTES
    content_keys: tuple[bytes, ...]
    receipt_keys: tuple[bytes, ...]
    issuing_cas: tuple[bytes, ...]

    @property
    def document(self) -> bytes:
        """The bytes that are signed; the same list always gives the same."""
        return msgspec.json.encode(self)

    @property
    def ends_at_ms(self) -> int:
        """When it has served its time, UTC milliseconds since 1970."""
        return self.issued_at_ms + self.use_minutes * 60_000

    def applied_to(self, parameters: ParameterFile) -> ParameterFile:
        """Return a terminal's parameters with these keys in place of its own."""
        return msgspec.structs.replace(
            parameters,
            content_keys=self.content_keys,
            receipt_keys=self.receipt_keys,
            issuing_cas=self.issuing_cas,
        )


class SignedTrustList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document, its signature, and the ways to its key, as the file holds them."""

    document: bytes
    key_id: bytes
    signature: bytes
    successions: tuple[Succession, ...] = ()

    def encode(self) -> bytes:
        """Return the file's bytes."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Return what a file holds, not believed yet; raises `TrustListError`."""
        try:
            if len(data) > TRUST_LIST_MAX_BYTES:
                raise TrustListError(TrustFault.UNREADABLE)
            file = msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise TrustListError(TrustFault.UNREADABLE) from None
        if len(file.successions) > SUCCESSIONS_MAX:
            raise TrustListError(TrustFault.UNREADABLE)
        return file

    def trusted(self, known_keys: Iterable[bytes]) -> TrustList:
        """Return the list if one of the content keys `known_keys` leads to its signature.

        Raises `TrustListError`.
        """
        point = self._reached(known_keys).get(self.key_id)
        if point is None:
            raise TrustListError(TrustFault.KEY_OTHER)
        try:
            verify_statement(Domain.TRUST_LIST, self.document, self.key_id, self.signature, point)
        except StatementError:
            raise TrustListError(TrustFault.SIGNATURE_WRONG) from None
        try:
            trusted = msgspec.json.decode(self.document, type=TrustList)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise TrustListError(TrustFault.UNREADABLE) from None
        if trusted.version != VERSION:
            raise TrustListError(TrustFault.VERSION_OTHER)
        if point not in trusted.content_keys:
            # It would believe nothing that this centre signs, not even the next list.
            raise TrustListError(TrustFault.KEY_OTHER)
        return trusted

    def _reached(self, known_keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return the points that the known ones lead to, themselves included, by key id."""
        reached = {key_id_of(point): point for point in known_keys}
        for one in sorted(self.successions, key=lambda one: one.generation):
            before = reached.get(one.before_key_id)
            if before is None:
                continue
            try:
                verify_statement(
                    Domain.KEY_SUCCESSION, one.document, one.before_key_id, one.signature, before
                )
                reached[key_id_of(one.point)] = one.point
            except (StatementError, ValueError):
                raise TrustListError(TrustFault.SIGNATURE_WRONG) from None
        return reached
