"""`spk terminal book` and `cancel`: a service that is given at an appointed time.

A booking is a reservation: the centre holds the right until it is given (`complete`), cancelled, or
its time is over. When the service is to be given is the terminal's own note.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated, Final

from cyclopts import Parameter
from rich.console import Console

from processing.wire.transaction import Kind
from terminal_sim.desk import Desk
from terminal_sim.order import OrderError, known_service
from terminal_sim.screens import show_result
from terminal_sim.session import EvidenceName, HolderOption, Words, ring_up_and_show, run
from terminal_sim.texts import moment_of
from terminal_sim.till import Till

_MOMENTS: Final = ("%d.%m.%Y %H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M")


def book(
    service: str,
    words: Words,
    /,
    *,
    desk: Desk,
    at: Annotated[str, Parameter(name="--at")],
    holder: HolderOption = None,
    evidence: EvidenceName | None = None,
) -> None:
    """Book a service for a time, such as: book SOCIAL.TAXI TAXI.RIDE=1@380 --at "09:30".

    Args:
        service: Code of a service that takes reservations.
        words: ITEM=QUANTITY@PRICE, the price for one whole unit in roubles.
        at: When it is to be given: DD.MM.YYYY HH:MM, or HH:MM for the next such time.
        holder: Rights holder: its id or the end of it, as `rights` shows it.
        evidence: Tap or PIN, where it should differ from what the service asks for.
    """

    def moment(till: Till) -> int:
        return appointed_ms(at, service, till)

    ring_up_and_show(
        desk, service, words, holder, False, evidence=evidence, kind=Kind.RESERVE, at=moment
    )


def appointed_ms(text: str, service: str, till: Till) -> int:
    """Return the moment that a cashier names, UTC milliseconds, on the region's clocks.

    Raises `OrderError` for one that has passed, or that the hold would not last until.
    """
    parameters, now_ms = till.terminal.parameters, till.now_ms()
    now = datetime.fromtimestamp(now_ms / 1000, till.terminal.zone)
    moment = _read(text, now)
    if moment <= now:
        raise OrderError(f"Время {text} уже прошло", f"{text} has passed already")
    minutes = known_service(service, parameters).reserve_minutes
    at_ms = int(moment.timestamp() * 1000)
    if minutes and at_ms > now_ms + minutes * 60_000:
        latest = moment_of(now_ms + minutes * 60_000, parameters)
        raise OrderError(
            f"Так рано заказать нельзя: бронь держится до {latest}",
            f"this is too early to book: a booking is held until {latest}",
        )
    return at_ms


def _read(text: str, now: datetime) -> datetime:
    for form in _MOMENTS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=now.tzinfo)
        except ValueError:
            continue
    try:
        clock = time.fromisoformat(text)
    except ValueError as error:
        raise OrderError(
            f"Время «{text}» не читается: ДД.ММ.ГГГГ ЧЧ:ММ или ЧЧ:ММ",
            f"the time “{text}” cannot be read: DD.MM.YYYY HH:MM or HH:MM",
        ) from error
    moment = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
    return moment if moment > now else moment + timedelta(days=1)


def cancel(quoted: str, /, *, desk: Desk) -> None:
    """Cancel a booking, a reservation or a visit that has begun: what it held is free again.

    Args:
        quoted: Its number as on the receipt, DATE-TERMINAL-STAN, or the last six digits.
    """

    def work(console: Console, till: Till) -> int:
        key = till.numbered(quoted)
        held = {entry.request.key for kind in _HELD for entry in till.store.state.open_holds(kind)}
        if key not in held:
            raise OrderError(
                f"{quoted} — не бронь, или она уже закончена. Продажу отменяют: spk terminal "
                "reverse",
                f"{quoted} is no open booking. A sale is taken back with: spk terminal reverse",
            )
        result = till.reverse(key)
        show_result(console, desk, till, result)
        return result.exit_code

    run(desk, work, repeat=False)


_HELD: Final = (Kind.RESERVE, Kind.VISIT_START)
