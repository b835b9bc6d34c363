"""The outside of a message: signature, header and message, read and written.

header and message are kept as the bytes that came or go, since these are what is signed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from processing.exchange.dci.codes import (
    VERSION,
    Ack,
    Action,
    ErrorCode,
    HeaderReason,
    Locale,
    Status,
    words,
)

IDENTIFIER_LENGTH_MAX: Final = 99
"""Most characters of message_id, transaction_id, reference_id and correlation_id."""


class Refused(Exception):
    """A message is not looked into: one of the errors of the communication layer."""

    def __init__(self, code: ErrorCode, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Rejected(Exception):
    """An authentic message is rejected as a whole."""

    def __init__(self, reason: HeaderReason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Envelope(msgspec.Struct, frozen=True):
    """A message as it arrived."""

    header: msgspec.Raw
    message: msgspec.Raw = msgspec.Raw(b"")
    signature: str | None = None


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What both kinds of header share; `sender_id` and `total_count` are of requests."""

    message_id: str
    message_ts: str
    action: str
    version: str = VERSION
    sender_id: str | None = None
    sender_uri: str | None = None
    receiver_id: str | None = None
    total_count: int | None = None
    is_msg_encrypted: bool = False
    status: str | None = None
    status_reason_code: str | None = None
    status_reason_message: str | None = None
    meta: dict[str, Any] = {}


class AnswerHeader(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The header of everything that is sent; it is whole as a request's and as a callback's."""

    version: str
    message_id: str
    message_ts: str
    action: Action
    status: Status | None = None
    status_reason_code: HeaderReason | None = None
    status_reason_message: str | None = None
    total_count: int
    completed_count: int | None = None
    sender_id: str
    sender_uri: str | None = None
    receiver_id: str
    is_msg_encrypted: bool


class _Error(msgspec.Struct, frozen=True):
    code: str
    message: str


class _Acknowledgement(msgspec.Struct, frozen=True, omit_defaults=True):
    ack_status: Ack
    timestamp: str
    correlation_id: str
    error: _Error | None = None


def read_envelope(body: bytes) -> Envelope:
    """Return the parts of a message; raises `Refused` when it has none."""
    try:
        return msgspec.json.decode(body, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(ErrorCode.BAD, str(error)) from None


def read_header(header: msgspec.Raw) -> Header:
    """Return a header; raises `Refused` that names the field."""
    try:
        read = msgspec.json.decode(header, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(ErrorCode.BAD, f"header: {error}") from None
    if not 0 < len(read.message_id) <= IDENTIFIER_LENGTH_MAX or "\0" in read.message_id:
        raise Refused(ErrorCode.BAD, f"header.message_id: 1 to {IDENTIFIER_LENGTH_MAX} characters")
    return read


def enclose(signature: str, header: bytes, message: bytes) -> bytes:
    """Return a whole message; `message` may be empty."""
    text = msgspec.json.encode(signature)
    inside = b',"message":' + message if message else b""
    return b'{"signature":' + text + b',"header":' + header + inside + b"}"


def acknowledgement(
    ack: Ack,
    correlation_id: str,
    utc_ms: int,
    code: ErrorCode | None = None,
    text: str = "",
) -> bytes:
    """Return the body that acknowledges an asynchronous message."""
    error = None if code is None else _Error(code, text)
    told = _Acknowledgement(ack, iso(utc_ms), correlation_id, error)
    return msgspec.json.encode({"message": told})


def http_errors(code: ErrorCode, detail: str = "") -> bytes:
    """Return the body of an answer with status 401, 403 or 500 (HttpErrorResponse)."""
    return msgspec.json.encode({"errors": [_Error(code, words(code, Locale.ENGLISH, detail))]})


def iso(utc_ms: int) -> str:
    """Return a moment as it is written in messages: ISO 8601 with its zone."""
    return datetime.fromtimestamp(utc_ms / 1000, UTC).isoformat(timespec="milliseconds")


def moment_ms(text: object) -> int | None:
    """Return a moment with a zone in milliseconds since 1970; None for anything else."""
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None:
        return None
    return int(moment.timestamp() * 1000)
