"""Requests of a terminal, to bytes (terminal side) and back (centre side)."""

from __future__ import annotations

from typing import Final, assert_never

from processing.wire.iso8583 import de55, tlv48
from processing.wire.iso8583.codec import decode
from processing.wire.iso8583.errors import Decoded, WireError, shown
from processing.wire.iso8583.fields import (
    day_text,
    key_id_of,
    key_of,
    key_text,
    local_date,
    located,
    need,
    security_field,
    totals_entries,
    totals_fields,
    totals_of,
    transmission_time,
)
from processing.wire.iso8583.mac import Mac, sealed, unsealed
from processing.wire.iso8583.messages import (
    NETWORK_CLASS,
    PROCESSING_CODES,
    TOTALS_CLASS,
    Envelope,
    Mti,
    Network,
    NetworkCode,
    ParsedMessage,
    TerminalMessage,
    Totals,
    Transaction,
    mti_of,
    processing_kind,
)
from processing.wire.iso8583.spec import Profile
from processing.wire.iso8583.tlv48 import REQUEST_TAGS, TOTALS_TAGS, Entries, Entry, written
from processing.wire.iso8583.usual import usual_message
from processing.wire.outcome import Outcome
from processing.wire.transaction import (
    NO_HOLDER,
    IdentifierKind,
    Kind,
    Line,
    MessageClass,
    Request,
    TransactionKey,
    faults_of,
)

_FIELD_OF_FAULT: Final[dict[str, str]] = {
    "terminal_id": "41",
    "stan": "11",
    "message_class": "MTI",
    "issuer_region": "48.CR",
    "card_id": "48.CR",
    "holder_id": "48.RH",
    "nonce": "55.DF01",
    "challenge": "48.CH",
    "terminal_epoch": "48.EP",
    "terminal_sequence": "48.SQ",
    "signed_at_ms": "48.ST",
    "service": "48.SV",
    "service_version": "48.VR",
    "passport_version": "48.PV",
    "stop_list_version": "48.SL",
    "signature": "55.DF02",
    "algorithm": "55.DF04",
    "evidence": "55.DF03",
    "parent": "48.PK",
    "lines": "48.IT",
    "amount": "4",
}


def encode_request(
    message: Request | Totals | Network, envelope: Envelope, profile: Profile, mac: Mac
) -> bytes:
    """Return the message to send, without framing.

    Raises `WireError` naming the field when the content is unsound or does not fit, so that
    nothing is sent that the centre would refuse to read. A completion always travels as 0220.
    """
    match message:
        case Request():
            mti, fields = _transaction_fields(message, envelope)
        case Totals():
            mti, fields = _totals_message(message)
        case Network():
            mti = Mti(NETWORK_CLASS, advice=False, repeat=message.repeat).text
            fields = {11: b"%06d" % message.stan, 41: _ascii("41", message.terminal_id)}
            fields[70] = b"%03d" % message.code
        case _:
            assert_never(message)
    fields[7] = transmission_time(envelope.sent_at_ms)
    fields[53] = security_field(envelope.key_id)
    if envelope.local_time:
        fields[12] = _ascii("12", envelope.local_time)
    if envelope.reference:
        fields[37] = _ascii("37", envelope.reference)
    if envelope.provider_id:
        fields[42] = _ascii("42", envelope.provider_id.ljust(15))
    return sealed(mti, fields, profile, mac)


def parse_message(frame: bytes, profile: Profile) -> ParsedMessage:
    """Return the message in a frame that a terminal sent.

    Raises `WireError` with field, offset and what was decoded so far; `answers.malformed_answer`
    turns it into the answer. The caller checks `ParsedMessage.authentic` before it believes a word.
    """
    usual = usual_message(frame, profile)
    return usual or careful_message(frame, decode(frame, profile), profile)


