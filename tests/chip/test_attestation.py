from __future__ import annotations

import datetime

import msgspec
import pytest
from cryptography import x509

from card_personalization.chip.errors import AttestationError, CardError, CardFault
from card_personalization.chip.piv.objects import Slot
from card_personalization.chip.profiles.attestation import Attestation, verify_attestation
from card_personalization.chip.profiles.family import KeyPolicy, PinPolicy, TouchPolicy
from card_personalization.chip.profiles.yubico import YubicoFamily
from card_personalization.chip.softcard.attestation import authority_certificate
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import Profile, factory_state
from tests.chip.writing import client_over

SERIAL = 0x9000_0001
TAP = Slot.CARD_AUTHENTICATION
YUBICO = YubicoFamily()


def attested(
    slot: Slot = TAP, policy: KeyPolicy | None = None, serial: int = SERIAL
) -> tuple[Attestation, bytes]:
    """An attestation by a fresh software card, and the point of the key it is about."""
    client = client_over(SoftCard(factory_state(Profile.YUBICO, serial)))
    YUBICO.open(client, YUBICO.factory_access())
    point = YUBICO.make_key(client, slot, policy)
    return YUBICO.attest(client, slot), point


def test_an_attested_key_was_made_on_the_card() -> None:
    policy = KeyPolicy(PinPolicy.NEVER, TouchPolicy.CACHED)
    attestation, point = attested(policy=policy)
    told = verify_attestation(attestation, [authority_certificate()], TAP, point)
    assert (told.point, told.firmware, told.serial) == (point, (5, 7, 2), SERIAL)
    assert (told.pin_policy, told.touch_policy) == (PinPolicy.NEVER, TouchPolicy.CACHED)


def test_the_same_card_tells_the_same_device() -> None:
    one, _ = attested()
    other, _ = attested(Slot.AUTHENTICATION)
    assert one.device_certificate == other.device_certificate
    assert one.certificate != other.certificate


def test_what_proves_nothing_is_refused() -> None:
    attestation, point = attested()
    stranger, strangers_point = attested(serial=1)
    root = authority_certificate()
    device = x509.load_der_x509_certificate(attestation.device_certificate)
    leaf = x509.load_der_x509_certificate(attestation.certificate)
    mixed = Attestation(attestation.certificate, stranger.device_certificate)
    broken = Attestation(attestation.certificate[:-1], attestation.device_certificate)
    changed = bytearray(attestation.certificate)
    changed[-1] ^= 1
    forged = msgspec.structs.replace(attestation, certificate=bytes(changed))
    by_leaf = Attestation(attestation.certificate, attestation.certificate)
    late = datetime.datetime(2060, 1, 1, tzinfo=datetime.UTC)
    table: list[tuple[Attestation, list[x509.Certificate], bytes, str]] = [
        (attestation, [], point, "no authority named CN=spk software card"),
        (attestation, [device], point, "no authority named"),
        (attestation, [root], strangers_point, "about another key"),
        (mixed, [root], point, "was not signed by"),
        (forged, [root], point, "was not signed by"),
        (broken, [root], point, "no certificate"),
        (by_leaf, [device], point, "is no authority"),
        (by_leaf, [leaf], point, "no authority named"),
    ]
    for proof, authorities, expected, words in table:
        with pytest.raises(AttestationError, match=words):
            verify_attestation(proof, authorities, TAP, expected)
    with pytest.raises(AttestationError, match="not valid now") as caught:
        verify_attestation(attestation, [root], TAP, point, late)
    assert "Не выпускайте" in caught.value.text("ru")


def test_a_key_put_in_from_outside_is_not_attested() -> None:
    client = client_over(SoftCard(factory_state(Profile.YUBICO, SERIAL)))
    YUBICO.open(client, YUBICO.factory_access())
    with pytest.raises(CardError) as caught:
        YUBICO.attest(client, TAP)
    assert caught.value.fault is CardFault.NOT_FOUND
    YUBICO.import_key(client, TAP, (5).to_bytes(32, "big"))
    with pytest.raises(CardError, match="not made on the card") as caught:
        YUBICO.attest(client, TAP)
    assert caught.value.fault is CardFault.NOT_SUPPORTED
