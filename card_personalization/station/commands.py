"""`spk card`: issue, show, reset and block cards; make blank software cards; change a PIN."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from card_personalization.chip.errors import CardError, CardFault, StatusError
from card_personalization.chip.piv.objects import Slot
from card_personalization.station.equipment import (
    DEFAULT_CENTRE,
    card_at,
    fill_drawer,
    hsm_address,
    read_factory_key,
    station_folder,
)
from card_personalization.station.faults import StationError, StationFault, words
from card_personalization.station.pin_entry import read_code
from card_personalization.station.pin_letter import PinLetter, write_letter
from card_personalization.station.reading import CardView, challenge, read_card
from card_personalization.station.steps import Step
from processing.wire.api import IssuedCard, IssueReport, OrderRequest

Language = Literal["ru", "en"]

app = cyclopts.App(name="card", help="Issue, read and check cards.")

Reader = Annotated[str | None, Parameter(help="Reader's name or a part of it; default: the first.")]
Soft = Annotated[Path | None, Parameter(help="A software card's file in its drawer instead.")]
Lang = Annotated[Language, Parameter(name="--lang", help="Language of messages: ru or en.")]
Centre = Annotated[
    str, Parameter(env_var="SPK_CENTRE", help="Address of the centre's HTTP gateway.")
]
TokenFile = Annotated[
    Path | None,
    Parameter(
        env_var="SPK_STATION_TOKEN_FILE", help="The station's token (spk cards add-station)."
    ),
]

TransportPin = Annotated[
    bool, Parameter(help="Its PIN is the last six digits of its number until the holder's own.")
]


class CommandFailed(Exception):
    """A foreseen error in the words of the language asked for."""

    exit_code = 1


@app.command
def issue(
    *,
    snils: Annotated[str | None, Parameter(help="The citizen's СНИЛС.")] = None,
    citizen: Annotated[UUID | None, Parameter(help="Or the citizen's id in the register.")] = None,
    replace: Annotated[bool, Parameter(help="Replace the citizen's active card.")] = False,
    reader: Reader = None,
    soft: Soft = None,
    centre: Centre = DEFAULT_CENTRE,
    token_file: TokenFile = None,
    hsm: Annotated[str | None, Parameter(help="Key service; default: SPK_HSM.")] = None,
    pin_file: Annotated[
        Path | None, Parameter(help="Write PIN and PUK there, for your eyes only; else shown once.")
    ] = None,
    transport_pin: TransportPin = False,
    factory_key_file: Annotated[
        Path | None, Parameter(help="The lot's factory key of slot 9B, hexadecimal.")
    ] = None,
    lang: Lang = "ru",
) -> None:
    """Write one card for a citizen, check it, and have the centre make it count.

    A card whose writing broke off is taken up where it stands, whoever it is asked for.
    """
    # httpx and the key service's client are wanted only here, not to read a card.
    from card_personalization.station.card_keys import ServiceKeys
    from card_personalization.station.centre import CentreClient, read_token
    from card_personalization.station.issuing import Station
    from card_personalization.station.journal import Journal
    from card_personalization.station.lot import Lot
    from card_personalization.station.orders import WalkIn
    from hsm_stub.client.client import connect

    def hand_over(letter: PinLetter, _again: bool) -> None:
        if pin_file is None:
            print(letter.text(lang), end="", flush=True)
        else:
            write_letter(letter, pin_file, lang)

    with (
        in_words(lang),
        CentreClient(centre, read_token(token_file)) as client,
        connect(hsm_address(hsm, os.environ)) as service,
        Journal.open(station_folder(None, os.environ)) as journal,
    ):
        if pin_file is not None and pin_file.exists():
            # Found out now, before anything is written to the card.
            raise StationError(StationFault.FILE_EXISTS, path=str(pin_file))
        lot = Lot(factory_key=read_factory_key(factory_key_file))
        keys = ServiceKeys(service)
        station = Station(journal, keys, lot, hand_over, client, transport_pins=transport_pin)
        request = OrderRequest(snils=snils, citizen_id=citizen, replace=replace)
        orders = WalkIn(client, request)
        try:
            with card_at(reader, soft) as card:
                served = station.serve(card, orders, lambda step: _print_step(step, lang))
        finally:
            orders.give_up()
    if served.issued is None:
        raise CommandFailed(served.text(lang))
    _print_issued(served.issued, lang)
    if served.resumed:
        ru = "Это карта, выпуск которой прервался раньше; новая не заказана"
        en = "This is a card whose issue broke off before; no new one was ordered"
        print(ru if lang == "ru" else en)


@app.command
def report(
    order_id: UUID,
    /,
    *,
    reader: Reader = None,
    soft: Soft = None,
    transport_pin: TransportPin = False,
    centre: Centre = DEFAULT_CENTRE,
    token_file: TokenFile = None,
    lang: Lang = "ru",
) -> None:
    """Report a written card that this station's journal does not know, by the card itself."""
    from card_personalization.station.centre import CentreClient, read_token
    from card_personalization.station.writing import sign_proof

    with (
        in_words(lang),
        CentreClient(centre, read_token(token_file)) as client,
        card_at(reader, soft) as card,
    ):
        order = client.read_order(order_id)
        card.select()
        view = read_card(card)
        if view.card_id != order.card_id:
            raise StationError(
                StationFault.ORDER_OTHER_CARD,
                card_id=str(view.card_id),
                ordered_id=str(order.card_id),
            )
        certificates = {certificate.slot: certificate.der for certificate in view.certificates}
        if len(certificates) < 2:
            raise StationError(StationFault.CARD_NOT_BLANK)
        issued = client.report(
            order.order_id,
            IssueReport(
                certificate_tap=certificates[Slot.CARD_AUTHENTICATION],
                certificate_pin=certificates[Slot.AUTHENTICATION],
                proof=sign_proof(card, order),
                pin_is_transport=transport_pin,
            ),
        )
    _print_issued(issued, lang)


