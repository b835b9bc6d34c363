"""`spk cards blanks …`: lots of blanks received, given to stations, spoiled, destroyed, counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Final, TypeVar

import cyclopts
from cyclopts import Parameter, validators

from processing.cards.blanks import BlankMove, BlankMoveKind, BlankMoveResult, BlankStore
from processing.cards.counter import at_office, said
from processing.cards.life_commands import Language
from processing.kernel.clock import Clock
from processing.kernel.errors import ConfigurationError
from processing.wire.batches import BLANKS_MAX, BlankBalance
from processing.wire.figures import format_date

EXIT_CODE_MISSING: Final = 1
"""The count does not come out: blanks are missing, or there are too many."""
COUNTS_SHOWN_MAX: Final = 1_000
"""Most counts that are listed at once."""

Lot = Annotated[str, Parameter(help="The lot, as the supplier's paper numbers it.")]
Station = Annotated[str, Parameter(help="The station.")]
By = Annotated[str, Parameter(help="Who does it: the name is written down.")]
Reason = Annotated[str, Parameter(help="Why, or by what paper.")]
Blanks = Annotated[
    int, Parameter(help="How many.", validator=validators.Number(gte=1, lte=BLANKS_MAX))
]
_R = TypeVar("_R")

app = cyclopts.App(name="blanks", help="Stock of blank cards, counted to the last one.")


@app.command
def receive(
    lot: Lot,
    blanks: Blanks,
    /,
    *,
    family: Annotated[str, Parameter(help="The card family, as yubico or openfips201.")],
    by: By,
    reason: Reason = "",
    lang: Language = "ru",
) -> None:
    """Take blanks of a lot into the store."""
    _move(BlankMoveKind.RECEIVED, blanks, by, reason, lang, lot=lot, family=family)


@app.command
def give(
    lot: Lot,
    blanks: Blanks,
    /,
    *,
    station: Station,
    by: By,
    reason: Reason = "",
    lang: Language = "ru",
) -> None:
    """Give blanks of a lot to a station."""
    _move(BlankMoveKind.GIVEN, blanks, by, reason, lang, lot=lot, station=station)


@app.command(name="return")
def return_blanks(
    lot: Lot,
    blanks: Blanks,
    /,
    *,
    station: Station,
    by: By,
    reason: Reason = "",
    lang: Language = "ru",
) -> None:
    """Take blanks of a lot back from a station into the store."""
    _move(BlankMoveKind.RETURNED, blanks, by, reason, lang, lot=lot, station=station)


@app.command
def spoil(
    blanks: Blanks, /, *, station: Station, by: By, reason: Reason, lang: Language = "ru"
) -> None:
    """Write off blanks spoiled at a station apart from any order; it tells the others itself."""
    _move(BlankMoveKind.SPOILED, blanks, by, said(reason), lang, station=station)


@app.command
def destroy(lot: Lot, blanks: Blanks, /, *, by: By, reason: Reason, lang: Language = "ru") -> None:
    """Write off blanks of a lot that were destroyed in the store, as faulty ones."""
    _move(BlankMoveKind.DESTROYED, blanks, by, said(reason), lang, lot=lot)


@app.command
def count(
    *,
    station: Station,
    left: Annotated[
        int, Parameter(help="What was counted.", validator=validators.Number(gte=0, lte=BLANKS_MAX))
    ],
    by: By,
    on: Annotated[datetime | None, Parameter(help="The day; today.")] = None,
    lang: Language = "ru",
) -> int:
    """Count a station's blanks at the end of a day: in = good + spoiled + left.

    The count is kept and printed; exits with 1 when blanks are missing or there are too many.
    """

    async def work(store: BlankStore, clock: Clock) -> BlankBalance | None:
        day = on.date() if on else clock.local_date()
        return await store.count(station, day, left, said(by))

    balance = _office(work)
    if balance is None:
        raise ConfigurationError(
            f"{station}: такой станции нет" if lang == "ru" else f"{station}: no such station"
        )
    print(balance_line(balance, lang))
    return EXIT_CODE_MISSING if balance.missing else 0


@app.command(name="list")
def list_blanks(
    *,
    days: Annotated[
        int, Parameter(help="How many days back.", validator=validators.Number(gte=1, lte=3_660))
    ] = 31,
    lang: Language = "ru",
) -> None:
    """List the lots in the store, and what was counted at the stations."""

    async def work(store: BlankStore, clock: Clock) -> list[str]:
        russian = lang == "ru"
        lines = [
            f"{one.lot}  {one.family}  в хранилище {one.in_store}: получено {one.received}, "
            f"выдано {one.given}, возвращено {one.returned}, уничтожено {one.destroyed}"
            if russian
            else f"{one.lot}  {one.family}  {one.in_store} in store: received {one.received}, "
            f"given {one.given}, returned {one.returned}, destroyed {one.destroyed}"
            for one in await store.lots()
        ]
        today = clock.local_date()
        first = today - timedelta(days=days)
        counts = await store.counts(first, today, COUNTS_SHOWN_MAX)
        return lines + [balance_line(one, lang) for one in counts]

    print("\n".join(_office(work)))


def balance_line(one: BlankBalance, lang: Language) -> str:
    """Return a day's balance of blanks in one line; what is missing comes first."""
    russian = lang == "ru"
    day = format_date(one.counted_on, lang)
    came = one.opening + one.given - one.returned
    sums = (
        f"было и получено {came} = годных {one.good} + брак {one.spoiled} + осталось "
        f"{one.counted_left}"
        if russian
        else f"in {came} = good {one.good} + spoiled {one.spoiled} + left {one.counted_left}"
    )
    if one.missing == 0:
        return f"{one.station_id}  {day}  {sums}"
    if one.missing > 0:
        alarm = f"НЕ ХВАТАЕТ {one.missing}" if russian else f"{one.missing} MISSING"
    else:
        alarm = f"ЛИШНИХ {-one.missing}" if russian else f"{-one.missing} TOO MANY"
    return f"{alarm}  {one.station_id}  {day}  {sums}"


