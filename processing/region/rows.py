"""The region as rows of the database's tables, in the order in which they can be written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Final

import msgspec

from processing.eligibility.document import Rule
from processing.kernel.bucket import bucket_of
from processing.region.catalogue import Catalogue
from processing.region.chance import ID_EPOCH_MS
from processing.region.model import Citizen, Entitlement, Household
from processing.region.rights import Rights, derived_id
from processing.region.tables import PAPERS, Table
from processing.regulations.compiling import (
    NormRow,
    PriceRuleRow,
    RefusalRow,
    RequirementRow,
    ServiceRow,
    compile_regulation,
)
from processing.regulations.document import Regulation

SHIPPED_BY: Final = "release"
APPROVED_BY: Final = "spk region create"
"""Who proposed and who approved the regulations of a synthetic region."""

Value = bytes | str | int | bool | date | datetime | tuple[str, ...] | None
Row = tuple[Value, ...]


REGION: Final = Table("regulations", "region", ("region", "time_zone", "name_ru", "name_en"))
MEASURE: Final = Table("regulations", "measure", ("measure", "name_ru", "name_en", "funding"))
SERVICE: Final = Table("regulations", "service", ServiceRow.__struct_fields__)
PRICE_RULE: Final = Table("regulations", "price_rule", PriceRuleRow.__struct_fields__)
REQUIREMENT: Final = Table("regulations", "requirement", RequirementRow.__struct_fields__)
NORM: Final = Table("regulations", "norm", NormRow.__struct_fields__)
REFUSAL: Final = Table("regulations", "refusal", RefusalRow.__struct_fields__)
DOCUMENT: Final = Table(
    "regulations",
    "document",
    (
        "service",
        "version",
        "body",
        "body_sha256",
        "valid_from",
        "proposed_by",
        "proposed_at",
        "approved_by",
        "approved_at",
    ),
)
ITEM: Final = Table(
    "regulations",
    "item",
    ("item", "item_class", "unit_okei", "scale", "cap_kopecks", "name_ru", "name_en"),
)
CATEGORY_MEASURE: Final = Table("regulations", "category_measure", ("category", "measure"))
BENEFIT_CATEGORY: Final = Table("register", "benefit_category", ("category", "name_ru", "name_en"))
ELIGIBILITY: Final = Table(
    "eligibility",
    "document",
    (
        "measure",
        "version",
        "body",
        "body_sha256",
        "valid_from",
        "valid_to",
        "proposed_by",
        "proposed_at",
        "approved_by",
        "approved_at",
    ),
)
AMOUNT: Final = Table(
    "eligibility",
    "amount",
    ("region", "parameter", "valid_from", "amount_kopecks", "basis", "set_by"),
)
PROVIDER: Final = Table(
    "terminals",
    "provider",
    ("provider_id", "code", "inn", "kind", "name_ru", "name_en", "contract"),
)
TERMINAL: Final = Table("terminals", "terminal", ("terminal_id", "provider_id", "region"))
TERMINAL_SERVICE: Final = Table("terminals", "terminal_service", ("terminal_id", "service"))
CITIZEN: Final = Table(
    "register",
    "citizen",
    (
        "citizen_id",
        "snils",
        "enp",
        "inn",
        "last_name",
        "first_name",
        "patronymic",
        "birth_date",
        "sex",
        "region",
    ),
)
HOUSEHOLD: Final = Table("register", "household", ("household_id", "number", "region", "address"))
HOUSEHOLD_MEMBER: Final = Table(
    "register", "household_member", ("record_id", "household_id", "citizen_id", "relation")
)
PERSONAL_ACCOUNT: Final = Table(
    "register",
    "personal_account",
    ("record_id", "account_number", "household_id", "provider_code"),
)
CITIZEN_CATEGORY: Final = Table(
    "register",
    "citizen_category",
    ("record_id", "citizen_id", "category", "valid_from", "valid_to", "evidence"),
)
PRESCRIPTION: Final = Table(
    "register",
    "prescription",
    (
        "record_id",
        "series",
        "number",
        "citizen_id",
        "item_class",
        "quantity",
        "funding",
        "payment_percent",
        "prescribed_on",
        "valid_days",
    ),
)
DECISION: Final = Table(
    "register",
    "entitlement",
    (
        "record_id",
        "citizen_id",
        "household_id",
        "measure",
        "category",
        "decision_number",
        "decided_on",
        "valid_from",
        "valid_to",
    ),
)
ENTITLEMENT: Final = Table(
    "rights",
    "entitlement",
    (
        "bucket",
        "holder_id",
        "entitlement_id",
        "measure",
        "category",
        "valid_from",
        "valid_to",
        "decision_number",
        "decided_on",
    ),
)
ALLOWANCE: Final = Table(
    "rights",
    "allowance",
    (
        "bucket",
        "holder_id",
        "allowance_id",
        "entitlement_id",
        "measure",
        "category",
        "funding",
        "item_class",
        "unit_okei",
        "scale",
        "granted",
        "period",
        "valid_from",
        "valid_to",
        "priority",
        "item",
        "course_days",
    ),
)
HOLDER_FACT: Final = Table(
    "rights",
    "holder_fact",
    ("bucket", "holder_id", "fact", "valid_from", "valid_to", "provider_code"),
)

TABLES: Final = (
    REGION,
    MEASURE,
    SERVICE,
    PRICE_RULE,
    REQUIREMENT,
    NORM,
    REFUSAL,
    DOCUMENT,
    ITEM,
    CATEGORY_MEASURE,
    BENEFIT_CATEGORY,
    ELIGIBILITY,
    AMOUNT,
    PROVIDER,
    TERMINAL,
    TERMINAL_SERVICE,
    CITIZEN,
    HOUSEHOLD,
    HOUSEHOLD_MEMBER,
    PERSONAL_ACCOUNT,
    CITIZEN_CATEGORY,
    PRESCRIPTION,
    *PAPERS,
    DECISION,
    ENTITLEMENT,
    ALLOWANCE,
    HOLDER_FACT,
)
"""Every table that is written; a table stands after those it refers to."""


class Batch:
    """Rows by table; a column that holds an identifier holds its 16 bytes."""

    def __init__(self) -> None:
        self.rows: dict[Table, list[Row]] = {table: [] for table in TABLES}

    @property
    def citizen_count(self) -> int:
        """How many citizens are in it."""
        return len(self.rows[CITIZEN])

    @property
    def row_count(self) -> int:
        """How many rows are in it."""
        return sum(map(len, self.rows.values()))


def add_catalogue(batch: Batch, catalogue: Catalogue, regulations: Iterable[Regulation]) -> None:
    """Add the rows of the catalogue and of the regulations."""
    add, place = batch.rows, catalogue.region
    add[REGION].append((place.region, place.time_zone, place.name_ru, place.name_en))
    add[MEASURE] += [(m.measure, m.name_ru, m.name_en, m.funding) for m in catalogue.measure]
    for regulation in regulations:
        compiled = compile_regulation(regulation)
        add[SERVICE].append(msgspec.structs.astuple(compiled.service))
        add[PRICE_RULE] += map(msgspec.structs.astuple, compiled.price_rules)
        add[REQUIREMENT] += map(msgspec.structs.astuple, compiled.requirements)
        add[NORM] += map(msgspec.structs.astuple, compiled.norms)
        add[REFUSAL] += map(msgspec.structs.astuple, compiled.refusals)
        add[DOCUMENT].append(_document_row(regulation))
    add[ITEM] += [
        (i.item, i.item_class, i.unit_okei, i.scale, i.cap_kopecks, i.name_ru, i.name_en)
        for i in catalogue.item
    ]
    add[CATEGORY_MEASURE] += [
        (entry.category, measure) for entry in catalogue.category for measure in entry.measures
    ]
    add[BENEFIT_CATEGORY] += [(c.category, c.name_ru, c.name_en) for c in catalogue.category]
    for provider in catalogue.provider:
        provider_id = provider_id_of(provider.code)
        add[PROVIDER].append(
            (
                provider_id,
                provider.code,
                provider.inn,
                provider.kind,
                provider.name_ru,
                provider.name_en,
                provider.contract,
            )
        )
        for terminal in provider.terminals:
            add[TERMINAL].append((terminal, provider_id, place.region))
            add[TERMINAL_SERVICE] += [(terminal, service) for service in provider.services]


def _document_row(regulation: Regulation) -> Row:
    """Return the document of a shipped regulation, in force since its first day."""
    head, body = regulation.regulation, regulation.source.data
    since = datetime.combine(head.valid_from, time(), UTC)
    return (
        head.service,
        head.version,
        body,
        hashlib.sha256(body).digest(),
        head.valid_from,
        SHIPPED_BY,
        since,
        APPROVED_BY,
        since,
    )


def add_eligibility(batch: Batch, catalogue: Catalogue, rules: Iterable[Rule]) -> None:
    """Add the rules of eligibility, in force since their first day, and the region's amounts."""
    for rule in rules:
        head, body = rule.eligibility, rule.source.data
        since = datetime.combine(head.valid_from, time(), UTC)
        batch.rows[ELIGIBILITY].append(
            (
                head.measure,
                head.version,
                body,
                hashlib.sha256(body).digest(),
                head.valid_from,
                head.valid_to,
                SHIPPED_BY,
                since,
                APPROVED_BY,
                since,
            )
        )
    batch.rows[AMOUNT] += [
        (
            catalogue.region.region,
            entry.parameter,
            entry.valid_from,
            entry.amount_kopecks,
            entry.basis,
            SHIPPED_BY,
        )
        for entry in catalogue.amount
    ]


