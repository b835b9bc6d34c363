"""`spk cards order`, `orders`, `approve`, `refuse`, `withdraw`, `where`, `renew`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar
from uuid import UUID

from cyclopts import Parameter

from processing.cards.application_file import (
    read_rows,
    refused_as_a_whole,
    take_file,
    write_refused,
)
from processing.cards.application_words import (
    APPLY,
    APPROVE,
    KINDS,
    REFUSE,
    how_far,
    where_lines,
    word,
)
from processing.cards.applications import (
    ApplicationKind,
    ApplicationState,
    ApplicationStore,
    ApplyResult,
    ApproveResult,
    Desk,
    Open,
    RefuseResult,
    Standing,
    Wish,
)
from processing.cards.counter import at_office, said
from processing.cards.life_commands import Language
from processing.cards.renewal import renew as renew_now
from processing.cards.store import CardStore
from processing.kernel.errors import ConfigurationError
from processing.register.identifiers import (
    CARD_ISSUER,
    IdentifierError,
    read_card_number,
    read_snils,
)
from processing.register.importing.errors import ImportRefused
from processing.wire.figures import format_date

EXIT_CODE_REFUSED: Final = 3
"""Some of several were refused; the others are done."""
REFUSED_SHOWN_MAX: Final = 20
"""Most refused rows that are told on the screen; the file of refused rows has all."""

By = Annotated[str, Parameter(help="Who does it: the name is written down.")]
Point = Annotated[str, Parameter(help="The delivery point, as spk cards point list names it.")]
Kind = Literal["first", "replacement", "representative", "renewal"]
State = Literal["waiting", "ordered", "handed-over", "withdrawn", "refused"]

_KIND: Final[dict[str, ApplicationKind]] = {
    "first": ApplicationKind.FIRST,
    "replacement": ApplicationKind.REPLACEMENT,
    "representative": ApplicationKind.REPRESENTATIVE,
    "renewal": ApplicationKind.RENEWAL,
}
_APPLICATION_NAME: Final = "spk cards"
_R = TypeVar("_R")


def order(
    snils: str | None = None,
    /,
    *,
    point: Point,
    by: By,
    reason: Annotated[str, Parameter(help="Why: the number of the paper, for instance.")],
    kind: Annotated[Kind, Parameter(help="What is asked for.")] = "first",
    represents: Annotated[
        str | None, Parameter(name="--for", help="СНИЛС of the one person to act for.")
    ] = None,
    from_: Annotated[
        Path | None, Parameter(name="--from", help="CSV or XLSX: an application for each row.")
    ] = None,
    refused: Annotated[
        Path | None, Parameter(help="A new CSV file for refused rows, with reasons.")
    ] = None,
    lang: Language = "ru",
) -> int:
    """Take an application for a card, or one for each row of a file; another person approves.

    Exits with 3 when some rows of the file were refused.

    Args:
        snils: The СНИЛС of the card's holder.
    """
    if (snils is None) is (from_ is None):
        raise ConfigurationError("один СНИЛС или --from ФАЙЛ / give one СНИЛС, or --from FILE")
    desk = Desk(kind=_KIND[kind], point_id=point, by=said(by), reason=said(reason))
    if from_ is not None:
        return _order_file(from_, refused, desk, lang)
    wish = Wish(
        snils=_snils(snils or ""), represents_snils=_snils(represents) if represents else None
    )
    (answer,) = _office(lambda store, _cards: store.apply([wish], desk))
    if answer.result is not ApplyResult.APPLIED:
        raise ConfigurationError(word(APPLY[answer.result], lang))
    print(
        f"Заявление {answer.number} принято; одобряет другой сотрудник"
        if lang == "ru"
        else f"Application {answer.number} is taken; another person approves it"
    )
    return 0


def orders(
    *,
    state: Annotated[State | None, Parameter(help="Only these.")] = None,
    point: Annotated[str | None, Parameter(help="Only of this delivery point.")] = None,
    before: Annotated[int | None, Parameter(help="Only with numbers below this one.")] = None,
    count: Annotated[int, Parameter(help="How many to show.")] = 50,
    lang: Language = "ru",
) -> None:
    """List applications for cards, the newest first."""
    wanted = None if state is None else ApplicationState[state.replace("-", "_").upper()]
    found = _office(lambda store, _cards: store.listed(wanted, point, before, count))
    for one in found:
        print(_line(one, lang))
    if len(found) == count:
        last = found[-1].number
        print(f"… дальше: --before {last}" if lang == "ru" else f"… more: --before {last}")


def approve(
    *numbers: Annotated[int, Parameter(help="The applications.")],
    by: By,
    everything: Annotated[
        bool, Parameter(name="--all", negative="", help="All that wait, oldest first.")
    ] = False,
    kind: Annotated[Kind | None, Parameter(help="With --all: only of this kind.")] = None,
    point: Annotated[
        str | None, Parameter(help="Where cards are handed over of which nobody has said.")
    ] = None,
    lang: Language = "ru",
) -> int:
    """Approve applications, as another person than who took them; each becomes an order.

    Exits with 3 when some could not be approved.
    """
    if bool(numbers) is everything:
        raise ConfigurationError("номера заявлений или --all / give numbers, or --all")
    wanted = None if kind is None else _KIND[kind]

    async def work(store: ApplicationStore, _cards: CardStore) -> dict[int, ApproveResult]:
        if numbers:
            found = await store.numbered(numbers)
            results = await store.approve(found, said(by), point)
            missing = set(numbers) - set(results)
            return results | dict.fromkeys(missing, ApproveResult.NOT_WAITING)
        results, after = {}, 0
        while part := await store.waiting(after, wanted):
            results |= await store.approve(part, said(by), point)
            after = part[-1].number
        return results

    results = _office(work)
    counts = Counter(results.values())
    for result, count in sorted(counts.items()):
        some = ", ".join(str(n) for n, r in sorted(results.items()) if r is result)
        shown = some if count <= REFUSED_SHOWN_MAX else ""
        print(f"{word(APPROVE[result], lang)}: {count}{f' ({shown})' if shown else ''}")
    return 0 if counts[ApproveResult.ORDERED] == len(results) else EXIT_CODE_REFUSED


def refuse(
    number: int,
    /,
    *,
    by: By,
    reason: Annotated[str, Parameter(help="Why: the citizen is told.")],
    lang: Language = "ru",
) -> None:
    """Refuse an application, with the reason that its citizen is told."""
    _close(number, by, reason, lang, withdraw=False)


def withdraw(number: int, /, *, by: By, lang: Language = "ru") -> None:
    """Take an application back for its citizen, as long as no station makes the card."""
    _close(number, by, "", lang, withdraw=True)


def where(
    ref: Annotated[str, Parameter(help="Application's number, СНИЛС, card number, order or GUID.")],
    /,
    *,
    lang: Language = "ru",
) -> None:
    """Tell how far a card is, when it is expected, where it is handed over and whom to call."""

    async def work(store: ApplicationStore, cards: CardStore) -> list[Standing]:
        return await _found(store, cards, ref)

    found = _office(work)
    if not found:
        raise ConfigurationError(
            f"{ref}: такого заявления нет" if lang == "ru" else f"{ref}: there is no application"
        )
    for one in found:
        print("\n".join(where_lines(one, lang)))


def renew(
    *,
    before: Annotated[datetime, Parameter(help="Cards that end before this day (YYYY-MM-DD).")],
    by: By,
    point: Annotated[
        str | None, Parameter(help="For holders who never got a card at a delivery point.")
    ] = None,
    most: Annotated[int, Parameter(help="At most that many cards in this go.")] = 10_000,
    lang: Language = "ru",
) -> None:
    """Take applications to renew the active cards that end soon; again takes only what is new.

    Dead and moved holders, suspended cards and who waits for a card already are left out.
    """
    done = _office(lambda store, _cards: renew_now(store, before.date(), said(by), point, most))
    russian = lang == "ru"
    day = format_date(before.date(), lang)
    print(
        f"Карты, которые кончаются до {day}: заявлений на продление принято {done.applied}"
        if russian
        else f"Cards that end before {day}: {done.applied} applications for renewal taken"
    )
    for result, count in sorted(done.left_out.items()):
        print(f"  {word(APPLY[result], lang)}: {count}")


def _order_file(path: Path, refused: Path | None, desk: Desk, lang: Language) -> int:
    if refused is not None and refused.exists():
        raise ConfigurationError(f"{refused}: файл уже есть / the file exists already")
    try:
        rows = read_rows(path)
    except ImportRefused as error:
        raise refused_as_a_whole(error) from error
    taken = _office(lambda store, _cards: take_file(store, rows, desk))
    print(
        f"Строк {taken.rows} = принято {len(taken.numbers)} + отказано {len(taken.refused)}"
        if lang == "ru"
        else f"Rows {taken.rows} = taken {len(taken.numbers)} + refused {len(taken.refused)}"
    )
    for one in taken.refused[:REFUSED_SHOWN_MAX]:
        line = "строка" if lang == "ru" else "row"
        print(f"  {line} {one.row.line}: {word(one.why, lang)}")
    if refused is not None and taken.refused:
        write_refused(refused, taken.refused, lang)
        print(f"Отказанные строки: {refused}" if lang == "ru" else f"Refused rows: {refused}")
    return EXIT_CODE_REFUSED if taken.refused else 0


def _close(number: int, by: str, reason: str, lang: Language, *, withdraw: bool) -> None:
    if not withdraw:
        said(reason)

    async def work(store: ApplicationStore, _cards: CardStore) -> RefuseResult:
        found: Sequence[Open] = await store.numbered([number])
        if not found:
            return RefuseResult.UNKNOWN
        return await store.refuse(found[0].application_id, said(by), reason, withdraw=withdraw)

    result = _office(work)
    told = f"{number}: {word(REFUSE[result], lang)}"
    if result is not RefuseResult.DONE:
        raise ConfigurationError(told)
    print(told)


async def _found(store: ApplicationStore, cards: CardStore, ref: str) -> list[Standing]:
    """Return what a number, a СНИЛС, a card number or an id names."""
    try:
        return await store.find(key=UUID(ref))
    except ValueError:
        pass
    digits = ref.strip()
    if digits.isascii() and digits.isdigit() and len(digits) <= 10:
        return await store.find(number=int(digits))
    try:
        return await store.find(card_number=read_card_number(ref))
    except IdentifierError as error:
        if digits.startswith(CARD_ISSUER):
            raise ConfigurationError(f"{ref}: {error.ru} / {error.en}") from error
        citizen = await cards.citizen(None, _snils(ref))
    return [] if citizen is None else await store.find(citizen_id=citizen.citizen_id)


def _line(one: Standing, lang: Language) -> str:
    expected = "" if one.expected_on is None else format_date(one.expected_on, lang)
    words = (
        f"{one.number}",
        f"{one.applied_at:%Y-%m-%d}",
        word(KINDS[one.kind], lang),
        one.point_id or "—",
        how_far(one, lang),
        expected,
    )
    return "  ".join(part for part in words if part)


def _snils(text: str) -> str:
    try:
        return read_snils(text)
    except IdentifierError as error:
        raise ConfigurationError(f"{text}: {error.ru} / {error.en}") from error


def _office(work: Callable[[ApplicationStore, CardStore], Awaitable[_R]]) -> _R:
    """Do something with the applications of this installation."""
    return at_office(lambda pool, clock: work(ApplicationStore(pool, clock), CardStore(pool)))
