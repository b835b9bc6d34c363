"""The pieces that workers are held together by."""

from __future__ import annotations

import asyncio
import socket

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from processing.wire.api import ProbeResult, ProbeStatus
from processing.workers.handing import hand, handing_pair, open_listeners, take_handed
from processing.workers.link import WorkerLink
from processing.workers.measurements import one_page
from processing.workers.messages import (
    LENGTH_BYTES,
    MESSAGE_BYTES_MAX,
    Ask,
    Ready,
    Released,
    Report,
    Stop,
    from_worker,
    packed,
)
from processing.workers.supervisor import PAUSE_MAX_MS, health_of, pause_ms

WELL = ProbeResult(status=ProbeStatus.OK)
ILL = ProbeResult(status=ProbeStatus.FAILING, detail="gone")


@pytest.mark.parametrize(
    ("deaths", "pause"),
    [(0, 0), (1, 0), (2, 250), (3, 500), (4, 1_000), (8, PAUSE_MAX_MS), (10_000, PAUSE_MAX_MS)],
)
def test_the_pause_before_the_next_start(deaths: int, pause: int) -> None:
    assert pause_ms(deaths) == pause


@pytest.mark.parametrize(
    ("parts", "health"),
    [
        ({"hsm": WELL, "database": WELL}, ProbeResult(status=ProbeStatus.OK)),
        (
            {"hsm": ILL, "database": WELL},
            ProbeResult(status=ProbeStatus.FAILING, detail="hsm: gone"),
        ),
        (
            {"hsm": ILL, "database": ILL},
            ProbeResult(status=ProbeStatus.FAILING, detail="hsm: gone; database: gone"),
        ),
    ],
)
def test_a_worker_is_as_well_as_its_parts(
    parts: dict[str, ProbeResult], health: ProbeResult
) -> None:
    assert health_of(Report(number=1, parts=parts, exposition="")) == health


def test_a_worker_that_says_nothing_is_ill() -> None:
    assert health_of(None).status is ProbeStatus.FAILING


def test_measurements_of_all_workers_stand_on_one_page() -> None:
    texts = {}
    for worker, count in (("1", 3), ("2", 4)):
        registry = CollectorRegistry()
        Counter("spk_sales", "Sales.", ["kind"], registry=registry).labels("a b\n").inc(count)
        Gauge("spk_waiting", "Waiting.", registry=registry).set(count)
        Histogram("spk_seconds", "Seconds.", buckets=(1.0,), registry=registry).observe(count)
        texts[worker] = generate_latest(registry).decode()
    body, content_type = one_page(texts)
    lines = body.decode().splitlines()
    assert content_type.startswith("text/plain")
    assert [line for line in lines if line.startswith("# TYPE")] == [
        "# TYPE spk_sales_total counter",
        "# TYPE spk_sales_created gauge",
        "# TYPE spk_waiting gauge",
        "# TYPE spk_seconds histogram",
        "# TYPE spk_seconds_created gauge",
    ]
    assert {
        'spk_sales_total{kind="a b\\n",worker="1"} 3.0',
        'spk_sales_total{kind="a b\\n",worker="2"} 4.0',
        'spk_waiting{worker="2"} 4.0',
        'spk_seconds_bucket{le="1.0",worker="1"} 0.0',
        'spk_seconds_bucket{le="+Inf",worker="2"} 1.0',
    } <= set(lines)


async def test_connections_and_questions_reach_the_worker_and_its_answers_come_back() -> None:
    control, its_control = socket.socketpair()
    handed, its_handed = handing_pair()
    control.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=control)

    async def adopt(connection: socket.socket, gone: object) -> None:
        assert callable(gone)
        await asyncio.get_running_loop().sock_sendall(connection, b"hello")
        connection.close()
        gone()

    async def look() -> tuple[dict[str, ProbeResult], str]:
        return {"hsm": WELL}, "text"

    serving = asyncio.ensure_future(WorkerLink(its_control, its_handed).serve(adopt, look))
    assert await from_worker(reader) == Ready()
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            assert hand(theirs, handed)
        ours.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(ours, 16) == b"hello"
        assert await asyncio.get_running_loop().sock_recv(ours, 16) == b""
    assert await from_worker(reader) == Released(1)
    writer.write(packed(Ask(7)))
    assert await from_worker(reader) == Report(number=7, parts={"hsm": WELL}, exposition="text")
    writer.write(packed(Stop()))
    assert await serving == "asked to"
    with ours, handed:
        assert not hand(handed, handed)
    assert await from_worker(reader) is None
    writer.close()
    await writer.wait_closed()


async def test_a_worker_hears_that_its_supervisor_is_gone() -> None:
    control, its_control = socket.socketpair()
    handed, its_handed = handing_pair()

    async def never(*_: object) -> None:
        raise AssertionError("nothing was handed over")

    async def look() -> tuple[dict[str, ProbeResult], str]:
        raise AssertionError("nobody asked")

    serving = asyncio.ensure_future(WorkerLink(its_control, its_handed).serve(never, look))
    await asyncio.sleep(0)
    handed.close()
    control.close()
    assert await serving == "the supervisor is gone"


async def test_a_message_beyond_the_bound_is_the_end() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data((MESSAGE_BYTES_MAX + 1).to_bytes(LENGTH_BYTES) + b"x")
    assert await from_worker(reader) is None


async def test_only_the_worker_holds_what_was_handed_over() -> None:
    ours, theirs = handing_pair()
    near, far = socket.socketpair()
    taken: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
    take_handed(theirs, taken.set_result)
    with far:
        assert hand(far, ours)
    (await taken).close()
    with near:
        assert near.recv(1) == b""
    ours.close()
    asyncio.get_running_loop().remove_reader(theirs)
    theirs.close()


async def test_a_host_with_two_addresses_has_one_port() -> None:
    listeners = await open_listeners("localhost", 0)
    try:
        assert len({listener.getsockname()[1] for listener in listeners}) == 1
    finally:
        for listener in listeners:
            listener.close()
