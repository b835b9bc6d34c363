"""Packages of local measures: read strictly, compared in words, written."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec
from lxml import etree

from processing.exchange.egisso.local_measure import (
    ELEMENTS_MAX,
    LOCAL,
    LOCAL_MEASURE,
    MESSAGE,
    PACKAGE,
    REMOVAL,
)
from processing.exchange.egisso.spec import FAULTS_MAX, Fault, Reader, build, fits, line_of
from processing.exchange.egisso.spec import UUID as UUID_FORM
from processing.kernel.errors import SpkError

FILE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Longest file that is read."""

_NAMESPACES: Final = {"m": MESSAGE, "pac": PACKAGE, "l": LOCAL}
_DECLARED: Final = re.compile(rb"<\?xml[^>]*encoding\s*=\s*[\"']([^\"']+)[\"']")


class CatalogueFault(SpkError):
    """A file is no package of local measures; `faults` says what is wrong with it, and where."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        more = "" if len(faults) < FAULTS_MAX else f"; only the first {FAULTS_MAX} are shown"
        lines = [f"line {one.line}, {one.path}: {one.ru} / {one.en}" for one in faults]
        super().__init__(f"{len(faults)} faults{more}\n  " + "\n  ".join(lines))


class Catalogue(msgspec.Struct, frozen=True):
    """A package: its id, the measures that are new or changed, and the ids of those removed."""

    package_id: UUID
    measures: tuple[dict[str, Any], ...]
    removed: tuple[UUID, ...]


def read_catalogue(content: bytes) -> Catalogue:
    """Return a package of 10.05.I 2.1.0; raises `CatalogueFault` that lists what is wrong.

    No entity, no document type and nothing from the network is ever looked at.
    """
    root = _root(content)
    reader = Reader(LOCAL)
    if root.tag != f"{{{MESSAGE}}}request":
        found = etree.QName(root)
        ru = f"ожидается request из {MESSAGE}, а не {found.localname} из {found.namespace}"
        en = f"request of {MESSAGE} expected, not {found.localname} of {found.namespace}"
        raise CatalogueFault([Fault(line_of(root), "/", ru, en)])
    package_id, elements = _package(root)
    measures: list[dict[str, Any]] = []
    removed: list[dict[str, Any]] = []
    for child in elements:
        match child.tag:
            case tag if tag == f"{{{PACKAGE}}}localMSZ" and not removed:
                measures.append(reader.read(child, LOCAL_MEASURE, f"localMSZ[{len(measures) + 1}]"))
            case tag if tag == f"{{{PACKAGE}}}invalidation":
                path = f"invalidation[{len(removed) + 1}]"
                removed.append(reader.read(child, REMOVAL, path))
            case _:
                name = str(child.tag)
                reader.faults.append(
                    Fault(line_of(child), name, "не на месте", "unknown or out of place")
                )
    faults = reader.faults or _contradictions(measures, removed)
    if faults:
        raise CatalogueFault(faults[:FAULTS_MAX])
    return Catalogue(package_id, tuple(measures), tuple(UUID(r["localMszId"]) for r in removed))


def write_catalogue(package_id: UUID, measures: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a package of 10.05.I; `measures` are as `read_catalogue` gives, a thousand at most."""
    if len(measures) > ELEMENTS_MAX:
        raise ValueError(f"a package holds {ELEMENTS_MAX} measures at most")
    request = etree.Element(f"{{{MESSAGE}}}request", nsmap=_NAMESPACES)
    package = etree.SubElement(request, f"{{{PACKAGE}}}package")
    etree.SubElement(package, f"{{{PACKAGE}}}packageId").text = str(package_id)
    elements = etree.SubElement(package, f"{{{PACKAGE}}}elements")
    for measure in measures:
        element = etree.SubElement(elements, f"{{{PACKAGE}}}localMSZ")
        build(element, LOCAL_MEASURE, measure, LOCAL)
    return etree.tostring(request, xml_declaration=True, encoding="UTF-8")


