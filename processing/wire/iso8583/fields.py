"""Small readings and writings of single fields that requests and answers share."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Final

from processing.wire.iso8583.codec import offset_of
from processing.wire.iso8583.errors import Decoded, WireError, shown
from processing.wire.iso8583.messages import TerminalTotals
from processing.wire.iso8583.spec import FIELDS, Profile
from processing.wire.iso8583.tlv48 import Entries, Entry, Tag, written
from processing.wire.transaction import MessageClass, TransactionKey

KEY_ID_MAX: Final = 255
DAYS_MAX: Final = 256
"""Most dates whose text is kept ready."""

_CMAC_SCHEME: Final = b"01"


def need(decoded: Decoded, number: int) -> bytes:
    """Return a field, or raise `WireError` saying that it is missing."""
    value = decoded.fields.get(number)
    if value is None:
        raise WireError(str(number), 0, f"field {number}, {FIELDS[number].name}", "no such field")
    return value


def located(error: WireError, decoded: Decoded, profile: Profile) -> WireError:
    """Return an error about a field's content with its offset counted from the message's start."""
    number = error.field.partition(".")[0]
    if number.isdigit():
        error.offset += offset_of(int(number), decoded, profile)
    error.decoded = decoded
    return error


def security_field(key_id: int) -> bytes:
    """Return field 53: scheme 01 (AES-CMAC, 8 bytes), three digits of key id, eleven zeros."""
    if not 0 <= key_id <= KEY_ID_MAX:
        raise WireError("53", 0, f"a key id of 0 to {KEY_ID_MAX}", str(key_id))
    return _CMAC_SCHEME + b"%03d" % key_id + b"0" * 11


def key_id_of(decoded: Decoded) -> int:
    """Return the key id in field 53."""
    value = need(decoded, 53)
    key_id = int(value[2:5])
    if value[:2] != _CMAC_SCHEME or key_id > KEY_ID_MAX or value[5:].strip(b"0"):
        raise WireError("53", 0, "01, a key id of 000 to 255, eleven zeros", shown(value))
    return key_id


def transmission_time(sent_at_ms: int) -> bytes:
    """Return field 7: MMDDhhmmss in UTC."""
    try:
        sent = datetime.fromtimestamp(sent_at_ms // 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise WireError("7", 0, "a time of this age of the world", str(sent_at_ms)) from None
    return sent.strftime("%m%d%H%M%S").encode("ascii")


@lru_cache(maxsize=DAYS_MAX)
def day_text(day: date) -> str:
    """Return a date as yyyymmdd; right before year 1000 too, which strftime is not."""
    return f"{day.year:04d}{day.month:02d}{day.day:02d}"


def local_date(day: date) -> bytes:
    """Return field 13: MMDD."""
    return b"%02d%02d" % (day.month, day.day)


def key_text(key: TransactionKey) -> str:
    """Return a transaction's key as an entry carries it (23 characters)."""
    return f"{day_text(key.business_date)}{key.terminal_id}{key.stan:06d}{int(key.message_class)}"


def key_of(entry: Entry) -> TransactionKey:
    """Return the key in an entry; raises `WireError` for an impossible date or class."""
    _, terminal_id, stan, message_class = entry.groups
    try:
        known_class = MessageClass(int(message_class))
    except ValueError:
        expected = "a class of 1, 2 or 4 as the last digit"
        raise WireError(entry.name, entry.offset, expected, shown(message_class)) from None
    return TransactionKey(entry.day_in(), terminal_id.decode("ascii"), int(stan), known_class)


def totals_fields(totals: TerminalTotals) -> dict[int, bytes]:
    """Return fields 74, 76, 77, 86, 88, 89 and 97 of a totals message."""
    given_back = totals.reversed_covered_kopecks + totals.returned_covered_kopecks
    net = totals.covered_kopecks - given_back
    return {
        74: b"%010d" % totals.returned_count,
        76: b"%010d" % totals.approved_count,
        77: b"%010d" % totals.reversed_count,
        86: b"%016d" % totals.returned_covered_kopecks,
        88: b"%016d" % totals.covered_kopecks,
        89: b"%016d" % totals.reversed_covered_kopecks,
        97: b"%c%016d" % (b"D" if net >= 0 else b"C", abs(net)),
    }


def totals_entries(totals: TerminalTotals, known: dict[bytes, Tag]) -> list[bytes]:
    """Return the entries of field 48 that complete `totals_fields`."""
    return [
        written(b"TG", totals.gross_kopecks, known),
        written(b"TP", totals.paid_kopecks, known),
    ]


def totals_of(decoded: Decoded, entries: Entries, known: dict[bytes, Tag]) -> TerminalTotals:
    """Return the totals in a message; raises `WireError` when field 97 is not their net."""
    totals = TerminalTotals(
        approved_count=int(need(decoded, 76)),
        gross_kopecks=entries.need(b"TG", known).number,
        covered_kopecks=int(need(decoded, 88)),
        paid_kopecks=entries.need(b"TP", known).number,
        reversed_count=int(need(decoded, 77)),
        reversed_covered_kopecks=int(need(decoded, 89)),
        returned_count=int(need(decoded, 74)),
        returned_covered_kopecks=int(need(decoded, 86)),
    )
    expected = totals_fields(totals)[97]
    if need(decoded, 97) != expected:
        found = shown(decoded.fields[97])
        raise WireError("97", 0, f"{expected.decode()}: field 88 less 89 and 86", found)
    return totals
