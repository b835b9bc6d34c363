"""Stop-list v1: the cards that must not be served, signed, for terminals that work offline.

There are two kinds of file. A *complete* list says which cards are stopped. An *incremental* one
names the complete list it builds on and says what is different since: stopped besides, and let go.
It is cumulative, so a terminal needs one of each, the newest, and no chain of them. Neither names
a card: both hold sets that can only be asked (`processing.wire.golomb_set`), a million cards in
3.8 MB. The centre makes sure that no card it knows is taken for another.

Layout, integers big-endian: magic `SPKS`, version 1 (1 byte), kind (1: 1 complete, 2 incremental),
region (1), zero (1), number (4), number of the complete list (4; its own in a complete one),
issued at in UTC milliseconds (8), minutes it may be used (4), salt (16), length of the set of
stopped cards (4), length of the set of those let go (4, 0 in a complete list), both sets, key id
(8), signature (64, `processing.wire.statement` over all before the key id).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from functools import cached_property
from struct import Struct
from typing import Final, Self
from uuid import UUID

import msgspec

from processing.wire.bilingual import BilingualFault
from processing.wire.golomb_set import SALT_BYTES, GolombSet, GolombSetError
from processing.wire.receipt import key_id_of
from processing.wire.statement import (
    SIGNATURE_BYTES,
    Domain,
    StatementError,
    verify_statement,
)

VERSION: Final = 1
SIZE_MAX_BYTES: Final = 64 * 1024 * 1024
"""Longest file that is read: sixteen million cards."""
USE_MINUTES_MAX: Final = 31 * 24 * 60
"""Longest time that a list may be used for."""

_MAGIC: Final = b"SPKS"
_HEAD: Final = Struct(f">4sBBBxIIQI{SALT_BYTES}sII")
_KEY_ID_BYTES: Final = 8


class ListKind(IntEnum):
    """What a file holds."""

    COMPLETE = 1
    INCREMENTAL = 2


class StopListFault(BilingualFault):
    """Why a stop-list is not used. The list is closed."""

    UNREADABLE = (
        "стоп-лист повреждён или неизвестной версии: получите его заново",
        "the stop-list is damaged or of an unknown version: fetch it again",
    )
    KEY_OTHER = (
        "стоп-лист подписан не тем ключом, который знает терминал: обновите файл параметров",
        "the stop-list is signed with a key the terminal does not know: renew its parameter file",
    )
    SIGNATURE_WRONG = (
        "подпись стоп-листа неверна: файл изменён; получите его заново",
        "the stop-list's signature is wrong: the file was changed; fetch it again",
    )
    OTHER_BASE = (
        "дополнение относится к другому полному стоп-листу: получите полный",
        "the increment builds on another complete stop-list: fetch the complete one",
    )
    OLDER = (
        "пришёл стоп-лист старее имеющегося: зеркало отстало, повторите позже",
        "an older stop-list came than the one at hand: the mirror lags behind, try again later",
    )


class StopListError(ValueError):
    """A stop-list that is not used; `fault` says why."""

    exit_code = 2

    def __init__(self, fault: StopListFault) -> None:
        super().__init__(fault.en)
        self.fault = fault


class StopListHead(msgspec.Struct, frozen=True, kw_only=True):
    """What a list says of itself: `base` is the number of its complete list."""

    kind: ListKind
    region: int
    number: int
    base: int
    issued_at_ms: int
    use_minutes: int


class StopList(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One file, complete or incremental. `document` is what is signed, `salt` is both sets'."""

    head: StopListHead
    stopped: GolombSet
    let_go: GolombSet

    @cached_property
    def document(self) -> bytes:
        """The bytes that are signed."""
        head = self.head
        let_go = b"" if head.kind is ListKind.COMPLETE else self.let_go.data
        fields = _HEAD.pack(
            _MAGIC, VERSION, head.kind, head.region, head.number, head.base, head.issued_at_ms,
            head.use_minutes, self.stopped.salt, len(self.stopped.data), len(let_go),
        )  # fmt: skip
        return b"".join([fields, self.stopped.data, let_go])

    def encode(self, key_id: bytes, signature: bytes) -> bytes:
        """Return the file: the document with its signature."""
        return b"".join([self.document, key_id, signature])

    @staticmethod
    def signer_of(data: bytes) -> bytes:
        """Return the id of the key that a list's file names as its signer."""
        return data[-_KEY_ID_BYTES - SIGNATURE_BYTES : -SIGNATURE_BYTES]

    @classmethod
    def decode(cls, data: bytes, public_keys: Sequence[bytes]) -> Self:
        """Return the list in `data`; raises `StopListError` unless one of the keys signed it.

        `public_keys` are uncompressed P-256 points.
        """
        document, trailer = _split(data)
        key_id, signature = trailer[:_KEY_ID_BYTES], trailer[_KEY_ID_BYTES:]
        key = next((one for one in public_keys if key_id_of(one) == key_id), None)
        if key is None:
            raise StopListError(StopListFault.KEY_OTHER)
        try:
            verify_statement(Domain.STOP_LIST, document, key_id, signature, key)
        except StatementError:
            raise StopListError(StopListFault.SIGNATURE_WRONG) from None
        return cls._of_document(document)

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Return the list in `data` without asking who signed it: for the centre's own files."""
        return cls._of_document(_split(data)[0])

    @classmethod
    def _of_document(cls, document: bytes) -> Self:
        magic, version, kind, region, number, base, issued, minutes, salt, stopped, let_go = (
            _HEAD.unpack_from(document)
        )
        sets = document[_HEAD.size :]
        complete = kind == ListKind.COMPLETE
        if (
            (magic, version) != (_MAGIC, VERSION)
            or kind not in tuple(ListKind)
            or stopped + let_go != len(sets)
            or complete is not (number == base and not let_go)
        ):
            raise StopListError(StopListFault.UNREADABLE)
        try:
            return cls(
                head=StopListHead(
                    kind=ListKind(kind),
                    region=region,
                    number=number,
                    base=base,
                    issued_at_ms=issued,
                    use_minutes=minutes,
                ),
                stopped=GolombSet(salt, sets[:stopped]),
                let_go=GolombSet.of((), salt) if complete else GolombSet(salt, sets[stopped:]),
            )
        except GolombSetError:
            raise StopListError(StopListFault.UNREADABLE) from None


