"""What the card client itself costs per APDU, and what cards with a real card's delay give.

python -m bench.chip [--readers 16]

The client's own cost is its CPU time over a transport that answers at once, with answers recorded
from a software card; the card's work is not in it. With `--readers` so many software cards answer
over a real pcscd, 20 ms late per APDU and 200 ms more per key operation, one alone and all at once.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import msgspec

from card_personalization.chip.apdu import Command, Response, encode_short
from card_personalization.chip.chaining import Channel, open_channel
from card_personalization.chip.piv.client import PivClient
from card_personalization.chip.piv.management import LocalManagementKey
from card_personalization.chip.piv.objects import Algorithm, Chuid, Slot, Tag
from card_personalization.chip.profiles.family import Codes, LockKeys
from card_personalization.chip.profiles.yubico import YubicoFamily
from card_personalization.chip.scp03 import (
    ENCRYPTED_COMMANDS,
    ChannelKeys,
    SecureChannel,
    session_keys,
)
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.delays import DelayedCard, Delays
from card_personalization.chip.softcard.state import (
    FACTORY_MANAGEMENT_KEY,
    CardState,
    factory_state,
)
from card_personalization.chip.transport.contract import Transport
from card_personalization.chip.transport.inprocess import InProcessTransport

GOAL_MS: Final = 0.1
ROUNDS: Final = 300
TURNS: Final = 5
READERS_MAX: Final = 16
GOAL_SPEEDUP: Final = 8.0
_OBJECT: Final = bytes(1_800)
_DIGEST: Final = bytes(range(32))


class Cost(msgspec.Struct, frozen=True):
    """One dialogue: APDUs in it, and the client's CPU time for each, the best of several turns."""

    name: str
    apdus: int
    cpu_ms: float


class NullTransport:
    """Answers at once: the n-th APDU of a dialogue gets the n-th recorded answer."""

    name = "null"

    def __init__(self, answers: list[tuple[bytes, int]]) -> None:
        self._answers = answers
        self._next = 0

    def transceive(self, _command: bytes) -> tuple[bytes, int]:
        """Give the next recorded answer."""
        answer = self._answers[self._next]
        self._next = (self._next + 1) % len(self._answers)
        return answer

    def close(self) -> None:
        """Nothing to let go."""


class Recorder:
    """A transport that keeps the answers of another."""

    name = "recorder"

    def __init__(self, inner: Transport) -> None:
        self._inner = inner
        self.answers: list[tuple[bytes, int]] = []

    def transceive(self, command: bytes) -> tuple[bytes, int]:
        """Pass on, and keep the answer."""
        answer = self._inner.transceive(command)
        self.answers.append(answer)
        return answer

    def close(self) -> None:
        """Nothing to let go."""


def written_card() -> CardState:
    """A card with keys and two objects, as a tap finds it."""
    card = SoftCard(factory_state(serial=1))
    client = PivClient(open_channel(InProcessTransport(card)))
    client.select()
    client.authenticate_management(LocalManagementKey(FACTORY_MANAGEMENT_KEY, Algorithm.AES_192))
    for slot in (Slot.CARD_AUTHENTICATION, Slot.AUTHENTICATION):
        client.generate_key(slot)
        client.write_certificate(slot, _OBJECT)
    return card.state


def read_objects(channel: Channel) -> None:
    """SELECT and read a certificate: answers in portions."""
    client = PivClient(channel)
    client.select()
    client.read_certificate(Slot.CARD_AUTHENTICATION)


def write_objects(channel: Channel) -> None:
    """Write a large object: a command in a chain."""
    PivClient(channel).put_data(Tag.CERTIFICATE_9E, _OBJECT)


def sign(channel: Channel) -> None:
    """Have a digest signed: one APDU, whose signature is brought into the wire's form."""
    PivClient(channel).sign_digest(Slot.CARD_AUTHENTICATION, _DIGEST)


def record(run: Callable[[Channel], None]) -> list[tuple[bytes, int]]:
    """Return the answers of a software card to a dialogue."""
    card = SoftCard(written_card())
    recorder = Recorder(InProcessTransport(card))
    client = PivClient(open_channel(recorder))
    client.select()
    client.authenticate_management(LocalManagementKey(FACTORY_MANAGEMENT_KEY, Algorithm.AES_192))
    recorder.answers.clear()
    run(open_channel(recorder))
    return recorder.answers


def best_cpu_ms(run: Callable[[], None], apdus: int) -> float:
    """Return the CPU time per APDU, in ms: the best turn, for the others of the machine disturb."""
    best_ns = sys.maxsize
    for _ in range(TURNS):
        began_ns = time.process_time_ns()
        for _ in range(ROUNDS):
            run()
        best_ns = min(best_ns, time.process_time_ns() - began_ns)
    return best_ns / ROUNDS / apdus / 1e6


