"""Frames go out whole and in order; answers are found in a stream that is cut anywhere."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from typing import Final

import pytest

from bench.callers import HttpCaller, IsoCaller, Message, Share, http_answer, place_of
from bench.generator import Target, Task, departures, iso_tag
from bench.traffic import Press, Sales, Traffic
from bench.world import BenchTerminal, World, terminal_id_of
from processing.wire.iso8583.answers import undecided_answer
from processing.wire.iso8583.framing import Framing
from processing.wire.iso8583.requests import parse_message
from processing.wire.iso8583.spec import Profile
from processing.wire.outcome import Outcome

SIGNED_AT_MS: Final = 1_772_442_000_000
WORLD: Final = World(
    cards=50,
    business_date=date(2026, 3, 2),
    terminals=tuple(
        BenchTerminal(terminal_id_of(number), 1, bytes([number]) * 16) for number in range(4)
    ),
    receipt_key=b"",
)
COUNT: Final = 6
WAIT_SECONDS: Final = 10
GOOD: Final = b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"outcome":"approved"}'
BAD: Final = b"HTTP/1.1 422 Unprocessable Entity\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def sales_and_answers() -> tuple[list[Message], list[bytes]]:
    """Return messages of the terminals, and the answers of a centre that has no room."""
    sales, messages, answers = Sales(WORLD, Traffic.SINGLE), [], []
    press = Press(sales, SIGNED_AT_MS)
    for number in range(COUNT):
        draft = sales.draft(number)
        data = press.message(draft)
        messages.append(Message(number, iso_tag(sales, draft), Framing().wrap(data)))
        parsed = parse_message(data, Profile.BINARY)
        answer = undecided_answer(Outcome.TRY_LATER, parsed, sales.mac_of(draft))
        answers.append(Framing().wrap(answer))
    return messages, answers


def heard(caller: IsoCaller | HttpCaller, now_ns: int) -> int:
    """Wait for data, which the other side has sent already, and return the answers in it."""
    assert select.select([caller], [], [], WAIT_SECONDS)[0]
    return caller.heard(now_ns)


@pytest.mark.parametrize("size", [1, 3, 100, 10_000])
def test_answers_are_found_in_a_stream_cut_anywhere(server: socket.socket, size: int) -> None:
    messages, answers = sales_and_answers()
    caller = IsoCaller(server.getsockname()[1], WAIT_SECONDS, Share(messages))
    other, _ = server.accept()
    with closing(caller), other:
        assert caller.send(2, 1_000) + caller.send(9, 2_000) == COUNT
        expected = b"".join(message.data for message in messages)
        assert other.recv(len(expected), socket.MSG_WAITALL) == expected
        # In any order, and one of them approved: its code is changed, its MAC is not looked at.
        place = answers[1].index(b"96", 60)
        answers[1] = answers[1][:place] + b"00" + answers[1][place + 2 :]
        stream, found = b"".join(reversed(answers)), 0
        for start in range(0, len(stream), size):
            other.sendall(stream[start : start + size])
            found += heard(caller, 5_000)
        while found < COUNT:
            found += heard(caller, 5_000)
        assert (found, caller.tally.answered, caller.tally.strange) == (COUNT, COUNT, 0)
        assert caller.tally.others == {b"96": COUNT - 1}
        assert caller.tally.latencies_ns == [4_000]
        assert caller.tally.samples == [(1, answers[1][2:])]
        other.sendall(answers[0])
        assert heard(caller, 6_000) == 0
        assert caller.tally.strange == 1
        other.close()
        with pytest.raises(ConnectionResetError, match="closed by the other side"):
            heard(caller, 7_000)


def test_what_does_not_go_out_at_once_goes_out_later(server: socket.socket) -> None:
    messages = [Message(number, b"%d" % number, bytes([number]) * 100_000) for number in range(100)]
    caller = IsoCaller(server.getsockname()[1], WAIT_SECONDS, Share(messages))
    other, _ = server.accept()
    with closing(caller), other:
        assert caller.send(60, 1) + caller.send(60, 1) == 100
        assert not caller.flushed()
        received = bytearray()
        while len(received) < 100 * 100_000:
            received += other.recv(1 << 20)
            caller.flushed()
        assert caller.flushed()
    assert received == b"".join(message.data for message in messages)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_http_answers_come_in_order(server: socket.socket, size: int) -> None:
    share = Share([Message(number, b"", b"POST") for number in range(3)])
    caller = HttpCaller(server.getsockname()[1], WAIT_SECONDS, share)
    other, _ = server.accept()
    with closing(caller), other:
        for number in range(3):
            caller.send(1, number + 1)
        stream, found = GOOD + BAD + GOOD, 0
        for start in range(0, len(stream), size):
            other.sendall(stream[start : start + size])
            found += heard(caller, 10)
        while found < 3:
            found += heard(caller, 10)
        assert caller.tally.latencies_ns == [9, 7]
        assert caller.tally.others == {b"422": 1}


@pytest.mark.parametrize("size", [0, 10, len(GOOD) - 1])
def test_a_cut_http_answer_is_none(size: int) -> None:
    assert http_answer(GOOD[:size]) is None


def test_departures_are_a_poisson_process() -> None:
    task = Task(
        target=Target.CENTRE,
        port=0,
        traffic=Traffic.SINGLE,
        first_number=7,
        count=20_000,
        duration_ms=0,
        cards=1,
        connections=1,
        outstanding=1,
        rate_per_second=1_000.0,
    )
    due_ns = departures(task, 5)
    assert due_ns == sorted(due_ns) == departures(task, 5)
    waits = [after - before for before, after in zip([5, *due_ns[:-1]], due_ns, strict=True)]
    mean = sum(waits) / len(waits)
    assert mean == pytest.approx(1_000_000, rel=0.03)
    # Its standard deviation is its mean.
    assert sum((wait - mean) ** 2 for wait in waits) / len(waits) == pytest.approx(mean**2, rel=0.1)


@pytest.mark.parametrize(
    ("field", "bitmap", "expected"),
    [
        (11, b"3220000000000001", 4 + 16 + 6 + 12 + 10),
        (11, b"0020000000000000", 4 + 16),
        (11, b"8020000000000000", 4 + 32),
        (39, b"0020000002000000", 4 + 16 + 6),
    ],
)
def test_where_a_field_begins(field: int, bitmap: bytes, expected: int) -> None:
    assert place_of(field, bitmap) == expected


@pytest.mark.parametrize(
    ("field", "bitmap", "reason"),
    [
        (39, b"0020000000000000", "is not in the answer"),
        (11, b"4020000000000000", "no fixed length"),
    ],
)
def test_where_a_field_cannot_be_found(field: int, bitmap: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        place_of(field, bitmap)
