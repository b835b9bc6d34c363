"""The terminal as a state machine: it builds requests and judges answers, without input or output.

Whoever drives it writes each record to the disk before acting on it (store.py), asks the card for
the signature (card.py) and carries the request to the centre (link.py).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from processing.wire.digest import request_digest
from processing.wire.outcome import Outcome
from processing.wire.parameter_file import ParameterFile, ProfileName
from processing.wire.receipt import Receipt, ReceiptError, ReceiptFault
from processing.wire.transaction import (
    CLASS_OF_KIND,
    STAN_MAX,
    Answer,
    Evidence,
    IdentifierKind,
    Kind,
    Line,
    MessageClass,
    Request,
    SignatureAlgorithm,
    TransactionKey,
    faults_of,
)
from terminal_sim.errors import Language, TerminalError
from terminal_sim.keys import MacKey, file_fingerprint, key_of_file
from terminal_sim.state import Counted, Opened, TerminalState, given

INQUIRY_SERVICE: Final = "ALL"
"""What an inquiry names as its service: it asks about all services allowed at the terminal."""

PENDING_MAX: Final = 1_000
"""Most requests without a decision; beyond it the terminal sells nothing before it was heard."""

STANS_PER_SECOND: Final = 11
"""A terminal that lost its state begins at this many STANs per second of the day: above anything
it can have used before, and still within six digits at midnight."""

NONCE_BYTES: Final = 16

WITHOUT_DECISION: Final = frozenset(
    {Outcome.KEY_REUSED, Outcome.REVERSED_BEFORE, Outcome.CLOCK_WRONG}
)
"""Answers that are final for a number although nothing is decided under it: another transaction
holds it, a reversal closed it before the request came, or its month is closed."""


class CardIdentity(msgspec.Struct, frozen=True):
    """What a request says of the card: its GUID, its region; `number` is for the receipt."""

    card_id: bytes
    issuer_region: int
    number: str
    kind: IdentifierKind = IdentifierKind.PIV_CARD


class Verdict(Enum):
    """What an answer is worth."""

    DECIDED = "decided"
    NOT_DECIDED = "not decided"
    NOT_BELIEVED = "not believed"


class Doubt(Enum):
    """Why an answer is not believed, in Russian and English."""

    NO_DECISION = ("в нём нет решения", "there is no decision in it")
    TWO_OUTCOMES = ("в нём два разных результата", "it has two outcomes")
    OTHER_REQUEST = ("он относится к другому запросу", "it decides another request")
    AMOUNTS = ("суммы не сходятся с чеком", "its amounts do not add up to what was rung up")
    UNREADABLE = ("квитанция центра не читается", "the centre's receipt cannot be read")
    OTHER_PLACE = ("в квитанции другое место журнала", "the receipt names another place")
    PATH_MISSING = ("в квитанции нет пути к корню блока", "the receipt has no path to the root")
    PATH_WRONG = ("решения нет в подписанном блоке", "the decision is not in the signed block")
    KEY_OTHER = ("подписано другим ключом", "it is signed with another key")
    SIGNATURE_WRONG = ("подпись центра неверна", "the centre's signature is wrong")

    def text(self, language: Language) -> str:
        """Return the reason for a person."""
        ru, en = self.value
        return str(ru if language == "ru" else en)


class Judgement(msgspec.Struct, frozen=True):
    """The verdict on an answer, and why it is not believed; `whole_proof`: down to the root."""

    verdict: Verdict
    doubt: Doubt | None = None
    whole_proof: bool = True


RandomBytes = Callable[[int], bytes]


class Terminal:
    """One terminal: its parameters and its state. Times are UTC milliseconds since 1970."""

    def __init__(
        self, parameters: ParameterFile, state: TerminalState, random_bytes: RandomBytes
    ) -> None:
        self.parameters = parameters
        self.state = state
        self._random_bytes = random_bytes
        self.zone = zone_of(parameters.time_zone)

    @property
    def mac_key(self) -> MacKey:
        """Return the MAC key in use: the one that came last and was proven, else the file's."""
        state = self.state
        known = state.key if state.key_file == file_fingerprint(self.parameters) else None
        return known or key_of_file(self.parameters)

    @property
    def next_mac_key(self) -> MacKey | None:
        """Return the key that came and was not used yet, if it goes with this parameter file."""
        state = self.state
        return state.next_key if state.key_file == file_fingerprint(self.parameters) else None

    def business_date(self, now_ms: int) -> date:
        """Return the day of account of a transaction begun now: today's, after a close the next."""
        day = local_date(now_ms, self.zone)
        while day in self.state.closed:
            day += timedelta(days=1)
        return day

    def next_key(self, message_class: MessageClass, now_ms: int) -> TransactionKey:
        """Return the next free key. Raises `TerminalError` when the day's numbers are used up."""
        day = self.business_date(now_ms)
        stan = self.state.last_stans.get(day, 0) + 1
        if stan > STAN_MAX:
            raise TerminalError(
                f"Номера операций за {day:%d.%m.%Y} исчерпаны: закройте день",
                f"the transaction numbers of {day} are used up: close the day",
            )
        return TransactionKey(day, self.parameters.terminal_id, stan, message_class)

    def counted(self, now_ms: int) -> Counted:
        """Return the record that takes a number for a message without a transaction."""
        key = self.next_key(MessageClass.AUTHORIZATION, now_ms)
        return Counted(key.business_date, key.stan, self.state.sequence + 1)

    def inquiry(self, card: CardIdentity, now_ms: int) -> Request:
        """Return the unsigned question what this card is entitled to here."""
        return self._request(Kind.INQUIRY, card, now_ms, INQUIRY_SERVICE, 0)

    def sale(
        self,
        card: CardIdentity,
        holder_id: bytes,
        service: str,
        version: int,
        lines: tuple[Line, ...],
        now_ms: int,
        *,
        evidence: Evidence = Evidence.TAP,
        offline: bool = False,
        kind: Kind = Kind.SALE,
    ) -> Request:
        """Return an unsigned sale, reserve or start; `offline` makes it an advice, sent later."""
        self._check_room()
        unsigned = self._request(kind, card, now_ms, service, version)
        return msgspec.structs.replace(
            unsigned, holder_id=holder_id, lines=lines, evidence=evidence, advice=offline
        )

    def _check_room(self) -> None:
        if len(self.state.pending) >= PENDING_MAX:
            raise TerminalError(
                f"Без решения уже {PENDING_MAX} операций: восстановите связь с центром",
                f"{PENDING_MAX} transactions are undecided: restore the link to the centre",
            )

    def completion(self, reserved: Request, lines: tuple[Line, ...], now_ms: int) -> Request:
        """Return the advice of what was given of a reservation; the card need not come again."""
        self._check_room()
        unsigned = self._unsigned_child(Kind.COMPLETION, reserved, now_ms)
        return checked(msgspec.structs.replace(unsigned, lines=lines, advice=True))

    def visit_finish(
        self,
        card: CardIdentity,
        begun: Request,
        challenge: bytes,
        lines: tuple[Line, ...],
        now_ms: int,
        *,
        offline: bool = False,
    ) -> Request:
        """Return the unsigned end of a visit; `challenge` is what the centre answered its start."""
        self._check_room()
        unsigned = self._request(
            Kind.VISIT_FINISH, card, now_ms, begun.service, begun.service_version
        )
        return msgspec.structs.replace(
            unsigned,
            holder_id=begun.holder_id,
            parent=begun.key,
            challenge=challenge,
            lines=lines,
            advice=offline,
        )

    def goods_return(
        self,
        card: CardIdentity,
        sold: Request,
        lines: tuple[Line, ...],
        now_ms: int,
        *,
        offline: bool = False,
    ) -> Request:
        """Return the unsigned return of goods that were sold; `lines` are what is brought back."""
        self._check_room()
        unsigned = self._request(Kind.RETURN, card, now_ms, sold.service, sold.service_version)
        return msgspec.structs.replace(
            unsigned, holder_id=sold.holder_id, parent=sold.key, lines=lines, advice=offline
        )

    def reversal(self, original: Request, now_ms: int) -> Request:
        """Return the request that takes `original` back; the terminal's MAC is its evidence."""
        return checked(self._unsigned_child(Kind.REVERSAL, original, now_ms))

    def _unsigned_child(self, kind: Kind, parent: Request, now_ms: int) -> Request:
        """Return a request about another one that no card signs."""
        card = CardIdentity(parent.card_id, parent.issuer_region, "", parent.identifier_kind)
        unsigned = self._request(kind, card, now_ms, parent.service, parent.service_version)
        return msgspec.structs.replace(
            unsigned,
            holder_id=parent.holder_id,
            parent=parent.key,
            evidence=Evidence.NONE,
            algorithm=SignatureAlgorithm.NONE,
        )

    def _request(
        self, kind: Kind, card: CardIdentity, now_ms: int, service: str, version: int
    ) -> Request:
        return Request(
            kind=kind,
            key=self.next_key(CLASS_OF_KIND[kind], now_ms),
            identifier_kind=card.kind,
            issuer_region=card.issuer_region,
            card_id=card.card_id,
            terminal_epoch=self.state.epoch,
            terminal_sequence=self.state.sequence + 1,
            signed_at_ms=now_ms,
            service=service,
            service_version=version,
            nonce=self._random_bytes(NONCE_BYTES),
        )

    def judge(self, request: Request, answer: Answer) -> Judgement:
        """Say whether the answer decides the request. No approval without a sound receipt."""
        decision = answer.decision
        if not answer.outcome.decided:
            return Judgement(Verdict.NOT_DECIDED)
        if decision is None:
            known = answer.outcome in WITHOUT_DECISION
            return Judgement(Verdict.DECIDED) if known else _not_believed(Doubt.NO_DECISION)
        if decision.outcome is not answer.outcome:
            return _not_believed(Doubt.TWO_OUTCOMES)
        if decision.request_digest != request_digest(request):
            return _not_believed(Doubt.OTHER_REQUEST)
        if answer.outcome.approved and request.lines:
            covered = [line.covered_kopecks + line.paid_kopecks for line in decision.lines]
            if covered != [line.gross_kopecks for line in request.lines]:
                return _not_believed(Doubt.AMOUNTS)
        if not answer.receipt and not given(answer.outcome):
            return Judgement(Verdict.DECIDED, whole_proof=False)
        try:
            Receipt.decode(answer.receipt).verify(decision, *self.parameters.receipt_keys)
        except ReceiptError as error:
            # The hex-text port has no room for the path; there the MAC alone ties the decision
            # to the signed block.
            hex_port = self.parameters.profile is ProfileName.HEX
            if hex_port and error.fault is ReceiptFault.PATH_MISSING:
                return Judgement(Verdict.DECIDED, whole_proof=False)
            return _not_believed(Doubt[error.fault.name])
        return Judgement(Verdict.DECIDED)


