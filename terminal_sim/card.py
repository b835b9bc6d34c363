"""The citizen's card at the terminal: who it is, whether the region issued it, its signature."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final, Protocol, Self
from uuid import UUID

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from card_personalization.chip.chaining import open_channel
from card_personalization.chip.ecdsa_signature import verifies
from card_personalization.chip.errors import CardError, CardFault, StatusError
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.objects import Slot
from card_personalization.chip.transport.contract import Transport
from processing.wire.parameter_file import ParameterFile
from processing.wire.transaction import Evidence
from terminal_sim.errors import TerminalError
from terminal_sim.terminal import CardIdentity

CARD_NUMBER_PREFIX: Final = "964390"
CARD_NUMBER_DIGITS: Final = 19
"""964390, two digits of the region, ten of its own, the Luhn check digit."""

AskPin = Callable[[], str]
"""Asks the citizen for the PIN: six to eight digits."""


class CardRefused(TerminalError):
    """The card is readable but no valid social card; the centre was not asked."""


class KeyUnknown(CardRefused):
    """What is presented is signed with a key that the terminal does not know, or not yet."""


class Presented(Protocol):
    """Whatever a citizen presents: a card at the reader, or a code at the scanner."""

    identity: CardIdentity

    def sign(self, digest: bytes, evidence: Evidence, ask_pin: AskPin) -> bytes:
        """Sign digest v1: raw r‖s, 64 bytes. Raises `CardRefused` and `CardError`."""

    def passport(self) -> bytes | None:
        """Return the social passport, without which nothing is given offline."""

    def pin_attempts_remaining(self) -> int | None:
        """Return how many PIN attempts are left; None when that does not matter."""


class PresentedCard:
    """A card that was read and found to be issued by the region. Made by `read`."""

    def __init__(
        self,
        client: PivClient,
        issuing_cas: tuple[x509.Certificate, ...],
        identity: CardIdentity,
        tap_point: bytes,
        valid_to: date,
        now_ms: int,
    ) -> None:
        self.identity = identity
        self.valid_to = valid_to
        self._client = client
        self._issuing_cas = issuing_cas
        self._points = {Slot.CARD_AUTHENTICATION: tap_point}
        self._now_ms = now_ms

    @property
    def client(self) -> PivClient:
        """The card itself, selected."""
        return self._client

    @classmethod
    def read(cls, transport: Transport, parameters: ParameterFile, now_ms: int) -> Self:
        """Read the card behind a transport and check whose it is.

        Raises `CardRefused` when the certificate is missing, of another issuer, out of date or of
        another card, and `CardError` when the card cannot be talked to.
        """
        issuing_cas = _issuing_cas(parameters)
        client = PivClient(open_channel(transport))
        client.select()
        guid = client.read_chuid().guid
        certificate = _checked_certificate(
            client.read_certificate(Slot.CARD_AUTHENTICATION), issuing_cas, guid, now_ms
        )
        number = _card_number(certificate)
        return cls(
            client,
            issuing_cas,
            CardIdentity(guid, int(number[6:8]), number),
            _point(certificate),
            certificate.not_valid_after_utc.date(),
            now_ms,
        )

    def sign(self, digest: bytes, evidence: Evidence, ask_pin: AskPin) -> bytes:
        """Have the card sign digest v1: by tap (9E), or after its PIN (9A). Raw r‖s, 64 bytes.

        Raises `AttemptError` with the attempts left for a wrong PIN, `CardRefused` for a PIN that
        is none (no attempt is lost) and for a signature that is not the card's.
        """
        slot = Slot.CARD_AUTHENTICATION
        if evidence is Evidence.PIN:
            slot = Slot.AUTHENTICATION
            self._verify_pin(ask_pin())
        try:
            signature = self._client.sign_digest(slot, digest)
        finally:
            if evidence is Evidence.PIN:
                self._forget_pin()
        if not verifies(self._point_of(slot), digest, signature):
            raise CardRefused(
                "Подпись карты не сходится с её сертификатом. Приложите карту ещё раз",
                "the card's signature does not fit its certificate. Present the card again",
            )
        return signature

    def passport(self) -> bytes | None:
        """Return the social passport on the card; None when it has none or keeps it to contacts."""
        try:
            return self._client.read_passport()
        except StatusError as error:
            if error.fault in (CardFault.NOT_FOUND, CardFault.NOT_ALLOWED):
                return None
            raise

    def pin_attempts_remaining(self) -> int | None:
        """Return how many PIN attempts are left, 0 when blocked, None when it is verified."""
        return self._client.pin_attempts_remaining()

    def _verify_pin(self, pin: str) -> None:
        try:
            self._client.verify_pin(pin)
        except ValueError as error:
            raise CardRefused(
                "ПИН-код — от 6 до 8 цифр; попытка не потрачена",
                "a PIN has 6 to 8 digits; no attempt was lost",
            ) from error

    def _forget_pin(self) -> None:
        """Take the PIN back; cards that cannot do so forget it when they leave the reader."""
        try:
            self._client.forget_pin()
        except CardError:
            return

    def _point_of(self, slot: Slot) -> bytes:
        if slot not in self._points:
            certificate = _checked_certificate(
                self._client.read_certificate(slot),
                self._issuing_cas,
                self.identity.card_id,
                self._now_ms,
            )
            self._points[slot] = _point(certificate)
        return self._points[slot]


def _issuing_cas(parameters: ParameterFile) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_der_x509_certificate(der) for der in parameters.issuing_cas)
    except ValueError as error:
        raise CardRefused(
            "В файле параметров нет сертификата эмиссионного центра: зарегистрируйте терминал",
            f"the parameter file holds no issuing certificate ({error}): enrol the terminal",
        ) from error


def _checked_certificate(
    der: bytes, issuing_cas: tuple[x509.Certificate, ...], guid: bytes, now_ms: int
) -> x509.Certificate:
    """Return the certificate if an issuing CA made it for this card and it is in date."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.verify_directly_issued_by(_issuer_of(certificate, issuing_cas))
        named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        uris = named.value.get_values_for_type(x509.UniformResourceIdentifier)
    except (
        ValueError,
        TypeError,
        InvalidSignature,
        x509.ExtensionNotFound,
        x509.InvalidVersion,
    ) as error:
        raise KeyUnknown(
            "Карта выпущена не этим регионом: её сертификат не от эмиссионного центра",
            "the card was not issued here: its certificate is not of the issuing office",
        ) from error
    if f"urn:uuid:{UUID(bytes=guid)}" not in uris:
        raise CardRefused(
            "Сертификат на карте принадлежит другой карте. Замените её в эмиссионном центре",
            "the certificate on the card belongs to another card. Have it replaced",
        )
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    last = certificate.not_valid_after_utc
    if not certificate.not_valid_before_utc <= now <= last:
        raise CardRefused(
            f"Карта действует до {last:%d.%m.%Y}. Получите новую карту в эмиссионном центре",
            f"the card is valid until {last:%Y-%m-%d}. Get a new card at the issuing office",
        )
    return certificate


