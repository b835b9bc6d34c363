"""`spk cards point …`, `batch`, `batches`, `give-batch`, `take-back`, `walk-in`, `expire`."""

from __future__ import annotations

import asyncio
import os
import re
from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

import cyclopts
from cyclopts import Parameter, validators

from processing.cards.batches import (
    BATCHES_SHOWN_MAX,
    BatchStore,
    ListedBatch,
    MadeBatch,
    TakeBackResult,
    TakeResult,
)
from processing.cards.copies import card_store
from processing.cards.counter import APPLICATION_NAME, at_office, said
from processing.cards.life_commands import Language
from processing.cards.points import DELIVERY_DAYS, POINT_ORDERS_PER_DAY, DeliveryPoint, PointStore
from processing.cards.stations import STATION_NAME
from processing.cards.store import CardStore
from processing.kernel.clock import Clock, SystemClock
from processing.kernel.config import read_settings
from processing.kernel.database import DatabasePool
from processing.kernel.errors import ConfigurationError
from processing.kernel.roles import Role
from processing.kernel.target_pools import open_targets
from processing.wire.figures import format_date

POINT_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,32}")

By = Annotated[str, Parameter(help="Who does it: the name is written down.")]
BatchNumber = Annotated[int, Parameter(help="The batch, as spk cards batches numbers it.")]


point_app = cyclopts.App(name="point", help="Delivery points: where cards are handed over.")


@point_app.command(name="add")
def add_point(
    point: str,
    /,
    *,
    region: Annotated[int, Parameter(help="The region whose people it serves.")],
    name: str,
    address: str,
    phone: Annotated[str, Parameter(help="Whom to call about a card.")],
    hours: Annotated[str, Parameter(help='When it is open, as "пн–пт 9–18".')],
    delivery_days: Annotated[
        int,
        Parameter(
            help="Days from making a card until it is there.",
            validator=validators.Number(gte=0, lte=60),
        ),
    ] = DELIVERY_DAYS,
    daily_max: Annotated[
        int,
        Parameter(
            help="Most orders planned for one day.", validator=validators.Number(gte=1, lte=100_000)
        ),
    ] = POINT_ORDERS_PER_DAY,
    lang: Language = "ru",
) -> None:
    """Add a delivery point, or change what is known of it.

    Args:
        point: 1 to 32 letters A-Z a-z, digits and hyphens.
    """
    if not POINT_NAME.fullmatch(point) or not all(map(str.strip, (name, address, phone, hours))):
        raise ConfigurationError(
            "имя пункта: латинские буквы, цифры, дефис; название, адрес, телефон и часы нужны все"
            if lang == "ru"
            else "a point is named by letters, digits, hyphens; all four texts are needed"
        )
    put = DeliveryPoint(
        point_id=point,
        region=region,
        name=name,
        address=address,
        phone=phone,
        hours=hours,
        delivery_days=delivery_days,
        daily_max=daily_max,
    )
    if not at_office(lambda pool, _clock: PointStore(pool).put(put)):
        raise ConfigurationError(
            f"региона {region} нет" if lang == "ru" else f"there is no region {region}"
        )
    print(f"Пункт выдачи {point}: {name}" if lang == "ru" else f"Delivery point {point}: {name}")


@point_app.command(name="list")
def list_points(*, lang: Language = "ru") -> None:
    """List the delivery points in use."""
    for one in at_office(lambda pool, _clock: PointStore(pool).points()):
        days = f"{one.delivery_days} дн." if lang == "ru" else f"{one.delivery_days} days"
        most = f"до {one.daily_max} в день" if lang == "ru" else f"at most {one.daily_max} a day"
        print(
            f"{one.point_id}  {one.name}, {one.address}; {one.phone} ({one.hours}); {days}, {most}"
        )


@point_app.command(name="close")
def close_point(point: str, /, *, lang: Language = "ru") -> None:
    """Take a delivery point out of use: what is ordered goes on, nothing new is taken."""
    if not at_office(lambda pool, _clock: PointStore(pool).close(point)):
        raise ConfigurationError(
            f"{point}: такого пункта нет" if lang == "ru" else f"{point}: there is no such point"
        )
    print(f"{point}: закрыт" if lang == "ru" else f"{point}: closed")


def batch(
    *,
    by: By,
    on: Annotated[
        datetime | None, Parameter(help="What is planned for this day or before; today.")
    ] = None,
    lang: Language = "ru",
) -> None:
    """Put the orders whose day has come into batches, by delivery point."""

    async def work(pool: DatabasePool, clock: Clock) -> list[MadeBatch]:
        return await BatchStore(pool).make(on.date() if on else clock.local_date(), said(by))

    made = at_office(work)
    for one in made:
        day = format_date(one.planned_on, lang)
        print(
            f"Партия {one.number}: {one.point_id}, на {day}, карт {one.orders}"
            if lang == "ru"
            else f"Batch {one.number}: {one.point_id}, for {day}, {one.orders} cards"
        )
    if not made:
        print("Собирать нечего" if lang == "ru" else "Nothing is due")


def batches(
    *,
    before: Annotated[int | None, Parameter(help="Only with numbers below this one.")] = None,
    lang: Language = "ru",
) -> None:
    """List batches, the newest first: where each is and how far."""
    most = BATCHES_SHOWN_MAX
    found = at_office(lambda pool, _clock: BatchStore(pool).listed(before or 2**31 - 1, most))
    for one in found:
        print(_line(one, lang))
    if len(found) == most:
        last = found[-1].batch.number
        print(f"… дальше: --before {last}" if lang == "ru" else f"… more: --before {last}")


