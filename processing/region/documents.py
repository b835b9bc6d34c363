"""Reads the TOML documents that lie beside this module: typed, and strict about every field."""

from __future__ import annotations

from importlib import resources
from typing import Final, TypeVar

import msgspec

from processing.kernel.errors import ConfigurationError

PACKAGE: Final = "processing.region"

Document = TypeVar("Document")


def read_document(name: str, kind: type[Document]) -> Document:
    """Return the document `name` as `kind`; raises `ConfigurationError` naming the field."""
    text = resources.files(PACKAGE).joinpath(name).read_text(encoding="utf-8")
    return decode_document(text, name, kind)


def decode_document(text: str, name: str, kind: type[Document]) -> Document:
    """Return TOML text as `kind`; `name` is for messages. Raises `ConfigurationError`."""
    try:
        return msgspec.toml.decode(text, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
        raise ConfigurationError(f"{name}: {error}") from error
