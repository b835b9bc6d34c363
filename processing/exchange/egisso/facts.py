"""Facts for ЕГИССО: packages of 10.06.S 1.1.0.

The schema lets a package hold a thousand records of a kind, so files stay small, and however many
facts there are, one package of them is in memory. The namespaces are those of the schemas of
release 23.12.0: a fact is of assignment-fact 1.0.8, its person of prsn-info 1.0.4, the person's
name of SMEV's supplementary commons 1.0.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from enum import IntEnum
from typing import Final
from uuid import UUID

import msgspec
from lxml import etree

MESSAGE: Final = "urn://egisso-ru/msg/10.06.S/1.1.0"
PACKAGE: Final = "urn://egisso-ru/types/package-RAF/1.1.0"
FACT: Final = "urn://egisso-ru/types/assignment-fact/1.0.8"
PERSON: Final = "urn://egisso-ru/types/prsn-info/1.0.4"
COMMONS: Final = "urn://x-artefacts-smev-gov-ru/supplementary/commons/1.0.1"

RECORDS_PER_PACKAGE_MAX: Final = 1_000
"""Most records of one package: the schema's own limit for each kind of them."""

_NAMESPACES: Final = {"m": MESSAGE, "pac": PACKAGE, "f": FACT, "p": PERSON, "s": COMMONS}
_SEXES: Final = {"m": "Male", "f": "Female"}


class RecordKind(IntEnum):
    """What a record says of a fact; the order is that of the schema's elements."""

    NEW = 1
    OTHER_AMOUNT = 2
    OTHER_FACTS = 3
    ENDED_EARLIER = 4
    WITHDRAWN = 5


ELEMENT_NAMES: Final = {
    RecordKind.NEW: "fact",
    RecordKind.OTHER_AMOUNT: "alterationBasedOnRecalculation",
    RecordKind.OTHER_FACTS: "alterationBasedOnPreviousErrors",
    RecordKind.ENDED_EARLIER: "terminationBasedOnEndOfRight",
    RecordKind.WITHDRAWN: "errorsInvalidation",
}


class FactRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record: a fact, or what happened to one told before. Names as in exchange.egisso_record.

    `form` is the form of provision: 01 money, 02 in kind, 03 exemption, 04 service.
    """

    kind: RecordKind
    event_id: UUID
    fact_id: UUID
    osz_code: str
    snils: str
    last_name: str
    first_name: str
    patronymic: str | None
    sex: str
    birth_date: date
    lmsz_id: UUID
    category_id: UUID
    decided_on: date
    date_start: date
    date_finish: date
    form: str
    okei: str
    scale: int
    quantity: int
    amount_kopecks: int
    monetization: bool


def package_of(package_id: UUID, records: Iterable[FactRecord]) -> bytes:
    """Return one file; `records` are at most a thousand, ordered by kind."""
    data = etree.Element(f"{{{MESSAGE}}}data", nsmap=_NAMESPACES)
    package = _add(data, PACKAGE, "package")
    _add(package, PACKAGE, "packageId", str(package_id))
    elements = _add(package, PACKAGE, "elements")
    for record in records:
        _record(elements, record)
    return etree.tostring(data, xml_declaration=True, encoding="UTF-8")


def _record(elements: etree._Element, record: FactRecord) -> None:
    element = _add(elements, PACKAGE, ELEMENT_NAMES[record.kind])
    if record.kind is RecordKind.NEW:
        _fact(element, record)
        _add(element, PACKAGE, "uuid", str(record.fact_id))
        return
    _add(element, PACKAGE, "uuid", str(record.event_id))
    _add(element, PACKAGE, "assignmentFactUuid", str(record.fact_id))
    match record.kind:
        case RecordKind.OTHER_AMOUNT:
            _add(element, PACKAGE, "amount", roubles(record.amount_kopecks))
        case RecordKind.OTHER_FACTS:
            _fact(_add(element, PACKAGE, "fact"), record)
        case RecordKind.ENDED_EARLIER:
            _add(element, PACKAGE, "dateFinish", record.date_finish.isoformat())
        case RecordKind.WITHDRAWN:
            pass


def _fact(element: etree._Element, record: FactRecord) -> None:
    _add(element, FACT, "oszCode", record.osz_code)
    person = _add(element, FACT, "mszReceiver")
    _add(person, PERSON, "SNILS", record.snils)
    _add(person, COMMONS, "FamilyName", record.last_name)
    _add(person, COMMONS, "FirstName", record.first_name)
    if record.patronymic:
        _add(person, COMMONS, "Patronymic", record.patronymic)
    _add(person, PERSON, "Gender", _SEXES[record.sex])
    _add(person, PERSON, "BirthDate", record.birth_date.isoformat())
    _add(element, FACT, "lmszId", str(record.lmsz_id))
    _add(element, FACT, "categoryId", str(record.category_id))
    _add(element, FACT, "decisionDate", record.decided_on.isoformat())
    _add(element, FACT, "dateStart", record.date_start.isoformat())
    _add(element, FACT, "dateFinish", record.date_finish.isoformat())
    _add(_add(element, FACT, "needsCriteria"), FACT, "usingSign", "false")
    _assignment(_add(element, FACT, "assignmentInfo"), record)


def _assignment(info: etree._Element, record: FactRecord) -> None:
    match record.form:
        case "01":
            _add(_add(info, FACT, "monetaryForm"), FACT, "amount", roubles(record.amount_kopecks))
            return
        case "02":
            form = _add(info, FACT, "naturalForm")
        case "03":
            form = _add(info, FACT, "exemptionForm")
        case "04":
            form = _add(info, FACT, "serviceForm")
        case _:
            raise ValueError(f"there is no form of provision {record.form}")
    _add(form, FACT, "amount", decimal(record.quantity, record.scale))
    # The schema spells the element so in this one place.
    _add(form, FACT, "OKEICode" if record.form == "04" else "okeiCode", record.okei)
    if record.form == "03":
        _add(form, FACT, "monetization", "true" if record.monetization else "false")
    _add(form, FACT, "equivalentAmount", roubles(record.amount_kopecks))


def _add(
    parent: etree._Element, namespace: str, name: str, text: str | None = None
) -> etree._Element:
    element = etree.SubElement(parent, f"{{{namespace}}}{name}")
    element.text = text
    return element


def roubles(kopecks: int) -> str:
    """Return an amount as it is written there; it is not negative."""
    return f"{kopecks // 100}.{kopecks % 100:02}"


def decimal(quantity: int, scale: int) -> str:
    """Return a quantity of the smallest unit as a number of whole ones; it is not negative."""
    if not scale:
        return str(quantity)
    whole, part = divmod(quantity, 10**scale)
    return f"{whole}.{part:0{scale}}"
