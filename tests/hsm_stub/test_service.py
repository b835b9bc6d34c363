"""The service in this event loop: both clients, bad frames, limits, time-outs, the stop."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hsm_stub.backends.software import SoftwareBackend
from hsm_stub.client import commands as c
from hsm_stub.client.address import TcpAddress, UnixAddress
from hsm_stub.client.async_client import OUTSTANDING_MAX, AsyncHsmClient
from hsm_stub.client.client import HsmClient
from hsm_stub.client.errors import HsmError, HsmProtocolError, HsmRefused, HsmUnavailable
from hsm_stub.client.frames import FRAME_BYTES_MAX, answer_frame, frame, request_frame
from hsm_stub.client.handshake import PROTOCOL_VERSION, Credentials, Greeting, hello_to, token_key
from hsm_stub.key_material import KeyMaterial
from hsm_stub.security_module import SecurityModule
from hsm_stub.service import CONNECTIONS_MAX
from tests.hsm_stub.examples import GUID, certificate_command
from tests.hsm_stub.running import NOW_MS, RunningService, serving

TOKEN = b"0123456789abcdef"


async def opened(
    service: RunningService,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A raw connection, greeted."""
    assert isinstance(service.address, UnixAddress)
    reader, writer = await asyncio.open_unix_connection(str(service.address.path))
    greeting = msgspec.msgpack.decode(await body(reader), type=Greeting)
    writer.write(frame(hello_to(greeting, Credentials())))
    await body(reader)
    return reader, writer


async def body(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(4)))


async def answer(reader: asyncio.StreamReader) -> c.AnswerFrame:
    return msgspec.msgpack.decode(await body(reader), type=c.AnswerFrame)


async def test_every_command_of_the_async_client(service: RunningService) -> None:
    async with AsyncHsmClient(service.address) as client:
        await client.ping()
        public = await client.public_keys()
        assert len(await client.derive_terminal_key("00000001", 1)) == 16
        assert len(await client.derive_card_admin_key(GUID, 1)) == 24
        started = await client.card_admin_begin(GUID, 1, bytes(16))
        with pytest.raises(HsmRefused) as caught:
            await client.card_admin_finish(started.handle, bytes(16))
        assert caught.value.code is c.Refusal.CARD_NOT_AUTHENTICATED
        wanted = certificate_command(c.CertificateSlot.CARD_AUTHENTICATION)
        der = await client.issue_card_certificate(**msgspec.structs.asdict(wanted))
        assert der[:1] == b"\x30"
        signed = await client.sign_receipt_block(
            lane=1, block=2, leaf_count=3, signed_at_ms=NOW_MS, root=bytes(32)
        )
        assert (signed.key_id, len(signed.signature)) == (public.receipt_key_id, 64)
        assert (await client.status()).connections == 1


async def test_every_command_of_the_blocking_client(service: RunningService) -> None:
    def use() -> None:
        with HsmClient(service.address) as client:
            client.ping()
            public = client.public_keys()
            assert len(client.derive_terminal_key("00000001", 1)) == 16
            assert len(client.derive_card_admin_key(GUID, 1)) == 24
            started = client.card_admin_begin(GUID, 1, bytes(16))
            with pytest.raises(HsmRefused) as caught:
                client.card_admin_finish(started.handle, bytes(16))
            assert caught.value.code is c.Refusal.CARD_NOT_AUTHENTICATED
            wanted = certificate_command(c.CertificateSlot.CARD_AUTHENTICATION)
            assert client.issue_card_certificate(**msgspec.structs.asdict(wanted))[:1] == b"\x30"
            signed = client.sign_receipt_block(
                lane=1, block=2, leaf_count=3, signed_at_ms=NOW_MS, root=bytes(32)
            )
            assert (signed.key_id, len(signed.signature)) == (public.receipt_key_id, 64)
            assert client.status().region_code == "77"

    await asyncio.to_thread(use)


async def test_two_clients_at_once_get_their_own_answers(service: RunningService) -> None:
    async with AsyncHsmClient(service.address) as one, AsyncHsmClient(service.address) as two:
        ids = [f"{number:08}" for number in range(40)]
        asked = [
            client.derive_terminal_key(terminal_id, 0)
            for terminal_id in ids
            for client in (one, two)
        ]
        keys = await asyncio.gather(*asked)
    assert keys[0::2] == keys[1::2]
    assert len(set(keys)) == len(ids)


