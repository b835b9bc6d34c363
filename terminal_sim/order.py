"""What the cashier rings up: words such as ENALAPRIL-10-20=2@145.50 turned into request lines."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final
from uuid import UUID

import msgspec

from processing.wire.parameter_file import (
    NO_VISITS,
    VISITS_ONLY,
    ItemParameters,
    ParameterFile,
    ServiceParameters,
)
from processing.wire.transaction import (
    LINES_MAX,
    Kind,
    Line,
    MessageClass,
    Right,
    TransactionKey,
)
from terminal_sim.errors import TerminalError
from terminal_sim.money import line_price, parse_kopecks, parse_quantity

STAN_DIGITS: Final = 6
LABEL_CHARACTERS: Final = 6
"""How much of a rights holder's id people see: the end of a UUIDv7 is random."""

_WORD: Final = re.compile(r"(?P<item>[^=@]+)(?:=(?P<quantity>[^=@]+))?(?:@(?P<price>[^=@]+))?")
_QUOTED: Final = re.compile(r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})-([A-Z0-9]{8})-([0-9]{1,6})")
_SUGGESTIONS: Final = 3


class OrderError(TerminalError):
    """What was rung up does not fit the terminal or the card's rights; says how to mend it."""


def parse_order(words: Sequence[str], parameters: ParameterFile) -> tuple[Line, ...]:
    """Return the lines of an order. Raises `OrderError` and `NumberError`.

    A word is ITEM=QUANTITY@PRICE. The price is for one whole unit, in roubles; left out it is 0.
    The quantity counts whole units with the item's decimals; left out it is 1.
    """
    if not words:
        raise OrderError(
            "Не указано, что отпускается: ТОВАР=КОЛИЧЕСТВО@ЦЕНА",
            "nothing is rung up: ITEM=QUANTITY@PRICE",
        )
    if len(words) > LINES_MAX:
        raise OrderError(
            f"В одной операции не больше {LINES_MAX} строк", f"at most {LINES_MAX} lines at once"
        )
    items = {item.item: item for item in parameters.items}
    return tuple(_line(word, items) for word in words)


def split_word(word: str) -> tuple[str, str | None, str | None]:
    """Return item, quantity and price of ITEM=QUANTITY@PRICE, each as written or None.

    Raises `OrderError`.
    """
    match = _WORD.fullmatch(word.strip())
    if match is None:
        raise OrderError(
            f"«{word}» не читается: ожидается ТОВАР=КОЛИЧЕСТВО@ЦЕНА",
            f"“{word}” cannot be read: expected ITEM=QUANTITY@PRICE",
        )
    return match["item"].strip(), match["quantity"], match["price"]


def _line(word: str, items: dict[str, ItemParameters]) -> Line:
    name, quantity_text, price = split_word(word)
    item = known_item(name, items)
    quantity = parse_quantity(quantity_text or "1", item.scale)
    price_kopecks = parse_kopecks(price) if price else 0
    gross_kopecks = line_price(quantity, item.scale, price_kopecks)
    return Line(item.item, quantity, item.unit_okei, item.scale, gross_kopecks)


def known_item(name: str, items: dict[str, ItemParameters]) -> ItemParameters:
    """Return the item of this code; letter case does not matter. Raises `OrderError`."""
    folded = {code.casefold(): code for code in items}
    code = folded.get(name.casefold())
    if code is not None:
        return items[code]
    near = difflib.get_close_matches(name.casefold(), folded, _SUGGESTIONS)
    listed = ", ".join(folded[one] for one in near)
    raise OrderError(
        f"Товара «{name}» нет на терминале" + (f". Похожие: {listed}" if listed else ""),
        f"the terminal knows no item “{name}”" + (f". Similar: {listed}" if listed else ""),
    )


def known_service(name: str, parameters: ParameterFile) -> ServiceParameters:
    """Return the service of this code. Raises `OrderError` naming the services there are."""
    for service in parameters.services:
        if service.service.casefold() == name.casefold():
            return service
    listed = ", ".join(service.service for service in parameters.services) or "—"
    raise OrderError(
        f"Услуги «{name}» нет на терминале. Есть: {listed}",
        f"the terminal gives no service “{name}”. There are: {listed}",
    )


def is_given_so(kind: Kind, service: ServiceParameters) -> bool:
    """Whether a service is sold, reserved or begun: whether the centre takes this kind."""
    match kind:
        case Kind.RESERVE:
            return service.reserve_minutes > 0 and service.visit == NO_VISITS
        case Kind.VISIT_START:
            return service.visit != NO_VISITS
        case _:
            return service.visit != VISITS_ONLY


