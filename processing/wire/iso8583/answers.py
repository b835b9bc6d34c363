"""Answers of the centre, to bytes (centre side) and back (terminal side)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Final, assert_never

from processing.wire.iso8583 import de55, tlv48
from processing.wire.iso8583.codec import PLANS_MAX, Sound, decode, numbers_in
from processing.wire.iso8583.errors import Decoded, WireError, shown
from processing.wire.iso8583.fields import (
    day_text,
    located,
    need,
    totals_entries,
    totals_fields,
    totals_of,
)
from processing.wire.iso8583.mac import Mac, mac_field, sealed, unsealed
from processing.wire.iso8583.messages import (
    NETWORK_CLASS,
    TOTALS_CLASS,
    TRANSACTION_CLASSES,
    CentreMessage,
    Echo,
    NetworkAnswer,
    OfferedKey,
    ParsedMessage,
    Rejection,
    Settlement,
    TotalsAnswer,
    Transaction,
    answer_mti,
)
from processing.wire.iso8583.spec import FIELDS, Profile
from processing.wire.iso8583.tlv48 import (
    ANSWER_TAGS,
    FACT_VALUE_MAX,
    NETWORK_ANSWER_TAGS,
    TOTALS_ANSWER_TAGS,
    Entries,
    Entry,
    Tag,
    written,
)
from processing.wire.outcome import TEXTS, Outcome
from processing.wire.transaction import (
    FACTS_MAX,
    NO_HOLDER,
    Answer,
    DecidedLine,
    Decision,
    MessageClass,
    Right,
    TransactionKey,
)

_ECHOED: Final = (3, 4, 7, 11, 12, 13, 37, 41, 42, 53, 70, 90)
"""Fields that an answer repeats from its request as they came."""

_RESPONSE_CODES: Final = {outcome: text.de39.encode("ascii") for outcome, text in TEXTS.items()}

# What the forms of DA, JP, DL and RT in tlv48.py have digits for.
_DECIDED_LIMIT_MS: Final = 10**16
_PLACE_LIMIT: Final = 10**5
_BLOCK_LIMIT: Final = 10**20
_KOPECKS_LIMIT: Final = 10**12
_UNITS_LIMIT: Final = 10**19

_APPROVAL_CODE: Final = FIELDS[38].maximum
_RESPONSE_CODE: Final = FIELDS[39].maximum
_LENGTHS: Final = tuple(b"%03d" % size for size in range(1000))
_OUTCOME_ENTRIES: Final = {outcome: f"RC003{int(outcome):03d}" for outcome in Outcome}
_SIZES: Final = tuple(f"{size:03d}" for size in range(1000))

RIGHT_KINDS_MAX: Final = 1024
"""Most kinds of rights whose form is remembered."""

FACT_NAMES_MAX: Final = 256
"""Most names of facts whose form is remembered."""

# Asking an enum for a member takes as long as three look-ups.
_BINARY: Final = Profile.BINARY

_PAGE_PLACEHOLDER: Final = 9999


def encode_answer(
    answer: Answer | TotalsAnswer | NetworkAnswer, message: ParsedMessage, mac: Mac | None
) -> bytes:
    """Return the answer to a parsed message, without framing.

    `mac` is the terminal's key; None when it is unknown or did not fit the request, which only
    suits an outcome that decides nothing. Rights beyond the room of the message are left for the
    next page. Raises `WireError` for content of another form than the tables of tlv48.py.
    """
    echo, profile = message.echo, message.profile
    if echo is not None and mac is not None and isinstance(answer, Answer):
        usual = _usual_fields(answer, profile)
        if usual is not None:
            return _usual_answer(echo, usual, profile, mac)
    decoded = message.decoded
    mti = answer_mti(decoded.mti)
    fields = {39: _RESPONSE_CODES[answer.outcome]}
    match answer:
        case Answer():
            first_right = 0
            if isinstance(message.message, Transaction):
                first_right = message.message.first_right
            fields |= _transaction_fields(answer, first_right, profile)
        case TotalsAnswer():
            fields[66] = b"%d" % answer.settlement
            entries = [written(b"RC", f"{answer.outcome:03d}", TOTALS_ANSWER_TAGS)]
            if answer.totals is not None:
                fields |= totals_fields(answer.totals)
                entries += totals_entries(answer.totals, TOTALS_ANSWER_TAGS)
            fields[48] = b"".join(entries)
        case NetworkAnswer():
            fields[48] = _network_entries(answer)
        case _:
            assert_never(answer)
    return sealed(mti, fields, profile, mac, _echo(decoded))


def undecided_answer(
    outcome: Outcome,
    message: ParsedMessage,
    mac: Mac | None,
    facts: Mapping[str, str] | None = None,
) -> bytes:
    """Return an answer that decides nothing, to a message of any class.

    For MAC_WRONG and TERMINAL_UNKNOWN, `mac` is None. `facts` as in `Answer`.
    """
    entries = [written(b"RC", f"{outcome:03d}", ANSWER_TAGS), *_facts(facts or {})]
    if isinstance(message.message, Transaction):
        day = message.message.request.key.business_date
        entries.insert(0, written(b"DT", day_text(day), ANSWER_TAGS))
    fields = {39: _RESPONSE_CODES[outcome], 48: b"".join(entries)}
    mti = answer_mti(message.decoded.mti)
    return sealed(mti, fields, message.profile, mac, _echo(message.decoded))


def malformed_answer(error: WireError, profile: Profile, mac: Mac | None = None) -> bytes:
    """Return the answer to a message that could not be read.

    It echoes what could be read, names the field and what was expected there, and decides
    nothing. `mac` may be given when `error.decoded` named a known terminal and key.
    """
    named = {
        "field": error.field,
        "expected": error.expected.encode("ascii", "replace").decode("ascii")[:FACT_VALUE_MAX],
    }
    entries = (written(b"RC", f"{error.outcome:03d}", ANSWER_TAGS), *_facts(named))
    fields = {39: _RESPONSE_CODES[error.outcome], 48: b"".join(entries)}
    return sealed(answer_mti(error.decoded.mti), fields, profile, mac, _echo(error.decoded))


def decode_answer(frame: bytes, profile: Profile, mac: Mac) -> CentreMessage:
    """Return what the centre said.

    Raises `WireError` for a message that is unsound, whose MAC is wrong, or that claims a
    decision without a MAC. Such a message is no answer: the terminal sends its request again.
    """
    decoded = decode(frame, profile)
    try:
        return _answer_of(frame, decoded, profile, mac)
    except WireError as error:
        raise located(error, decoded, profile) from None


def _answer_of(frame: bytes, decoded: Decoded, profile: Profile, mac: Mac) -> CentreMessage:
    seal = unsealed(frame, decoded, profile)
    if seal is not None and not mac.matches(seal[1], seal[0]):
        number = max(decoded.fields)
        expected = "a MAC made with this terminal's key"
        raise WireError(str(number), 0, expected, "another", Outcome.MAC_WRONG)
    if decoded.mti[:1] != "0" or decoded.mti[2:] not in ("10", "30"):
        raise WireError("MTI", 0, "a message type of the centre, as 0210", decoded.mti)
    message_class = int(decoded.mti[1])
    known = _TAGS_OF_CLASS.get(message_class, ANSWER_TAGS)
    need(decoded, 48)
    entries = tlv48.read(decoded.fields, known)
    outcome = _outcome_of(decoded, entries, known)
    if seal is None and outcome.decided:
        need(decoded, mac_field(decoded.fields))
    if message_class in TRANSACTION_CLASSES and b"DT" in entries.single:
        return _transaction_answer(decoded, entries, outcome, MessageClass(message_class))
    if not outcome.decided or message_class not in _TAGS_OF_CLASS:
        return Rejection(
            outcome=outcome,
            terminal_id=decoded.fields.get(41, b"").decode("ascii"),
            stan=int(decoded.fields.get(11, b"0")),
            facts=_facts_of(entries),
        )
    if message_class == TOTALS_CLASS:
        return _totals_answer(decoded, entries, outcome)
    day, mark = entries.single.get(b"PD"), entries.single.get(b"RM")
    return NetworkAnswer(
        outcome=outcome,
        centre_time_ms=entries.need(b"CT", known).number,
        posting_date=None if day is None else day.day_in(),
        key=_offered_key(entries),
        rules_mark="" if mark is None else mark.text,
        key_due=b"KC" in entries.single,
    )


_TAGS_OF_CLASS: Final = {
    TOTALS_CLASS: TOTALS_ANSWER_TAGS,
    NETWORK_CLASS: NETWORK_ANSWER_TAGS,
}


def _outcome_of(decoded: Decoded, entries: Entries, known: Mapping[bytes, Tag]) -> Outcome:
    """Return the outcome in field 48, which field 39 must agree with."""
    reason = entries.need(b"RC", known)
    try:
        outcome = Outcome(reason.number)
    except ValueError:
        expected = "an outcome of outcomes.md"
        raise WireError(reason.name, reason.offset, expected, reason.text) from None
    if need(decoded, 39).decode("ascii") != TEXTS[outcome].de39:
        expected = f"{TEXTS[outcome].de39}, the code of outcome {int(outcome)}"
        raise WireError("39", 0, expected, shown(decoded.fields[39]))
    return outcome


def _transaction_fields(answer: Answer, first_right: int, profile: Profile) -> dict[int, bytes]:
    """Return the fields that an answer to a transaction adds to the echoed ones."""
    fields: dict[int, bytes] = {}
    decision = answer.decision
    if decision is not None:
        if decision.approval_code:
            fields[38] = decision.approval_code.encode("ascii", "replace")
        fields[55] = de55.encode_receipt(decision.request_digest, answer.receipt, profile)
    single, repeating = _entries(answer)
    fields[48], de62 = _paged(single, repeating, answer, first_right)
    if de62:
        fields[62] = de62
    return fields


_Usual = tuple[bytes, bytes, bytes]
"""Field 38 (empty when there is none) with 39, field 48 and field 55 of an answer."""


def _usual_answer(echo: Echo, usual: _Usual, profile: Profile, mac: Mac) -> bytes:
    """Return the answer to a usual message: what it repeats, and `usual` in between."""
    code, de48, de55_ = usual
    if profile is not _BINARY:
        de55_ = de55_.hex().upper().encode("ascii")
    covered = b"".join(
        (
            _usual_head(echo.shape, len(code) > _RESPONSE_CODE),
            echo.head,
            code,
            echo.acceptor,
            _LENGTHS[len(de48)],
            de48,
            echo.security,
            _LENGTHS[len(de55_)],
            de55_,
        )
    )
    tag = mac.tag(covered)
    return covered + (tag if profile is _BINARY else tag.hex().upper().encode("ascii"))


@lru_cache(maxsize=PLANS_MAX)
def _usual_head(shape: bytes, with_code: bool) -> bytes:
    """Return type indicator and bitmap of the answer to a usual message of this shape."""
    numbers = {*numbers_in(shape[4:]), 39, *((38,) if with_code else ())} - {62}
    bitmap = sum(1 << (64 - number) for number in numbers)
    return answer_mti(shape[:4].decode("ascii")).encode("ascii") + b"%016X" % bitmap


def _usual_fields(answer: Answer, profile: Profile) -> _Usual | None:
    """Return fields 38 and 39, 48 and 55 as `encode_answer` else makes them, in less time.

    None when the answer is no decision, or needs a second page or field 62, or when something in it
    may not have the form of tlv48.py: `_transaction_fields` then finds out and names the error. So
    what comes from here needs no further check. A test holds both to the same bytes.
    """
    decision = answer.decision
    if (
        decision is None
        or answer.next_right
        or len(answer.facts) > FACTS_MAX
        or not 0 <= decision.decided_at_ms < _DECIDED_LIMIT_MS
        or not 0 <= decision.lane < _PLACE_LIMIT
        or not 0 <= decision.block < _BLOCK_LIMIT
        or not 0 <= decision.ordinal < _PLACE_LIMIT
    ):
        return None
    code = decision.approval_code
    if code and (len(code) != _APPROVAL_CODE or not (code.isalnum() and code.isascii())):
        return None
    place = f"{decision.lane},{decision.block},{decision.ordinal}"
    decided = str(decision.decided_at_ms)
    content = (
        f"DT008{day_text(answer.key.business_date)}{_OUTCOME_ENTRIES[answer.outcome]}"
        f"PD008{day_text(decision.posting_date)}DA{_SIZES[len(decided)]}{decided}"
        f"JP{_SIZES[len(place)]}{place}"
    )
    for name, value in answer.facts.items():
        if not (_is_fact_name(name) and value.isascii() and value.isprintable()):
            return None
        if not 0 < len(value) <= FACT_VALUE_MAX:
            return None
        content += f"FC{_SIZES[len(name) + 1 + len(value)]}{name}={value}"
    for line in decision.lines:
        covered, paid = line.covered_kopecks, line.paid_kopecks
        if not (0 <= covered < _KOPECKS_LIMIT and 0 <= paid < _KOPECKS_LIMIT):
            return None
        amounts = f"{covered},{paid}"
        content += f"DL{_SIZES[len(amounts)]}{amounts}"
    if answer.rights:
        rights = _usual_rights(answer.rights)
        if rights is None:
            return None
        content += rights
    de48 = content.encode("ascii")
    if len(de48) > tlv48.FIELD_ROOM:
        return None
    receipt = de55.encode_receipt(decision.request_digest, answer.receipt, profile)
    return code.encode("ascii") + _RESPONSE_CODES[answer.outcome], de48, receipt


def _usual_rights(rights: tuple[Right, ...]) -> str | None:
    """Return the entries of `_rights` in less time, or None when one may be unsound."""
    content, before = "", b""
    for right in rights:
        kind = _kind_of_right(
            right.service,
            right.service_version,
            right.item_class,
            right.unit_okei,
            right.scale,
            right.percent,
            right.valid_to,
        )
        granted, remaining = right.granted, right.remaining
        if (
            kind is None
            or not (0 <= granted < _UNITS_LIMIT and 0 <= remaining < _UNITS_LIMIT)
            or len(right.holder_id) != 16
        ):
            return None
        holder = "" if right.holder_id == before else right.holder_id.hex().upper()
        before = right.holder_id
        value = f"{holder}{kind[0]}{granted},{remaining}{kind[1]}"
        content += f"RT{_SIZES[len(value)]}{value}"
    return content


@lru_cache(maxsize=RIGHT_KINDS_MAX)
def _kind_of_right(
    service: str,
    version: int,
    item_class: str,
    unit_okei: int,
    scale: int,
    percent: int,
    valid_to: date,
) -> tuple[str, str] | None:
    """Return what an entry RT says before and behind the quantities; None when it is unsound.

    Kept, since many citizens have the same rights.
    """
    before = f",{service},{version},{item_class},{unit_okei},{scale},"
    behind = f",{percent},{day_text(valid_to)}"
    match = ANSWER_TAGS[b"RT"].pattern.fullmatch(f"{before}0,0{behind}".encode())
    return None if match is None else (before, behind)


@lru_cache(maxsize=FACT_NAMES_MAX)
def _is_fact_name(name: str) -> bool:
    """Whether a fact may have this name. Kept, since outcomes have few facts."""
    match = ANSWER_TAGS[b"FC"].pattern.fullmatch(name.encode() + b"=x")
    return match is not None and match[1] == name.encode()


def _entries(answer: Answer) -> tuple[list[bytes], list[bytes]]:
    """Return the entries that stand once and, without the rights, those that repeat."""
    single = [
        written(b"DT", day_text(answer.key.business_date), ANSWER_TAGS),
        written(b"RC", f"{answer.outcome:03d}", ANSWER_TAGS),
    ]
    repeating = _facts(answer.facts)
    if answer.decision is not None:
        decision = answer.decision
        place = f"{decision.lane},{decision.block},{decision.ordinal}"
        single += [
            written(b"PD", day_text(decision.posting_date), ANSWER_TAGS),
            written(b"DA", decision.decided_at_ms, ANSWER_TAGS),
            written(b"JP", place, ANSWER_TAGS),
        ]
        repeating += [
            written(b"DL", f"{line.covered_kopecks},{line.paid_kopecks}", ANSWER_TAGS)
            for line in decision.lines
        ]
    return single, repeating


def _paged(
    single: list[bytes], repeating: list[bytes], answer: Answer, first_right: int
) -> tuple[bytes, bytes]:
    """Return fields 48 and 62 with as many rights as find room, and where the next page begins."""
    rights = _rights(answer.rights)
    if not answer.next_right:
        de48, de62, count = tlv48.packed(single, repeating + rights)
        if count == len(repeating) + len(rights):
            return de48, de62
    head = [*single, _page(_PAGE_PLACEHOLDER)]
    _, _, count = tlv48.packed(head, repeating + rights)
    shown_rights = count - len(repeating)
    if shown_rights < 0:
        raise WireError("62", 0, "facts and lines that fit fields 48 and 62", f"{count} of them")
    next_right = answer.next_right
    if shown_rights < len(rights):
        next_right = first_right + shown_rights
    head[-1] = _page(next_right)
    de48, de62, _ = tlv48.packed(head, repeating + rights[:shown_rights])
    return de48, de62


def _page(next_right: int) -> bytes:
    """Return the entry NR, of one length for every number."""
    return written(b"NR", f"{next_right:04d}", ANSWER_TAGS)


def _rights(rights: tuple[Right, ...]) -> list[bytes]:
    """Return one entry per right; a holder like the one before is left empty."""
    entries = []
    before = b""
    for right in rights:
        holder = "" if right.holder_id == before else right.holder_id.hex().upper()
        before = right.holder_id
        value = (
            f"{holder},{right.service},{right.service_version},{right.item_class},"
            f"{right.unit_okei},{right.scale},{right.granted},{right.remaining},{right.percent},"
            f"{day_text(right.valid_to)}"
        )
        entries.append(written(b"RT", value, ANSWER_TAGS))
    return entries


def _facts(facts: Mapping[str, str]) -> list[bytes]:
    if len(facts) > FACTS_MAX:
        raise WireError("48.FC", 0, f"at most {FACTS_MAX} facts", str(len(facts)))
    return [written(b"FC", f"{name}={value}", ANSWER_TAGS) for name, value in facts.items()]


def _facts_of(entries: Entries) -> dict[str, str]:
    facts = entries.repeated.get(b"FC", [])
    if len(facts) > FACTS_MAX:
        extra = facts[FACTS_MAX]
        raise WireError(extra.name, extra.offset, f"at most {FACTS_MAX} facts", str(len(facts)))
    return {fact.text: fact.groups[1].decode("ascii") for fact in facts}


def _network_entries(answer: NetworkAnswer) -> bytes:
    known = NETWORK_ANSWER_TAGS
    entries = [
        written(b"RC", f"{answer.outcome:03d}", known),
        written(b"CT", answer.centre_time_ms, known),
    ]
    if answer.posting_date is not None:
        entries.append(written(b"PD", day_text(answer.posting_date), known))
    if answer.key is not None:
        entries.append(written(b"KG", answer.key.generation, known))
        entries.append(written(b"KW", answer.key.wrapped.hex().upper(), known))
    if answer.rules_mark:
        entries.append(written(b"RM", answer.rules_mark, known))
    if answer.key_due:
        entries.append(written(b"KC", 1, known))
    return b"".join(entries)


def _offered_key(entries: Entries) -> OfferedKey | None:
    """Return the key of a key change; a generation without a key, or the reverse, is no answer."""
    if b"KG" not in entries.single and b"KW" not in entries.single:
        return None
    generation = entries.need(b"KG", NETWORK_ANSWER_TAGS).number
    wrapped = entries.need(b"KW", NETWORK_ANSWER_TAGS).text
    return OfferedKey(generation=generation, wrapped=bytes.fromhex(wrapped))


def _echo(decoded: Decoded) -> Sound:
    return Sound(_echoed(tuple(decoded.fields)), decoded.fields)


@lru_cache(maxsize=PLANS_MAX)
def _echoed(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Return which fields of a message with these an answer repeats."""
    return tuple(number for number in _ECHOED if number in numbers)


