from __future__ import annotations

import hashlib

import pytest

from card_personalization.chip.ecdsa_signature import public_point, verifies
from card_personalization.chip.errors import AttemptError, CardError, CardFault, StatusError
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.management import LocalManagementKey
from card_personalization.chip.piv.objects import Algorithm, Slot, Tag
from card_personalization.chip.profiles.detection import detect_family
from card_personalization.chip.profiles.family import KeyPolicy, PinPolicy
from card_personalization.chip.profiles.generic import GenericFamily
from card_personalization.chip.profiles.openfips201 import OpenFips201Family
from card_personalization.chip.profiles.yubico import YubicoFamily
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.state import Profile, factory_state
from tests.chip.issued import client_of

YUBICO = YubicoFamily()
DIGEST = hashlib.sha256(b"imported").digest()


def prove(client: PivClient) -> None:
    assert YUBICO.factory_key is not None
    factory = YUBICO.factory_key
    client.authenticate_management(LocalManagementKey(factory.key, factory.algorithm))


@pytest.mark.parametrize(
    ("profile", "family"),
    [
        (Profile.YUBICO, YUBICO),
        (Profile.GENERIC, GenericFamily()),
        (Profile.STRICT, GenericFamily()),
        (Profile.OPENFIPS201, OpenFips201Family()),
    ],
)
def test_detection(profile: Profile, family: object) -> None:
    assert detect_family(client_of(SoftCard(factory_state(profile)))) == family


def test_identity(client: PivClient) -> None:
    assert YUBICO.version(client) == (5, 7, 2)
    assert YUBICO.serial(client) == 20_000_001
    assert YUBICO.management_algorithm(client) is Algorithm.AES_192
    assert GenericFamily().serial(client) is None


@pytest.mark.parametrize("algorithm", [Algorithm.AES_128, Algorithm.AES_192, Algorithm.AES_256])
def test_management_key(client: PivClient, algorithm: Algorithm) -> None:
    key = bytes(range(100, 100 + algorithm.key_bytes))
    with pytest.raises(StatusError) as caught:
        YUBICO.set_management_key(client, key, algorithm)
    assert caught.value.fault is CardFault.NOT_ALLOWED
    prove(client)
    YUBICO.set_management_key(client, key, algorithm)
    assert YUBICO.management_algorithm(client) is algorithm
    client.authenticate_management(LocalManagementKey(key, algorithm))
    client.put_data(Tag.SECURITY, b"written")
    with pytest.raises(StatusError):
        prove(client)


@pytest.mark.parametrize(
    ("length", "algorithm"), [(16, Algorithm.AES_256), (32, Algorithm.ECC_P256)]
)
def test_a_key_of_wrong_length_stays_here(
    client: PivClient, length: int, algorithm: Algorithm
) -> None:
    with pytest.raises(ValueError, match="are no key of"):
        YUBICO.set_management_key(client, bytes(length), algorithm)


def test_attempts(client: PivClient) -> None:
    prove(client)
    with pytest.raises(StatusError) as caught:
        YUBICO.set_attempts(client, 5, 7)
    assert caught.value.fault is CardFault.NOT_ALLOWED
    client.verify_pin("123456")
    YUBICO.set_attempts(client, 5, 7)
    assert client.pin_attempts_remaining() == 5
    with pytest.raises(AttemptError) as refused:
        client.change_puk("00000000", "00000000")
    assert refused.value.attempts_remaining == 6
    for attempts in ((0, 3), (3, 256)):
        with pytest.raises(ValueError, match="between 1 and 255"):
            YUBICO.set_attempts(client, *attempts)


@pytest.mark.parametrize(
    ("pin", "wants_pin"),
    [(PinPolicy.OWN, True), (PinPolicy.NEVER, False), (PinPolicy.ONCE, True)],
)
def test_import(client: PivClient, pin: PinPolicy, wants_pin: bool) -> None:
    policy = KeyPolicy(pin)
    scalar = (12_345).to_bytes(32, "big")
    with pytest.raises(StatusError):
        YUBICO.import_key(client, Slot.AUTHENTICATION, scalar, policy)
    prove(client)
    YUBICO.import_key(client, Slot.AUTHENTICATION, scalar, policy)
    if wants_pin:
        with pytest.raises(StatusError):
            client.sign_digest(Slot.AUTHENTICATION, DIGEST)
        client.verify_pin("123456")
    raw = client.sign_digest(Slot.AUTHENTICATION, DIGEST)
    assert verifies(public_point(scalar), DIGEST, raw)
    with pytest.raises(StatusError, match="importing a key"):
        YUBICO.import_key(client, Slot.AUTHENTICATION, bytes(32))
    with pytest.raises(ValueError, match="32 bytes, not 31"):
        YUBICO.import_key(client, Slot.AUTHENTICATION, bytes(31))


def test_factory_reset_needs_both_blocked(client: PivClient) -> None:
    with pytest.raises(StatusError, match="conditions not satisfied"):
        YUBICO.factory_reset(client)
    for _ in range(3):
        with pytest.raises(AttemptError):
            client.verify_pin("000000")
        with pytest.raises(AttemptError):
            client.unblock_pin("00000000", "000000")
    YUBICO.factory_reset(client)
    assert client.pin_attempts_remaining() == 3
    assert YUBICO.serial(client) == 20_000_001
    with pytest.raises(StatusError) as caught:
        client.read_chuid()
    assert caught.value.fault is CardFault.NOT_FOUND


def test_a_generic_card_says_what_it_lacks(client: PivClient) -> None:
    generic = GenericFamily()
    with pytest.raises(CardError, match="order such cards with") as caught:
        generic.set_management_key(client, bytes(16), Algorithm.AES_128)
    assert caught.value.fault is CardFault.NOT_SUPPORTED
    with pytest.raises(CardError, match="order such cards with") as caught:
        generic.set_attempts(client, 3, 3)
    assert caught.value.fault is CardFault.NOT_SUPPORTED
