"""Carrying out commands: what is signed and derived is decided here, whatever backend holds keys.

One thread calls a `SecurityModule`, so it needs no locks.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from hsm_stub import kdf
from hsm_stub.backends.backend import Backend, MasterKey, SigningKey
from hsm_stub.backends.signer import BackendSigner
from hsm_stub.certificates import card_certificate
from hsm_stub.client import commands as c
from hsm_stub.errors import CommandRefused
from processing.wire.receipt import block_statement, key_id_of

CARD_AUTHENTICATIONS_MAX: Final = 64
"""Most card authentications begun and not finished."""
CARD_AUTHENTICATION_LIFETIME_MS: Final = 30_000
"""A card answers within a second; what takes longer was abandoned."""

_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class _OpenAuthentication(msgspec.Struct, frozen=True):
    """A challenge on its way to a card: the right response, and when we stop waiting."""

    expected: bytes
    expires_ms: int

    def __repr__(self) -> str:
        return "_OpenAuthentication(<hidden>)"


class SecurityModule:
    """The commands over one backend.

    `monotonic_ms` is a clock that never goes back; tests give their own.
    """

    def __init__(self, backend: Backend, monotonic_ms: Callable[[], int]) -> None:
        self._backend = backend
        self._monotonic_ms = monotonic_ms
        self._started_ms = monotonic_ms()
        self._uses: Counter[tuple[str, str]] = Counter()
        self._open: dict[bytes, _OpenAuthentication] = {}
        self._receipt_key = backend.public_point(SigningKey.RECEIPT)
        self._receipt_key_id = key_id_of(self._receipt_key)

    def execute(self, command: c.Command, connections: int = 0) -> c.Answer:
        """Return the answer to `command`; raises `CommandRefused`, other errors are faults.

        `connections` is what `status` shows as the number of open connections.
        """
        match command:
            case c.Ping():
                return c.Done()
            case c.GetStatus():
                return self._status(connections)
            case c.GetPublicKeys():
                return self._public_keys()
            case c.DeriveTerminalKey():
                self._count(MasterKey.TERMINAL, "derive terminal key")
                return c.TerminalKey(key=self._terminal_key(command.terminal_id, command.key_id))
            case c.DeriveExchangeKey():
                self._count(MasterKey.TERMINAL, "export exchange key")
                key = self._exchange_key(command.terminal_id, command.exchange_id)
                return c.ExchangeKey(key=key)
            case c.WrapTerminalKey():
                return self._wrap_terminal_key(command)
            case c.DeriveCardAdminKey():
                self._count(MasterKey.CARD, "export card 9B key")
                return c.CardAdminKey(key=self._card_key(command.card_guid, command.version))
            case c.BeginCardAdmin():
                return self._begin_card_admin(command)
            case c.FinishCardAdmin():
                return self._finish_card_admin(command)
            case c.IssueCardCertificate():
                return self._issue_card_certificate(command)
            case c.SignReceiptBlock():
                return self._sign_receipt_block(command)

    def close(self) -> None:
        """Forget open authentications and close the backend."""
        self._open.clear()
        self._backend.close()

    def _status(self, connections: int) -> c.Status:
        self._drop_expired()
        uses = (
            c.KeyUse(key=key, purpose=purpose, uses=count)
            for (key, purpose), count in sorted(self._uses.items())
        )
        return c.Status(
            backend=self._backend.name,
            uptime_ms=self._monotonic_ms() - self._started_ms,
            receipt_key_id=self._receipt_key_id,
            region_code=self._backend.region_code,
            connections=connections,
            card_authentications_open=len(self._open),
            key_uses=tuple(uses),
        )

    def _public_keys(self) -> c.PublicKeys:
        return c.PublicKeys(
            receipt_key=self._receipt_key,
            receipt_key_id=self._receipt_key_id,
            issuing_certificates=tuple(
                certificate.public_bytes(serialization.Encoding.DER)
                for certificate in self._backend.issuing_certificates()
            ),
        )

    def _terminal_key(self, terminal_id: str, key_id: int) -> bytes:
        context = kdf.terminal_context(terminal_id, key_id)
        return self._derive(MasterKey.TERMINAL, kdf.TERMINAL_LABEL, context, c.TERMINAL_KEY_BYTES)

    def _exchange_key(self, terminal_id: str, exchange_id: int) -> bytes:
        context = kdf.terminal_context(terminal_id, exchange_id)
        return self._derive(MasterKey.TERMINAL, kdf.EXCHANGE_LABEL, context, c.EXCHANGE_KEY_BYTES)

    def _wrap_terminal_key(self, command: c.WrapTerminalKey) -> c.WrappedKey:
        self._count(MasterKey.TERMINAL, "wrap terminal key")
        exchange_key = self._exchange_key(command.terminal_id, command.exchange_id)
        key = self._terminal_key(command.terminal_id, command.key_id)
        return c.WrappedKey(wrapped=aes_key_wrap(exchange_key, key))

    def _begin_card_admin(self, command: c.BeginCardAdmin) -> c.CardAdminStarted:
        self._drop_expired()
        if len(self._open) >= CARD_AUTHENTICATIONS_MAX:
            raise CommandRefused(
                c.Refusal.BUSY,
                f"{CARD_AUTHENTICATIONS_MAX} card authentications are open; try again in "
                f"{CARD_AUTHENTICATION_LIFETIME_MS // 1000} seconds",
            )
        self._count(MasterKey.CARD, "authenticate card")
        cipher = Cipher(AES(self._card_key(command.card_guid, command.version)), _single_block())
        witness = cipher.decryptor().update(command.witness_ciphertext)
        challenge, handle = os.urandom(16), os.urandom(16)
        self._open[handle] = _OpenAuthentication(
            expected=cipher.encryptor().update(challenge),
            expires_ms=self._monotonic_ms() + CARD_AUTHENTICATION_LIFETIME_MS,
        )
        return c.CardAdminStarted(handle=handle, witness=witness, challenge=challenge)

    def _finish_card_admin(self, command: c.FinishCardAdmin) -> c.Done:
        self._drop_expired()
        # Taken out before the check: a wrong response uses the handle up too.
        started = self._open.pop(command.handle, None)
        if started is None:
            raise CommandRefused(
                c.Refusal.HANDLE_UNKNOWN,
                "this card authentication was never begun, has expired or was finished; "
                "begin another",
            )
        if not hmac.compare_digest(command.response, started.expected):
            raise CommandRefused(
                c.Refusal.CARD_NOT_AUTHENTICATED,
                "the card does not hold the 9B key of this GUID and version",
            )
        return c.Done()

    def _issue_card_certificate(self, command: c.IssueCardCertificate) -> c.Certificate:
        issuer = self._backend.issuing_certificates()[0]
        signer = BackendSigner(self._backend, SigningKey.ISSUING_CA)
        der = card_certificate(command, issuer, signer)
        self._count(SigningKey.ISSUING_CA, "sign card certificate")
        return c.Certificate(der=der)

    def _sign_receipt_block(self, command: c.SignReceiptBlock) -> c.BlockSignature:
        statement = block_statement(
            self._receipt_key_id,
            command.lane,
            command.block,
            command.leaf_count,
            command.signed_at_ms,
            command.root,
        )
        digest = hashlib.sha256(statement).digest()
        signature = low_s(self._backend.sign_digest(SigningKey.RECEIPT, digest))
        self._count(SigningKey.RECEIPT, "sign receipt block")
        return c.BlockSignature(key_id=self._receipt_key_id, signature=signature)

    def _card_key(self, card_guid: bytes, version: int) -> bytes:
        context = kdf.card_context(card_guid, version)
        return self._derive(MasterKey.CARD, kdf.CARD_ADMIN_LABEL, context, c.CARD_ADMIN_KEY_BYTES)

    def _derive(self, key: MasterKey, label: bytes, context: bytes, length: int) -> bytes:
        return kdf.derive(lambda text: self._backend.cmac(key, text), label, context, length)

    def _count(self, key: MasterKey | SigningKey, purpose: str) -> None:
        self._uses[key.value, purpose] += 1

    def _drop_expired(self) -> None:
        """Forget what expired; the oldest come first, since all live equally long."""
        now_ms = self._monotonic_ms()
        while self._open and (oldest := next(iter(self._open))):
            if self._open[oldest].expires_ms > now_ms:
                return
            del self._open[oldest]


def low_s(signature: bytes) -> bytes:
    """Return a P-256 signature (raw r‖s) with s in the lower half of the order, as receipts ask."""
    s = int.from_bytes(signature[32:])
    return signature[:32] + min(s, _P256_ORDER - s).to_bytes(32)


def _single_block() -> ECB:
    """Return the mode for exactly one block, which is what SP 800-73-5 encrypts here."""
    return ECB()  # noqa: S305
