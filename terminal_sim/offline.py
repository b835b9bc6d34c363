"""May this card be served without the centre? What the stop-list and its social passport allow.

Both are signed by the centre and both must be there: a list that is fresh and does not stop the
card, and on the card a passport in force whose limits are not used up at this terminal. What is
given so travels as an advice, with the numbers of the list and the passport that allowed it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from processing.wire.figures import format_kopecks
from processing.wire.parameter_file import ServiceParameters
from processing.wire.social_passport import OfflineLimit, PassportError, SocialPassport
from processing.wire.stop_list import StopLists
from processing.wire.transaction import Kind, Request
from terminal_sim.errors import TerminalError

ANY_SERVICE: Final = "*"
"""In a passport: the limit of every service that it does not name."""

_GIVEN: Final = (Kind.SALE, Kind.RESERVE, Kind.VISIT_START)


class OfflineRefused(TerminalError):
    """The card is not served without the centre; the message says why and what to do."""


def permit_by_list(lists: StopLists | None, card_id: bytes, now_ms: int) -> int:
    """Return the number of the stop-list that does not stop this card; raises `OfflineRefused`."""
    if lists is None:
        raise OfflineRefused(
            "Без связи обслужить нельзя: у терминала нет стоп-листа (spk terminal update)",
            "cannot serve offline: the terminal has no stop-list (spk terminal update)",
        )
    if not lists.usable(now_ms):
        raise OfflineRefused(
            "Без связи обслужить нельзя: стоп-лист устарел. Восстановите связь и обновите его "
            "(spk terminal update)",
            "cannot serve offline: the stop-list is too old. Restore the link and renew it "
            "(spk terminal update)",
        )
    if lists.stops(UUID(bytes=card_id)):
        raise OfflineRefused(
            "Карта остановлена: не обслуживайте её. Гражданину поможет эмиссионный центр",
            "the card is stopped: do not serve it. The issuing office helps the citizen",
        )
    return lists.newest.number


def permit_by_rules(
    rules_until_ms: int | None, service: ServiceParameters | None, now_ms: int, today: date
) -> None:
    """Raise `OfflineRefused` when the terminal's rules, or the service's regulation, are too old.

    `rules_until_ms` is until when the rules at hand may be used, None when there are none.
    """
    if rules_until_ms is None or now_ms > rules_until_ms:
        raise OfflineRefused(
            "Без связи обслужить нельзя: правила услуг на терминале устарели. Восстановите связь и "
            "обновите их (spk terminal update)",
            "cannot serve offline: the terminal's rules are too old. Restore the link and renew "
            "them (spk terminal update)",
        )
    if service is None or service.valid_to is None:
        return
    honoured_to = service.valid_to + timedelta(days=service.grace_days)
    if today > honoured_to:
        raise OfflineRefused(
            f"Без связи обслужить нельзя: регламент услуги {service.service}, версия "
            f"{service.version}, действовал до {service.valid_to:%d.%m.%Y}. Обновите правила "
            "(spk terminal update)",
            f"cannot serve offline: the regulation of {service.service}, version "
            f"{service.version}, was in force until {service.valid_to}. Renew the rules (spk "
            "terminal update)",
        )


def read_passport(
    data: bytes | None, card_id: bytes, public_keys: tuple[bytes, ...], today: date
) -> SocialPassport:
    """Return the passport on the card if it is the centre's and in force; else `OfflineRefused`."""
    if data is None:
        raise OfflineRefused(
            "Без связи обслужить нельзя: на карте нет социального паспорта. Его запишут в "
            "эмиссионном центре; карту, которая хранит его под контактами, вставьте в считыватель",
            "cannot serve offline: no social passport can be read off the card. The issuing office "
            "writes it; a card that keeps it behind its contacts must be inserted",
        )
    try:
        passport = SocialPassport.decode(data, card_id, public_keys)
    except PassportError as error:
        raise OfflineRefused(
            f"Без связи обслужить нельзя: {error.fault.ru}",
            f"cannot serve offline: {error.fault.en}",
        ) from error
    if not passport.valid_from <= today <= passport.valid_to:
        raise OfflineRefused(
            f"Без связи обслужить нельзя: социальный паспорт действовал до "
            f"{passport.valid_to:%d.%m.%Y}. Его обновят в эмиссионном центре",
            f"cannot serve offline: the social passport was valid until {passport.valid_to}. The "
            "issuing office renews it",
        )
    return passport


def check_limit(
    passport: SocialPassport,
    wanted: Request,
    known: Iterable[Request],
    zone: ZoneInfo,
) -> None:
    """Raise `OfflineRefused` unless the passport's limit for the service has room for `wanted`.

    `known` are the requests this terminal remembers; those made offline for this card count.
    """
    limit = passport.limits.get(wanted.service) or passport.limits.get(ANY_SERVICE)
    if limit is None or not limit.transactions:
        raise OfflineRefused(
            "Без связи эта услуга по карте не оказывается: восстановите связь",
            "this service is not given offline by this card: restore the link",
        )
    first_day = _day(wanted, zone) - timedelta(days=limit.window_days - 1)
    given = [
        one.gross_kopecks
        for one in known
        if one.advice
        and one.kind in _GIVEN
        and (one.card_id, one.service) == (wanted.card_id, wanted.service)
        and _day(one, zone) >= first_day
    ]
    if len(given) + 1 > limit.transactions:
        raise OfflineRefused(
            f"Без связи по карте можно {limit.transactions} раз(а) за {limit.window_days} дн., "
            "и они использованы: восстановите связь",
            f"offline {limit.transactions} time(s) in {limit.window_days} day(s) are allowed and "
            "used up: restore the link",
        )
    if sum(given) + wanted.gross_kopecks > limit.gross_kopecks:
        raise _over(limit, sum(given))


def _over(limit: OfflineLimit, given_kopecks: int) -> OfflineRefused:
    left = format_kopecks(max(0, limit.gross_kopecks - given_kopecks))
    return OfflineRefused(
        f"Без связи по карте можно ещё на {left} руб.: уменьшите чек или восстановите связь",
        f"offline {left} roubles more may be given by this card: ring up less or restore the link",
    )


def _day(request: Request, zone: ZoneInfo) -> date:
    return datetime.fromtimestamp(request.signed_at_ms / 1000, UTC).astimezone(zone).date()