def careful_message(frame: bytes, decoded: Decoded, profile: Profile) -> ParsedMessage:
    """Return the message in a decoded frame, of any form; raises `WireError` as above.

    `usual_message` must agree with this wherever it accepts.
    """
    try:
        mti = mti_of(decoded.mti)
        if mti is None:
            raise WireError("MTI", 0, "a message type of a terminal, as 0200", decoded.mti)
        stan = int(need(decoded, 11))
        terminal_id = need(decoded, 41).decode("ascii")
        key_id = key_id_of(decoded)
        seal = unsealed(frame, decoded, profile)
        if seal is None:
            number = 128 if max(decoded.fields) > 64 else 64
            need(decoded, number)
            raise WireError(str(number), 0, "the MAC as the last field", "another field behind it")
        message = _message_of(mti, decoded, terminal_id, stan)
    except WireError as error:
        raise located(error, decoded, profile) from None
    return ParsedMessage(profile, frame, terminal_id, key_id, *seal, message)


def _message_of(mti: Mti, decoded: Decoded, terminal_id: str, stan: int) -> TerminalMessage:
    if mti.message_class == NETWORK_CLASS:
        code = int(need(decoded, 70))
        if code not in _NETWORK_CODES:
            expected = "one of 001 002 161 201 301"
            raise WireError("70", 0, expected, f"{code:03d}", Outcome.NOT_SUPPORTED)
        _check_key(terminal_id, stan)
        known = NetworkCode(code)
        return Network(terminal_id=terminal_id, stan=stan, code=known, repeat=mti.repeat)
    if mti.message_class == TOTALS_CLASS:
        _check_key(terminal_id, stan)
        need(decoded, 48)
        entries = tlv48.read(decoded.fields, TOTALS_TAGS)
        return Totals(
            terminal_id=terminal_id,
            stan=stan,
            business_date=entries.need(b"DT", TOTALS_TAGS).day_in(),
            totals=totals_of(decoded, entries, TOTALS_TAGS),
            repeat=mti.repeat,
        )
    return _transaction_of(mti, decoded, terminal_id, stan)


_NETWORK_CODES: Final = frozenset(int(code) for code in NetworkCode)


def _transaction_of(mti: Mti, decoded: Decoded, terminal_id: str, stan: int) -> Transaction:
    """Return the transaction, checked for form, amount and the fields that repeat its key."""
    need(decoded, 7)
    kind = _kind_of(mti, decoded)
    need(decoded, 4)
    need(decoded, 48)
    entries = tlv48.read(decoded.fields, REQUEST_TAGS)
    single = entries.single
    proof = de55.decode_proof(need(decoded, 55))
    card = entries.need(b"CR", REQUEST_TAGS)
    holder = single.get(b"RH")
    challenge = single.get(b"CH")
    parent = single.get(b"PK")
    business_date = entries.need(b"DT", REQUEST_TAGS).day_in()
    items = entries.repeated.get(b"IT", [])
    request = Request(
        kind=kind,
        key=TransactionKey(business_date, terminal_id, stan, MessageClass(mti.message_class)),
        identifier_kind=IdentifierKind(entries.need(b"ID", REQUEST_TAGS).number),
        evidence=proof.evidence,
        issuer_region=card.number,
        card_id=bytes.fromhex(card.groups[1].decode("ascii")),
        holder_id=NO_HOLDER if holder is None else bytes.fromhex(holder.text),
        terminal_epoch=entries.need(b"EP", REQUEST_TAGS).number,
        terminal_sequence=entries.need(b"SQ", REQUEST_TAGS).number,
        signed_at_ms=entries.need(b"ST", REQUEST_TAGS).number,
        challenge=b"" if challenge is None else bytes.fromhex(challenge.text),
        parent=None if parent is None else key_of(parent),
        service=entries.need(b"SV", REQUEST_TAGS).text,
        service_version=entries.need(b"VR", REQUEST_TAGS).number,
        passport_version=entries.number(b"PV"),
        stop_list_version=entries.number(b"SL"),
        lines=tuple(_line_of(item) for item in items),
        nonce=proof.nonce,
        algorithm=proof.algorithm,
        signature=proof.signature,
        advice=mti.advice,
        repeat=mti.repeat,
    )
    _check_form(request, entries)
    _check_repeated_fields(request, decoded)
    return Transaction(request, entries.number(b"PG"))


