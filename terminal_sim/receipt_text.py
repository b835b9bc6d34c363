"""The receipt as a pharmacy prints it: 40 columns, plain text."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from processing.wire.explanation import Audience
from processing.wire.figures import format_kopecks, format_quantity
from processing.wire.outcome import Outcome
from processing.wire.parameter_file import ParameterFile
from processing.wire.transaction import (
    Answer,
    DecidedLine,
    Kind,
    Line,
    MessageClass,
    Request,
    Right,
)
from terminal_sim.errors import Language
from terminal_sim.parent_lines import less
from terminal_sim.results import Result
from terminal_sim.state import quoted
from terminal_sim.terminal import zone_of
from terminal_sim.texts import (
    Phrase,
    amount_of,
    explained,
    item_name,
    item_named,
    masked,
    moment_of,
    moment_text,
    names_of_class,
    service_name,
    service_named,
    unit_name,
)

COLUMNS: Final = 40
HEX_GROUP: Final = 4
HEX_PER_ROW: Final = 32

_RULE: Final = "-" * COLUMNS
_DOUBLE_RULE: Final = "=" * COLUMNS


def receipt_text(
    result: Result,
    parameters: ParameterFile,
    language: Language,
    card_number: str = "",
    audience: Audience = Audience.CITIZEN,
) -> str:
    """Return the receipt of one request, whatever became of it, ending with a line feed.

    `card_number` is masked; without one (a reversal) the line is left out. `audience` is who
    reads why it was decided so.
    """
    zone = zone_of(parameters.time_zone)
    rows = [*_head(result, parameters, language, zone, card_number), _RULE]
    answer = result.answer
    if result.offline:
        rows += [*_rung_up(result.request, parameters, language), _RULE]
        rows.append(Phrase.OFFLINE.say(language).center(COLUMNS).rstrip())
        kept = _KEPT.get(result.request.kind, Phrase.KEPT_OFFLINE)
        rows += _wrapped(kept.say(language))
    elif not result.decided or answer is None:
        rows += _undecided(result, parameters, audience, language)
    elif answer.outcome.approved and answer.decision is not None:
        if result.request.kind is Kind.REVERSAL:
            rows += _taken_back(result.request, answer, language)
        else:
            rows += [*_sold(result.request, answer, parameters, language), _RULE]
        rows += _outcome(answer, result.request, parameters, audience, language)
        rows += _finish_by(result.request, answer, parameters, language)
        rows += _remaining(result.request, answer.rights, parameters, language)
    else:
        if answer.outcome is Outcome.RECORDED_IN_CONFLICT and _has_amounts(answer):
            # What was given is paid for, by whom it then may be.
            rows += [*_sold(result.request, answer, parameters, language), _RULE]
        rows += _outcome(answer, result.request, parameters, audience, language)
    rows += _not_taken(result, parameters, language)
    if result.decided and answer is not None:
        rows += _proof(result, answer, language)
    return "\n".join([*rows, _DOUBLE_RULE, ""])


def _head(
    result: Result,
    parameters: ParameterFile,
    language: Language,
    zone: ZoneInfo,
    card_number: str,
) -> list[str]:
    request = result.request
    provider = parameters.provider_name_ru if language == "ru" else parameters.provider_name_en
    title = _TITLES.get(request.kind, Phrase.RECEIPT)
    if result.at_ms is not None:
        title = Phrase.RECEIPT_BOOKING
    signed = datetime.fromtimestamp(request.signed_at_ms // 1000, UTC).astimezone(zone)
    rows = [_DOUBLE_RULE, *(row.center(COLUMNS).rstrip() for row in _wrapped(provider))]
    rows += [title.say(language).center(COLUMNS).rstrip(), _DOUBLE_RULE]
    terminal = f"{Phrase.TERMINAL.say(language)} {request.key.terminal_id}"
    rows += [_pair(f"{signed:%d.%m.%Y %H:%M}", terminal)]
    rows += [_pair(Phrase.NUMBER.say(language), quoted(request.key))]
    if request.parent is not None:
        label = _PARENTS.get(request.kind, Phrase.ORIGINAL)
        rows += [_pair(label.say(language), quoted(request.parent))]
    if result.at_ms is not None:
        booked = moment_of(result.at_ms, parameters)
        rows += [_pair(Phrase.APPOINTED.say(language), booked)]
    if card_number:
        rows += [_pair(Phrase.CARD.say(language), masked(card_number))]
    if service_named(request.service, parameters) is not None:
        rows += _wrapped(service_name(request.service, parameters, language))
    return rows


def _has_amounts(answer: Answer) -> bool:
    return answer.decision is not None and bool(answer.decision.lines)


_TITLES: Final = {
    Kind.REVERSAL: Phrase.RECEIPT_REVERSAL,
    Kind.RESERVE: Phrase.RECEIPT_RESERVE,
    Kind.COMPLETION: Phrase.RECEIPT_COMPLETION,
    Kind.RETURN: Phrase.RECEIPT_RETURN,
    Kind.VISIT_START: Phrase.RECEIPT_START,
    Kind.VISIT_FINISH: Phrase.RECEIPT_FINISH,
}
_PARENTS: Final = {
    Kind.COMPLETION: Phrase.RESERVATION,
    Kind.RETURN: Phrase.SOLD_AS,
    Kind.VISIT_FINISH: Phrase.BEGUN,
}
_KEPT: Final = {
    Kind.COMPLETION: Phrase.KEPT_COMPLETION,
    Kind.VISIT_START: Phrase.KEPT_START,
    Kind.VISIT_FINISH: Phrase.KEPT_FINISH,
}
_SALE_SUMS: Final = (Phrase.TOTAL, Phrase.TOTAL_COVERED, Phrase.TOTAL_TO_PAY)
_SUMS: Final = {
    Kind.RESERVE: (Phrase.TOTAL, Phrase.HELD_COVERED, Phrase.HELD),
    Kind.VISIT_START: (Phrase.TOTAL, Phrase.HELD_COVERED, Phrase.AT_FINISH),
    Kind.RETURN: (Phrase.HANDED_BACK, Phrase.RETURNED_COVERED, Phrase.TO_RETURN),
}
"""How gross, covered and paid are called at the foot of a receipt."""


def _rung_up(request: Request, parameters: ParameterFile, language: Language) -> list[str]:
    """Return the lines before anybody decided on them."""
    rows = []
    for line in request.lines:
        rows += _line_head(line, parameters, language) if line.quantity else []
    return [*rows, _pair(Phrase.TOTAL.say(language), format_kopecks(request.gross_kopecks))]


def _sold(
    request: Request, answer: Answer, parameters: ParameterFile, language: Language
) -> list[str]:
    decided = answer.decision.lines if answer.decision else ()
    rows = []
    returned = request.kind is Kind.RETURN
    for line, one in zip(request.lines, decided, strict=False):
        rows += _line_head(line, parameters, language) if line.quantity else []
        rows += _line_shares(one, language) if line.gross_kopecks and not returned else []
    # A visit has no price: nothing is to be added up.
    if not request.gross_kopecks:
        return rows
    covered_kopecks = sum(one.covered_kopecks for one in decided)
    paid_kopecks = sum(one.paid_kopecks for one in decided)
    sums = (request.gross_kopecks, covered_kopecks, paid_kopecks)
    labels = _SUMS.get(request.kind, _SALE_SUMS)
    pairs = zip(labels, sums, strict=True)
    return [*rows, _RULE, *(_pair(label.say(language), format_kopecks(x)) for label, x in pairs)]


def _taken_back(request: Request, answer: Answer, language: Language) -> list[str]:
    """Return what a reversal gave back; nothing when its original had taken nothing.

    Nothing had been paid for a reservation. A reversed return is sold again.
    """
    lines = answer.decision.lines if answer.decision else ()
    if not lines:
        return []
    parent = request.parent
    if parent is not None and parent.message_class is MessageClass.AUTHORIZATION:
        return [*_wrapped(Phrase.HOLD_FREED.say(language)), _RULE]
    covered_kopecks = sum(line.covered_kopecks for line in lines)
    paid_kopecks = sum(line.paid_kopecks for line in lines)
    labels = (Phrase.REVERSED_COVERED, Phrase.TO_RETURN)
    if answer.facts.get("original") == "return":
        labels = (Phrase.TOTAL_COVERED, Phrase.TOTAL_TO_PAY)
    return [
        _pair(labels[0].say(language), format_kopecks(covered_kopecks)),
        _pair(labels[1].say(language), format_kopecks(paid_kopecks)),
        _RULE,
    ]


def _line_head(line: Line, parameters: ParameterFile, language: Language) -> list[str]:
    """Return name, quantity and price of a line; the unit price only where it is exact."""
    item = item_named(line.item, parameters)
    rows = _wrapped(item_name(item, language) if item else line.item)
    unit = 10**line.scale
    quantity = f"{format_quantity(line.quantity, line.scale)} {unit_name(line.unit_okei, language)}"
    price_kopecks, rest = divmod(line.gross_kopecks * unit, line.quantity)
    if line.gross_kopecks and not rest:
        quantity = f"{quantity} × {format_kopecks(price_kopecks)}"
    shown = format_kopecks(line.gross_kopecks) if line.gross_kopecks else ""
    rows.append(_pair(f"  {quantity}", shown).rstrip())
    return rows


def _line_shares(decided: DecidedLine, language: Language) -> list[str]:
    return [
        _pair(f"  {Phrase.COVERED.say(language)}", format_kopecks(-decided.covered_kopecks)),
        _pair(f"  {Phrase.TO_PAY.say(language)}", format_kopecks(decided.paid_kopecks)),
    ]


def _outcome(
    answer: Answer,
    request: Request,
    parameters: ParameterFile,
    audience: Audience,
    language: Language,
) -> list[str]:
    if request.kind is Kind.VISIT_START:
        # Until when it has to be finished stands in a row of its own.
        facts = {name: value for name, value in answer.facts.items() if name != "expires"}
        answer = msgspec.structs.replace(answer, facts=facts)
    why = explained(
        answer, request.service, request.service_version, parameters, audience, language
    )
    rows = [Phrase.DECLINED.say(language).center(COLUMNS).rstrip()] if is_decline(answer) else []
    rows += _wrapped(why.happened.upper() if answer.outcome.approved else why.happened)
    if why.fact:
        rows += _wrapped(why.fact)
    if answer.outcome is not Outcome.APPROVED:
        rows += _wrapped(why.remedy)
        rows += _wrapped(why.rule)
    return rows


def _finish_by(
    request: Request, answer: Answer, parameters: ParameterFile, language: Language
) -> list[str]:
    """Return until when a visit that began has to be finished."""
    expires = answer.facts.get("expires", "")
    if request.kind is not Kind.VISIT_START or not expires:
        return []
    return [_pair(Phrase.FINISH_BY.say(language), moment_text(expires, parameters))]


def is_decline(answer: Answer) -> bool:
    """Whether the centre decided against the request."""
    outcome = answer.outcome
    recorded = outcome is Outcome.RECORDED_IN_CONFLICT
    return outcome.decided and not outcome.approved and not recorded


def _undecided(
    result: Result, parameters: ParameterFile, audience: Audience, language: Language
) -> list[str]:
    rows = [Phrase.NOT_DECIDED.say(language).center(COLUMNS).rstrip()]
    if result.answer is not None:
        return rows + _outcome(result.answer, result.request, parameters, audience, language)
    if result.judgement is not None and result.judgement.doubt is not None:
        reason = result.judgement.doubt.text(language)
        return rows + _wrapped(Phrase.NOT_BELIEVED.say(language, reason=reason))
    if result.fault is not None:
        rows += _wrapped(result.fault.text(language))
    return rows + _wrapped(Phrase.UNKNOWN.say(language))


def _not_taken(result: Result, parameters: ParameterFile, language: Language) -> list[str]:
    """Return what was put aside and not taken now: it goes back to the balance."""
    request, reserved, answer = result.request, result.parent, result.answer
    if reserved is None or answer is None or not answer.outcome.approved:
        return []
    rows = []
    for line in less(reserved.lines, [request.lines]):
        if line.quantity:
            item = item_named(line.item, parameters)
            rows += _wrapped(item_name(item, language) if item else line.item)
            left = amount_of(line.quantity, line.unit_okei, line.scale, language)
            rows.append(_pair(f"  {Phrase.NOT_TAKEN.say(language)}", left))
    return rows


def _remaining(
    request: Request, rights: tuple[Right, ...], parameters: ParameterFile, language: Language
) -> list[str]:
    """Return what is left of the rights that this request touched."""
    rung_up = {line.item for line in request.lines}
    classes = {item.item_class for item in parameters.items if item.item in rung_up}
    rows = []
    for right in rights:
        if right.holder_id == request.holder_id and right.item_class in classes:
            left = amount_of(right.remaining, right.unit_okei, right.scale, language)
            names = names_of_class(right.item_class, parameters, language)
            # Of many items the service says more to a citizen than one of them.
            service = service_name(right.service, parameters, language)
            rows += _wrapped(names[0] if len(names) == 1 else service)
            rows.append(_pair(f"  {Phrase.REMAINING.say(language)}", left))
    return rows


def _proof(result: Result, answer: Answer, language: Language) -> list[str]:
    decision = answer.decision
    if decision is None:
        return []
    place = f"{decision.lane}-{decision.block}-{decision.ordinal}"
    rows = [_RULE]
    if decision.approval_code:
        rows.append(_pair(Phrase.APPROVAL_CODE.say(language), decision.approval_code))
    rows.append(_pair(Phrase.JOURNAL.say(language), place))
    whole = result.judgement is not None and result.judgement.whole_proof
    if whole:
        rows.append(f"{Phrase.PROVEN.say(language)} ✓")
    else:
        rows += _wrapped(Phrase.PROVEN_BY_MAC.say(language))
    if answer.outcome.approved and answer.receipt:
        rows += _hex_block(answer.receipt)
    return rows


def _hex_block(receipt: bytes) -> list[str]:
    """Return the signed receipt in hex, upper case, which a QR code packs tightest."""
    digits = receipt.hex().upper()
    rows = [digits[at : at + HEX_PER_ROW] for at in range(0, len(digits), HEX_PER_ROW)]
    return [
        " ".join(row[at : at + HEX_GROUP] for at in range(0, len(row), HEX_GROUP)) for row in rows
    ]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, COLUMNS, break_on_hyphens=False) or [""]


def _pair(left: str, right: str) -> str:
    """Return a row with one text at each margin."""
    return f"{left}{right.rjust(COLUMNS - len(left))}"
