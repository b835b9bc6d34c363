"""One terminal at work: puts requests on the disk, has them signed, sent, judged and recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Final

import msgspec

from processing.wire.digest import request_digest
from processing.wire.iso8583.messages import (
    Network,
    NetworkAnswer,
    NetworkCode,
    Totals,
)
from processing.wire.outcome import TEXTS, Outcome
from processing.wire.parameter_file import ParameterFile
from processing.wire.stop_list import StopLists
from processing.wire.transaction import (
    Answer,
    Kind,
    MessageClass,
    Request,
    TransactionKey,
)
from terminal_sim.card import AskPin, Presented
from terminal_sim.errors import TerminalError
from terminal_sim.keys import MacKey, file_fingerprint, unwrapped
from terminal_sim.link import WORTH_REPEATING, Link, LinkError, Pause, Pursuit, pursue
from terminal_sim.offline import check_limit, permit_by_list, permit_by_rules, read_passport
from terminal_sim.order import STAN_DIGITS, parse_quoted
from terminal_sim.parent_lines import chosen
from terminal_sim.parents import check_open, unreturned
from terminal_sim.results import Result, RightsAnswer, Sale, TotalsComparison
from terminal_sim.state import (
    NO_TOTALS,
    Appointed,
    Asked,
    DayClosed,
    Decided,
    Entry,
    EntryState,
    KeyKept,
    KeyTaken,
    Undecided,
    quoted,
)
from terminal_sim.store import Store
from terminal_sim.terminal import Doubt, Terminal, Verdict, checked, local_date, zone_of

PAGES_MAX: Final = 64
"""Most pages of rights that one inquiry turns."""

NUMBERS_TRIED_MAX: Final = 3
"""How often a sale takes a new number when the centre says that its number is taken."""


KEYS_PAUSE_MS: Final = 60_000
"""Shortest time between two askings for keys that the terminal does not know."""

NewestKeys = Callable[[], ParameterFile | None]
"""Fetches the centre's newest keys; the terminal's parameters with them, None if it has them."""


class Till:
    """A terminal with its store and its link. `now_ms` is UTC; `pause` waits between attempts.

    `rules_until_ms` is until when its rules may be used offline, None when it has none of an age.
    """

    def __init__(
        self,
        terminal: Terminal,
        store: Store,
        link: Link,
        now_ms: Callable[[], int],
        pause: Pause,
        stop_lists: StopLists | None = None,
        rules_until_ms: int | None = None,
        newest_keys: NewestKeys = lambda: None,
    ) -> None:
        self.terminal = terminal
        self._newest_keys = newest_keys
        self._keys_asked_ms: int | None = None
        self._stop_lists = stop_lists
        self.rules_until_ms = rules_until_ms
        self.store = store
        self._link = link
        self._link.use(terminal.mac_key)
        self._now_ms = now_ms
        self._pause = pause

    def rights(self, card: Presented) -> RightsAnswer:
        """Ask what the card is entitled to here, page by page.

        The answer's `rights` are the first page's. Raises `LinkError` when the centre cannot be
        asked, `CardError` when the card cannot sign.
        """
        self._settle_key()
        now_ms = self._now_ms()
        request = self.signed(self.terminal.inquiry(card.identity, now_ms), card, no_pin)
        # A question is not kept as a request: nothing is lost with its answer. Its number is.
        self.store.write(self.terminal.counted(now_ms))
        first = self._ask(request, 0)
        rights = list(first.rights)
        page, first_right = first, 0
        for _ in range(PAGES_MAX):
            # 0 says that this was the last page.
            if page.next_right == 0:
                break
            first_right = page.next_right
            page = self._ask(request, first_right)
            # One that does not advance was there before: a line may deliver an answer twice.
            if not page.outcome.approved or 0 < page.next_right <= first_right:
                raise LinkError(
                    "Центр передал не все права: повторите", "not all rights came: ask again"
                )
            rights += page.rights
        return RightsAnswer(first, tuple(rights))

    def _ask(self, request: Request, first_right: int) -> Answer:
        """Ask one page, repeating after a lost answer. Raises the last `LinkError`."""
        limits = self._link.limits
        fault: LinkError | None = None
        answer: Answer | None = None
        for attempt in range(1, limits.attempts + 1):
            if attempt > 1:
                self._pause(limits.pause_ms(attempt))
            again = msgspec.structs.replace(request, repeat=attempt > 1)
            try:
                answer = self._link.transact(again, first_right)
            except LinkError as error:
                fault = error
                continue
            if answer.outcome not in WORTH_REPEATING:
                break
        if answer is None:
            raise fault or LinkError("Центр не спрошен", "the centre was not asked")
        return answer

    def sell(self, card: Presented, sale: Sale, ask_pin: AskPin) -> Result:
        """Sell or reserve: sign, keep, send, judge. A taken number is replaced by the next one.

        Raises `CardError` (a wrong PIN, a card taken away) before anything was kept or sent.
        """
        result = self._sell_once(card, sale, ask_pin)
        for _ in range(1, NUMBERS_TRIED_MAX):
            if result.answer is None or result.answer.outcome is not Outcome.KEY_REUSED:
                break
            result = self._sell_once(card, sale, ask_pin)
        return result

    def _sell_once(self, card: Presented, sale: Sale, ask_pin: AskPin) -> Result:
        unsigned = self.terminal.sale(
            card.identity,
            sale.holder_id,
            sale.service,
            sale.version,
            sale.lines,
            self._now_ms(),
            evidence=sale.evidence,
            offline=sale.offline,
            kind=sale.kind,
        )
        if sale.offline:
            unsigned = self._permitted(unsigned, card)
        if sale.at_ms is not None:
            self.store.write(Appointed(unsigned.key, sale.at_ms))
        result = self.keep_and_send(self.signed(unsigned, card, ask_pin), offline=sale.offline)
        return msgspec.structs.replace(result, at_ms=sale.at_ms)

    def _permitted(self, unsigned: Request, card: Presented) -> Request:
        """Return an offline request with the stop-list and the passport that allow it.

        Raises `OfflineRefused`. A terminal enrolled before there were such files has no key to
        believe them by, and is not held to them.
        """
        parameters, state = self.terminal.parameters, self.store.state
        if not parameters.content_keys:
            return unsigned
        card_id, zone = unsigned.card_id, zone_of(parameters.time_zone)
        today = local_date(unsigned.signed_at_ms, zone)
        service = next((s for s in parameters.services if s.service == unsigned.service), None)
        permit_by_rules(self.rules_until_ms, service, unsigned.signed_at_ms, today)
        number = permit_by_list(self._stop_lists, card_id, unsigned.signed_at_ms)
        passport = read_passport(card.passport(), card_id, parameters.content_keys, today)
        entries = (*state.pending.values(), *state.decided.values())
        check_limit(passport, unsigned, (entry.request for entry in entries), zone)
        return msgspec.structs.replace(
            unsigned, passport_version=passport.number, stop_list_version=number
        )

    def keep_and_send(self, request: Request, *, offline: bool) -> Result:
        """Put a request on the disk, then ask for its decision unless it is to wait there.

        One that was kept before under its key may be kept anew as an advice: that is no part of
        what the card signed.
        """
        self.store.write(Asked(request))
        if offline:
            return Result(request=request, offline=True)
        return self.obtain(request)

    def signed(self, unsigned: Request, card: Presented, ask_pin: AskPin) -> Request:
        """Return the request with the card's signature. Raises `CardError`."""
        signature = card.sign(request_digest(unsigned), unsigned.evidence, ask_pin)
        return checked(msgspec.structs.replace(unsigned, signature=signature))

    def reverse(self, key: TransactionKey) -> Result:
        """Take back a transaction of this terminal. Raises `TerminalError` for an unknown one.

        A sale without a decision is taken back too: afterwards it is asked for once more, so that
        the terminal learns whether it had reached the centre.
        """
        entry = self.known(key)
        key = entry.request.key
        request = self.terminal.reversal(entry.request, self._now_ms())
        result = self.keep_and_send(request, offline=False)
        if result.decided and key in self.store.state.pending:
            self.obtain(entry.request, repeated=True, attempts=1)
        return result

    def known(self, key: TransactionKey) -> Entry:
        """Return what this terminal knows under these numbers. Raises `TerminalError`."""
        entry = self.store.state.entry(key) or self.store.state.named(key)
        if entry is None:
            raise TerminalError(
                f"Операция {quoted(key)} на этом терминале не найдена",
                f"this terminal knows no transaction {quoted(key)}",
            )
        return entry

    def numbered(self, text: str) -> TransactionKey:
        """Return the key that a cashier names: as on the receipt, or the last six digits of it.

        Of several with these digits the newest is meant. Raises `TerminalError`.
        """
        if not (text.isascii() and text.isdecimal() and len(text) <= STAN_DIGITS):
            return self.known(parse_quoted(text)).request.key
        state, stan = self.store.state, int(text)
        keys = (*state.reservations, *state.decided, *state.pending)
        named = [
            key
            for key in keys
            if key.stan == stan and key.message_class is not MessageClass.REVERSAL
        ]
        if not named:
            raise TerminalError(
                f"Операция {text} на этом терминале не найдена",
                f"this terminal knows no transaction {text}",
            )
        return max(named)

    def complete(
        self, key: TransactionKey, words: Sequence[str], *, offline: bool = False
    ) -> Result:
        """Give what a reservation holds, or the part of it that `words` name; the rest is freed.

        It is an advice: kept, and sent until the centre acknowledged it. Raises `TerminalError`
        for what is no open reservation of this terminal, `OrderError` for more than it holds.
        """
        entry = self.known(key)
        check_open(entry, self.store.state)
        lines = chosen(words, entry.request.lines, self.terminal.parameters)
        request = self.terminal.completion(entry.request, lines, self._now_ms())
        result = self.keep_and_send(request, offline=offline)
        # What the reservation holds may be given without the centre: it is told later.
        away = not result.decided and isinstance(result.fault, LinkError)
        return msgspec.structs.replace(result, offline=offline or away, parent=entry.request)

    def reservations(self) -> list[Entry]:
        """Return what is reserved here and waits to be given, the oldest first."""
        return self.store.state.open_holds(Kind.RESERVE)

    def give_back(
        self,
        card: Presented,
        key: TransactionKey,
        words: Sequence[str],
        *,
        offline: bool = False,
    ) -> Result:
        """Take goods back that were sold here: all that is left of the sale, or what words name.

        Raises `TerminalError` for what is no sale or completion of this terminal, `OrderError` for
        more than was sold and not brought back before.
        """
        entry = self.known(key)
        left = unreturned(entry, self.store.state)
        lines = chosen(words, left, self.terminal.parameters)
        unsigned = self.terminal.goods_return(
            card.identity, entry.request, lines, self._now_ms(), offline=offline
        )
        return self.keep_and_send(self.signed(unsigned, card, no_pin), offline=offline)

    def repeat_pending(self) -> list[Result]:
        """Repeat every request without a decision, oldest first, once each.

        Stops at the first that cannot be sent: without a link the others would only wait.
        """
        results = []
        for entry in list(self.store.state.pending.values()):
            # An advice that waits for its first sending is no repeat.
            first = entry.request.advice and entry.state is EntryState.PENDING
            result = self.obtain(entry.request, repeated=not first, attempts=1)
            results.append(result)
            if isinstance(result.fault, LinkError):
                break
        return results

    def obtain(
        self, request: Request, *, repeated: bool = False, attempts: int | None = None
    ) -> Result:
        """Ask the centre for the decision on a request that is on the disk, and record it."""
        self._settle_key()
        pursuit = pursue(
            self._link,
            self.terminal,
            request,
            self._pause,
            repeated=repeated,
            attempts=attempts,
        )
        doubt = pursuit.judgement and pursuit.judgement.doubt
        if doubt is Doubt.KEY_OTHER and self.learn_keys():
            # The centre has a newer receipt key; asking again gets the same decision.
            pursuit = pursue(self._link, self.terminal, request, self._pause, repeated=True)
        self._record(request.key, pursuit)
        believed = pursuit.judgement and pursuit.judgement.verdict is not Verdict.NOT_BELIEVED
        return Result(
            request=request,
            answer=pursuit.answer if believed else None,
            judgement=pursuit.judgement,
            fault=pursuit.fault,
        )

    def _record(self, key: TransactionKey, pursuit: Pursuit) -> None:
        if pursuit.judgement is None or pursuit.answer is None:
            return
        match pursuit.judgement.verdict:
            case Verdict.DECIDED:
                self.store.write(Decided(key, pursuit.answer))
            case Verdict.NOT_DECIDED:
                self.store.write(Undecided(key, pursuit.answer))
            case Verdict.NOT_BELIEVED:
                self.store.write(Undecided(key, None))

    def totals(self, day: date) -> TotalsComparison:
        """Send the day's totals and return them beside the centre's. Raises `LinkError`."""
        self._settle_key()
        number = self._number()
        mine = self.store.state.totals.get(day, NO_TOTALS)
        message = Totals(
            terminal_id=self.terminal.parameters.terminal_id,
            stan=number,
            business_date=day,
            totals=mine,
        )
        limits = self._link.limits
        for attempt in range(1, limits.attempts):
            try:
                return TotalsComparison(day, mine, self._link.totals(message))
            except LinkError:
                self._pause(limits.pause_ms(attempt + 1))
                message = msgspec.structs.replace(message, repeat=True)
        return TotalsComparison(day, mine, self._link.totals(message))

    def close_day(self, day: date) -> None:
        """End a business day: what is rung up from now on belongs to the next one."""
        self.store.write(DayClosed(day))

    def echo(self) -> NetworkAnswer:
        """Ask the centre whether it is there. Raises `LinkError`."""
        return self.network(NetworkCode.ECHO)

    def network(self, code: NetworkCode) -> NetworkAnswer:
        """Sign on or off, or tell of a closed day.

        Raises `LinkError`.
        """
        self._settle_key()
        return self._say(code)

    def _say(self, code: NetworkCode) -> NetworkAnswer:
        message = Network(
            terminal_id=self.terminal.parameters.terminal_id, stan=self._number(), code=code
        )
        return self._link.network(message)

    def change_key(self) -> MacKey:
        """Have the centre hand out the next MAC key, and use it from now on.

        Raises `LinkError` when the centre cannot be asked, `TerminalError` when it gives none or
        when the new key could not be tried: then both are kept, and the new one is tried again
        before whatever is sent next.
        """
        parameters = self.terminal.parameters
        if not parameters.exchange_key:
            raise TerminalError(
                "В файле параметров нет ключа обмена: зарегистрируйте терминал в центре заново",
                "the parameter file has no exchange key: have the terminal enrolled again",
            )
        answer = self.network(NetworkCode.KEY_CHANGE)
        if answer.key is None:
            raise TerminalError(
                f"Центр не выдал ключ: {TEXTS[answer.outcome].ru}",
                f"the centre gave no key: {TEXTS[answer.outcome].en}",
            )
        key = unwrapped(answer.key, parameters, self.terminal.mac_key)
        self.store.write(KeyKept(file_fingerprint(parameters), key))
        if not self._settle_key():
            raise TerminalError(
                "Новый ключ сохранён, но центр его ещё не подтвердил; пока действует прежний",
                "the new key is kept but the centre has not confirmed it yet; the old one stays",
            )
        return key

    def learn_keys(self) -> bool:
        """Fetch the centre's newest keys since one was met that is not known; whether there are.

        Asked at most once in `KEYS_PAUSE_MS`: anybody may show a card of another region.
        """
        now_ms = self._now_ms()
        if self._keys_asked_ms is not None and now_ms - self._keys_asked_ms < KEYS_PAUSE_MS:
            return False
        self._keys_asked_ms = now_ms
        learnt = self._newest_keys()
        if learnt is None:
            return False
        self.terminal.parameters = learnt
        return True

    def _settle_key(self) -> bool:
        """Try the key that waits for its first use, if any; whether none waits any more."""
        key = self.terminal.next_mac_key
        if key is None:
            return True
        self._link.use(key)
        try:
            self._say(NetworkCode.ECHO)
        except LinkError:
            self._link.use(self.terminal.mac_key)
            return False
        self.store.write(KeyTaken(key.generation))
        return True

    def now_ms(self) -> int:
        """Return the time of the terminal's clock, UTC milliseconds."""
        return self._now_ms()

    def _number(self) -> int:
        counted = self.terminal.counted(self._now_ms())
        self.store.write(counted)
        return counted.stan


def no_pin() -> str:
    """Stand in for a question that a tap never asks."""
    raise AssertionError("a tap needs no PIN")
