"""One search of a message: read, carried out, and told."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from processing.exchange.dci.attributes import Attribute, attribute_of
from processing.exchange.dci.codes import VERSION, Locale, SearchReason, Status, locale_of, words
from processing.exchange.dci.envelope import IDENTIFIER_LENGTH_MAX, iso, moment_ms
from processing.exchange.dci.model import Entity, KeptRequest, Peer, TxnType
from processing.exchange.dci.query import Condition, QueryFault, QueryType, read_query
from processing.exchange.dci.signature import CLOCK_SKEW_SECONDS_MAX
from processing.exchange.dci.store import DciWork, Found

PAGE_SIZE_MAX: Final = 500
"""Most records of one page."""

MATCHES_MAX: Final = 10_000
"""Most records that a condition may match; above it has to be narrowed."""

RECORDS_PER_MESSAGE_MAX: Final = 2_000
"""Most records that the searches of one message bring together."""

SORTS_MAX: Final = 5
"""Most attributes that records are sorted by."""

REGISTRY_TYPE: Final = "ns:org:RegistryType:Social"
REGISTRY_TYPES: Final = frozenset({"social", "socialregistry", "sr"})
RECORD_TYPES: Final = {
    "srperson": Entity.MEMBER,
    "person": Entity.MEMBER,
    "member": Entity.MEMBER,
    "group": Entity.GROUP,
}
CONTEXT: Final = {
    "@vocab": "https://schema.spdci.org/extensions/social/v1/",
    "common": "https://schema.spdci.org/common/v1/",
}

_T = TypeVar("_T")


class ItemFault(Exception):
    """A search is rejected; the others of the message go on."""

    def __init__(self, reason: SearchReason, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Pagination(msgspec.Struct, frozen=True):
    """Which page of what is found; pages are counted from 1."""

    page_size: Annotated[int, Meta(ge=1, le=PAGE_SIZE_MAX)]
    page_number: Annotated[int, Meta(ge=1)] = 1


class _Purpose(msgspec.Struct, frozen=True):
    code: str


class Ground(msgspec.Struct, frozen=True):
    """The consent or authority that a request stands on."""

    purpose: _Purpose


class _Sort(msgspec.Struct, frozen=True):
    attribute_name: str
    sort_order: Annotated[str, Meta(pattern="^(asc|desc)$")] = "asc"


class _Criteria(msgspec.Struct, frozen=True):
    query_type: QueryType
    query: Any
    version: str = VERSION
    reg_type: str = REGISTRY_TYPE
    reg_record_type: str | None = None
    response_entity: Entity | None = None
    sort: Any = None
    pagination: Any = None
    consent: Ground | None = None
    authorize: Ground | None = None


class _Item(msgspec.Struct, frozen=True):
    reference_id: Any = None
    timestamp: Any = None
    timesatmp: Any = None
    search_criteria: msgspec.Raw = msgspec.Raw(b"{}")
    locale: Any = None


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A search as asked for, or with `fault` why it cannot be carried out."""

    reference_id: str
    locale: Locale
    entity: Entity = Entity.MEMBER
    purpose: str = ""
    condition: Condition = Condition()
    sort: tuple[dict[str, str], ...] = ()
    page: Pagination = Pagination(PAGE_SIZE_MAX)
    fault: tuple[SearchReason, str] | None = None


class SearchAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of a search, and what is kept of it."""

    told: dict[str, Any]
    kept: KeptRequest


def read_searches(items: list[msgspec.Raw], peer: Peer, now_ms: int) -> list[Search]:
    """Return the searches of a message, each with what is wrong with it."""
    seen: set[str] = set()
    return [_read(item, peer, now_ms, seen) for item in items]


def read_purpose(peer: Peer, consent: Ground | None, authorize: Ground | None) -> str:
    """Return the purpose that was named and agreed; raises ValueError."""
    ground = consent or authorize
    known = ", ".join(sorted(peer.purposes))
    if ground is None:
        raise ValueError(f"authorize.purpose.code or consent.purpose.code is needed: {known}")
    if ground.purpose.code not in peer.purposes:
        raise ValueError(
            f"the purpose {ground.purpose.code[:50]!r} is not agreed with you: {known}"
        )
    return ground.purpose.code


def read_reference(value: object, seen: set[str]) -> tuple[str, SearchReason | None]:
    """Return a reference id as it can be quoted, and why it cannot be used, if so."""
    if not isinstance(value, str) or not 0 < len(value) <= IDENTIFIER_LENGTH_MAX or "\0" in value:
        return "", SearchReason.REFERENCE_ID_INVALID
    if value in seen:
        return value, SearchReason.REFERENCE_ID_DUPLICATE
    seen.add(value)
    return value, None


def timely(value: object, now_ms: int) -> bool:
    """Whether a time has a zone and does not lie in the future."""
    moment = moment_ms(value)
    return moment is not None and moment <= now_ms + 1000 * CLOCK_SKEW_SECONDS_MAX


def _read(raw: msgspec.Raw, peer: Peer, now_ms: int, seen: set[str]) -> Search:
    try:
        item = msgspec.json.decode(raw, type=_Item)
    except msgspec.DecodeError as error:
        fault = (SearchReason.CRITERIA_INVALID, str(error))
        return Search(reference_id="", locale=Locale.ENGLISH, fault=fault)
    locale = locale_of(item.locale)
    reference_id, reason = read_reference(item.reference_id, seen)
    if reason is None and not timely(item.timestamp or item.timesatmp, now_ms):
        reason = SearchReason.TIMESTAMP_INVALID
    if reason is not None:
        return Search(reference_id=reference_id, locale=locale, fault=(reason, ""))
    try:
        return _read_criteria(item.search_criteria, peer, reference_id, locale)
    except ItemFault as fault:
        wrong = (fault.reason, fault.detail)
        return Search(reference_id=reference_id, locale=locale, fault=wrong)


def _read_criteria(raw: msgspec.Raw, peer: Peer, reference_id: str, locale: Locale) -> Search:
    try:
        criteria = msgspec.json.decode(raw, type=_Criteria)
        entity = criteria.response_entity or entity_of(criteria.reg_record_type)
        check_registry(criteria.version, criteria.reg_type)
        purpose = read_purpose(peer, criteria.consent, criteria.authorize)
    except (msgspec.DecodeError, ValueError) as error:
        raise ItemFault(SearchReason.CRITERIA_INVALID, str(error)) from None
    try:
        condition = read_query(criteria.query_type, criteria.query, peer.parts)
    except QueryFault as error:
        raise ItemFault(SearchReason.FILTER_INVALID, str(error)) from None
    page = Pagination(PAGE_SIZE_MAX)
    if criteria.pagination is not None:
        page = _convert(criteria.pagination, Pagination, SearchReason.PAGINATION_INVALID)
    return Search(
        reference_id=reference_id,
        locale=locale,
        entity=entity,
        purpose=purpose,
        condition=condition,
        sort=_read_sort(criteria.sort, peer),
        page=page,
    )


def check_registry(version: str, reg_type: str) -> None:
    """Raise ValueError unless it is the social registry, version 1.0.0, that is asked."""
    if version != VERSION:
        raise ValueError(f"version: {VERSION} is expected")
    if reg_type.rsplit(":", 1)[-1].lower() not in REGISTRY_TYPES:
        raise ValueError(f"reg_type: {REGISTRY_TYPE} is expected")


def entity_of(record_type: str | None) -> Entity:
    """Return what a kind of record is of, by default a citizen; raises ValueError."""
    if record_type is None:
        return Entity.MEMBER
    entity = RECORD_TYPES.get(record_type.rsplit(":", 1)[-1].lower())
    if entity is None:
        raise ValueError(f"record type {record_type[:50]!r}: Member, SRPerson, Person or Group")
    return entity


def _read_sort(value: object, peer: Peer) -> tuple[dict[str, str], ...]:
    sorts = _convert(value or [], list[_Sort], SearchReason.SORT_INVALID)
    if len(sorts) > SORTS_MAX:
        raise ItemFault(SearchReason.SORT_INVALID, f"sort: {SORTS_MAX} attributes at most")
    return tuple(
        {"attribute": _sortable(one.attribute_name, peer).name, "sort_order": one.sort_order}
        for one in sorts
    )


def _sortable(name: str, peer: Peer) -> Attribute:
    attribute = attribute_of(name)
    if attribute is None or not (attribute.ordered and attribute.single):
        raise ItemFault(SearchReason.SORT_INVALID, f"sort: {name[:50]!r} cannot be sorted by")
    if attribute.part not in peer.parts:
        raise ItemFault(SearchReason.SORT_INVALID, f"sort: {attribute.name} is not agreed with you")
    return attribute


def _convert(value: object, kind: type[_T], reason: SearchReason) -> _T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ItemFault(reason, str(error)) from None


class Searching:
    """Carries out the searches of one message, within the records that one message may bring."""

    def __init__(self, work: DciWork, peer: Peer, transaction_id: str, now_ms: int) -> None:
        self._work = work
        self._peer = peer
        self._transaction_id = transaction_id
        self._now_ms = now_ms
        self._records_left = RECORDS_PER_MESSAGE_MAX

    async def answer(self, search: Search) -> SearchAnswer:
        """Return what was found, or why it is not told."""
        try:
            if search.fault is not None:
                raise ItemFault(*search.fault)
            found = await self._work.search(
                self._peer, search.purpose, search.entity, search.condition,
                search.sort, search.page.page_size, search.page.page_number, MATCHES_MAX,
            )  # fmt: skip
            self._check(search, found)
        except ItemFault as fault:
            return self._rejected(search, fault)
        self._records_left -= len(found.records)
        return self._found(search, found)

    def _check(self, search: Search, found: Found) -> None:
        if found.matched > MATCHES_MAX:
            raise ItemFault(SearchReason.TOO_MANY_RECORDS, f"> {MATCHES_MAX}")
        if search.page.page_number > max(1, -(-found.matched // search.page.page_size)):
            pages = -(-found.matched // search.page.page_size)
            raise ItemFault(SearchReason.PAGINATION_INVALID, f"page_number: 1-{max(1, pages)}")
        if len(found.records) > self._records_left:
            raise ItemFault(
                SearchReason.TOO_MANY_RECORDS, f"> {RECORDS_PER_MESSAGE_MAX} per message"
            )

    def _found(self, search: Search, found: Found) -> SearchAnswer:
        size, number = search.page.page_size, search.page.page_number
        told = {
            **self._beginning(search, Status.SUCCESS),
            "data": {
                "version": VERSION,
                "reg_type": REGISTRY_TYPE,
                "reg_record_type": f"spdci-extensions-social:{search.entity}",
                "reg_records": [{"@context": CONTEXT, **one} for one in found.records],
            },
            "pagination": {
                "page_size": size,
                "page_number": number,
                "total_count": found.matched,
            },
        }
        kept = KeptRequest(
            txn_type=TxnType.SEARCH,
            transaction_id=self._transaction_id,
            reference_id=search.reference_id,
            status=Status.SUCCESS,
            record_ids=found.record_ids,
            page_size=size,
            page_number=number,
            total_count=found.matched,
        )
        return SearchAnswer(told=told, kept=kept)

    def _rejected(self, search: Search, fault: ItemFault) -> SearchAnswer:
        text = words(fault.reason, search.locale, fault.detail)
        told = {
            **self._beginning(search, Status.REJECTED),
            "status_reason_code": fault.reason,
            "status_reason_message": text,
        }
        kept = KeptRequest(
            txn_type=TxnType.SEARCH,
            transaction_id=self._transaction_id,
            reference_id=search.reference_id,
            status=Status.REJECTED,
            reason=fault.reason,
            reason_message=text,
        )
        return SearchAnswer(told=told, kept=kept)

    def _beginning(self, search: Search, status: Status) -> dict[str, Any]:
        return {
            "reference_id": search.reference_id,
            "timestamp": iso(self._now_ms),
            "status": status,
            "locale": search.locale,
        }