def _kind_of(mti: Mti, decoded: Decoded) -> Kind:
    code = need(decoded, 3)
    kind = processing_kind(mti, code)
    if kind is None:
        codes = sorted({value.decode() for value in PROCESSING_CODES.values()})
        expected = f"a processing code of this class, of {' '.join(codes)}"
        raise WireError("3", 0, expected, shown(code), Outcome.NOT_SUPPORTED)
    if kind is Kind.INQUIRY and mti.advice:
        raise WireError("MTI", 0, "0100 or 0101 for an inquiry", mti.text)
    if kind is Kind.COMPLETION and not mti.advice:
        raise WireError("MTI", 0, "0220 or 0221 for a completion", mti.text)
    return kind


def _line_of(item: Entry) -> Line:
    name, quantity, unit_okei, scale, gross_kopecks = item.groups
    return Line(name.decode("ascii"), int(quantity), int(unit_okei), int(scale), int(gross_kopecks))


def _check_key(terminal_id: str, stan: int) -> None:
    """Check what every message names, with the words of `faults_of`."""
    if stan == 0:
        raise WireError("11", 0, "1 to 999999", "0")
    if len(terminal_id) != 8 or not terminal_id.isalnum() or terminal_id != terminal_id.upper():
        raise WireError("41", 0, "eight characters A-Z 0-9", repr(terminal_id))


def _check_form(request: Request, entries: Entries | None = None) -> None:
    """Raise `WireError` for the first fault of form, named as the wire names it."""
    faults = faults_of(request)
    if not faults:
        return
    name, _, expected = faults[0].partition(": ")
    if name.startswith("lines["):
        number, _, part = name.removeprefix("lines[").partition("].")
        line = request.lines[int(number) - 1]
        field, offset = f"48.IT[{number}].{part}", 0
        if entries is not None:
            item = entries.repeated[b"IT"][int(number) - 1]
            field, offset = f"{item.name}.{part}", item.offset
        raise WireError(field, offset, expected, str(getattr(line, part)))
    field = _FIELD_OF_FAULT[name]
    stands = None if entries is None else entries.single.get(field[3:].encode("ascii"))
    raise WireError(field, 0 if stands is None else stands.offset, expected, _found(request, name))


def _found(request: Request, name: str) -> str:
    """Return what an error says of a value that `faults_of` named."""
    if name == "amount":
        return str(request.gross_kopecks)
    value = getattr(request.key if hasattr(request.key, name) else request, name)
    match value:
        case bytes():
            return f"{len(value)} bytes"
        case tuple():
            return f"{len(value)} lines"
        case TransactionKey():
            return key_text(value)
        case None:
            return "none"
        case _:
            return str(value)[:40]


def _check_repeated_fields(request: Request, decoded: Decoded) -> None:
    """Raise `WireError` where an ISO field contradicts the content in field 48."""
    if int(decoded.fields[4]) != request.gross_kopecks:
        expected = f"{request.gross_kopecks:012d}: the sum of the lines"
        raise WireError("4", 0, expected, shown(decoded.fields[4]))
    business_day = local_date(request.key.business_date)
    if decoded.fields.get(13, business_day) != business_day:
        expected = f"{business_day.decode()}: the business date in 48.DT"
        raise WireError("13", 0, expected, shown(decoded.fields[13]))
    if request.kind is Kind.REVERSAL and request.parent is not None:
        original = need(decoded, 90)
        parent = request.parent
        named = (original[1:2], original[4:10])
        if named != (b"%d" % parent.message_class, b"%06d" % parent.stan):
            expected = f"class {int(parent.message_class)} and STAN {parent.stan:06d} of 48.PK"
            raise WireError("90", 0, expected, shown(original[:10]))


