"""A TOML text with the place of every value in it (TOML 1.0.0).

The values come from the standard library; the places from tree-sitter's grammar of TOML, since no
reader of TOML keeps them.
"""

from __future__ import annotations

import codecs
import re
import tomllib
from collections import defaultdict
from typing import Any, Final

import msgspec
import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from processing.regulations.faults import DocumentError, Fault, Path, Place

TEXT_MAX_BYTES: Final = 1024 * 1024
"""Longest document that is read; a regulation has some hundred lines."""

_AT: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


class Source(msgspec.Struct, frozen=True):
    """A document as values and as places."""

    name: str
    data: bytes
    value: dict[str, Any]
    places: dict[Path, Place]

    def place(self, path: Path) -> Place:
        """Return where `path` stands, or the nearest thing around it that stands somewhere."""
        if (*path, 0) in self.places:
            # A list of tables stands where its first one does.
            path = (*path, 0)
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place())

    def fault(self, path: Path, ru: str, en: str) -> Fault:
        """Return a fault of what stands at `path`."""
        return Fault(self.place(path), path, ru, en)


def read_source(data: bytes, name: str) -> Source:
    """Return the document in `data`; `name` is for messages.

    Raises `DocumentError` where the bytes are no UTF-8, no TOML, or too many.
    """
    if len(data) > TEXT_MAX_BYTES:
        raise DocumentError(
            name,
            [
                Fault(
                    Place(),
                    (),
                    f"документ длиннее {TEXT_MAX_BYTES} байт; разделите его",
                    f"the document is longer than {TEXT_MAX_BYTES} bytes; divide it",
                )
            ],
        )
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        value = tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = ("текст не в UTF-8; сохраните файл в этой кодировке", "not UTF-8; save it as UTF-8")
        raise DocumentError(name, [Fault(Place(line), (), *what)]) from error
    except tomllib.TOMLDecodeError as error:
        raise DocumentError(name, [_syntax_fault(error, data)]) from error
    return Source(name, data, value, _places(data))


def _syntax_fault(error: tomllib.TOMLDecodeError, data: bytes) -> Fault:
    message = str(error)
    found = _AT.search(message)
    if found is None or found[1] is None:
        place = Place(data.count(b"\n") + 1)
    else:
        place = Place(int(found[1]), int(found[2]))
    what = _AT.sub("", message)
    return Fault(place, (), f"это не TOML ({what})", f"this is not TOML ({what})")


def _places(data: bytes) -> dict[Path, Place]:
    places: dict[Path, Place] = {}
    arrays: defaultdict[Path, int] = defaultdict(int)
    root = Parser(Language(tree_sitter_toml.language())).parse(data).root_node
    for node in root.named_children:
        match node.type:
            case "table":
                path = _within_arrays(_keys(node.named_children[0]), arrays)
                places[path] = _place(node.named_children[0], data)
                _add_pairs(node.named_children[1:], path, places, data)
            case "table_array_element":
                path = _within_arrays(_keys(node.named_children[0]), arrays)
                path = (*path, arrays[path])
                arrays[path[:-1]] += 1
                places[path] = _place(node.named_children[0], data)
                _add_pairs(node.named_children[1:], path, places, data)
            case _:
                _add_pairs([node], (), places, data)
    return places


def _within_arrays(keys: tuple[str, ...], arrays: dict[Path, int]) -> Path:
    """Return the path of a header; a table inside an array belongs to the array's last element."""
    path: Path = ()
    for key in keys[:-1]:
        path = (*path, key)
        if count := arrays.get(path, 0):
            path = (*path, count - 1)
    return (*path, keys[-1])


def _add_pairs(nodes: list[Node], path: Path, places: dict[Path, Place], data: bytes) -> None:
    for node in nodes:
        if node.type == "pair":
            key, value = node.named_children[:2]
            here = (*path, *_keys(key))
            places[here] = _place(key, data)
            _add_value(value, here, places, data)


def _add_value(node: Node, path: Path, places: dict[Path, Place], data: bytes) -> None:
    if node.type == "inline_table":
        _add_pairs(node.named_children, path, places, data)
    elif node.type == "array":
        elements = (child for child in node.named_children if child.type != "comment")
        for number, child in enumerate(elements):
            places[(*path, number)] = _place(child, data)
            _add_value(child, (*path, number), places, data)


def _keys(node: Node) -> tuple[str, ...]:
    if node.type == "dotted_key":
        return tuple(key for child in node.named_children for key in _keys(child))
    text = (node.text or b"").decode("utf-8")
    # A quoted key is a TOML string: its own reader takes the quotes and escapes away.
    return (text,) if node.type == "bare_key" else (tomllib.loads(f"key = {text}")["key"],)


def _place(node: Node, data: bytes) -> Place:
    row, column = node.start_point
    line_start = data.rfind(b"\n", 0, node.start_byte) + 1
    characters = len(data[line_start : line_start + column].decode("utf-8", "replace"))
    return Place(row + 1, characters + 1)