def _issuer_of(
    certificate: x509.Certificate, issuing_cas: tuple[x509.Certificate, ...]
) -> x509.Certificate:
    """Return the generation of the issuing CA that the certificate names. Raises ValueError."""
    for issuing_ca in issuing_cas:
        if issuing_ca.subject == certificate.issuer:
            return issuing_ca
    raise ValueError("no such issuing CA")


def _point(certificate: x509.Certificate) -> bytes:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CardRefused(
            "Ключ карты не на кривой P-256: такая карта не поддерживается",
            "the card's key is not on the curve P-256: such a card is not supported",
        )
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _card_number(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    number = str(names[0].value) if names else ""
    shaped = (
        len(number) == CARD_NUMBER_DIGITS
        and number.isascii()
        and number.isdigit()
        and number.startswith(CARD_NUMBER_PREFIX)
    )
    if not shaped or not luhn_is_right(number):
        raise CardRefused(
            "В сертификате нет номера социальной карты", "the certificate names no social card"
        )
    return number


def luhn_is_right(digits: str) -> bool:
    """Return whether the last digit is the Luhn check digit (ISO/IEC 7812-1 annex B)."""
    doubled = (int(digit) * (1 + i % 2) for i, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


@contextmanager
def reader_card(reader: str | None) -> Iterator[Transport]:
    """Connect the card at a PC/SC reader (None: the first) for the time of the block."""
    from card_personalization.chip.transport.pcsc import PcscContext

    with PcscContext() as context, context.connect(reader) as transport:
        yield transport


@contextmanager
def drawer_card(file: Path) -> Iterator[Transport]:
    """Use a software card from its file, such as drawer/maria.card, for the time of the block."""
    from card_personalization.chip.softcard.drawer import Drawer, DrawerError
    from card_personalization.chip.transport.inprocess import InProcessTransport

    try:
        kept = Drawer(file.parent).take(file.stem)
    except DrawerError as error:
        raise CardRefused(f"Программная карта недоступна: {error}", str(error)) from error
    transport = InProcessTransport(kept, file.stem)
    try:
        yield transport
    finally:
        transport.close()
        kept.put_back()
