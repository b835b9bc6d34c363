"""The station's core: a card is put in, and what the journal says of it decides what is done.

    station = Station(journal, keys, lot, hand_over, centre)
    served = station.serve(card, orders, on_step)     one card at one reader, until it may leave
    station.settle()                                  letters and reports that are outstanding

`serve` never raises what it foresees: `Served` says what became of the card, in words, and whether
it has to be put in again. A card that the journal knows is taken up where it stands; a blank one
gets the next order; any other is set aside untouched. Threads, one per reader, may share a station
(`line` does that); the Textual screen and the plain commands stand on this same core.

Nothing is lost or doubled, because an order is bound to a card in the journal before the card is
written, is freed only when that card is written down as spoiled, and is reported with the keys of
the card that was verified, of which the centre counts one per order.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

import msgspec

from card_personalization.chip.errors import (
    AlreadyIssued,
    AttestationError,
    CardError,
    CardTooSmall,
    CodesBlocked,
    Language,
    TransportError,
    WrongFactoryKey,
)
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.profiles.detection import (
    check_blank,
    detect_family,
    require_family,
)
from card_personalization.chip.profiles.family import Access, CardIdentity, Condition
from card_personalization.chip.profiles.probing import guid_on
from card_personalization.station.card_keys import CardKeys
from card_personalization.station.faults import (
    CentreAway,
    CentreRefused,
    FaultText,
    StationError,
    StationFault,
    words,
)
from card_personalization.station.journal import (
    Begun,
    Dropped,
    Failed,
    Issued,
    Job,
    Journal,
    LetterGiven,
    Loaded,
    Phase,
    Spoiled,
    SpoilTold,
    Verified,
    now_ms,
)
from card_personalization.station.lot import Lot
from card_personalization.station.orders import OrderSource
from card_personalization.station.pin_letter import PinLetter, draw_letter, transport_letter
from card_personalization.station.sealing import open_codes, seal_codes
from card_personalization.station.steps import Step
from card_personalization.station.writing import Bench, VerifiedCard, finish, load, verify
from hsm_stub.client.errors import HsmError
from processing.wire.api import (
    CardOrder,
    CardStatus,
    IssuedCard,
    IssueReport,
    OrderState,
    ProblemType,
)
from processing.wire.batches import WrittenStage

TRIES_MAX: Final = 2
"""How often a card may refuse something before it counts as spoiled: dirt is wiped off once."""

OnStep = Callable[[Step], None]
HandOver = Callable[[PinLetter, bool], None]
"""Prints a letter; told whether one may have been printed for this card before."""

_ORDER_ENDED: Final = frozenset(
    {
        ProblemType.ORDER_UNKNOWN,
        ProblemType.ORDER_GIVEN_UP,
        ProblemType.ORDER_ISSUED,
        ProblemType.CARD_UNKNOWN,
    }
)
_CARD_REFUSED: Final = frozenset({ProblemType.CERTIFICATE_WRONG, ProblemType.PROOF_WRONG})
_HOPELESS: Final = frozenset({StationFault.READ_BACK_DIFFERS, StationFault.KEY_UNPROVEN})
_LETTER_LOST: Final = frozenset({StationFault.MAILER_PRINTED, StationFault.MAILER_SPOILED})
_NOT_THE_CARDS: Final = frozenset(
    {
        StationFault.JOURNAL,
        StationFault.STOPPED,
        StationFault.FILE_UNUSABLE,
        StationFault.FILE_EXISTS,
        StationFault.TOKEN_UNUSABLE,
        StationFault.ORDER_NOT_IN_BATCH,
        StationFault.BATCH_WITHOUT_KEYS,
    }
)


_STAGES_OF: Final = {
    Phase.BEGUN: (),
    Phase.LOADED: (WrittenStage.KEYED, WrittenStage.LOADED),
    Phase.VERIFIED: tuple(WrittenStage),
    Phase.ISSUED: (),
}


class CentreDesk(Protocol):
    """The part of the centre that a card under way needs."""

    def passport(self, card_id: UUID) -> bytes:
        """Return the social passport of a card that is ordered."""

    def report(self, order_id: UUID, report: IssueReport) -> IssuedCard:
        """Report a written card; from the answer on it counts."""

    def card(self, card_id: UUID) -> CardStatus | None:
        """Return a card; None when the centre knows none with this GUID."""

    def spoiled(self, order_id: UUID, reason: str) -> CardOrder | None:
        """Tell of a spoiled card; the fresh order in its place, None where none is made."""

    def stage(self, order_id: UUID, stage: WrittenStage) -> object:
        """Tell how far an order's card is."""