def differences(
    before: Mapping[UUID, Mapping[str, Any]], catalogue: Catalogue, *, russian: bool
) -> list[str]:
    """Return what a catalogue changes, a line for each measure and field, in words."""
    told = []
    for measure in catalogue.measures:
        old = before.get(UUID(measure["id"]))
        if old is None:
            told.append(f"+ {measure['title']} ({measure['id']})")
            continue
        fields = _fields(old, measure, "")
        if fields:
            told.append(f"~ {measure['title']} ({measure['id']})")
        told += [
            f"    {name}: {_shown(was, russian)} → {_shown(now, russian)}"
            for name, was, now in fields
        ]
    for removed in catalogue.removed:
        title = before[removed]["title"] if removed in before else "?"
        told.append(f"- {title} ({removed})")
    return told or ["без изменений" if russian else "nothing changes"]


def _fields(old: Any, new: Any, path: str) -> list[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            field
            for name in [*new, *(name for name in old if name not in new)]
            # It differs in every package and means nothing else.
            if name != "lastChanging"
            for field in _fields(old.get(name), new.get(name), f"{path}/{name}".strip("/"))
        ]
    return [] if old == new else [(path, old, new)]


def _shown(value: Any, russian: bool) -> str:
    if value is None:
        return "нет" if russian else "none"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"«{text[:200]}»"


def _root(content: bytes) -> etree._Element:
    """Return the root of a document in UTF-8 without a document type."""
    declared = _DECLARED.match(content.removeprefix(b"\xef\xbb\xbf"))
    utf8 = declared is None or declared[1].lower() in {b"utf-8", b"utf8"}
    if not utf8 or content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content:
        raise _whole("файл должен быть в UTF-8", "the file must be in UTF-8")
    if len(content) > FILE_BYTES_MAX:
        raise _whole(
            f"файл больше {FILE_BYTES_MAX} байт", f"the file is over {FILE_BYTES_MAX} bytes"
        )
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise _whole("DOCTYPE и сущности не принимаются", "DOCTYPE and entities are not taken")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True,
        remove_pis=True, huge_tree=False,
    )  # fmt: skip
    try:
        return etree.parse(io.BytesIO(content), parser).getroot()
    except etree.XMLSyntaxError as error:
        raise CatalogueFault(
            [Fault(error.lineno or 0, "/", f"не XML: {error.msg}", f"no XML: {error.msg}")]
        ) from None


def _whole(ru: str, en: str) -> CatalogueFault:
    return CatalogueFault([Fault(1, "/", ru, en)])


def _package(root: etree._Element) -> tuple[UUID, list[etree._Element]]:
    package = root.find(f"{{{PACKAGE}}}package")
    number = None if package is None else package.findtext(f"{{{PACKAGE}}}packageId")
    elements = None if package is None else package.find(f"{{{PACKAGE}}}elements")
    if number is None or elements is None or not fits(UUID_FORM, number.strip()):
        raise _whole(
            "нет package с packageId (UUID) и elements", "no package with packageId and elements"
        )
    if len(root) != 1 or package is None or len(package) != 2:
        raise _whole("в request или package лишнее", "something else in request or package")
    return UUID(number.strip()), list(elements)


def _contradictions(measures: list[dict[str, Any]], removed: list[dict[str, Any]]) -> list[Fault]:
    """Return what a schema cannot say: twins, periods that end before they begin, shares."""
    ids = [one["id"].lower() for one in measures] + [one["localMszId"].lower() for one in removed]
    faults = [
        Fault(0, twin, "мера стоит в пакете дважды", "stands in the package twice")
        for twin, count in sorted(Counter(ids).items())
        if count > 1
    ]
    for kind, many in (("localMSZ", measures), ("invalidation", removed)):
        if len(many) > ELEMENTS_MAX:
            ru, en = f"больше {ELEMENTS_MAX}", f"more than {ELEMENTS_MAX}"
            faults.append(Fault(0, kind, ru, en))
    for number, one in enumerate(measures, start=1):
        path = f"localMSZ[{number}]"
        if one.get("dateExpiration", "9999-12-31") < one["dateEnact"]:
            faults.append(
                Fault(0, f"{path}/dateExpiration", "раньше начала действия", "before dateEnact")
            )
        sources = one["classificationKMSZ"]["cofinancing"]["fundingSource"]
        if sum(Decimal(source["quota"]) for source in sources) > 100:
            faults.append(
                Fault(0, f"{path}/cofinancing", "доли больше 100 %", "shares above 100 %")
            )
    return faults