async def test_threads_share_a_blocking_client(service: RunningService) -> None:
    client = HsmClient(service.address)
    keys: dict[int, bytes] = {}

    def ask(number: int) -> None:
        keys[number] = client.derive_terminal_key("00000001", number)

    def together() -> None:
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.close()

    await asyncio.to_thread(together)
    assert len(set(keys.values())) == 8


BAD_COMMANDS: list[tuple[object, str]] = [
    ({"type": "sign_anything", "data": b"x"}, r"Invalid value 'sign_anything'"),
    ({}, "missing required field `type`"),
    (7, "Expected `object`"),
    ({"type": "derive_terminal_key", "terminal_id": "0001", "key_id": 1}, r"\$.terminal_id"),
    ({"type": "derive_terminal_key", "terminal_id": "терминал", "key_id": 1}, r"\$.terminal_id"),
    ({"type": "derive_terminal_key", "terminal_id": "00000001\n", "key_id": 1}, r"\$.terminal_id"),
    ({"type": "derive_terminal_key", "terminal_id": "00000001", "key_id": 256}, r"\$.key_id"),
    ({"type": "derive_terminal_key", "terminal_id": "00000001", "key_id": -1}, r"\$.key_id"),
    ({"type": "derive_terminal_key", "terminal_id": "00000001"}, "field `key_id`"),
    ({"type": "ping", "pong": 1}, "unknown field `pong`"),
    ({"type": "derive_card_admin_key", "card_guid": b"short", "version": 1}, r"\$.card_guid"),
    (
        {"type": "sign_receipt_block", "lane": 65536, "block": 0, "leaf_count": 1}
        | {"signed_at_ms": 0, "root": bytes(32)},
        r"\$.lane",
    ),
    (
        {"type": "sign_receipt_block", "lane": 0, "block": 0, "leaf_count": 0}
        | {"signed_at_ms": 0, "root": bytes(32)},
        r"\$.leaf_count",
    ),
]


@pytest.mark.parametrize(("command", "message"), BAD_COMMANDS)
async def test_a_bad_command_names_its_field_and_keeps_the_connection(
    service: RunningService, command: object, message: str
) -> None:
    reader, writer = await opened(service)
    raw = msgspec.Raw(msgspec.msgpack.encode(command))
    writer.write(frame(c.RequestFrame(request_id=9, command=raw)))
    writer.write(request_frame(10, c.Ping()))
    refused = await answer(reader)
    assert refused.request_id == 9
    assert isinstance(refused.answer, c.Refused)
    assert refused.answer.code is c.Refusal.BAD_ARGUMENT
    assert re.search(message, refused.answer.message)
    assert await answer(reader) == c.AnswerFrame(request_id=10, answer=c.Done())
    writer.close()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ((FRAME_BYTES_MAX + 1).to_bytes(4), c.Refusal.FRAME_TOO_LARGE),
        (b"\xff\xff\xff\xff", c.Refusal.FRAME_TOO_LARGE),
        (bytes(4), c.Refusal.FRAME_TOO_LARGE),
        (b"\0\0\0\x03abc", c.Refusal.MALFORMED_FRAME),
        (request_frame(0, c.Ping()), c.Refusal.MALFORMED_FRAME),
        (answer_frame(1, c.Done()), c.Refusal.MALFORMED_FRAME),
    ],
)
async def test_a_bad_frame_is_refused_and_the_connection_closed(
    service: RunningService, sent: bytes, code: c.Refusal
) -> None:
    reader, writer = await opened(service)
    writer.write(sent)
    refused = await answer(reader)
    assert refused.request_id == 0
    assert isinstance(refused.answer, c.Refused)
    assert refused.answer.code is code
    assert await reader.read() == b""
    writer.close()


def framed(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


JUNK = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=100).map(framed),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63)
        | st.text(max_size=9)
        | st.binary(),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["request_id", "command", "type", "card_guid"]), inner, max_size=4
            )
        ),
        max_leaves=8,
    ).map(lambda value: framed(msgspec.msgpack.encode(value))),
)