def _transaction_answer(
    decoded: Decoded, entries: Entries, outcome: Outcome, message_class: MessageClass
) -> Answer:
    key = TransactionKey(
        entries.need(b"DT", ANSWER_TAGS).day_in(),
        need(decoded, 41).decode("ascii"),
        int(need(decoded, 11)),
        message_class,
    )
    decision, receipt = None, b""
    if b"JP" in entries.single:
        digest, receipt = de55.decode_receipt(need(decoded, 55))
        decision = _decision_of(decoded, entries, outcome, digest)
    return Answer(
        outcome=outcome,
        key=key,
        decision=decision,
        facts=_facts_of(entries),
        rights=_rights_of(entries.repeated.get(b"RT", [])),
        next_right=entries.number(b"NR"),
        receipt=receipt,
    )


def _decision_of(decoded: Decoded, entries: Entries, outcome: Outcome, digest: bytes) -> Decision:
    place = entries.single[b"JP"]
    lane, block, ordinal = (int(group) for group in place.groups)
    lines = (
        DecidedLine(int(line.groups[0]), int(line.groups[1]))
        for line in entries.repeated.get(b"DL", [])
    )
    return Decision(
        request_digest=digest,
        outcome=outcome,
        approval_code=decoded.fields.get(38, b"").decode("ascii"),
        posting_date=entries.need(b"PD", ANSWER_TAGS).day_in(),
        decided_at_ms=entries.need(b"DA", ANSWER_TAGS).number,
        lane=lane,
        block=block,
        ordinal=ordinal,
        lines=tuple(lines),
    )


