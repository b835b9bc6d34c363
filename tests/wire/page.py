"""The generated parts of docs/wire.md: tables from the code, examples from published keys.

`python -m tests.wire.page` writes them anew between their markers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from processing.wire import digest
from processing.wire.iso8583 import de55, tlv48
from processing.wire.iso8583.answers import encode_answer
from processing.wire.iso8583.dump import annotated, hex_dump
from processing.wire.iso8583.framing import Framing
from processing.wire.iso8583.requests import encode_request, parse_message
from processing.wire.iso8583.spec import FIELDS, Profile
from processing.wire.transaction import Kind
from tests.wire.examples import ENVELOPE, MAC, NETWORK, answer_of, request_of

PAGE: Final = Path(__file__).parents[2] / "docs" / "wire.md"
_MARKED: Final = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
SALE: Final = request_of(Kind.SALE)
SALE_FRAME: Final = encode_request(SALE, ENVELOPE, Profile.BINARY, MAC)
SALE_HEX_FRAME: Final = encode_request(SALE, ENVELOPE, Profile.HEX, MAC)
ECHO_FRAME: Final = encode_request(NETWORK, ENVELOPE, Profile.BINARY, MAC)
ANSWER_FRAME: Final = encode_answer(
    answer_of(SALE, 4), parse_message(SALE_FRAME, Profile.BINARY), MAC
)
RESERVE: Final = request_of(Kind.RESERVE)
RESERVE_FRAME: Final = encode_request(RESERVE, ENVELOPE, Profile.BINARY, MAC)
RESERVE_ANSWER_FRAME: Final = encode_answer(
    answer_of(RESERVE, facts={"expires": "2026-03-05T09:00:01Z"}),
    parse_message(RESERVE_FRAME, Profile.BINARY),
    MAC,
)
COMPLETION: Final = msgspec.structs.replace(
    request_of(Kind.COMPLETION),
    parent=RESERVE.key,
    lines=(msgspec.structs.replace(RESERVE.lines[0], quantity=1, gross_kopecks=6_275),),
)
COMPLETION_FRAME: Final = encode_request(COMPLETION, ENVELOPE, Profile.BINARY, MAC)


def _fenced(text: str) -> str:
    return f"```text\n{text}\n```\n"


def _tags(*tables: Mapping[bytes, tlv48.Tag]) -> str:
    tags = {tag: known for table in tables for tag, known in table.items()}
    rows = [
        f"| `{tag.decode()}` | {known.form} | {'yes' if known.repeats else ''} | {known.meaning} |"
        for tag, known in tags.items()
    ]
    return "\n".join(
        ["| tag | value | repeats | meaning |", "| --- | --- | --- | --- |", *rows, ""]
    )


def _objects(table: Mapping[int, de55.Object]) -> str:
    rows = [
        f"| `{tag:04X}` | {one.least if one.least == one.most else f'{one.least} to {one.most}'} "
        f"| {one.meaning} |"
        for tag, one in table.items()
    ]
    return "\n".join(["| tag | bytes | meaning |", "| --- | --- | --- |", *rows, ""])


def _fields() -> str:
    forms = {0: "fixed", 2: "LL", 3: "LLL"}
    used = (
        3,
        4,
        7,
        11,
        12,
        13,
        37,
        38,
        39,
        41,
        42,
        48,
        53,
        55,
        62,
        64,
        66,
        70,
        74,
        76,
        77,
        86,
        88,
        89,
        90,
        97,
        128,
    )
    rows = [
        f"| {number} | {FIELDS[number].name} | {FIELDS[number].charset.value} "
        f"| {forms[FIELDS[number].length]} {FIELDS[number].maximum} |"
        for number in used
    ]
    return "\n".join(["| field | name | holds | length |", "| --- | --- | --- | --- |", *rows, ""])


def _digest_table() -> str:
    table = re.search(r"\| bytes \|.*\n\n", digest.__doc__ or "", re.DOTALL)
    assert table is not None
    return table.group().rstrip("\n") + "\n"


def _sale() -> str:
    return (
        _fenced(hex_dump(Framing().wrap(SALE_FRAME)))
        + "\nTaken apart; offsets count from the type indicator, behind the length:\n\n"
        + _fenced(annotated(SALE_FRAME, Profile.BINARY))
    )


def _sale_digest() -> str:
    canonical = digest.canonical_bytes(SALE)
    return _fenced(f"{hex_dump(canonical)}\n\nSHA-256  {digest.request_digest(SALE).hex()}")


BLOCKS: Final[dict[str, Callable[[], str]]] = {
    "fields": _fields,
    "request-tags": lambda: _tags(tlv48.REQUEST_TAGS),
    "answer-tags": lambda: _tags(tlv48.ANSWER_TAGS),
    "totals-tags": lambda: _tags(tlv48.TOTALS_ANSWER_TAGS),
    "network-tags": lambda: _tags(tlv48.NETWORK_ANSWER_TAGS),
    "request-objects": lambda: _objects(de55.REQUEST_OBJECTS),
    "answer-objects": lambda: _objects(de55.ANSWER_OBJECTS),
    "digest": _digest_table,
    "sale-digest": _sale_digest,
    "sale": _sale,
    "answer": lambda: (
        _fenced(hex_dump(Framing().wrap(ANSWER_FRAME)))
        + "\n"
        + _fenced(annotated(ANSWER_FRAME, Profile.BINARY))
    ),
    "sale-hex": lambda: _fenced(hex_dump(Framing().wrap(SALE_HEX_FRAME))),
    "reserve": lambda: _fenced(annotated(RESERVE_FRAME, Profile.BINARY)),
    "reserve-answer": lambda: _fenced(annotated(RESERVE_ANSWER_FRAME, Profile.BINARY)),
    "completion": lambda: _fenced(annotated(COMPLETION_FRAME, Profile.BINARY)),
    "echo": lambda: _fenced(annotated(ECHO_FRAME, Profile.BINARY)),
}


def refreshed(text: str) -> str:
    """Return the page with every marked block made anew."""
    return _MARKED.sub(lambda found: found[1] + BLOCKS[found[2]]() + found[3], text)


def marked(text: str) -> list[str]:
    """Return the names of the page's marked blocks."""
    return [found[2] for found in _MARKED.finditer(text)]


if __name__ == "__main__":
    PAGE.write_text(refreshed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