class Outcome(StrEnum):
    """What became of a card that was put in."""

    ISSUED = "issued"
    """It counts."""
    WRITTEN = "written"
    """It is finished and verified; its letter or its report is outstanding."""
    INTERRUPTED = "interrupted"
    """Put this very card in again: it is taken up where it stands."""
    SET_ASIDE = "set_aside"
    """Not one to write; it is as it was, and no order was touched."""
    SPOILED = "spoiled"
    """It is waste; a fresh order takes the place of its order."""
    NO_ORDERS = "no_orders"
    """It is blank, and no order waits."""


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a card; `fault` says why, `order` whose it is, `resumed` if it was begun."""

    outcome: Outcome
    order: CardOrder | None = None
    issued: IssuedCard | None = None
    fault: BaseException | None = None
    resumed: bool = False

    def text(self, language: Language) -> str:
        """The whole story in one or two sentences: what became of it, why, what to do."""
        number = "" if self.order is None else self.order.card_number
        told = _OUTCOME_TEXTS[self.outcome]
        head = (told.ru if language == "ru" else told.en).format(number=number)
        return head if self.fault is None else f"{head} {words(self.fault, language)}"


_OUTCOME_TEXTS: Final[dict[Outcome, FaultText]] = {
    Outcome.ISSUED: FaultText("Карта {number} выпущена.", "Card {number} is issued."),
    Outcome.WRITTEN: FaultText(
        "Карта {number} записана и проверена, но ещё не действует: конверт или отчёт не "
        "отправлен. Повторить: spk station resume.",
        "Card {number} is written and verified and does not count yet: its letter or report is "
        "outstanding. Repeat: spk station resume.",
    ),
    Outcome.INTERRUPTED: FaultText(
        "Запись прервана. Вставьте ту же карту ещё раз: выпуск продолжится.",
        "The writing broke off. Put the same card in again: its issue goes on.",
    ),
    Outcome.SET_ASIDE: FaultText(
        "Карта отложена, на ней ничего не изменено.",
        "The card is set aside, nothing on it was changed.",
    ),
    Outcome.SPOILED: FaultText(
        "Карта испорчена: пробейте её и положите в брак. Заявка не пропала.",
        "The card is spoiled: punch it and put it with the waste. Its order is not lost.",
    ),
    Outcome.NO_ORDERS: FaultText(
        "Заявок больше нет. Карта чистая, верните её в запас.",
        "No order waits. The card is blank, put it back into the stock.",
    ),
}


class _Found(msgspec.Struct, frozen=True):
    """A card that was recognised."""

    bench: Bench
    guid: bytes | None
    chip: str


class Station:
    """A station at work. `centre` None: a bureau without a line to it, whose reports wait.

    With `transport_pins` the cards that it begins go out with their transport PIN, no letter.
    """

    def __init__(
        self,
        journal: Journal,
        keys: CardKeys,
        lot: Lot,
        hand_over: HandOver,
        centre: CentreDesk | None,
        *,
        transport_pins: bool = False,
    ) -> None:
        self._draw_codes = transport_letter if transport_pins else draw_letter
        self._transport_pins = transport_pins
        self.journal = journal
        self._keys = keys
        self._lot = lot
        self._hand_over = hand_over
        self._centre = centre
        self._claims: set[UUID] = set()
        # Kinds of cards that had room in this run: the others of their lot are made alike.
        self._roomy: set[tuple[str, tuple[int, ...] | None]] = set()

    def serve(self, card: PivClient, orders: OrderSource, on_step: OnStep) -> Served:
        """Make of the card at a reader what can be made of it. KeyboardInterrupt passes."""
        job: Job | None = None
        resumed = False
        try:
            found = self._recognise(card, on_step)
            job = self._claim_known(found)
            resumed = job is not None
            if job is None:
                job = self._begin(found, orders)
                if job is None:
                    return Served(outcome=Outcome.NO_ORDERS)
            served = self._work(job, found, on_step)
            return msgspec.structs.replace(served, resumed=resumed)
        except (CardError, StationError, HsmError) as error:
            return self._failed(job, card, orders, error, resumed=resumed)
        finally:
            if job is not None:
                with self.journal.locked():
                    self._claims.discard(job.order.order_id)

    def settle(self, orders: OrderSource, on_step: OnStep) -> tuple[Served, ...]:
        """Do what is outstanding without a card: letters, reports, spoiled cards to be told.

        What came of each verified card. CentreAway, HsmError of the last are in it, not raised.
        """
        self._tell_spoiled(orders)
        settled = []
        for job in self.journal.ledger.open_jobs:
            if job.phase is Phase.VERIFIED and self._claim(job.order.order_id):
                try:
                    settled.append(self._settle(job, on_step))
                except (StationError, HsmError) as error:
                    settled.append(self._unsettled(job, orders, error))
                finally:
                    self._claims.discard(job.order.order_id)
        return tuple(settled)

    def spoil(self, job: Job | None, card: str, ru: str, en: str) -> None:
        """Write a card down as waste by hand: one that is lost, bent or misprinted, and why."""
        order_id = None if job is None else job.order.order_id
        self._write_spoiled(order_id, card, StationError(StationFault.CHOICE, ru=ru, en=en))

    # -- recognising ------------------------------------------------------------------------

    def _recognise(self, card: PivClient, on_step: OnStep) -> _Found:
        on_step(Step.RECOGNISE)
        card.select()
        driver = detect_family(card)
        identity = driver.identify(card)
        guid = guid_on(card)
        factory_key = self._lot.factory_key_of(driver, identity, guid)
        bench = Bench(
            card=card, driver=driver, identity=identity, factory_key=factory_key, on_step=on_step
        )
        return _Found(bench, guid, chip_of(identity))

    def _claim_known(self, found: _Found) -> Job | None:
        """The open job that this card belongs to, claimed for this reader."""
        with self.journal.locked():
            ledger = self.journal.ledger
            job = ledger.by_guid(found.guid) or ledger.by_chip(found.chip)
            if job is None and not found.chip and found.guid is None:
                free = (
                    each
                    for each in ledger.unmarked(found.bench.driver.name)
                    if each.order.order_id not in self._claims
                )
                job = next(free, None)
            if job is None:
                return None
            if job.issued or (job.chip and job.chip != found.chip):
                raise AlreadyIssued(job.guid)
            if not self._claim(job.order.order_id):
                raise StationError(StationFault.CARD_AT_OTHER_READER)
            return job

    def _claim(self, order_id: UUID) -> bool:
        with self.journal.locked():
            if order_id in self._claims:
                return False
            self._claims.add(order_id)
            return True

    def _begin(self, found: _Found, orders: OrderSource) -> Job | None:
        """Bind the next order to a blank card; None when there is none."""
        bench = found.bench
        bench.on_step(Step.CHECK)
        require_family(bench.driver, self._lot.families or {bench.driver.name})
        try:
            check_blank(bench.driver, bench.card, bench.factory)
        except AlreadyIssued as error:
            raise self._in_use(error) from None
        bench.on_step(Step.ORDER)
        order = orders.take()
        if order is None:
            return None
        record = Begun(at_ms=now_ms(), order=order, family=bench.driver.name, chip=found.chip)
        try:
            self._claim(order.order_id)
            self.journal.write(record, sync=True)
        except StationError:
            orders.put_back(order)
            raise
        return self.journal.ledger.jobs[order.order_id]

    def _in_use(self, error: AlreadyIssued) -> CardError | StationError:
        """Say whose number an issued card has, if the centre can be asked."""
        try:
            known = None if self._centre is None else self._centre.card(UUID(bytes=error.guid))
        except StationError:
            return error
        if known is None:
            return error
        return StationError(
            StationFault.CARD_IN_USE, card_number=known.card_number, card_id=str(known.card_id)
        )

    # -- writing ----------------------------------------------------------------------------

    def _work(self, job: Job, found: _Found, on_step: OnStep) -> Served:
        if job.phase is Phase.VERIFIED:
            return self._settle(job, on_step)
        bench, order, loaded = found.bench, job.order, job.loaded
        channel = bench.driver.has_channel
        finished = False
        letter: PinLetter | None = None
        if loaded is not None:
            secrets = self._keys.secrets(order, channel=channel, card_master=loaded.card_master)
            letter = open_codes(loaded.codes, secrets.management_key, job.guid)
            finished = self._is_finished(bench, job, bench.own(secrets, letter))
        if loaded is None or not finished:
            kind = (bench.driver.name, bench.identity.version)
            try_room = kind not in self._roomy
            made = load(bench, order, self._keys, self._centre, self._lot, try_room=try_room)
            self._roomy.add(kind)
            secrets = self._keys.secrets(order, channel=channel)
            # What a broken-off run drew stays, so that a card has one PIN.
            pin_is_transport = self._transport_pins if loaded is None else loaded.pin_is_transport
            letter = letter or self._draw_codes(order.card_number)
            loaded = Loaded(
                at_ms=now_ms(),
                order_id=order.order_id,
                digests=made.digests,
                codes=seal_codes(letter, secrets.management_key, job.guid),
                card_master=secrets.card_master,
                attestations=made.attestations,
                pin_is_transport=pin_is_transport,
            )
            self.journal.write(loaded, sync=True)
            finish(bench, secrets, letter)
        if letter is None:
            raise AssertionError("a finished card was loaded, and its letter with it")
        found_on_card = verify(bench, order, loaded.digests, letter)
        self.journal.write(_verified(order, found_on_card), sync=True)
        return self._settle(self.journal.ledger.jobs[order.order_id], on_step, letter)

    def _is_finished(self, bench: Bench, job: Job, own: Access) -> bool:
        """Whether a card that was loaded is locked already; if not it is loaded again."""
        findings = bench.driver.inspect(bench.card, bench.factory, own)
        match findings.condition:
            case Condition.FINISHED:
                if findings.guid != job.guid:
                    raise StationError(StationFault.READ_BACK_DIFFERS, what="CHUID")
                return True
            case Condition.FOREIGN:
                raise WrongFactoryKey("9B, SCP03")
            case Condition.BLANK | Condition.BEGUN:
                return False

    # -- letter and report -------------------------------------------------------------------

    def _settle(self, job: Job, on_step: OnStep, letter: PinLetter | None = None) -> Served:
        """Hand the letter over, then report: from the centre's answer on the card counts."""
        order, verified, loaded = job.order, job.verified, job.loaded
        if verified is None or loaded is None:
            raise AssertionError("only a verified card is settled")
        if not job.letter_given:
            if not loaded.pin_is_transport:
                on_step(Step.LETTER)
                # A letter that is drawn in this very run was never printed.
                again = letter is None
                self._hand_over(letter or self._letter_of(job, loaded), again)
            self.journal.write(LetterGiven(at_ms=now_ms(), order_id=order.order_id))
        if self._centre is None:
            return Served(outcome=Outcome.WRITTEN, order=order)
        on_step(Step.REPORT)
        issued = self._centre.report(order.order_id, report_of(verified, loaded))
        self.journal.write(Issued(at_ms=now_ms(), order_id=order.order_id))
        return Served(outcome=Outcome.ISSUED, order=order, issued=issued)

    def _letter_of(self, job: Job, loaded: Loaded) -> PinLetter:
        secrets = self._keys.secrets(job.order, channel=False, card_master=loaded.card_master)
        return open_codes(loaded.codes, secrets.management_key, job.guid)

    # -- failing ------------------------------------------------------------------------------

    def _failed(
        self,
        job: Job | None,
        card: PivClient,
        orders: OrderSource,
        error: CardError | StationError | HsmError,
        *,
        resumed: bool,
    ) -> Served:
        """Decide what a failure means for card and order."""
        if job is None:
            gone = isinstance(error, TransportError | CentreAway | HsmError)
            outcome = Outcome.INTERRUPTED if gone else Outcome.SET_ASIDE
            return Served(outcome=outcome, fault=error)
        job = self.journal.ledger.jobs.get(job.order.order_id, job)
        if job.phase is Phase.VERIFIED:
            return self._unsettled(job, orders, error)
        if isinstance(error, CentreRefused) and error.problem.kind in _ORDER_ENDED:
            return self._spoil_job(job, orders, error)
        if _is_outside(error):
            self._tell_stage(job)
            return Served(
                outcome=Outcome.INTERRUPTED, order=job.order, fault=error, resumed=resumed
            )
        if isinstance(error, CardTooSmall) and self._blank_again(card):
            self.journal.write(Dropped(at_ms=now_ms(), order_id=job.order.order_id), sync=True)
            orders.put_back(job.order)
            return Served(outcome=Outcome.SET_ASIDE, fault=error)
        if not _is_hopeless(error) and job.failures + 1 < TRIES_MAX:
            fault = type(error).__name__
            failed = Failed(at_ms=now_ms(), order_id=job.order.order_id, fault=fault)
            self.journal.write(failed, sync=True)
            return Served(
                outcome=Outcome.INTERRUPTED, order=job.order, fault=error, resumed=resumed
            )
        return self._spoil_job(job, orders, error)

    def _unsettled(
        self, job: Job, orders: OrderSource, error: CardError | StationError | HsmError
    ) -> Served:
        """A verified card stays one, unless the centre refuses it for good."""
        refused = isinstance(error, CentreRefused) and error.problem.kind in (
            _ORDER_ENDED | _CARD_REFUSED
        )
        if refused or (isinstance(error, StationError) and error.fault in _LETTER_LOST):
            return self._spoil_job(job, orders, error)
        self._tell_stage(job)
        return Served(outcome=Outcome.WRITTEN, order=job.order, fault=error)

    def _spoil_job(
        self, job: Job, orders: OrderSource, error: CardError | StationError | HsmError
    ) -> Served:
        self._write_spoiled(job.order.order_id, job.chip or job.guid.hex(), error)
        self._tell_spoiled(orders)
        return Served(outcome=Outcome.SPOILED, order=job.order, fault=error)

    def _tell_stage(self, job: Job) -> None:
        """Let the centre know of a card that waits; a finished one's report tells all at once."""
        if self._centre is None:
            return
        try:
            for stage in _STAGES_OF[job.phase]:
                self._centre.stage(job.order.order_id, stage)
        except StationError:
            # It is told for the operator's eyes only; the report is what counts.
            return

    def _tell_spoiled(self, orders: OrderSource) -> None:
        """Tell the centre of spoiled cards, whose orders it replaces; what it cannot hear waits."""
        if self._centre is None:
            return
        for order_id, record in tuple(self.journal.ledger.untold.items()):
            try:
                fresh = self._centre.spoiled(order_id, record.ru)
            except CentreRefused:
                # It was given up or issued meanwhile: there is nothing to replace.
                fresh = None
            except StationError:
                return
            self.journal.write(SpoilTold(at_ms=now_ms(), order_id=order_id))
            if fresh is not None and fresh.state is OrderState.ORDERED:
                orders.put_back(fresh)

    def _write_spoiled(
        self, order_id: UUID | None, card: str, error: CardError | StationError | HsmError
    ) -> None:
        record = Spoiled(
            at_ms=now_ms(),
            order_id=order_id,
            card=card,
            fault=str(getattr(error, "fault", type(error).__name__)),
            ru=words(error, "ru"),
            en=words(error, "en"),
        )
        self.journal.write(record, sync=True)

    def _blank_again(self, card: PivClient) -> bool:
        """Whether a card that turned out too small has nothing of ours on it."""
        try:
            card.select()
            driver = detect_family(card)
            identity = driver.identify(card)
            key = self._lot.factory_key_of(driver, identity, None)
            findings = driver.inspect(card, driver.factory_access(key))
        except (CardError, StationError):
            return False
        return findings.condition is Condition.BLANK