def _move(
    kind: BlankMoveKind,
    blanks: int,
    by: str,
    reason: str,
    lang: Language,
    *,
    lot: str | None = None,
    family: str | None = None,
    station: str | None = None,
) -> None:
    async def work(store: BlankStore, clock: Clock) -> BlankMoveResult:
        move = BlankMove(
            kind=kind,
            blanks=blanks,
            moved_on=clock.local_date(),
            made_by=said(by),
            reason=reason,
            lot=lot,
            family=family,
            station_id=station,
        )
        return await store.move(move)

    result = _office(work)
    if result is not BlankMoveResult.WRITTEN:
        raise ConfigurationError(_RESULTS[result][0 if lang == "ru" else 1])
    print(_KINDS[kind][0 if lang == "ru" else 1] + f": {blanks}")


_KINDS: Final = {
    BlankMoveKind.RECEIVED: ("Принято в хранилище", "Taken into the store"),
    BlankMoveKind.GIVEN: ("Выдано станции", "Given to the station"),
    BlankMoveKind.RETURNED: ("Возвращено в хранилище", "Returned to the store"),
    BlankMoveKind.SPOILED: ("Списан брак", "Written off as spoiled"),
    BlankMoveKind.DESTROYED: ("Уничтожено", "Destroyed"),
}
_RESULTS: Final = {
    BlankMoveResult.LOT_UNKNOWN: (
        "такой партии заготовок нет: spk cards blanks list",
        "there is no such lot: spk cards blanks list",
    ),
    BlankMoveResult.STATION_UNKNOWN: ("такой станции нет", "there is no such station"),
    BlankMoveResult.NOT_SO_MANY: (
        "столько заготовок этой партии там нет: spk cards blanks list",
        "there are not so many blanks of the lot there: spk cards blanks list",
    ),
    BlankMoveResult.RIGHT_MISSING: (
        "у этой роли нет права вести заготовки",
        "this role has no right to blanks",
    ),
    BlankMoveResult.OTHER_FAMILY: (
        "эта партия другого семейства карт",
        "the lot is of another card family",
    ),
}


def _office(work: Callable[[BlankStore, Clock], Awaitable[_R]]) -> _R:
    return at_office(lambda pool, clock: work(BlankStore(pool), clock))
