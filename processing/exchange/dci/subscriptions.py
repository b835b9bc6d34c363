"""Subscriptions: read, kept, ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import msgspec

from processing.exchange.dci.attributes import IDENTIFIERS, attribute_of, read_value
from processing.exchange.dci.codes import (
    VERSION,
    Locale,
    Reason,
    SearchReason,
    Status,
    SubscribeReason,
    UnsubscribeReason,
    locale_of,
    words,
)
from processing.exchange.dci.envelope import iso, moment_ms
from processing.exchange.dci.frequency import FrequencyFault, read_frequency
from processing.exchange.dci.model import KeptRequest, Peer, TxnType
from processing.exchange.dci.query import QueryFault, QueryType, read_query
from processing.exchange.dci.search import (
    REGISTRY_TYPE,
    Ground,
    check_registry,
    entity_of,
    read_purpose,
    read_reference,
    timely,
)
from processing.exchange.dci.store import DciWork, Subscription, moment

EVENTS: Final = {
    "register": "REGISTER",
    "newhouseholdmember": "NewHouseHoldMember",
}
"""What can be subscribed to, by the last word of reg_event_type in lower case."""

CODES_MAX: Final = 100
"""Most subscriptions that one message ends."""

_REASONS: Final = {
    SearchReason.REFERENCE_ID_INVALID: SubscribeReason.REFERENCE_ID_INVALID,
    SearchReason.REFERENCE_ID_DUPLICATE: SubscribeReason.REFERENCE_ID_DUPLICATE,
}


class _Fault(Exception):
    def __init__(self, reason: SubscribeReason, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class _Frequency(msgspec.Struct, frozen=True):
    start_time: str
    end_time: str
    frequency: str


class _Criteria(msgspec.Struct, frozen=True):
    reg_event_type: str
    filter: Any
    notify_record_type: str
    version: str = VERSION
    reg_type: str = REGISTRY_TYPE
    frequency: _Frequency | None = None
    filter_type: str = QueryType.EXPRESSION
    authorize: Ground | None = None
    consent: Ground | None = None


class _Item(msgspec.Struct, frozen=True):
    reference_id: Any = None
    timestamp: Any = None
    timesatmp: Any = None
    subscribe_criteria: msgspec.Raw = msgspec.Raw(b"{}")
    locale: Any = None


class SubscribeItem(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription as asked for, or with `fault` why it cannot be kept."""

    reference_id: str
    locale: Locale
    subscription: Subscription | None = None
    fault: tuple[SubscribeReason, str] | None = None


def read_subscriptions(
    items: list[msgspec.Raw], peer: Peer, transaction_id: str, now_ms: int
) -> list[SubscribeItem]:
    """Return the subscriptions of a message, each with what is wrong with it."""
    seen: set[str] = set()
    return [_read(item, peer, transaction_id, now_ms, seen) for item in items]


async def keep_subscription(
    work: DciWork, item: SubscribeItem, transaction_id: str, now_ms: int
) -> tuple[dict[str, Any], KeptRequest]:
    """Keep one subscription; what is told of it, and what is kept of the request."""
    fault = item.fault
    if item.subscription is not None and not await work.subscribe(item.subscription, now_ms):
        fault = (SubscribeReason.ALREADY_SUBSCRIBED, "")
    status = Status.SUCCESS if fault is None else Status.REJECTED
    told: dict[str, Any] = {
        "reference_id": item.reference_id,
        "timestamp": iso(now_ms),
        "status": status,
        "locale": item.locale,
    }
    text = None
    if fault is not None:
        text = words(fault[0], item.locale, fault[1])
        told |= {"status_reason_code": fault[0], "status_reason_message": text}
    elif item.subscription is not None:
        told["subscriptions"] = [_told(item.subscription, now_ms)]
    kept = KeptRequest(
        txn_type=TxnType.SUBSCRIBE,
        transaction_id=transaction_id,
        reference_id=item.reference_id,
        status=status,
        reason=None if fault is None else fault[0],
        reason_message=text,
    )
    return told, kept


class Unsubscribe(msgspec.Struct, frozen=True):
    """The message of an unsubscribe; `sunscription_codes` is a slip of the published text."""

    transaction_id: str
    timestamp: Any = None
    timesatmp: Any = None
    subscription_codes: list[str] | None = None
    sunscription_codes: list[str] | None = None

    @property
    def codes(self) -> list[str]:
        """The subscriptions to end."""
        return self.subscription_codes or self.sunscription_codes or []


async def end_subscriptions(
    work: DciWork, peer: Peer, asked: Unsubscribe, locale: Locale, now_ms: int
) -> dict[str, Any]:
    """End a participant's subscriptions, all or none; what is told of it."""
    told: dict[str, Any] = {"timestamp": iso(now_ms), "status": Status.SUCCESS}
    reason, detail = _wrong(asked, now_ms)
    states: list[tuple[str, str]] = []
    if reason is None:
        states = await work.unsubscribe(peer.peer_id, asked.codes, now_ms)
        reason, detail = _refused(states)
    if reason is not None:
        told |= {
            "status": Status.REJECTED,
            "status_reason_code": reason,
            "status_reason_message": words(reason, locale, detail),
        }
    # Of another's subscription nothing is told, not even whether it stands.
    told["subscription_status"] = [
        {
            "code": code,
            "status": "unsubscribe" if reason is None or state == "ended" else "subscribe",
        }
        for code, state in states
        if state in {"active", "ended"}
    ]
    return told