@pytest.mark.parametrize("greeted", [False, True])
async def test_garbage_never_stops_the_service(service: RunningService, greeted: bool) -> None:
    assert isinstance(service.address, UnixAddress)
    path = str(service.address.path)
    loop = asyncio.get_running_loop()

    async def send(junk: bytes) -> None:
        if greeted:
            reader, writer = await opened(service)
        else:
            reader, writer = await asyncio.open_unix_connection(path)
        writer.write(junk)
        writer.write_eof()
        await reader.read()
        writer.close()

    @settings(
        max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(JUNK)
    def throw(junk: bytes) -> None:
        asyncio.run_coroutine_threadsafe(send(junk), loop).result(10)

    await asyncio.to_thread(throw)
    async with AsyncHsmClient(service.address) as client:
        assert (await client.status()).connections == 1
    assert "command failed" not in service.log.getvalue()


async def test_connections_are_limited(service: RunningService) -> None:
    connections = [await opened(service) for _ in range(CONNECTIONS_MAX)]
    async with AsyncHsmClient(service.address) as client:
        with pytest.raises(HsmRefused, match="64 connections are open") as caught:
            await client.ping()
        assert caught.value.code is c.Refusal.BUSY
        reader, writer = connections[0]
        writer.close()
        assert await reader.read() == b""
        await client.wait_ready(5_000)
    for _, writer in connections[1:]:
        writer.close()


async def test_outstanding_requests_are_limited(service: RunningService) -> None:
    async with AsyncHsmClient(service.address) as client:
        asked = [client.ping() for _ in range(OUTSTANDING_MAX + 1)]
        results = await asyncio.gather(*asked, return_exceptions=True)
        failed = [result for result in results if result is not None]
        assert len(failed) == 1
        assert isinstance(failed[0], HsmUnavailable)
        assert "wait for answers already" in str(failed[0])
        await client.ping()


@pytest.mark.parametrize(("token", "right"), [(TOKEN, True), (b"f" * 16, False), (b"", False)])
async def test_tcp_asks_for_the_token(module: SecurityModule, token: bytes, right: bool) -> None:
    known = Credentials(key=token_key(token))
    async with serving(module, TcpAddress("127.0.0.1", 0), TOKEN) as service:
        assert isinstance(service.address, TcpAddress)
        assert service.address.port != 0
        async with AsyncHsmClient(service.address, known) as client:
            if right:
                await client.ping()
                return
            with pytest.raises(HsmRefused, match="the token is not the service's") as caught:
                await client.ping()
        assert caught.value.code is c.Refusal.NOT_AUTHENTICATED
        with pytest.raises(HsmRefused, match="the token is not the service's"):
            await asyncio.to_thread(HsmClient(service.address, known).ping)
        assert TOKEN.decode() not in service.log.getvalue()


async def test_a_client_unmasks_a_service_that_does_not_know_the_token() -> None:
    async def pretend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(Greeting(protocol_version=PROTOCOL_VERSION, nonce=bytes(16))))
        await body(reader)
        welcome = {"type": "welcome", "proof": bytes(32)}
        encoded = msgspec.msgpack.encode(welcome)
        writer.write(len(encoded).to_bytes(4) + encoded)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(pretend, "127.0.0.1", 0)
    address = TcpAddress("127.0.0.1", server.sockets[0].getsockname()[1])
    async with AsyncHsmClient(address, Credentials(key=token_key(TOKEN))) as client:
        with pytest.raises(HsmProtocolError, match="does not know the token"):
            await client.ping()
    with pytest.raises(HsmProtocolError, match="does not know the token"):
        await asyncio.to_thread(HsmClient(address, Credentials(key=token_key(TOKEN))).ping)
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "sent a frame over"),
        (frame(Greeting(protocol_version=9, nonce=bytes(16))), "speaks protocol 9"),
        (answer_frame(5, c.Done()), "expected Greeting"),
        (b"\0\0\0\x02no", "sent no answer"),
    ],
)
async def test_a_program_that_is_no_key_service(said: bytes, message: str) -> None:
    async def pretend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(pretend, "127.0.0.1", 0)
    address = TcpAddress("127.0.0.1", server.sockets[0].getsockname()[1])
    async with AsyncHsmClient(address) as client:
        with pytest.raises(HsmProtocolError, match=message):
            await client.ping()
    with pytest.raises(HsmProtocolError, match=message):
        await asyncio.to_thread(HsmClient(address).ping)
    server.close()
    await server.wait_closed()


