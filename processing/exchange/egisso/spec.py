"""XML described as data: one description reads strictly, writes, and shows itself as JSON.

A description is a list of elements in their order, each a leaf with a form or a group of elements.
Values are what JSON has: a leaf is a text, a group a mapping, what may stand many times a list.
Faults are collected, each with its line and path, so that a file is mended in one go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec
from lxml import etree

FAULTS_MAX: Final = 200
"""Most faults that are told of one file."""

_UUID: Final = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """What a leaf may hold: `words` say it to people (ru, en)."""

    words: tuple[str, str]
    pattern: str = r"[\s\S]*"
    length_max: int = 2_000
    kind: str = "text"


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """An element: a leaf (`form`) or a group (`children`), and how often it stands."""

    name: str
    form: Form | None = None
    children: tuple[Node, ...] = ()
    least: int = 1
    most: int | None = 1
    namespace: str = ""

    @property
    def many(self) -> bool:
        """Whether its values are a list."""
        return self.most != 1


class Fault(msgspec.Struct, frozen=True):
    """What is wrong at one place of a file, in both languages."""

    line: int
    path: str
    ru: str
    en: str


def text(length_max: int) -> Form:
    """Return the form of a text of at least one character."""
    words = (f"текст до {length_max} знаков", f"a text of at most {length_max} characters")
    return Form(words=words, length_max=length_max, pattern=r"[\s\S]*\S[\s\S]*")


def digits(count: int) -> Form:
    """Return the form of so many digits."""
    return Form(words=(f"{count} цифр", f"{count} digits"), pattern=rf"[0-9]{{{count}}}")


def choice(*values: str) -> Form:
    """Return the form of a closed list."""
    shown = ", ".join(values)
    pattern = "|".join(map(re.escape, values))
    return Form(words=(f"одно из: {shown}", f"one of: {shown}"), pattern=pattern)


UUID: Final = Form(words=("UUID", "a UUID"), pattern=_UUID)
DATE: Final = Form(
    words=("дата ГГГГ-ММ-ДД", "a date YYYY-MM-DD"),
    pattern=r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}",
    kind="date",
)
MOMENT: Final = Form(
    words=("время вида 2026-10-31T12:00:00+03:00", "a time such as 2026-10-31T12:00:00+03:00"),
    pattern=r"2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\+(0[2-9]|1[0-2]):00|Z)",
    kind="moment",
)
BOOLEAN: Final = choice("true", "false", "1", "0")
INTEGER: Final = Form(
    words=("целое число", "a whole number"), pattern=r"[+-]?[0-9]{1,9}", kind="text"
)
PERCENT: Final = Form(
    words=("число больше 0 и не больше 100", "above 0, at most 100"), kind="share"
)


class Reader:
    """Reads elements by their description; what is wrong gathers in `faults`."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self.faults: list[Fault] = []

    def read(self, element: etree._Element, nodes: Sequence[Node], path: str) -> dict[str, Any]:
        """Return the values of a group."""
        found: dict[str, Any] = {}
        if element.attrib:
            names = ", ".join(map(str, element.attrib))
            self._fault(element, path, f"лишние атрибуты: {names}", f"no attributes here: {names}")
        if any((piece or "").strip() for piece in (element.text, *(c.tail for c in element))):
            self._fault(element, path, "текст между элементами", "text between the elements")
        children = [child for child in element if isinstance(child.tag, str)]
        place = 0
        for node in nodes:
            values = []
            while place < len(children) and children[place].tag == self._tag(node):
                values.append(self._value(children[place], node, f"{path}/{node.name}"))
                place += 1
            if len(values) < node.least or (node.most is not None and len(values) > node.most):
                wanted = f"{node.least}–{node.most or '…'}"
                self._fault(
                    element,
                    f"{path}/{node.name}",
                    f"стоит {len(values)} раз, нужно {wanted}",
                    f"stands {len(values)} times, not {wanted}",
                )
            elif values:
                found[node.name] = values if node.many else values[0]
        if place < len(children):
            name = etree.QName(children[place]).localname
            self._fault(
                children[place],
                f"{path}/{name}",
                "неизвестный элемент, чужое пространство имён или не на своём месте",
                "unknown, of another namespace, or not in its place",
            )
        return found

    def _tag(self, node: Node) -> str:
        return f"{{{node.namespace or self._namespace}}}{node.name}"

    def _value(self, element: etree._Element, node: Node, path: str) -> Any:
        if node.form is None:
            return self.read(element, node.children, path)
        value = (element.text or "") if not len(element) else None
        if value is None or element.attrib or not fits(node.form, value.strip()):
            ru, en = node.form.words
            shown = (value or "").strip()[:40]
            self._fault(element, path, f"ожидается {ru}, а не «{shown}»", f"{en}, not {shown!r}")
        return (value or "").strip()

    def _fault(self, element: etree._Element, path: str, ru: str, en: str) -> None:
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(Fault(line_of(element), path, ru, en))


def line_of(element: Any) -> int:
    """Return where an element stands; lxml's stubs do not know the type."""
    return int(element.sourceline or 0)


def fits(form: Form, value: str) -> bool:
    """Whether a value has a form."""
    if len(value) > form.length_max or not re.fullmatch(form.pattern, value):
        return False
    try:
        match form.kind:
            case "date":
                date.fromisoformat(value)
            case "moment":
                datetime.fromisoformat(value)
            case "share":
                return Decimal(0) < Decimal(value) <= Decimal(100)
            case _:
                pass
    except (ValueError, InvalidOperation):
        return False
    return True


def build(
    parent: etree._Element, nodes: Sequence[Node], values: Mapping[str, Any], namespace: str
) -> None:
    """Add the elements of a group to `parent`, in the order of the description."""
    for node in nodes:
        if node.name not in values:
            continue
        value = values[node.name]
        for one in value if node.many else [value]:
            child = etree.SubElement(parent, f"{{{node.namespace or namespace}}}{node.name}")
            if node.form is None:
                build(child, node.children, one, namespace)
            else:
                child.text = one