def _transaction_fields(request: Request, envelope: Envelope) -> tuple[str, dict[int, bytes]]:
    """Return type indicator and fields of a request, without those that its envelope gives."""
    _check_form(request)
    advice = request.advice or request.kind is Kind.COMPLETION
    if advice and request.kind is Kind.INQUIRY:
        raise WireError("MTI", 0, "0100 or 0101 for an inquiry", "an advice")
    mti = Mti(request.key.message_class, advice, request.repeat).text
    lines = (
        f"{line.item},{line.quantity},{line.unit_okei},{line.scale},{line.gross_kopecks}"
        for line in request.lines
    )
    items = [written(b"IT", line, REQUEST_TAGS) for line in lines]
    de48, de62, count = tlv48.packed(_single_entries(request, envelope), items)
    if count < len(items):
        expected = f"at most {count} lines of this length"
        raise WireError("62", 0, expected, f"{len(items)} lines")
    proof = de55.Proof(request.nonce, request.signature, request.evidence, request.algorithm)
    fields = {
        3: PROCESSING_CODES[request.kind],
        4: b"%012d" % request.gross_kopecks,
        11: b"%06d" % request.key.stan,
        13: local_date(request.key.business_date),
        41: request.key.terminal_id.encode("ascii"),
        48: de48,
        55: de55.encode_proof(proof),
    }
    if de62:
        fields[62] = de62
    if request.kind is Kind.REVERSAL and request.parent is not None:
        parent = request.parent
        head = f"0{int(parent.message_class)}00{parent.stan:06d}".encode("ascii")
        fields[90] = (head + local_date(parent.business_date)).ljust(42, b"0")
    return mti, fields


def _single_entries(request: Request, envelope: Envelope) -> list[bytes]:
    """Return the entries of field 48 that stand once, in the order of docs/wire.md."""
    values: list[tuple[bytes, str | int]] = [
        (b"DT", day_text(request.key.business_date)),
        (b"CR", f"{request.issuer_region:02d}{request.card_id.hex().upper()}"),
    ]
    if request.holder_id != NO_HOLDER:
        values.append((b"RH", request.holder_id.hex().upper()))
    values += [
        (b"ID", int(request.identifier_kind)),
        (b"EP", request.terminal_epoch),
        (b"SQ", request.terminal_sequence),
        (b"ST", request.signed_at_ms),
    ]
    if request.challenge:
        values.append((b"CH", request.challenge.hex().upper()))
    if request.parent is not None:
        values.append((b"PK", key_text(request.parent)))
    values += [(b"SV", request.service), (b"VR", request.service_version)]
    optional = (
        (b"PV", request.passport_version),
        (b"SL", request.stop_list_version),
        (b"PG", envelope.first_right),
    )
    values += [(tag, number) for tag, number in optional if number]
    return [written(tag, value, REQUEST_TAGS) for tag, value in values]


def _totals_message(message: Totals) -> tuple[str, dict[int, bytes]]:
    _check_key(message.terminal_id, message.stan)
    day = written(b"DT", day_text(message.business_date), TOTALS_TAGS)
    fields = {
        11: b"%06d" % message.stan,
        13: local_date(message.business_date),
        41: _ascii("41", message.terminal_id),
        48: b"".join((day, *totals_entries(message.totals, TOTALS_TAGS))),
        **totals_fields(message.totals),
    }
    return Mti(TOTALS_CLASS, advice=False, repeat=message.repeat).text, fields


def _ascii(field: str, text: str) -> bytes:
    """Return text as ASCII; what is not ASCII becomes an error naming the field."""
    try:
        return text.encode("ascii")
    except UnicodeEncodeError:
        raise WireError(field, 0, "ASCII characters", repr(text[:24])) from None