def _not_believed(doubt: Doubt) -> Judgement:
    return Judgement(Verdict.NOT_BELIEVED, doubt, whole_proof=False)


def checked(request: Request) -> Request:
    """Return the request if its form is sound; raises `TerminalError` naming what is not."""
    if faults := faults_of(request):
        listed = "; ".join(faults)
        raise TerminalError(
            f"Запрос составлен неверно: {listed}", f"the request is wrong: {listed}"
        )
    return request


def opened(epoch: int, terminal: ParameterFile, now_ms: int) -> Opened:
    """Return the record that begins a state: a new epoch and numbers above any used today.

    `epoch` is the last one known, 0 when none is. The new one counts seconds since 1970, so it
    rises even when the folder that held the last one is gone.
    """
    zone = zone_of(terminal.time_zone)
    moment = datetime.fromtimestamp(now_ms / 1000, zone)
    second = moment.hour * 3600 + moment.minute * 60 + moment.second
    return Opened(
        terminal.terminal_id,
        max(epoch + 1, now_ms // 1000),
        moment.date(),
        second * STANS_PER_SECOND,
    )


def local_date(now_ms: int, zone: ZoneInfo) -> date:
    """Return the date that the clocks of `zone` show."""
    return datetime.fromtimestamp(now_ms // 1000, UTC).astimezone(zone).date()


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone. Raises `TerminalError` when this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise TerminalError(
            f"Часовой пояс {name} неизвестен; установите пакет tzdata (pip install tzdata)",
            f"the time zone {name} is unknown; install tzdata (pip install tzdata)",
        ) from error
