"""The log: whatever a kill leaves, what was on the disk comes back, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminal_sim.record_log import (
    MAGIC,
    RECORD_MAX_BYTES,
    RecordLog,
    RecordLogError,
    encode_record,
    recover,
)

PAYLOADS = st.lists(st.binary(max_size=80), max_size=8)


def whole_file(payloads: list[bytes]) -> bytes:
    return MAGIC + b"".join(map(encode_record, payloads))


@given(PAYLOADS, st.data())
def test_cut_at_any_byte_it_keeps_every_whole_record(
    payloads: list[bytes], data: st.DataObject
) -> None:
    whole = whole_file(payloads)
    cut = data.draw(st.integers(0, len(whole)))
    ends = [len(whole_file(payloads[:count])) for count in range(len(payloads) + 1)]
    kept = max((count for count, end in enumerate(ends) if end <= cut), default=0)
    found = recover(whole[:cut])
    assert found.records == tuple(payloads[:kept])
    assert found.damage == ""
    assert found.sound_bytes + found.torn_bytes == cut


@given(PAYLOADS, st.integers(1, 5000))
def test_zeros_behind_the_last_record_are_a_torn_tail(payloads: list[bytes], zeros: int) -> None:
    found = recover(whole_file(payloads) + bytes(zeros))
    assert found.records == tuple(payloads)
    assert (found.damage, found.torn_bytes) == ("", zeros)


@given(st.lists(st.binary(max_size=80), min_size=2, max_size=8), st.data())
def test_a_changed_byte_is_never_believed(payloads: list[bytes], data: st.DataObject) -> None:
    whole = bytearray(whole_file(payloads))
    last = len(whole_file(payloads[:-1]))
    at = data.draw(st.integers(0, last - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    found = recover(bytes(whole))
    assert found.damage
    assert found.records == tuple(payloads[: len(found.records)])
    assert len(found.records) < len(payloads) - 1 or at >= last


@given(st.binary(max_size=400))
def test_any_bytes_can_be_looked_at(data: bytes) -> None:
    for content in (data, MAGIC + data):
        found = recover(content)
        assert found.sound_bytes <= len(content)
        assert found.damage or found.sound_bytes + found.torn_bytes == len(content)


def test_appending_after_a_torn_tail(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log, _ = RecordLog.open(path)
    log.append(b"first")
    log.append(b"second")
    log.close()
    path.write_bytes(path.read_bytes()[:-3])
    log, found = RecordLog.open(path)
    assert found.records == (b"first",)
    log.append(b"third")
    log.close()
    assert recover(path.read_bytes()).records == (b"first", b"third")


def test_rewriting_replaces_everything(tmp_path: Path) -> None:
    log, _ = RecordLog.open(tmp_path / "log")
    for number in range(50):
        log.append(b"%d" % number)
    log.rewrite([b"a", b"b"])
    log.append(b"c")
    log.close()
    assert recover((tmp_path / "log").read_bytes()).records == (b"a", b"b", b"c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log"]


def test_a_record_over_the_limit_is_refused_before_it_is_written(tmp_path: Path) -> None:
    log, _ = RecordLog.open(tmp_path / "log")
    with pytest.raises(ValueError, match="at most"):
        log.append(bytes(RECORD_MAX_BYTES + 1))
    log.close()
    with pytest.raises(RecordLogError, match="closed"):
        log.append(b"late")