def check_way(kind: Kind, service: ServiceParameters, parameters: ParameterFile) -> None:
    """Raise `OrderError` when a service is not given this way, naming those that are, or the way.

    A sale of a service with visits only would be refused by the centre (403).
    """
    if is_given_so(kind, service):
        return
    able = (one.service for one in parameters.services if is_given_so(kind, one))
    listed = ", ".join(able) or "—"
    if kind is Kind.RESERVE:
        raise OrderError(
            f"Услуга {service.service} не откладывается. Откладываются: {listed}",
            f"the service {service.service} takes no reservations. These do: {listed}",
        )
    if kind is Kind.VISIT_START:
        raise OrderError(
            f"У услуги {service.service} нет начала и окончания. Есть у: {listed}",
            f"the service {service.service} has no start and finish. These have: {listed}",
        )
    raise OrderError(
        f"Услуга {service.service} оказывается с отметкой начала и окончания: "
        "spk terminal visit start, потом visit finish",
        f"the service {service.service} is given with a start and a finish: "
        "spk terminal visit start, then visit finish",
    )


class Holding(msgspec.Struct, frozen=True):
    """For whom to ring up, and the regulation version to sign; `version` 0 when no right named it.

    `holder_id` is None when nobody here has such a right.
    """

    holder_id: bytes | None
    version: int = 0


def holding_for(
    lines: Sequence[Line], service: str, rights: Sequence[Right], parameters: ParameterFile
) -> Holding:
    """Choose the rights holder from what the card is entitled to.

    The one holder who has a right to every line; else the one who has a right to any; else, when
    the card acts for one holder only, that one, so that the centre gives the refusal. Raises
    `OrderError` when several holders fit.
    """
    classes = {item.item: item.item_class for item in parameters.items}
    wanted = {classes[line.item] for line in lines}
    of_service = [right for right in rights if right.service == service]
    covered: dict[bytes, set[str]] = {}
    for right in of_service:
        if right.item_class in wanted:
            covered.setdefault(right.holder_id, set()).add(right.item_class)
    whole = [holder for holder, found in covered.items() if found == wanted]
    able: list[bytes] = whole or list(covered)
    if len(able) > 1:
        listed = ", ".join(holder_label(holder) for holder in able)
        raise OrderError(
            f"Право есть у нескольких получателей: {listed}. Назовите одного: --for",
            f"several holders have this right: {listed}. Name one with --for",
        )
    if not able:
        everyone = {right.holder_id for right in rights}
        able = list(everyone) if len(everyone) == 1 else []
    version = max((right.service_version for right in of_service), default=0)
    return Holding(able[0] if able else None, version)


def named_holder(wanted: str, rights: Iterable[Right]) -> bytes:
    """Return the holder whose id is `wanted` or ends in it. Raises `OrderError`.

    A whole UUID is taken as it is, even when no right names it.
    """
    bare = wanted.replace("-", "").casefold()
    try:
        if len(bare) == 32:
            return UUID(bare).bytes
    except ValueError:
        bare = ""
    holders = list(dict.fromkeys(right.holder_id for right in rights))
    found = [holder for holder in holders if bare and holder.hex().endswith(bare)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(holder_label(holder) for holder in holders) or "—"
    raise OrderError(
        f"Получатель «{wanted}» не найден. У этой карты: {listed}",
        f"there is no rights holder “{wanted}”. This card acts for: {listed}",
    )


def holder_label(holder_id: bytes) -> str:
    """Return the short name of a rights holder on the screen: the end of its id."""
    return holder_id.hex()[-LABEL_CHARACTERS:]


def is_number(word: str) -> bool:
    """Whether a word names a transaction, as on its receipt or by its last six digits."""
    digits = word.isascii() and word.isdecimal() and len(word) <= STAN_DIGITS
    return digits or _QUOTED.fullmatch(word) is not None


def parse_quoted(text: str) -> TransactionKey:
    """Return the key of a sale quoted as DATE-TERMINAL-STAN, such as 20260305-AP000001-000012.

    A terminal uses a number once a day, so the same words name a reservation. Raises `OrderError`.
    The date may be written with hyphens.
    """
    match = _QUOTED.fullmatch(text.strip().upper())
    try:
        if match is not None:
            day = date(int(match[1]), int(match[2]), int(match[3]))
            return TransactionKey(day, match[4], int(match[5]), MessageClass.FINANCIAL)
    except ValueError:
        match = None
    raise OrderError(
        f"«{text}» — не номер операции: ожидается ДАТА-ТЕРМИНАЛ-НОМЕР, 20260305-AP000001-000012",
        f"“{text}” names no transaction: expected DATE-TERMINAL-STAN, 20260305-AP000001-000012",
    )