@app.command
def show(*, reader: Reader = None, soft: Soft = None, lang: Lang = "ru") -> None:
    """Show what a card holds, and have it prove the key that signs a tap."""
    with in_words(lang), card_at(reader, soft) as card:
        card.select()
        try:
            view = read_card(card)
        except StatusError as error:
            if error.fault is CardFault.NOT_FOUND:
                raise StationError(StationFault.CARD_BLANK) from None
            raise
        proven = False
        for certificate in view.certificates:
            if certificate.slot is Slot.CARD_AUTHENTICATION:
                challenge(card, certificate.slot, certificate.point)
                proven = True
    Console(highlight=False).print(_card_table(view, proven=proven, lang=lang))


@app.command
def blank(
    *,
    drawer: Annotated[Path, Parameter(help="Folder of software cards; made when missing.")],
    count: Annotated[int, Parameter(help="How many cards.")] = 1,
    lang: Lang = "ru",
) -> None:
    """Make blank software cards, as if a lot had come from the factory."""
    with in_words(lang):
        paths = fill_drawer(drawer, count)
    for path in paths:
        print(path)


@app.command(name="change-pin")
def change_pin_of_card(
    *,
    reader: Reader = None,
    soft: Soft = None,
    pin_file: Annotated[Path | None, Parameter(help="File with the PIN; else asked for.")] = None,
    new_pin_file: Annotated[Path | None, Parameter(help="File with the new PIN.")] = None,
    centre: Centre = DEFAULT_CENTRE,
    token_file: TokenFile = None,
    lang: Lang = "ru",
) -> None:
    """Change a card's PIN; a wrong one costs an attempt, and those left are shown.

    A transport PIN is not asked for, and wants the station's token: from its change on the centre
    takes the card's PIN. If that broke off, repeat it with the same new PIN.
    """
    from card_personalization.station.centre import CentreClient, read_token
    from card_personalization.station.own_pin import change_pin

    ru = lang == "ru"
    with in_words(lang), ExitStack() as stack:
        client = None
        if token_file is not None:
            client = stack.enter_context(CentreClient(centre, read_token(token_file)))
        was_transport = change_pin(
            stack.enter_context(card_at(reader, soft)),
            client,
            lambda: read_code("Нынешний ПИН-код: " if ru else "PIN now: ", pin_file),
            lambda: read_code("Новый ПИН-код: " if ru else "New PIN: ", new_pin_file, repeat=lang),
        )
    print("ПИН-код изменён" if ru else "The PIN is changed")
    if was_transport:
        ru_told, en_told = "Центр принимает ПИН-код этой карты", "The centre takes this card's PIN"
        print(ru_told if ru else en_told)