def provider_id_of(code: str) -> bytes:
    """Return the identifier of the catalogue's provider `code`, the same in every region."""
    return derived_id(ID_EPOCH_MS.to_bytes(6, "big"), f"provider {code}")


def add_household(batch: Batch, region: int, household: Household, rights: Rights) -> None:
    """Add a household with its people and all of their rights."""
    add, household_id = batch.rows, household.household_id
    add[HOUSEHOLD].append((household_id, household.number, region, household.address))
    add[PERSONAL_ACCOUNT] += [
        (derived_id(household_id, number), number, household_id, code)
        for number, code in household.accounts
    ]
    for citizen in household.members:
        add[CITIZEN].append(_citizen_row(region, citizen))
        add[HOUSEHOLD_MEMBER].append(
            (
                derived_id(citizen.citizen_id, "member"),
                household_id,
                citizen.citizen_id,
                citizen.person.relation.value,
            )
        )
    add[CITIZEN_CATEGORY] += [
        (
            derived_id(citizen_id, held.category),
            citizen_id,
            held.category,
            held.valid_from,
            held.valid_to,
            held.evidence,
        )
        for citizen_id, held in rights.holdings
    ]
    add[PRESCRIPTION] += [
        (
            one.allowance_id,
            one.prescription.series,
            one.prescription.number,
            one.citizen_id,
            one.prescription.item_class,
            one.prescription.packs,
            one.funding,
            100 - one.percent,
            one.prescription.prescribed_on,
            one.prescription.valid_days,
        )
        for one in rights.prescribed
    ]
    add[DECISION] += [
        (
            one.entitlement_id,
            None if one.holder_id == household_id else one.holder_id,
            household_id if one.holder_id == household_id else None,
            one.measure,
            one.category,
            one.decision_number,
            one.decided_on,
            one.valid_from,
            one.valid_to,
        )
        for one in rights.entitlements
    ]
    _add_entitlements(batch, rights.entitlements)
    add[HOLDER_FACT] += [
        (
            bucket_of(one.holder_id),
            one.holder_id,
            one.fact,
            one.valid_from,
            one.valid_to,
            one.provider_code,
        )
        for one in rights.facts
    ]


def _citizen_row(region: int, citizen: Citizen) -> Row:
    person = citizen.person
    return (
        citizen.citizen_id,
        citizen.snils,
        citizen.enp,
        citizen.inn,
        person.last_name,
        person.first_name,
        person.patronymic,
        person.birth_date,
        person.sex,
        region,
    )


def _add_entitlements(batch: Batch, entitlements: Iterable[Entitlement]) -> None:
    for one in entitlements:
        bucket = bucket_of(one.holder_id)
        batch.rows[ENTITLEMENT].append(
            (
                bucket,
                one.holder_id,
                one.entitlement_id,
                one.measure,
                one.category,
                one.valid_from,
                one.valid_to,
                one.decision_number,
                one.decided_on,
            )
        )
        for right in one.allowances:
            batch.rows[ALLOWANCE].append(
                (
                    bucket,
                    one.holder_id,
                    right.allowance_id,
                    one.entitlement_id,
                    one.measure,
                    one.category,
                    one.funding,
                    right.item_class,
                    right.unit_okei,
                    right.scale,
                    right.granted,
                    right.period,
                    right.valid_from,
                    right.valid_to,
                    right.priority,
                    right.item,
                    right.course_days,
                )
            )