class StopLists:
    """What a terminal asks: a complete list and, if there is one, what changed since."""

    def __init__(self, complete: StopList, increment: StopList | None = None) -> None:
        """Put two lists together; raises `StopListError` (OTHER_BASE) if they do not fit."""
        if complete.head.kind is not ListKind.COMPLETE or (
            increment is not None
            and (
                increment.head.kind is not ListKind.INCREMENTAL
                or (increment.head.base, increment.head.region)
                != (complete.head.number, complete.head.region)
            )
        ):
            raise StopListError(StopListFault.OTHER_BASE)
        self.complete = complete
        self.increment = increment

    @property
    def newest(self) -> StopListHead:
        """The head of the newer of both: its number goes into the request a card signs."""
        return (self.increment or self.complete).head

    def stops(self, card_id: UUID) -> bool:
        """Whether the card with this GUID must not be served."""
        if self.increment is not None:
            if card_id.bytes in self.increment.stopped:
                return True
            if card_id.bytes in self.increment.let_go:
                return False
        return card_id.bytes in self.complete.stopped

    def usable(self, now_ms: int) -> bool:
        """Whether the lists are young enough to serve a card by them alone."""
        head = self.newest
        return now_ms < head.issued_at_ms + head.use_minutes * 60_000


def _split(data: bytes) -> tuple[bytes, bytes]:
    """Return the signed document and the trailer of key id and signature."""
    end = len(data) - _KEY_ID_BYTES - SIGNATURE_BYTES
    if not _HEAD.size <= end <= SIZE_MAX_BYTES:
        raise StopListError(StopListFault.UNREADABLE)
    return data[:end], data[end:]
