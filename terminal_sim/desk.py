"""The cashier's desk: where the terminal's files and the card are, and what a sale goes through."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from getpass import getpass
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cyclopts import Parameter

from card_personalization.chip.errors import AttemptError
from processing.wire.outcome import Outcome
from processing.wire.parameter_file import SIZE_MAX_BYTES, ParameterFile, ParameterFileError
from processing.wire.temporary_card import TEXT_LENGTH_MAX
from processing.wire.transaction import Answer, Evidence, Kind, Line, Right
from terminal_sim.card import (
    AskPin,
    KeyUnknown,
    Presented,
    PresentedCard,
    drawer_card,
    reader_card,
)
from terminal_sim.errors import Language, TerminalError
from terminal_sim.link import Link
from terminal_sim.order import check_way, holding_for, known_service, named_holder
from terminal_sim.results import Result, Sale
from terminal_sim.rules import RulesShelf, rules_fetcher
from terminal_sim.stop_lists import StopListShelf
from terminal_sim.store import Store
from terminal_sim.temporary import PresentedCode
from terminal_sim.terminal import Terminal
from terminal_sim.texts import Phrase
from terminal_sim.till import NewestKeys, Till
from terminal_sim.trust import TrustShelf, trust_fetcher

UUID_DIGITS: Final = 32
PIN_FILE_MAX_BYTES: Final = 64
LEARN_TIMEOUT_MS: Final = 3_000
"""Longest wait for newer keys while a citizen stands at the till."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Desk:
    """Where everything is: options that every command takes."""

    params: Annotated[Path, Parameter(env_var="SPK_TERMINAL_PARAMS")]
    """The terminal's parameter file, as the centre wrote it."""
    state: Annotated[Path | None, Parameter(env_var="SPK_TERMINAL_STATE")] = None
    """Folder of the terminal's state; beside the parameter file when left out."""
    reader: str | None = None
    """PC/SC reader, by name or a part of it; the first one when left out."""
    soft: Path | None = None
    """A software card's file instead of a reader."""
    qr: Path | None = None
    """File with the text of a temporary card's QR code instead of a card; - is the input."""
    lang: Annotated[Language, Parameter(env_var="SPK_TERMINAL_LANG")] = "ru"
    """Language of screen and receipt."""
    pin_file: Path | None = None
    """File with the card's PIN, for machines; people are asked."""

    @property
    def state_folder(self) -> Path:
        """Return the folder of the terminal's state."""
        return self.state or self.params.with_suffix(".state")

    @property
    def receipts_folder(self) -> Path:
        """Return the folder where receipts are kept."""
        return self.state_folder / "receipts"


