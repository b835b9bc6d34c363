"""Serving without the centre: by a fresh stop-list and the limits in the card's passport."""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest

from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.transport.inprocess import InProcessTransport
from processing.wire.parameter_file import ServiceParameters
from processing.wire.social_passport import OfflineLimit, SocialPassport
from processing.wire.statement import Domain
from processing.wire.stop_list import StopList, StopLists
from processing.wire.transaction import Request
from terminal_sim.card import PresentedCard
from terminal_sim.link import Link
from terminal_sim.offline import (
    OfflineRefused,
    check_limit,
    permit_by_list,
    permit_by_rules,
    read_passport,
)
from terminal_sim.results import Sale
from terminal_sim.store import Store
from terminal_sim.terminal import Terminal
from terminal_sim.till import Till
from tests.plugins.stop_lists import PUBLIC_KEY, USE_MINUTES, signature_of, stop_list
from tests.terminal_sim import world

NOW_MS = world.NOW_MS
TOO_LATE_MS = NOW_MS + USE_MINUTES * 60_000
DAY_MS = 86_400_000
ZONE = ZoneInfo("Asia/Yekaterinburg")
STOPPED, SERVED = bytes(16), bytes([7] * 16)
PASSPORT = SocialPassport(
    card_id=world.GUID,
    region=99,
    number=4,
    valid_from=date(2026, 1, 1),
    valid_to=date(2026, 12, 31),
    categories=("VETERAN",),
    limits={"MEDICINE": OfflineLimit(2, 100_000, 7), "*": OfflineLimit(1, 100_000, 1)},
)


def signed(passport: SocialPassport) -> bytes:
    return passport.encode(*signature_of(passport.document, Domain.SOCIAL_PASSPORT))


def complete(*stopped: bytes, number: int = 1) -> StopList:
    return stop_list(stopped, number=number, issued_at_ms=NOW_MS)


def increment(*stopped: bytes, let_go: tuple[bytes, ...] = ()) -> StopList:
    return stop_list(stopped, let_go, number=2, issued_at_ms=NOW_MS + 1)


@pytest.mark.parametrize(
    ("lists", "card_id", "now_ms", "served_by"),
    [
        (None, SERVED, NOW_MS, "нет стоп-листа"),
        (StopLists(complete(STOPPED)), SERVED, NOW_MS, 1),
        (StopLists(complete(STOPPED)), STOPPED, NOW_MS, "Карта остановлена"),
        (StopLists(complete(STOPPED)), SERVED, TOO_LATE_MS - 1, 1),
        (StopLists(complete(STOPPED)), SERVED, TOO_LATE_MS, "устарел"),
        # A fresh increment makes an old complete list good again.
        (StopLists(complete(STOPPED), increment()), SERVED, TOO_LATE_MS, 2),
        (StopLists(complete(), increment(STOPPED)), STOPPED, NOW_MS, "Карта остановлена"),
        (StopLists(complete(STOPPED), increment(let_go=(STOPPED,))), STOPPED, NOW_MS, 2),
    ],
)
def test_whom_the_stop_list_lets_be_served(
    lists: StopLists | None, card_id: bytes, now_ms: int, served_by: int | str
) -> None:
    if isinstance(served_by, int):
        assert permit_by_list(lists, card_id, now_ms) == served_by
        return
    with pytest.raises(OfflineRefused) as raised:
        permit_by_list(lists, card_id, now_ms)
    assert served_by in raised.value.ru
    assert "stop" in raised.value.en


@pytest.mark.parametrize(
    ("data", "today", "words"),
    [
        (None, world.TODAY, "нет социального паспорта"),
        (b"\xff", world.TODAY, "повреждён"),
        (signed(msgspec.structs.replace(PASSPORT, card_id=SERVED)), world.TODAY, "другой карты"),
        (signed(PASSPORT), date(2027, 1, 1), "действовал до 31.12.2026"),
        (signed(PASSPORT), date(2025, 12, 31), "действовал"),
    ],
)
def test_a_passport_that_allows_nothing(data: bytes | None, today: date, words: str) -> None:
    with pytest.raises(OfflineRefused) as raised:
        read_passport(data, world.GUID, (PUBLIC_KEY,), today)
    assert words in raised.value.ru


def wanted(gross_kopecks: int = 10_000, service: str = "MEDICINE", day: int = 0) -> Request:
    """An offline sale for the card, `day` days from now."""
    line = msgspec.structs.replace(world.TWO_PACKS, gross_kopecks=gross_kopecks)
    sale = world.sale(world.terminal(), line, signed_at_ms=NOW_MS + day * DAY_MS, offline=True)
    return msgspec.structs.replace(sale, service=service)


