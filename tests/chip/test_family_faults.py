"""Family × fault: each unfit card is refused with its own exception, and is as it was."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from card_personalization.chip import errors
from card_personalization.chip.ecdsa_signature import public_point, verifies
from card_personalization.chip.errors import CardError, CardFault, UnfitCard
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.management import LocalManagementKey
from card_personalization.chip.piv.objects import Algorithm, Slot, Tag
from card_personalization.chip.profiles.detection import (
    check_blank,
    detect_family,
    require_family,
)
from card_personalization.chip.profiles.family import Access, Codes, KeyPolicy, LockKeys, PinPolicy
from card_personalization.chip.profiles.openfips201 import OpenFips201Family
from card_personalization.chip.scp03 import ChannelKeys
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.secure_channel import FAILURES_MAX
from card_personalization.chip.softcard.session import Interface
from card_personalization.chip.softcard.state import CardState, Profile, Secret, factory_state
from tests.chip.writing import (
    OWN_KEY,
    PIN,
    PUK,
    Family,
    client_over,
    families,
    is_fresh,
    own_access,
    write_card,
)

NAMES = ("yubico", "generic", "openfips201")
WRONG = Access(
    management=LocalManagementKey(bytes(24), Algorithm.AES_192),
    channel=ChannelKeys(bytes(16), bytes(16), bytes(16)),
    pin="123456",
    puk="12345678",
)
SIZES = {int(Tag.CERTIFICATE_9E): 1_800, int(Tag.CERTIFICATE_9A): 1_800, int(Tag.RETIRED_1): 1_900}


def with_blocked_pin(state: CardState) -> CardState:
    return msgspec.structs.replace(state, pin=Secret(state.pin.value, state.pin.attempts_total, 0))


def with_blocked_puk(state: CardState) -> CardState:
    return msgspec.structs.replace(state, puk=Secret(state.puk.value, state.puk.attempts_total, 0))


def issued(family: Family) -> CardState:
    card = SoftCard(factory_state(family.profile, 5))
    write_card(family, client_over(card))
    return card.state


def half_written(family: Family) -> CardState:
    card = SoftCard(factory_state(family.profile, 5))
    client = client_over(card)
    family.driver.open(client, family.factory)
    family.driver.prepare(client)
    family.driver.make_key(client, Slot.CARD_AUTHENTICATION)
    return card.state


def fresh(family: Family) -> CardState:
    return factory_state(family.profile, 5)


def strict(family: Family) -> CardState:
    return factory_state(Profile.STRICT, 5)


def contactless_refused(family: Family) -> CardState:
    state = fresh(family)
    assert state.platform is not None
    policy = {**state.platform.policy, "contactless_admin_refused": 1}
    platform = msgspec.structs.replace(state.platform, policy=policy)
    return msgspec.structs.replace(state, platform=platform)


class Case(msgspec.Struct, frozen=True):
    """A card that may not be written, and how that is said."""

    family: str
    made: Callable[[Family], CardState]
    expected: type[UnfitCard]
    words: str
    factory: Access | None = None
    interface: Interface = Interface.CONTACT


CASES = {
    "yubico, issued": Case("yubico", issued, errors.AlreadyIssued, "GUID 4041"),
    "openfips201, issued": Case("openfips201", issued, errors.AlreadyIssued, "GUID 4041"),
    "generic, issued": Case("generic", issued, errors.AlreadyIssued, "GUID 4041"),
    "yubico, begun": Case("yubico", half_written, errors.CardBegun, "9E"),
    "generic, begun": Case("generic", half_written, errors.CardBegun, "9E"),
    "openfips201, begun": Case("openfips201", half_written, errors.CardBegun, "9E, PUT DATA"),
    "yubico, other lot": Case("yubico", fresh, errors.WrongFactoryKey, "9B", WRONG),
    "generic, other lot": Case("generic", fresh, errors.WrongFactoryKey, "9B", WRONG),
    "openfips201, other lot": Case("openfips201", fresh, errors.WrongFactoryKey, "SCP03", WRONG),
    "yubico, PIN blocked": Case(
        "yubico", lambda f: with_blocked_pin(fresh(f)), errors.CodesBlocked, "PIN"
    ),
    "yubico, PUK blocked": Case(
        "yubico", lambda f: with_blocked_puk(fresh(f)), errors.CodesBlocked, "PUK"
    ),
    "generic, PIN blocked": Case(
        "generic", lambda f: with_blocked_pin(fresh(f)), errors.CodesBlocked, "PIN"
    ),
    "openfips201, PIN blocked": Case(
        "openfips201", lambda f: with_blocked_pin(fresh(f)), errors.CodesBlocked, "PIN"
    ),
    "strict, contactless": Case(
        "generic", strict, errors.ContactsNeeded, "contact reader", None, Interface.CONTACTLESS
    ),
    "openfips201, contactless": Case(
        "openfips201",
        contactless_refused,
        errors.ContactsNeeded,
        "SCP03",
        None,
        Interface.CONTACTLESS,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_an_unfit_card_is_refused_and_left_alone(case: Case) -> None:
    family = families()[case.family]
    state = case.made(family)
    card = SoftCard(state, interface=case.interface)
    client = client_over(card)
    with pytest.raises(case.expected) as caught:
        check_blank(family.driver, client, case.factory or family.factory, own_access())
    assert case.words in str(caught.value)
    assert any("а" <= letter <= "я" for letter in caught.value.text("ru"))
    pins = card.state.pin.attempts_remaining, state.pin.attempts_remaining
    assert is_fresh(msgspec.structs.replace(card.state, pin=state.pin), state)
    assert pins[0] in (pins[1], card.state.pin.attempts_total)


@pytest.mark.parametrize("name", NAMES)
def test_a_card_of_another_family_is_said(name: str) -> None:
    family = families()[name]
    found = detect_family(client_over(SoftCard(fresh(family))))
    require_family(found, {name})
    with pytest.raises(errors.WrongFamily, match=f"“{name}”, wanted is “acos”"):
        require_family(found, {"acos"})


@pytest.mark.parametrize("name", NAMES)
def test_a_card_too_small_is_said_before_anything_stays_on_it(name: str) -> None:
    family = families()[name]
    before = factory_state(family.profile, 5, memory_bytes=4_000)
    card = SoftCard(before)
    client = client_over(card)
    identity = family.driver.identify(client)
    family.driver.open(client, family.factory)
    with pytest.raises(errors.CardTooSmall, match="bytes needed") as caught:
        family.driver.check_space(client, identity, SIZES)
    assert (" free" in str(caught.value)) == (name == "openfips201")
    assert is_fresh(card.state, before)


@pytest.mark.parametrize("name", NAMES)
def test_a_card_large_enough_passes_and_is_left_empty(name: str) -> None:
    family = families()[name]
    before = fresh(family)
    card = SoftCard(before)
    client = client_over(card)
    identity = family.driver.identify(client)
    family.driver.open(client, family.factory)
    family.driver.check_space(client, identity, SIZES)
    assert is_fresh(card.state, before)


@pytest.mark.parametrize("name", NAMES)
def test_a_memory_that_fills_while_writing_is_said(name: str) -> None:
    family = families()[name]
    card = SoftCard(factory_state(family.profile, 5, memory_bytes=2_400))
    client = client_over(card)
    family.driver.open(client, family.factory)
    family.driver.prepare(client)
    family.driver.write_object(client, Tag.CHUID, bytes(100))
    with pytest.raises(errors.CardTooSmall, match="2400 bytes needed"):
        family.driver.write_object(client, Tag.RETIRED_1, bytes(2_400))
    assert client_over(card).get_data(Tag.CHUID) == bytes(100)


def test_definitions_that_do_not_fit_are_said() -> None:
    card = SoftCard(factory_state(Profile.OPENFIPS201, 5, memory_bytes=300))
    client = client_over(card)
    driver = OpenFips201Family()
    driver.open(client, driver.factory_access())
    with pytest.raises(errors.CardTooSmall):
        driver.prepare(client)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("generic", "import"),
        ("generic", "attest"),
        ("generic", "policy"),
        ("generic", "attempts"),
        ("generic", "lock"),
        ("openfips201", "attest"),
        ("openfips201", "policy"),
        ("openfips201", "lock"),
    ],
)
def test_what_a_family_lacks_is_said(name: str, what: str) -> None:
    family = families()[name]
    card = SoftCard(fresh(family))
    client = client_over(card)
    driver = family.driver
    driver.open(client, family.factory)
    lacking: dict[str, Callable[[PivClient], object]] = {
        "import": lambda c: driver.import_key(c, Slot.AUTHENTICATION, bytes(31) + b"\x05"),
        "attest": lambda c: driver.attest(c, Slot.AUTHENTICATION),
        "policy": lambda c: driver.make_key(c, Slot.AUTHENTICATION, KeyPolicy(pin=PinPolicy.NEVER)),
        "attempts": lambda c: driver.set_codes(c, family.factory, Codes(PIN, PUK, 5, 5)),
        "lock": lambda c: driver.lock(c, family.factory, _lock_without_channel()),
    }
    with pytest.raises(CardError) as caught:
        lacking[what](client)
    assert caught.value.fault is CardFault.NOT_SUPPORTED
    assert is_fresh(card.state, fresh(family)) or name == "openfips201"


def _lock_without_channel() -> LockKeys:
    return LockKeys(OWN_KEY, Algorithm.AES_192)


def test_a_card_that_met_too_many_strangers_says_so() -> None:
    state = factory_state(Profile.OPENFIPS201, 5)
    assert state.platform is not None
    platform = msgspec.structs.replace(state.platform, failures=FAILURES_MAX)
    client = client_over(SoftCard(msgspec.structs.replace(state, platform=platform)))
    driver = OpenFips201Family()
    with pytest.raises(errors.ChannelError, match="status 6983"):
        driver.open(client, driver.factory_access())


@pytest.mark.parametrize("name", ["yubico", "openfips201"])
def test_an_imported_key_signs(name: str) -> None:
    family = families()[name]
    driver = OpenFips201Family(importable=True) if name == "openfips201" else family.driver
    card = SoftCard(fresh(family))
    client = client_over(card)
    driver.open(client, family.factory)
    driver.prepare(client)
    scalar = (4_711).to_bytes(32, "big")
    driver.import_key(client, Slot.CARD_AUTHENTICATION, scalar)
    raw = client_over(card).sign_digest(Slot.CARD_AUTHENTICATION, bytes(32))
    assert verifies(public_point(scalar), bytes(32), raw)