def plain_cost(name: str, run: Callable[[Channel], None]) -> Cost:
    """Return what a dialogue costs the client in the clear."""
    answers = record(run)
    channel = open_channel(NullTransport(answers))
    return Cost(name, len(answers), best_cpu_ms(lambda: run(channel), len(answers)))


def protected_cost() -> Cost:
    """Return what a large object costs through a secure channel, each link enciphered and MACed."""
    inner = CountingChannel()
    keys = session_keys(ChannelKeys(bytes(16), bytes(16), bytes(16)), bytes(8), bytes(8))
    channel = SecureChannel(inner, keys, ENCRYPTED_COMMANDS, bytes(16), 0)
    write_objects(channel)
    links = inner.sent
    return Cost("write an object, SCP03", links, best_cpu_ms(lambda: write_objects(channel), links))


class CountingChannel:
    """Turns a command into bytes, counts it and says yes."""

    def __init__(self) -> None:
        self.sent = 0

    def send(self, command: Command) -> Response:
        """Encode, count, agree."""
        encode_short(command)
        self.sent += 1
        return Response(b"", 0x9000)


def issue(client: PivClient) -> None:
    """Write a card as a station does: two keys, two certificates, CHUID, codes, 9B."""
    driver = YubicoFamily()
    factory = driver.factory_access()
    client.select()
    driver.open(client, factory)
    for slot in (Slot.CARD_AUTHENTICATION, Slot.AUTHENTICATION):
        driver.make_key(client, slot)
        driver.write_object(client, slot.certificate_tag, bytes(700))
    chuid = Chuid(bytes(16), datetime.date(2031, 6, 30))
    driver.write_object(client, Tag.CHUID, chuid.encode())
    driver.set_codes(client, factory, Codes("918273", "87654321", 5, 5))
    driver.lock(client, factory, LockKeys(bytes(24), Algorithm.AES_192))


@contextmanager
def _transports(count: int, *, real: bool) -> Iterator[list[Transport]]:
    """Give fresh slow cards, in process or at virtual readers over a real pcscd."""
    cards = [DelayedCard(SoftCard(factory_state(serial=1 + n)), Delays()) for n in range(count)]
    if not real:
        yield [InProcessTransport(card) for card in cards]
        return
    # Readers need Debian's packages, which a measurement in process does not.
    from card_personalization.chip.transport.pcsc import PcscContext
    from card_personalization.readers.virtual import virtual_readers

    with ExitStack() as stack:
        readers = stack.enter_context(virtual_readers(count))
        names = [readers.insert_card(card) for card in cards]
        yield [
            stack.enter_context(stack.enter_context(PcscContext()).connect(name)) for name in names
        ]


def issued_seconds(count: int, *, real: bool) -> float:
    """Return the seconds in which so many slow cards are written side by side."""
    with _transports(count, real=real) as transports:
        clients = [PivClient(open_channel(transport)) for transport in transports]
        threads = [threading.Thread(target=issue, args=(client,)) for client in clients]
        began_s = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.monotonic() - began_s


def show_readers(count: int) -> None:
    """Print how many times one reader's rate so many readers reach."""
    for name, real in (("in process", False), ("over pcscd", True)):
        alone_s = issued_seconds(1, real=real)
        together_s = issued_seconds(count, real=real)
        speedup = count * alone_s / together_s
        print(
            f"{name}: 1 card {alone_s:.2f} s, {count} cards at once {together_s:.2f} s: "
            f"{speedup:.1f} times one reader's rate (goal {GOAL_SPEEDUP:.0f} with 16)"
        )


def main() -> None:
    """Print the client's cost per APDU, and with --readers the rate of many slow cards."""
    parser = argparse.ArgumentParser(prog="bench.chip", description=__doc__)
    parser.add_argument("--readers", type=int, choices=range(2, READERS_MAX + 1), metavar="2-16")
    count = parser.parse_args().readers
    costs = [
        plain_cost("select, read a certificate", read_objects),
        plain_cost("write an object", write_objects),
        plain_cost("sign", sign),
        protected_cost(),
    ]
    print(f"{'client, null transport':28}{'APDUs':>7}{'CPU ms/APDU':>13}{'goal':>7}")
    for cost in costs:
        print(f"{cost.name:28}{cost.apdus:7}{cost.cpu_ms:13.4f}{GOAL_MS:7.1f}")
    if count is not None:
        show_readers(count)


if __name__ == "__main__":
    main()