OTHERS = (
    msgspec.structs.replace(wanted(90_000), card_id=SERVED),
    msgspec.structs.replace(wanted(90_000), advice=False),
    wanted(90_000, "OMS.VISIT"),
    wanted(90_000, day=-7),
)
"""What does not count: another card, online, another service, before the window."""


@pytest.mark.parametrize(
    ("known", "now", "words"),
    [
        ((), wanted(), None),
        ((), wanted(100_000), None),
        ((), wanted(100_001), "1000,00"),
        (OTHERS, wanted(100_000), None),
        ((wanted(60_000, day=-6),), wanted(40_000), None),
        ((wanted(60_000, day=-6),), wanted(40_001), "400,00"),
        ((wanted(), wanted(day=-1)), wanted(), "2 раз"),
        # The limit of every service that is not named.
        ((), wanted(service="TRANSPORT"), None),
        ((wanted(service="TRANSPORT"),), wanted(service="TRANSPORT"), "1 раз"),
        ((wanted(service="TRANSPORT", day=-1),), wanted(service="TRANSPORT"), None),
    ],
)
def test_limits_count_what_this_terminal_gave(
    known: tuple[Request, ...], now: Request, words: str | None
) -> None:
    if words is None:
        check_limit(PASSPORT, now, known, ZONE)
        assert now.gross_kopecks <= 100_000
        return
    with pytest.raises(OfflineRefused) as raised:
        check_limit(PASSPORT, now, known, ZONE)
    assert words in raised.value.ru.replace("\u00a0", "")


def test_a_service_without_limit_is_not_given() -> None:
    passport = msgspec.structs.replace(PASSPORT, limits={"TRANSPORT": OfflineLimit(1, 1, 1)})
    with pytest.raises(OfflineRefused, match="not given offline"):
        check_limit(passport, wanted(), (), ZONE)


OF_THE_PAST = msgspec.structs.replace(
    world.SERVICES[0], valid_to=world.TODAY - timedelta(days=3), grace_days=3
)


@pytest.mark.parametrize(
    ("until_ms", "service", "words"),
    [
        (NOW_MS, OF_THE_PAST, None),
        (NOW_MS, None, None),
        (NOW_MS - 1, OF_THE_PAST, "правила услуг на терминале устарели"),
        (None, OF_THE_PAST, "правила услуг на терминале устарели"),
        (NOW_MS, msgspec.structs.replace(OF_THE_PAST, grace_days=2), "версия 1, действовал до"),
    ],
)
def test_old_rules_serve_nobody_offline(
    until_ms: int | None, service: ServiceParameters | None, words: str | None
) -> None:
    if words is None:
        permit_by_rules(until_ms, service, NOW_MS, world.TODAY)
        assert until_ms == NOW_MS
        return
    with pytest.raises(OfflineRefused) as raised:
        permit_by_rules(until_ms, service, NOW_MS, world.TODAY)
    assert words in raised.value.ru
    assert "spk terminal update" in raised.value.en.replace("\n", " ")


def card_with(passport: bytes | None) -> PresentedCard:
    """Maria's card at the reader."""
    card: SoftCard = world.issued_card()
    if passport is not None:
        world.blank_client(card).write_passport(passport)
    return PresentedCard.read(InProcessTransport(card), world.parameters(), NOW_MS)


SALE = Sale(
    holder_id=world.MOTHER, service="MEDICINE", version=1, lines=(world.TWO_PACKS,), offline=True
)


@pytest.mark.parametrize(
    ("passport", "lists", "served"),
    [
        (signed(PASSPORT), StopLists(complete(number=5)), True),
        (signed(PASSPORT), StopLists(complete(world.GUID)), False),
        (signed(PASSPORT), None, False),
        (None, StopLists(complete()), False),
    ],
)
def test_an_offline_sale_names_what_allows_it(
    tmp_path: Path, passport: bytes | None, lists: StopLists | None, served: bool
) -> None:
    parameters = world.parameters(content_keys=(PUBLIC_KEY,))
    with Store.open(tmp_path, parameters, NOW_MS) as store:
        terminal = Terminal(parameters, store.state, os.urandom)
        link = Link(parameters, lambda: NOW_MS)
        till = Till(terminal, store, link, lambda: NOW_MS, print, lists, rules_until_ms=NOW_MS)
        card = card_with(passport)
        if not served:
            with pytest.raises(OfflineRefused):
                till.sell(card, SALE, lambda: world.PIN)
            assert not store.state.pending
            return
        requests = [till.sell(card, SALE, lambda: world.PIN).request for _ in range(2)]
        assert [(r.passport_version, r.stop_list_version) for r in requests] == [(4, 5)] * 2
        with pytest.raises(OfflineRefused, match="used up"):
            till.sell(card, SALE, lambda: world.PIN)
        assert len(store.state.pending) == 2
