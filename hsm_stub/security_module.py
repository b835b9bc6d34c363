"""Carrying out commands: what is signed and derived is decided here, whatever backend holds keys.

One thread calls a `SecurityModule`, so it needs no locks.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from hsm_stub import kdf
from hsm_stub.backends.backend import Backend
from hsm_stub.backends.signer import BackendSigner
from hsm_stub.batch import wrapped_part
from hsm_stub.card_admin import CardAuthentications
from hsm_stub.certificates import CardCertificates
from hsm_stub.client import commands as c
from hsm_stub.errors import CommandRefused
from hsm_stub.keyring import KeyEntry, KeyName, MasterKey, SigningKey
from hsm_stub.revocation import Revocations, ocsp_answer
from hsm_stub.uses import signer_of
from processing.wire.receipt import block_statement
from processing.wire.statement import Domain, statement_bytes

_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
CHALLENGE_BYTES: Final = 32


class SecurityModule:
    """The commands over one backend.

    `monotonic_ms` is a clock that never goes back; tests give their own.
    """

    def __init__(self, backend: Backend, monotonic_ms: Callable[[], int]) -> None:
        self._backend = backend
        self._monotonic_ms = monotonic_ms
        self._started_ms = monotonic_ms()
        self._uses: Counter[tuple[str, str]] = Counter()
        self._authentications = CardAuthentications(monotonic_ms)
        self._revocations = Revocations(monotonic_ms)
        self._card_certificates: dict[int, CardCertificates] = {}
        self._receipt = backend.ring.active(SigningKey.RECEIPT)
        self._receipt_key_id = self._receipt.key_id

    @property
    def backend(self) -> Backend:
        """Return where the keys are."""
        return self._backend

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
                key = self._terminal_key(command.terminal_id, command.key_id, command.master)
                self._count(MasterKey.TERMINAL, "derive terminal key")
                return c.TerminalKey(key=key)
            case c.DeriveExchangeKey():
                key = self._exchange_key(command.terminal_id, command.exchange_id, command.master)
                self._count(MasterKey.TERMINAL, "export exchange key")
                return c.ExchangeKey(key=key)
            case c.WrapTerminalKey():
                return self._wrap_terminal_key(command)
            case c.DeriveCardAdminKey():
                return self._derive_card_admin_key(command)
            case c.BeginCardAdmin():
                _, key = self._card_key(command.card_guid, command.version, command.master)
                self._count(MasterKey.CARD, "authenticate card")
                return self._authentications.begin(key, command.witness_ciphertext)
            case c.FinishCardAdmin():
                return self._authentications.finish(command)
            case c.IssueCardCertificate():
                return self._issue_card_certificate(command)
            case c.IssueCardCertificates():
                return self._issue_card_certificates(command)
            case c.SignReceiptBlock():
                return self._sign_receipt_block(command)
            case c.SignStatement():
                return self._sign_statement(command)
            case c.DrawChallenge():
                return c.Challenge(challenge=self._backend.random(CHALLENGE_BYTES))
            case c.BeginCrl():
                return self._revocations.begin(command, self._issuer(command.issuer_key_id))
            case c.AddToCrl():
                return self._revocations.add(command)
            case c.FinishCrl():
                signed = self._revocations.finish(command, self._backend)
                self._count(SigningKey.ISSUING_CA, "sign revocation list")
                return signed
            case c.SignOcsp():
                answer = ocsp_answer(command, self._issuer(command.issuer_key_id), self._backend)
                self._count(SigningKey.ISSUING_CA, "sign OCSP answer")
                return answer
            case c.WrapBatch():
                return self._wrap_batch(command)
            case c.Approve() | c.GetApprovals() | c.InstallPolicy() | c.ReloadKeys():
                raise CommandRefused(c.Refusal.NOT_ALLOWED, "this is for the desk to do")

    def sign_own(
        self, key: SigningKey, domain: Domain, document_sha256: bytes
    ) -> tuple[bytes, bytes]:
        """Return key id and signature (raw r‖s, low-S) over a statement of any domain.

        For the service's own documents; clients come through `execute`.
        """
        entry = self._backend.ring.active(key)
        statement = statement_bytes(domain, entry.key_id, document_sha256)
        digest = hashlib.sha256(statement).digest()
        raw = self._backend.sign_digest(key, entry.generation, digest)
        return entry.key_id, low_s(raw)

    def sign_audit(self, digest: bytes) -> tuple[bytes, bytes, int]:
        """Return key id, signature and generation over a record's digest, for the audit's seals."""
        key_id, signature = self.sign_own(SigningKey.AUDIT, Domain.KEY_AUDIT, digest)
        return key_id, signature, self._backend.ring.active(SigningKey.AUDIT).generation

    def audit_point(self) -> bytes:
        """Return the audit key's public point."""
        return self._backend.ring.active(SigningKey.AUDIT).public_point

    def take_over(self, before: SecurityModule) -> None:
        """Go on where another module ended: its counts, its open authentications, its clock."""
        self._uses = before._uses
        self._authentications = before._authentications
        self._revocations = before._revocations
        self._started_ms = before._started_ms
        before._backend.close()

    def close(self) -> None:
        """Forget open authentications and close the backend."""
        self._authentications.forget()
        self._backend.close()

    def _status(self, connections: int) -> c.Status:
        uses = (
            c.KeyUse(key=key, purpose=purpose, uses=count)
            for (key, purpose), count in sorted(self._uses.items())
        )
        return c.Status(
            backend=self._backend.name,
            uptime_ms=self._monotonic_ms() - self._started_ms,
            receipt_key_id=self._receipt_key_id,
            region_code=self._backend.ring.region_code,
            connections=connections,
            card_authentications_open=len(self._authentications),
            key_uses=tuple(uses),
        )

    def _public_keys(self) -> c.PublicKeys:
        ring = self._backend.ring
        return c.PublicKeys(
            receipt_key=self._receipt.public_point,
            receipt_key_id=self._receipt_key_id,
            issuing_certificates=tuple(
                entry.issuer().public_bytes(serialization.Encoding.DER) for entry in ring.issuers()
            ),
            issuing_in_use=sum(e.state is not c.KeyState.RETIRED for e in ring.issuers()),
            keys=tuple(
                c.PublicKey(
                    key=entry.key,
                    generation=entry.generation,
                    state=entry.state,
                    key_id=entry.key_id,
                    point=entry.public_point,
                    endorsement=entry.endorsement,
                )
                for entry in ring.entries
            ),
        )

    def _terminal_key(self, terminal_id: str, key_id: int, master: int) -> bytes:
        context = kdf.terminal_context(terminal_id, key_id)
        _, key = self._derive(
            MasterKey.TERMINAL, master, kdf.TERMINAL_LABEL, context, c.TERMINAL_KEY_BYTES
        )
        return key

    def _exchange_key(self, terminal_id: str, exchange_id: int, master: int) -> bytes:
        context = kdf.terminal_context(terminal_id, exchange_id)
        _, key = self._derive(
            MasterKey.TERMINAL, master, kdf.EXCHANGE_LABEL, context, c.EXCHANGE_KEY_BYTES
        )
        return key

    def _wrap_terminal_key(self, command: c.WrapTerminalKey) -> c.WrappedKey:
        ring, terminal_id = self._backend.ring, command.terminal_id
        now = ring.usable(MasterKey.TERMINAL, command.master).generation
        then = ring.usable(MasterKey.TERMINAL, command.next_master).generation
        exchange_key = self._exchange_key(terminal_id, command.exchange_id, now)
        keys = self._terminal_key(terminal_id, command.key_id, then)
        if then != now:
            keys += self._exchange_key(terminal_id, command.exchange_id, then)
        self._count(MasterKey.TERMINAL, "wrap terminal key")
        return c.WrappedKey(wrapped=aes_key_wrap(exchange_key, keys))

    def _issue_card_certificate(self, command: c.IssueCardCertificate) -> c.Certificate:
        entry = self._backend.ring.active(SigningKey.ISSUING_CA)
        certificates = self._card_certificates.get(entry.generation)
        if certificates is None:
            signer = BackendSigner(self._backend, entry)
            pki_url = self._backend.ring.pki_url
            certificates = CardCertificates(entry.issuer(), signer, pki_url)
            self._card_certificates = {entry.generation: certificates}
        der = certificates.issue(command)
        self._count(SigningKey.ISSUING_CA, "sign card certificate")
        return c.Certificate(der=der)

    def _issue_card_certificates(self, command: c.IssueCardCertificates) -> c.Certificates:
        asked = (
            c.IssueCardCertificate(
                slot=one.slot,
                public_key=one.public_key,
                card_guid=command.card_guid,
                card_number=command.card_number,
                not_before_ms=command.not_before_ms,
                not_after_ms=command.not_after_ms,
            )
            for one in command.slots
        )
        return c.Certificates(ders=tuple(self._issue_card_certificate(one).der for one in asked))

    def _derive_card_admin_key(self, command: c.DeriveCardAdminKey) -> c.CardAdminKey:
        entry, key = self._card_key(command.card_guid, command.version, command.master)
        self._count(MasterKey.CARD, "export card 9B key")
        channel = b""
        if command.channel:
            channel = self._channel_keys(command.card_guid, command.version, entry.generation)
            self._count(MasterKey.CARD, "export card channel keys")
        return c.CardAdminKey(key=key, master=entry.generation, channel=channel)

    def _wrap_batch(self, command: c.WrapBatch) -> c.WrappedBatch:
        def card_key(guid: bytes, version: int) -> c.CardAdminKey:
            # A batch is made before anybody knows which family its cards will be of.
            entry, key = self._card_key(guid, version, 0)
            self._count(MasterKey.CARD, "export card 9B key in a batch")
            channel = self._channel_keys(guid, version, entry.generation)
            return c.CardAdminKey(key=key, master=entry.generation, channel=channel)

        def sign(sha256: bytes) -> tuple[bytes, bytes]:
            self._count(SigningKey.CONTENT, f"sign {Domain.CARD_BATCH.value}")
            return self.sign_own(SigningKey.CONTENT, Domain.CARD_BATCH, sha256)

        def certify(asked: c.IssueCardCertificate) -> bytes:
            return self._issue_card_certificate(asked).der

        return wrapped_part(command, card_key, certify, sign)

    def _issuer(self, key_id: bytes) -> KeyEntry:
        """Return the CA with this key identifier, if it may still speak of its certificates."""
        ring = self._backend.ring
        for entry in ring.issuers():
            extension = entry.issuer().extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
            if extension.value.digest == key_id:
                return ring.usable(SigningKey.ISSUING_CA, entry.generation)
        raise CommandRefused(
            c.Refusal.KEY_UNKNOWN, "there is no issuing CA with this issuer_key_id"
        )

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
        raw = self._backend.sign_digest(SigningKey.RECEIPT, self._receipt.generation, digest)
        self._count(SigningKey.RECEIPT, "sign receipt block")
        return c.BlockSignature(key_id=self._receipt_key_id, signature=low_s(raw))

    def _sign_statement(self, command: c.SignStatement) -> c.StatementSignature:
        domain, key = signer_of(command.domain)
        key_id, signature = self.sign_own(key, domain, command.document_sha256)
        self._count(key, f"sign {domain.value}")
        return c.StatementSignature(key_id=key_id, signature=signature)

    def _card_key(self, card_guid: bytes, version: int, master: int) -> tuple[KeyEntry, bytes]:
        context = kdf.card_context(card_guid, version)
        return self._derive(
            MasterKey.CARD, master, kdf.CARD_ADMIN_LABEL, context, c.CARD_ADMIN_KEY_BYTES
        )

    def _channel_keys(self, card_guid: bytes, version: int, master: int) -> bytes:
        context = kdf.card_context(card_guid, version)
        _, keys = self._derive(
            MasterKey.CARD, master, kdf.CARD_CHANNEL_LABEL, context, c.CARD_CHANNEL_KEYS_BYTES
        )
        return keys

    def _derive(
        self, key: MasterKey, generation: int, label: bytes, context: bytes, length: int
    ) -> tuple[KeyEntry, bytes]:
        entry = self._backend.ring.usable(key, generation)

        def cmac(text: bytes) -> bytes:
            return self._backend.cmac(key, entry.generation, text)

        return entry, kdf.derive(cmac, label, context, length)

    def _count(self, key: KeyName, purpose: str) -> None:
        self._uses[key.value, purpose] += 1


def low_s(signature: bytes) -> bytes:
    """Return a P-256 signature (raw r‖s) with s in the lower half of the order, as receipts ask."""
    s = int.from_bytes(signature[32:])
    return signature[:32] + min(s, _P256_ORDER - s).to_bytes(32)