async def test_silence_ends_in_a_time_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = TcpAddress("127.0.0.1", silent.getsockname()[1])
        async with AsyncHsmClient(address, timeout_ms=50) as client:
            with pytest.raises(HsmUnavailable, match="no answer in 50 ms"):
                await client.ping()
        with pytest.raises(HsmUnavailable, match="no answer in 50 ms"):
            await asyncio.to_thread(HsmClient(address, timeout_ms=50).ping)


async def test_nobody_there(short_tmp: Path) -> None:
    address = UnixAddress(short_tmp / "none.sock")
    async with AsyncHsmClient(address) as client:
        with pytest.raises(HsmUnavailable, match="is `spk hsm run` running"):
            await client.ping()
    with pytest.raises(HsmUnavailable, match="is `spk hsm run` running"):
        HsmClient(address).ping()


async def test_clients_come_back_after_a_restart(material: KeyMaterial, short_tmp: Path) -> None:
    address = UnixAddress(short_tmp / "hsm.sock")
    keys = set()
    with HsmClient(address) as blocking:
        async with AsyncHsmClient(address) as pipelined:
            for _ in range(2):
                module = SecurityModule(SoftwareBackend(material), lambda: 0)
                async with serving(module, address):
                    keys.add(await pipelined.derive_terminal_key("00000001", 1))
                    keys.add(await asyncio.to_thread(blocking.derive_terminal_key, "00000001", 1))
                with pytest.raises(HsmUnavailable):
                    await pipelined.ping()
                with pytest.raises(HsmUnavailable):
                    await asyncio.to_thread(blocking.ping)
                assert not address.path.exists()
    assert len(keys) == 1


async def test_the_stop_answers_what_was_read(
    module: SecurityModule, short_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out = module.execute
    address = UnixAddress(short_tmp / "hsm.sock")
    async with AsyncHsmClient(address) as client, serving(module, address) as running:

        def stopped_meanwhile(command: c.Command, connections: int = 0) -> c.Answer:
            running.service.stop()
            return carry_out(command, connections)

        monkeypatch.setattr(module, "execute", stopped_meanwhile)
        assert len(await client.derive_terminal_key("00000001", 1)) == 16


async def test_a_fault_is_answered_and_named_without_its_text(
    service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: c.Command, connections: int = 0) -> c.Answer:
        raise RuntimeError("secret of the trade")

    async with AsyncHsmClient(service.address) as client:
        with monkeypatch.context() as patched:
            patched.setattr(service.module, "execute", fail)
            with pytest.raises(HsmRefused) as caught:
                await client.ping()
        assert caught.value.code is c.Refusal.FAULT
        await client.ping()
    assert '"fault": "RuntimeError"' in service.log.getvalue()
    assert "secret of the trade" not in service.log.getvalue() + str(caught.value)


async def test_an_abandoned_request_does_not_disturb_the_next(service: RunningService) -> None:
    async with AsyncHsmClient(service.address) as client:
        first = asyncio.create_task(client.derive_terminal_key("00000001", 1))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await client.derive_terminal_key("00000002", 1) != b""
        expected = await client.derive_terminal_key("00000001", 1)
        assert len(expected) == 16


async def test_a_client_that_vanishes_leaves_nothing(service: RunningService) -> None:
    assert isinstance(service.address, UnixAddress)
    for _ in range(5):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
            raw.setblocking(False)
            await asyncio.get_running_loop().sock_connect(raw, str(service.address.path))
            # Linger 0 turns the close into a reset where the system knows it.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raw.send(b"\0\0\1\0half")
    async with AsyncHsmClient(service.address) as client:
        while (await client.status()).connections != 1:
            pass


def test_hsm_errors_are_one_family() -> None:
    for kind in (HsmUnavailable, HsmProtocolError, HsmRefused):
        assert issubclass(kind, HsmError)
        assert isinstance(kind.exit_code, int)