@app.command
def reset(
    *,
    reader: Reader = None,
    soft: Soft = None,
    centre: Centre = DEFAULT_CENTRE,
    token_file: TokenFile = None,
    lang: Lang = "ru",
) -> None:
    """Wipe a card whose writing broke off, or a blocked one, back to its factory state."""
    from card_personalization.station.centre import CentreClient, read_token
    from card_personalization.station.reset import reset_card

    with (
        in_words(lang),
        CentreClient(centre, read_token(token_file)) as client,
        card_at(reader, soft) as card,
    ):
        reset_card(card, client)
    print("Карта чистая, её можно выпустить" if lang == "ru" else "The card is blank again")


@app.command
def refresh(
    *,
    reader: Reader = None,
    soft: Soft = None,
    centre: Centre = DEFAULT_CENTRE,
    token_file: TokenFile = None,
    hsm: Annotated[str | None, Parameter(help="Key service; default: SPK_HSM.")] = None,
    lang: Lang = "ru",
) -> None:
    """Renew the social passport on a card, which lets it be served offline."""
    from card_personalization.station.centre import CentreClient, read_token
    from card_personalization.station.passport import refresh_passport
    from hsm_stub.client.client import connect

    with (
        in_words(lang),
        CentreClient(centre, read_token(token_file)) as client,
        connect(hsm_address(hsm, os.environ)) as keys,
        card_at(reader, soft) as card,
    ):
        written = refresh_passport(card, client, keys)
    ru = "Социальный паспорт обновлён" if written else "Социальный паспорт на карте свежий"
    en = "The social passport was renewed" if written else "The social passport is up to date"
    print(ru if lang == "ru" else en)


@app.command
def block(
    card_id: Annotated[UUID, Parameter(help="The card's GUID, as spk card show prints it.")],
    /,
    *,
    centre: Centre = DEFAULT_CENTRE,
    token_file: TokenFile = None,
    lang: Lang = "ru",
) -> None:
    """Block a card at once, wherever it may act."""
    from card_personalization.station.centre import CentreClient, read_token

    with in_words(lang), CentreClient(centre, read_token(token_file)) as client:
        status = client.block(card_id)
    states = {"active": "действует", "blocked": "заблокирована", "replaced": "заменена"}
    state = states[status.state.value] if lang == "ru" else status.state.value
    print(f"{'Карта' if lang == 'ru' else 'Card'} {status.card_number}: {state}")


@contextmanager
def in_words(lang: Language) -> Iterator[None]:
    """Turn foreseen errors of station and card into the sentence of the language asked for."""
    try:
        yield
    except (StationError, CardError) as error:
        raise CommandFailed(words(error, lang)) from error


def _print_step(step: Step, lang: Language) -> None:
    print(f"[{step.number}/{len(Step)}] {step.text(lang)}", flush=True)


def _print_issued(issued: IssuedCard, lang: Language) -> None:
    number, card_id, count = issued.card_number, issued.card_id, issued.holder_count
    if lang == "ru":
        print(f"Карта {number} действует (GUID {card_id}), получателей по ней: {count}")
    else:
        print(f"Card {number} counts (GUID {card_id}), rights holders it acts for: {count}")


def _card_table(view: CardView, *, proven: bool, lang: Language) -> Table:
    ru = lang == "ru"
    table = Table(show_header=False, title="Социальная карта" if ru else "Social card")
    attempts = "—" if view.pin_attempts is None else str(view.pin_attempts)
    table.add_row("Номер" if ru else "Number", view.card_number or "—")
    table.add_row("GUID", str(view.card_id))
    table.add_row("Действует по" if ru else "Valid to", f"{view.expires_on:%d.%m.%Y}")
    for certificate in view.certificates:
        table.add_row(
            f"{'Сертификат' if ru else 'Certificate'} {certificate.slot:X}",
            f"{certificate.not_before:%d.%m.%Y} – {certificate.not_after:%d.%m.%Y}\n"
            f"{certificate.issuer}",
        )
    yes, no = ("да", "нет") if ru else ("yes", "no")
    table.add_row("Ключ 9E подтверждён" if ru else "Key 9E proven", yes if proven else no)
    table.add_row(
        "Попыток ПИН-кода" if ru else "PIN attempts left",
        "—" if attempts is None else str(attempts),
    )
    return table