def chip_of(identity: CardIdentity) -> str:
    """What tells one chip from all others of its family; "" where it has no number."""
    if identity.production is not None:
        return f"{identity.family}:{identity.production.hex()}"
    return "" if identity.serial is None else f"{identity.family}:{identity.serial}"


def report_of(verified: Verified, loaded: Loaded) -> IssueReport:
    """The report of a verified card."""
    return IssueReport(
        certificate_tap=verified.certificate_tap,
        certificate_pin=verified.certificate_pin,
        proof=verified.proof,
        card_master=loaded.card_master,
        pin_is_transport=loaded.pin_is_transport,
    )


def _verified(order: CardOrder, found: VerifiedCard) -> Verified:
    return Verified(
        at_ms=now_ms(),
        order_id=order.order_id,
        certificate_tap=found.certificate_tap,
        certificate_pin=found.certificate_pin,
        proof=found.proof,
    )


def _is_outside(error: CardError | StationError | HsmError) -> bool:
    """Whether the card is innocent: it left, or centre, key service or disk did not answer."""
    if isinstance(error, TransportError | CentreAway | CentreRefused | HsmError):
        return True
    return isinstance(error, StationError) and error.fault in _NOT_THE_CARDS


def _is_hopeless(error: CardError | StationError | HsmError) -> bool:
    if isinstance(error, AttestationError | CardTooSmall | CodesBlocked):
        return True
    return isinstance(error, StationError) and error.fault in _HOPELESS