def _wrong(asked: Unsubscribe, now_ms: int) -> tuple[Reason | None, str]:
    seen: set[str] = set()
    if read_reference(asked.transaction_id, seen)[1] is not None:
        return UnsubscribeReason.REFERENCE_ID_INVALID, "transaction_id"
    if not timely(asked.timestamp or asked.timesatmp, now_ms):
        return UnsubscribeReason.TIMESTAMP_INVALID, ""
    if not 0 < len(asked.codes) <= CODES_MAX:
        return UnsubscribeReason.SUBSCRIPTION_CODE_INVALID, f"subscription_codes: 1-{CODES_MAX}"
    if len(set(asked.codes)) < len(asked.codes):
        return UnsubscribeReason.REFERENCE_ID_DUPLICATE, "subscription_codes"
    if any("\0" in code for code in asked.codes):
        return UnsubscribeReason.SUBSCRIPTION_CODE_INVALID, ""
    return None, ""


def _refused(states: list[tuple[str, str]]) -> tuple[Reason | None, str]:
    for state, reason in (
        ("unknown", UnsubscribeReason.SUBSCRIPTION_CODE_INVALID),
        ("of another", UnsubscribeReason.REQUESTER_INVALID),
        ("ended", UnsubscribeReason.ALREADY_UNSUBSCRIBED),
    ):
        for code, found in states:
            if found == state:
                return reason, code[:99]
    return None, ""


def _read(
    raw: msgspec.Raw, peer: Peer, transaction_id: str, now_ms: int, seen: set[str]
) -> SubscribeItem:
    try:
        item = msgspec.json.decode(raw, type=_Item)
    except msgspec.DecodeError as error:
        fault = (SubscribeReason.NOTIFY_DETAILS_INVALID, str(error))
        return SubscribeItem(reference_id="", locale=Locale.ENGLISH, fault=fault)
    locale = locale_of(item.locale)
    reference_id, wrong = read_reference(item.reference_id, seen)
    reason = None if wrong is None else _REASONS[wrong]
    if reason is None and not timely(item.timestamp or item.timesatmp, now_ms):
        reason = SubscribeReason.TIMESTAMP_INVALID
    if reason is not None:
        return SubscribeItem(reference_id=reference_id, locale=locale, fault=(reason, ""))
    try:
        subscription = _criteria(item, peer, transaction_id, now_ms, locale)
    except _Fault as error:
        fault = (error.reason, error.detail)
        return SubscribeItem(reference_id=reference_id, locale=locale, fault=fault)
    return SubscribeItem(reference_id=reference_id, locale=locale, subscription=subscription)


def _criteria(
    item: _Item, peer: Peer, transaction_id: str, now_ms: int, locale: Locale
) -> Subscription:
    try:
        criteria = msgspec.json.decode(item.subscribe_criteria, type=_Criteria)
        check_registry(criteria.version, criteria.reg_type)
        purpose = read_purpose(peer, criteria.consent, criteria.authorize)
        query_type = QueryType(criteria.filter_type)
        starts_at, ends_at, next_ms = _times(criteria.frequency, now_ms)
    except (msgspec.DecodeError, FrequencyFault, ValueError) as error:
        raise _Fault(SubscribeReason.NOTIFY_DETAILS_INVALID, str(error)) from None
    event = EVENTS.get(criteria.reg_event_type.rsplit(":", 1)[-1].lower())
    if event is None:
        known = ", ".join(EVENTS.values())
        raise _Fault(SubscribeReason.NOTIFY_TYPES_INVALID, f"reg_event_type: {known}")
    try:
        entity = entity_of(criteria.notify_record_type)
    except ValueError as error:
        raise _Fault(SubscribeReason.NOTIFY_TYPES_INVALID, str(error)) from None
    _check_person(query_type, criteria.filter)
    try:
        condition = read_query(query_type, criteria.filter, peer.parts)
    except QueryFault as error:
        raise _Fault(SubscribeReason.NOTIFY_DETAILS_INVALID, str(error)) from None
    return Subscription(
        code=uuid4(),
        peer_id=peer.peer_id,
        transaction_id=transaction_id,
        event=event,
        entity=entity,
        purpose=purpose,
        condition=condition,
        locale=locale,
        starts_at=starts_at,
        ends_at=ends_at,
        frequency=criteria.frequency.frequency if criteria.frequency else None,
        next_at=moment(next_ms),
    )


def _check_person(query_type: QueryType, query: object) -> None:
    """Raise for an identifier that can be nobody's."""
    if query_type is not QueryType.IDTYPE_VALUE or not isinstance(query, dict):
        return
    attribute = attribute_of(str(query.get("type")))
    if attribute is None or attribute.name not in IDENTIFIERS:
        raise _Fault(SubscribeReason.PERSON_ID_INVALID, f"filter.type: {', '.join(IDENTIFIERS)}")
    try:
        read_value(attribute, query.get("value"))
    except ValueError as error:
        raise _Fault(SubscribeReason.PERSON_ID_INVALID, str(error)) from None


def _times(
    frequency: _Frequency | None, now_ms: int
) -> tuple[datetime | None, datetime | None, int]:
    """Return from when, until when and when next a subscription is told of."""
    if frequency is None:
        return None, None, now_ms
    start, end = moment_ms(frequency.start_time), moment_ms(frequency.end_time)
    if start is None or end is None or end <= max(start, now_ms):
        raise ValueError("frequency: start_time and end_time, with zones, in this order")
    first = read_frequency(frequency.frequency).next_after(max(start, now_ms))
    if first is None or first > end:
        raise ValueError("frequency: it never comes round before end_time")
    return moment(start), moment(end), first


def _told(subscription: Subscription, now_ms: int) -> dict[str, Any]:
    return {
        "version": VERSION,
        "code": str(subscription.code),
        "status": "subscribe",
        "timestamp": iso(now_ms),
        "reg_type": REGISTRY_TYPE,
        "reg_event_type": subscription.event,
        "notify_record_type": f"spdci-extensions-social:{subscription.entity}",
        "locale": subscription.locale,
    }
