"""The certificates of cards in the database: how each stands, and the revocation lists.

The pool acts as `spk_issuing`. Every method raises the errors of
`processing.kernel.database.DatabasePool`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
from cryptography import x509

from processing.kernel.database import Connection, DatabasePool
from processing.wire.crl import RevocationReason
from processing.wire.key_use import KeyUse, KeyUseReport

ENTRIES_AT_ONCE: Final = 500
"""Entries of a revocation list that are read and handed to the key service together."""

_KEEP: Final = "SELECT cards.keep_certificates($1, $2, $3, $4, $5)"
_STATUS: Final = """
    SELECT reason, (extract(EPOCH FROM revoked_at) * 1000)::bigint AS revoked_at_ms
    FROM cards.certificate WHERE serial = $1 AND issuer_key_id = $2
"""
_REVOKED: Final = """
    SELECT serial, revoked_at_ms, reason FROM cards.revoked_certificate
    WHERE issuer_key_id = $1 ORDER BY length(serial), serial
"""
_NUMBER: Final = "SELECT number FROM cards.revocation_list WHERE issuer_key_id = $1"
_LIST: Final = "SELECT * FROM cards.revocation_list WHERE issuer_key_id = $1"
_KEY_USE: Final = "SELECT key, generation, users, last_day FROM cards.key_use ORDER BY 1, 2"
_KEEP_LIST: Final = "SELECT cards.keep_revocation_list($1, $2, $3, $4, $5, $6)"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class CardCertificates(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of one card's certificates, both of one issuing CA."""

    issuer_key_id: bytes
    serials: tuple[bytes, ...]
    valid_to: tuple[datetime, ...]


class Revocation(msgspec.Struct, frozen=True):
    """When and why a certificate was revoked."""

    revoked_at_ms: int
    reason: RevocationReason


class RevokedCertificate(msgspec.Struct, frozen=True):
    """One certificate of a revocation list."""

    serial: bytes
    revocation: Revocation


class RevocationList(msgspec.Struct, frozen=True, kw_only=True):
    """A revocation list (RFC 5280) of one issuing CA; `body` is DER."""

    issuer_key_id: bytes
    number: int
    this_update: datetime
    next_update: datetime
    entries: int
    body: bytes


class CertificateStore:
    """What is known of certificates."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def status(self, issuer_key_id: bytes, serial: bytes) -> Revocation | bool:
        """Return a revocation, True for a certificate that is good, False for an unknown one."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_STATUS, serial, issuer_key_id)
        if row is None:
            return False
        return True if row["reason"] is None else _revocation(row)

    async def revoked(self, issuer_key_id: bytes) -> AsyncIterator[list[RevokedCertificate]]:
        """Yield all that is revoked in the order of the serials, `ENTRIES_AT_ONCE` at a time.

        It is one snapshot, however long it takes.
        """
        async with self._pool.transaction() as connection:
            cursor = await connection.cursor(_REVOKED, issuer_key_id)
            while rows := await cursor.fetch(ENTRIES_AT_ONCE):
                yield [RevokedCertificate(row["serial"], _revocation(row)) for row in rows]

    async def list_number(self, issuer_key_id: bytes) -> int:
        """Return the number of the newest list; 0 when there is none."""
        async with self._pool.connection() as connection:
            return await connection.fetchval(_NUMBER, issuer_key_id) or 0

    async def newest_list(self, issuer_key_id: bytes) -> RevocationList | None:
        """Return the newest list; None when there is none."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_LIST, issuer_key_id)
        return None if row is None else RevocationList(**dict(row))

    async def keep_list(self, issued: RevocationList) -> bool:
        """Keep a list unless there is a newer one; whether it was kept."""
        async with self._pool.connection() as connection:
            return bool(await connection.fetchval(_KEEP_LIST, *msgspec.structs.astuple(issued)))

    async def key_use(self, now_ms: int) -> KeyUseReport:
        """Return what still uses each generation of a key; needs the role spk_operator."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_KEY_USE)
        return KeyUseReport(as_of_ms=now_ms, uses=tuple(KeyUse(**dict(row)) for row in rows))


async def keep_certificates(
    connection: Connection, order_id: UUID, certificates: CardCertificates, card_master: int
) -> None:
    """Keep the certificates of a card, in the transaction that issues it for an order.

    `card_master` is the generation of the card master that its 9B key comes from.
    """
    await connection.execute(
        _KEEP,
        order_id,
        certificates.issuer_key_id,
        list(certificates.serials),
        list(certificates.valid_to),
        card_master,
    )


def certificates_of(*certificates: bytes) -> CardCertificates:
    """Return what is kept of a card's certificates (DER), which our own key service composed."""
    read = [x509.load_der_x509_certificate(der) for der in certificates]
    authority = read[0].extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    return CardCertificates(
        issuer_key_id=authority.key_identifier or b"",
        serials=tuple(serial_bytes(one.serial_number) for one in read),
        valid_to=tuple(one.not_valid_after_utc for one in read),
    )


def serial_bytes(serial: int) -> bytes:
    """Return a serial number as the centre keeps it: unsigned, no leading zero."""
    return serial.to_bytes((serial.bit_length() + 7) // 8)


def moment_of(moment_ms: int) -> datetime:
    """Return UTC milliseconds as a time, exactly."""
    return _EPOCH + timedelta(milliseconds=moment_ms)


def _revocation(row: asyncpg.Record) -> Revocation:
    return Revocation(row["revoked_at_ms"], RevocationReason(row["reason"]))