def _rights_of(entries: list[Entry]) -> tuple[Right, ...]:
    rights: list[Right] = []
    holder_id = NO_HOLDER
    for one in entries:
        holder, service, version, item_class, okei, scale, granted, remaining, percent, _ = (
            one.groups
        )
        if holder:
            holder_id = bytes.fromhex(holder.decode("ascii"))
        elif not rights:
            raise WireError(one.name, one.offset, "a holder in the first right", "none")
        rights.append(
            Right(
                holder_id=holder_id,
                service=service.decode("ascii"),
                service_version=int(version),
                item_class=item_class.decode("ascii"),
                unit_okei=int(okei),
                scale=int(scale),
                granted=int(granted),
                remaining=int(remaining),
                percent=int(percent),
                valid_to=one.day_in(9),
            )
        )
    return tuple(rights)


def _totals_answer(decoded: Decoded, entries: Entries, outcome: Outcome) -> TotalsAnswer:
    code = need(decoded, 66)
    try:
        settlement = Settlement(int(code))
    except ValueError:
        raise WireError("66", 0, "1, 2 or 3", shown(code)) from None
    totals = totals_of(decoded, entries, TOTALS_ANSWER_TAGS) if 88 in decoded.fields else None
    return TotalsAnswer(outcome=outcome, settlement=settlement, totals=totals)
