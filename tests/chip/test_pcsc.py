"""The PC/SC transport and the virtual readers, over a real pcscd."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from card_personalization.chip.chaining import open_channel
from card_personalization.chip.ecdsa_signature import verifies
from card_personalization.chip.errors import AttemptError, CardFault, TransportError
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.management import LocalManagementKey
from card_personalization.chip.piv.objects import PASSPORT_TAG, Algorithm, Slot
from card_personalization.chip.softcard.state import FACTORY_MANAGEMENT_KEY
from card_personalization.chip.transport.pcsc import PcscContext, list_readers
from card_personalization.readers.virtual import VirtualReaders
from tests.chip.issued import GUID, IssuedCard, contactless

pytestmark = pytest.mark.pcsc

DIGEST = hashlib.sha256(b"over pcscd").digest()
WAIT_MS = 10_000


def fault_of(error: pytest.ExceptionInfo[TransportError]) -> CardFault:
    return error.value.fault


@pytest.mark.parametrize("extended", [False, True])
def test_a_tap(readers: VirtualReaders, issued: IssuedCard, extended: bool) -> None:
    reader = readers.insert_card(issued.card)
    assert set(readers.names) <= set(list_readers())
    with PcscContext() as context, context.connect(reader) as transport:
        assert transport.name == reader
        assert transport.atr() == issued.card.atr
        client = PivClient(open_channel(transport, extended=extended))
        client.select()
        assert client.read_chuid().guid == GUID
        slot = Slot.CARD_AUTHENTICATION
        assert client.read_certificate(slot) == issued.certificates[slot]
        raw = client.sign_digest(slot, DIGEST)
        assert verifies(issued.points[slot], DIGEST, raw)
        with pytest.raises(AttemptError):
            client.verify_pin("999999")
        client.verify_pin("123456")
        assert verifies(
            issued.points[Slot.AUTHENTICATION],
            DIGEST,
            client.sign_digest(Slot.AUTHENTICATION, DIGEST),
        )
        client.authenticate_management(
            LocalManagementKey(FACTORY_MANAGEMENT_KEY, Algorithm.AES_192)
        )
        client.put_data(PASSPORT_TAG, bytes(1_900))
        assert client.get_data(PASSPORT_TAG) == bytes(1_900)


def test_letting_go_forgets_the_pin(readers: VirtualReaders, issued: IssuedCard) -> None:
    reader = readers.insert_card(issued.card)
    with PcscContext() as context:
        with context.connect(reader) as transport:
            client = PivClient(open_channel(transport))
            client.select()
            client.verify_pin("123456")
        with context.connect(reader) as transport:
            client = PivClient(open_channel(transport))
            client.select()
            assert client.pin_attempts_remaining() == 3


def test_a_contactless_card_shows_as_one(readers: VirtualReaders, issued: IssuedCard) -> None:
    card = contactless(issued.card)
    reader = readers.insert_card(card)
    with PcscContext() as context, context.connect(reader) as transport:
        assert transport.atr() == card.atr
        assert transport.atr()[:4].hex() == "3b8c8001"


def test_waiting_for_a_card_and_its_removal(readers: VirtualReaders, issued: IssuedCard) -> None:
    wanted = readers.names[2]
    with PcscContext() as context:
        with pytest.raises(TransportError) as caught:
            context.wait_for_card(wanted, 50)
        assert fault_of(caught) is CardFault.WAIT_ENDED
        found: list[str] = []
        waiter = threading.Thread(target=_wait_for_any_card, args=(found,))
        waiter.start()
        readers.insert_card(issued.card, wanted)
        waiter.join(WAIT_MS / 1000)
        assert found == [wanted]
        assert context.card_present(wanted)
        readers.remove(wanted)
        context.wait_for_removal(wanted, WAIT_MS)
        assert not context.card_present(wanted)


def _wait_for_any_card(found: list[str]) -> None:
    with PcscContext() as context:
        found.append(context.wait_for_card(None, WAIT_MS))


def test_a_card_taken_away_in_mid_talk(readers: VirtualReaders, issued: IssuedCard) -> None:
    reader = readers.insert_card(issued.card)
    with PcscContext() as context, context.connect(reader) as transport:
        client = PivClient(open_channel(transport))
        client.select()
        readers.remove(reader)
        with pytest.raises(TransportError) as caught:
            client.read_chuid()
        assert fault_of(caught) in (CardFault.CARD_REMOVED, CardFault.COMMUNICATION)
        context.wait_for_removal(reader, WAIT_MS)
        with pytest.raises(TransportError) as caught:
            client.read_chuid()
        assert fault_of(caught) is CardFault.CARD_REMOVED
        transport.close()
        with pytest.raises(TransportError) as caught:
            context.connect(reader)
        assert fault_of(caught) is CardFault.NO_CARD


def test_a_card_is_used_by_one_program(readers: VirtualReaders, issued: IssuedCard) -> None:
    reader = readers.insert_card(issued.card)
    with PcscContext() as context:
        with context.connect(reader), pytest.raises(TransportError) as caught:
            context.connect(reader)
        assert fault_of(caught) is CardFault.CARD_BUSY
        with (
            context.connect(reader, exclusive=False) as one,
            context.connect(reader, exclusive=False) as two,
        ):
            one.begin_transaction()
            assert one.transceive(bytes.fromhex("00a4040005a000000308"))[1] == 0x9000
            one.end_transaction()
            assert two.transceive(bytes.fromhex("00200080"))[1] == 0x63C3


def test_a_reset_by_another_program_is_told(readers: VirtualReaders, issued: IssuedCard) -> None:
    reader = readers.insert_card(issued.card)
    with PcscContext() as context, context.connect(reader, exclusive=False) as one:
        assert one.transceive(bytes.fromhex("00a4040005a000000308"))[1] == 0x9000
        context.connect(reader, exclusive=False).close()
        with pytest.raises(TransportError) as caught:
            one.transceive(bytes.fromhex("00200080"))
        assert fault_of(caught) is CardFault.CARD_RESET


def test_readers_are_found_by_name_or_part(virtual_readers_session: VirtualReaders) -> None:
    names = virtual_readers_session.names
    with PcscContext() as context:
        assert context.find_reader(None) == context.readers()[0]
        assert context.find_reader(names[3]) == names[3]
        assert context.find_reader("a 00 01") == "spk reader A 00 01"
        for wanted in ("no such", "spk"):
            with pytest.raises(TransportError, match="Connected: spk reader A 00 00, ") as caught:
                context.find_reader(wanted)
            assert fault_of(caught) is CardFault.READER_UNKNOWN


def test_a_closed_transport_sends_nothing(readers: VirtualReaders, issued: IssuedCard) -> None:
    with PcscContext() as context:
        transport = context.connect(readers.insert_card(issued.card))
        transport.close()
        transport.close()
        with pytest.raises(TransportError) as caught:
            transport.transceive(b"\x00\x20\x00\x80")
        assert fault_of(caught) is CardFault.CARD_REMOVED


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"PCSCLITE_CSOCK_NAME": "/nonexistent/pcscd.comm"}, "Start pcscd or run spk reader start"),
        ({}, "('spk reader A 00 00', "),
    ],
)
def test_other_programs_are_told_the_same(
    virtual_readers_session: VirtualReaders, environment: dict[str, str], told: str
) -> None:
    program = (
        "from card_personalization.chip.errors import CardError\n"
        "from card_personalization.chip.transport.pcsc import list_readers\n"
        "try: print(list_readers())\n"
        "except CardError as error: print(error)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **virtual_readers_session.environment, **environment},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert told in ended.stdout


def test_an_apdu_takes_about_a_millisecond(readers: VirtualReaders, issued: IssuedCard) -> None:
    times_s = []
    with (
        PcscContext() as context,
        context.connect(readers.insert_card(issued.card)) as transport,
    ):
        for _ in range(31):
            began = time.perf_counter()
            transport.transceive(bytes.fromhex("00a4040005a000000308"))
            times_s.append(time.perf_counter() - began)
    # Alone it takes 0.2 ms; a delayed acknowledgement would take 40. The middle forgives load.
    assert sorted(times_s)[15] < 0.03