def now_ms() -> int:
    """Return the time of this machine: UTC milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def pause(milliseconds: int) -> None:
    """Wait."""
    time.sleep(milliseconds / 1000)


def read_parameters(file: Path) -> ParameterFile:
    """Read a parameter file. Raises `TerminalError` or `ParameterFileError`."""
    try:
        with file.open("rb") as opened:
            return ParameterFile.decode(opened.read(SIZE_MAX_BYTES + 1))
    except OSError as error:
        raise TerminalError(
            f"Файл параметров не читается: {error}", f"the parameter file cannot be read: {error}"
        ) from error
    except ParameterFileError as error:
        raise TerminalError(f"Файл параметров {file}: {error}", f"{file}: {error}") from error


@contextmanager
def open_till(desk: Desk) -> Iterator[Till]:
    """Open the terminal for the time of the block; its state folder is locked meanwhile."""
    trust = TrustShelf(desk.state_folder, read_parameters(desk.params))
    rules = RulesShelf(desk.state_folder, trust.parameters())
    parameters = rules.parameters(now_ms())
    with Store.open(desk.state_folder, parameters, now_ms()) as store:
        terminal = Terminal(parameters, store.state, os.urandom)
        link = Link(parameters, now_ms)
        try:
            shelf = StopListShelf(desk.state_folder, parameters.content_keys)
            # Keys that are too old to be relied on are no ground for a list signed with them.
            lists = shelf.lists if trust.usable(now_ms()) else None
            until_ms, learn = rules.usable_until_ms, _learner(desk, trust)
            yield Till(terminal, store, link, now_ms, pause, lists, until_ms, learn)
        finally:
            link.close()


def follow_rules(desk: Desk, till: Till, mark: str) -> RulesShelf | None:
    """Fetch newer rules when the centre told of them and go by them at once; None: it was not so.

    Raises `TerminalError` when they cannot be had: the terminal goes on by those at hand.
    """
    trust = TrustShelf(desk.state_folder, read_parameters(desk.params))
    shelf = RulesShelf(desk.state_folder, trust.parameters())
    parameters = till.terminal.parameters
    if not parameters.content_url or not shelf.behind(mark, now_ms()):
        return None
    if trust.renew(trust_fetcher(parameters, None)):
        # The rules may be signed with a key that only the trust list tells.
        shelf = RulesShelf(desk.state_folder, trust.parameters())
    if not shelf.renew(rules_fetcher(parameters, None)):
        return None
    till.terminal.parameters = shelf.parameters(now_ms())
    till.rules_until_ms = shelf.usable_until_ms
    return shelf


def _learner(desk: Desk, trust: TrustShelf) -> NewestKeys:
    def learn() -> ParameterFile | None:
        try:
            fetch = trust_fetcher(trust.parameters(), None, timeout_ms=LEARN_TIMEOUT_MS)
            renewed = trust.renew(fetch)
        except TerminalError:
            # Whoever wanted the keys says what is missing.
            return None
        rules = RulesShelf(desk.state_folder, trust.parameters())
        return rules.parameters(now_ms()) if renewed else None

    return learn


@contextmanager
def present_card(desk: Desk, till: Till, reader: str | None = None) -> Iterator[Presented]:
    """Read the card at the reader, the software card or the code, for the time of the block."""
    if desk.qr is not None:
        text = _scanned(desk.qr)
        yield read_presented(
            till, lambda parameters: PresentedCode.read(text, parameters, now_ms())
        )
        return
    source = reader_card(reader or desk.reader) if desk.soft is None else drawer_card(desk.soft)
    with source as transport:
        yield read_presented(till, lambda known: PresentedCard.read(transport, known, now_ms()))


def read_presented(till: Till, read: Callable[[ParameterFile], Presented]) -> Presented:
    """Read what is presented; a key that is not known may be one that the centre has since."""
    try:
        return read(till.terminal.parameters)
    except KeyUnknown:
        if not till.learn_keys():
            raise
        return read(till.terminal.parameters)


def _scanned(file: Path) -> str:
    try:
        if file == Path("-"):
            return sys.stdin.readline(TEXT_LENGTH_MAX + 2)
        with file.open("rb") as opened:
            return opened.read(TEXT_LENGTH_MAX + 2).decode("ascii", "replace")
    except OSError as error:
        raise TerminalError(f"Код не прочитан: {error}", f"code not read: {error}") from error


def pin_asker(desk: Desk, card: Presented) -> AskPin:
    """Return what asks for the PIN: the file, or the citizen without echo."""

    def ask() -> str:
        if desk.pin_file is not None:
            return _pin_in(desk.pin_file)
        left = card.pin_attempts_remaining()
        told = f" ({Phrase.PIN_LEFT.say(desk.lang, count=left)})" if left is not None else ""
        return getpass(f"{told} {Phrase.PIN.say(desk.lang)}".strip() + " ")

    return ask


def _pin_in(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(PIN_FILE_MAX_BYTES).decode("ascii", "replace").strip()
    except OSError as error:
        raise TerminalError(
            f"Файл с ПИН-кодом не читается: {error}", f"the PIN file cannot be read: {error}"
        ) from error


Say = Callable[[str], None]
"""Shows the cashier one sentence."""


class RungUp(msgspec.Struct, frozen=True, kw_only=True):
    """What the cashier wants to sell, reserve or begin: `holder` names a rights holder or is None.

    `at_ms` is when a booked service is to be given.
    """

    service: str
    lines: tuple[Line, ...]
    holder: str | None = None
    evidence: Evidence | None = None
    offline: bool = False
    kind: Kind = Kind.SALE
    at_ms: int | None = None


class NotSent(msgspec.Struct, frozen=True):
    """A sale that was not sent, because the inquiry before it already told that it cannot be."""

    outcome: Outcome
    answer: Answer | None = None

    @property
    def exit_code(self) -> int:
        """Return 1 declined, 2 not decided."""
        return 1 if self.outcome.decided else 2


def ring_up(
    till: Till,
    card: Presented,
    wanted: RungUp,
    ask_pin: AskPin,
    rights: tuple[Right, ...] | None = None,
) -> Result | NotSent:
    """Find out for whom and under which version, then sell.

    `rights` are those already asked for with this card; None asks now, unless a whole UUID names
    the holder. Raises `OrderError` when several holders fit.
    """
    parameters = till.terminal.parameters
    service = known_service(wanted.service, parameters)
    check_way(wanted.kind, service, parameters)
    evidence = wanted.evidence or Evidence(service.evidence)
    holder_id, version = b"", service.version
    whole_id = len((wanted.holder or "").replace("-", "")) == UUID_DIGITS
    if wanted.offline and not whole_id:
        raise TerminalError(
            "Без связи права не узнать: назовите получателя целиком, --for UUID",
            "rights cannot be asked offline: name the whole holder, --for UUID",
        )
    if not whole_id and rights is None:
        asked = till.rights(card)
        if not asked.answer.outcome.approved:
            return NotSent(asked.answer.outcome, asked.answer)
        rights = asked.rights
    if wanted.holder is not None:
        holder_id = named_holder(wanted.holder, rights or ())
    else:
        holding = holding_for(wanted.lines, service.service, rights or (), parameters)
        if holding.holder_id is None:
            return NotSent(Outcome.NO_ENTITLEMENT)
        holder_id, version = holding.holder_id, holding.version or service.version
    sale = Sale(
        holder_id=holder_id,
        service=service.service,
        version=version,
        lines=wanted.lines,
        evidence=evidence,
        offline=wanted.offline,
        kind=wanted.kind,
        at_ms=wanted.at_ms,
    )
    return till.sell(card, sale, ask_pin)


def ring_up_patiently(
    desk: Desk,
    till: Till,
    card: Presented,
    wanted: RungUp,
    say: Say,
    rights: tuple[Right, ...] | None = None,
) -> Result | NotSent:
    """Ring up; a person who mistyped the PIN is asked again while attempts are left."""
    ask_pin = pin_asker(desk, card)
    while True:
        try:
            return ring_up(till, card, wanted, ask_pin, rights)
        except AttemptError as error:
            if desk.pin_file is not None or not error.attempts_remaining:
                raise
            say(error.text(desk.lang))
