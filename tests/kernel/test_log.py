"""Log lines: machine-readable, and without secrets or personal data."""

from __future__ import annotations

import io
import logging
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processing.kernel.config import LogFormat, LogLevel
from processing.kernel.log import StandardLibraryBridge, open_log
from processing.kernel.redaction import WITHHELD, redact_event, redact_text

PLAIN_UUID = str(uuid.UUID(int=0x0192F1A0_0000_7000_8000_123456789012))

KEPT = [
    ("stan", "000123"),
    ("terminal", "T0000001"),
    ("key_id", "7"),
    ("idempotency_key", "abc"),
    ("attempts_left", 3),
    ("utc_ms", 1_790_000_000_000),
    ("card_id", PLAIN_UUID),
    ("pin", None),
    ("pin_verified", True),
    ("dsn", "postgresql://spk@db/spk"),
    ("remote_address", "10.0.0.7"),
    ("amounts", [100, 200]),
]

HIDDEN = [
    ("pin", "123456"),
    ("new_pin", b"123456"),
    ("puk", 12345678),
    ("mac_key", b"\x01" * 16),
    ("key", "00" * 16),
    ("hsm_token", "t"),
    ("snils", "112-233-445 95"),
    ("citizen_name", "Иванов"),
    ("birth_date", "1950-01-01"),
    ("category_code", "083"),
    ("social_passport", b"\xa1"),
    ("Authorization", "Bearer x"),
]


@pytest.mark.parametrize(("key", "value"), KEPT)
def test_kept(key: str, value: object) -> None:
    assert redact_event({key: value}) == {key: value}


@pytest.mark.parametrize(("key", "value"), HIDDEN)
def test_hidden(key: str, value: object) -> None:
    assert redact_event({key: value}) == {key: WITHHELD}
    assert redact_event({"request": [{key: value}]}) == {"request": [{key: WITHHELD}]}


TEXTS = [
    ("postgresql://spk:hunter2@db/spk", f"postgresql://spk:{WITHHELD}@db/spk"),
    ("dsn?user=u&password=hunter2&x=1", f"dsn?user=u&password={WITHHELD}&x=1"),
    ("snils 112-233-445 95!", f"snils {WITHHELD}!"),
    ("112-233-445-95", WITHHELD),
    ("card 9643907712345678.", f"card {WITHHELD}."),
    ("policy 7700001234567890", f"policy {WITHHELD}"),
    ("call +79161234567", f"call {WITHHELD}"),
    ("ИНН 500100732259", f"ИНН {WITHHELD}"),
    (f"card {PLAIN_UUID}", f"card {PLAIN_UUID}"),
    ("took 1790000000000 ms", "took 1790000000000 ms"),
    ("a\nDETAIL:  Row contains (Иванов).\nHINT: x", f"a\nDETAIL:  {WITHHELD}\nHINT: x"),
    ("a\nDETAIL:  (Иван\nИванов)", f"a\nDETAIL:  {WITHHELD}\n"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_text(text: str, expected: str) -> None:
    assert redact_text(text) == expected


def test_long_and_deep_values_are_cut() -> None:
    deep: object = "x"
    for _ in range(100):
        deep = [deep]
    event = redact_event({"text": "a" * 100_000, "deep": deep, "wide": list(range(10_000))})
    assert len(msgspec.json.encode(event)) < 20_000


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [msgspec.json.decode(line, type=dict[str, object]) for line in stream.getvalue().splitlines()]  # noqa: E501 # fmt: skip


def test_json_line() -> None:
    stream = io.StringIO()
    log = open_log(LogFormat.JSON, LogLevel.INFO, stream)
    log.debug("not shown")
    log.bind(terminal="T1").info("decided", outcome=703, signature=b"\x00\xff", pin="1234")
    (line,) = lines_of(stream)
    stamp = str(line.pop("timestamp"))
    assert stamp.endswith("Z")
    assert line == {
        "event": "decided",
        "level": "info",
        "terminal": "T1",
        "outcome": 703,
        "signature": "00ff",
        "pin": WITHHELD,
    }


def test_an_exception_is_one_line_without_its_row() -> None:
    stream = io.StringIO()
    log = open_log(LogFormat.JSON, LogLevel.INFO, stream)
    try:
        raise ValueError("duplicate key\nDETAIL:  Key (snils)=(112-233-445 95) already exists.")
    except ValueError:
        log.exception("import failed")
    (line,) = lines_of(stream)
    assert "Traceback" in str(line["exception"])
    assert "112-233" not in stream.getvalue()


def test_console_is_for_people() -> None:
    stream = io.StringIO()
    open_log(LogFormat.CONSOLE, LogLevel.INFO, stream).warning("slow", took_ms=12, pin="1234")
    assert "slow" in stream.getvalue()
    assert "took_ms=12" in stream.getvalue()
    assert "1234" not in stream.getvalue()


def test_standard_library_records_pass_through() -> None:
    stream = io.StringIO()
    handler = StandardLibraryBridge(open_log(LogFormat.JSON, LogLevel.INFO, stream), LogLevel.INFO)
    handler.handle(logging.LogRecord("aiohttp", logging.WARNING, "f", 1, "slow %s", ("x",), None))
    (line,) = lines_of(stream)
    assert (line["event"], line["level"], line["logger"]) == ("slow x", "warning", "aiohttp")


LOGGABLE = st.recursive(
    st.none() | st.integers() | st.text() | st.binary() | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), LOGGABLE, max_size=4))
def test_any_value_can_be_logged(event: dict[str, object]) -> None:
    stream = io.StringIO()
    open_log(LogFormat.JSON, LogLevel.INFO, stream).info("seen", values=event)
    assert stream.getvalue().count("\n") == 1