def give_batch(
    number: BatchNumber,
    /,
    *,
    station: Annotated[str, Parameter(help="The station that is to make it.")],
    by: By,
    lang: Language = "ru",
) -> None:
    """Give a batch to a station; else stations take the next one that is due."""

    async def work(pool: DatabasePool, clock: Clock) -> TakeResult:
        store = BatchStore(pool)
        batch_id = await _batch_id(store, number, lang)
        if await CardStore(pool).station_token_sha256(station) is None:
            raise ConfigurationError(
                f"{station}: такой станции нет"
                if lang == "ru"
                else f"{station}: there is no such station"
            )
        return (await store.take(station, batch_id, clock.local_date(), said(by)))[0]

    result = at_office(work)
    if result is not TakeResult.TAKEN:
        raise ConfigurationError(_TAKE[result][0 if lang == "ru" else 1])
    print(f"Партия {number}: {station}" if lang == "ru" else f"Batch {number}: {station}")


def take_back(
    number: BatchNumber,
    /,
    *,
    by: By,
    reason: Annotated[str, Parameter(help="Why: it is written down.")],
    lang: Language = "ru",
) -> None:
    """Take a batch from its station: what is not issued is made anew, elsewhere."""

    async def work(pool: DatabasePool, clock: Clock) -> tuple[TakeBackResult, int]:
        store = BatchStore(pool)
        batch_id = await _batch_id(store, number, lang)
        now = datetime.fromtimestamp(clock.utc_ms() / 1000, UTC)
        return await store.take_back(batch_id, said(by), said(reason), now)

    result, remade = at_office(work)
    if result is not TakeBackResult.TAKEN_BACK:
        raise ConfigurationError(_TAKE_BACK[result][0 if lang == "ru" else 1])
    print(
        f"Партия {number} возвращена; заказано заново карт: {remade}. Записанное по ней на станции "
        "картами не станет: сбросьте или уничтожьте"
        if lang == "ru"
        else f"Batch {number} is taken back, {remade} cards are ordered anew. What the station has "
        "written for it will be no card: reset or destroy it"
    )


def walk_in(
    station: str,
    /,
    *,
    allow: Annotated[
        bool, Parameter(help="Whether it may; --no-allow takes the right away.")
    ] = True,
    lang: Language = "ru",
) -> None:
    """Let a station order cards without an application, for who stands at its counter, or not."""
    if not STATION_NAME.fullmatch(station) or not asyncio.run(_walk_in(station, allow=allow)):
        raise ConfigurationError(
            f"{station}: такой станции нет" if lang == "ru" else f"{station}: no such station"
        )
    print(f"{station}: {'+' if allow else '−'} walk-in")


def expire(*, lang: Language = "ru") -> None:
    """End the life of cards whose last day has passed; a running centre does so every hour."""
    count = asyncio.run(_expire())
    print(f"Просроченных карт: {count}" if lang == "ru" else f"Cards expired: {count}")


async def _walk_in(station: str, *, allow: bool) -> bool:
    async with open_targets(read_settings(os.environ), Role.OPERATOR, APPLICATION_NAME) as targets:
        return await CardStore(targets.home).allow_walk_in(station, allow=allow)


async def _expire() -> int:
    settings = read_settings(os.environ)
    async with open_targets(settings, Role.ISSUING, APPLICATION_NAME, patient=True) as targets:
        return await card_store(targets).expire(SystemClock(settings.time_zone).local_date())


async def _batch_id(store: BatchStore, number: int, lang: Language) -> UUID:
    batch_id = await store.batch_numbered(number)
    if batch_id is None:
        raise ConfigurationError(
            f"партии {number} нет" if lang == "ru" else f"there is no batch {number}"
        )
    return batch_id


def _line(one: ListedBatch, lang: Language) -> str:
    of = one.batch
    russian = lang == "ru"
    day = format_date(of.planned_on, lang)
    at = one.station_id or ("не взята" if russian else "not taken")
    return (
        f"{of.number}  {day}  {of.point_id}  {at}  осталось {of.open}, готово {of.issued}"
        if russian
        else f"{of.number}  {day}  {of.point_id}  {at}  {of.open} left, {of.issued} done"
    )


_TAKE: Final = {
    TakeResult.OTHER_STATION: (
        "партия у другой станции: сначала верните её (spk cards take-back)",
        "another station has the batch: take it back first (spk cards take-back)",
    ),
    TakeResult.FINISHED: ("в партии не осталось заявок", "nothing is open in the batch"),
    TakeResult.BATCH_UNKNOWN: ("такой партии нет", "there is no such batch"),
}
_TAKE_BACK: Final = {
    TakeBackResult.NOT_TAKEN: ("партию никто не брал", "no station has taken the batch"),
    TakeBackResult.BATCH_UNKNOWN: ("такой партии нет", "there is no such batch"),
    TakeBackResult.LOOK_AGAIN: ("партия меняется: повторите", "the batch changes: try again"),
    TakeBackResult.RIGHT_MISSING: (
        "у этой роли нет права на партии",
        "this role has no right to batches",
    ),
}
