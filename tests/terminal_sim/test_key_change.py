"""The terminal's MAC key, changed over the line: whatever is lost, one of two keys works."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from card_personalization.chip.transport.inprocess import InProcessTransport
from processing.wire.iso8583.messages import NetworkCode, OfferedKey
from processing.wire.parameter_file import ParameterFile, ProfileName
from terminal_sim.card import PresentedCard
from terminal_sim.errors import TerminalError
from terminal_sim.keys import MacKey, file_fingerprint, key_of_file, unwrapped
from terminal_sim.link import Link, LinkError, LinkLimits
from terminal_sim.results import Sale
from terminal_sim.state import KeyKept, KeyTaken, TerminalState
from terminal_sim.store import Store
from terminal_sim.terminal import Terminal
from terminal_sim.till import Till
from tests.terminal_sim import world
from tests.terminal_sim.fake_centre import Does, FakeCentre

LIMITS = LinkLimits(answer_timeout_ms=200, attempts=2, first_pause_ms=1)
SALE = Sale(holder_id=world.MOTHER, service="MEDICINE", version=1, lines=(world.TWO_PACKS,))
SECOND = MacKey(2, b"\x02" * 16)


@contextmanager
def till_of(folder: Path, file: ParameterFile) -> Iterator[Till]:
    """A terminal with this folder and parameter file."""
    with Store.open(folder, file, world.NOW_MS) as store:
        terminal = Terminal(file, store.state, lambda count: b"\x07" * count)
        link = Link(file, lambda: world.NOW_MS, LIMITS)
        try:
            yield Till(terminal, store, link, lambda: world.NOW_MS, lambda _: None)
        finally:
            link.close()


def card() -> PresentedCard:
    """Maria's card at the reader."""
    transport = InProcessTransport(world.issued_card())
    return PresentedCard.read(transport, world.parameters(), world.NOW_MS)


def works(till: Till) -> bool:
    """Whether a sale is decided."""
    return till.sell(card(), SALE, str).exit_code == 0


@pytest.mark.parametrize("profile", ProfileName)
def test_the_next_key_is_used_from_then_on(tmp_path: Path, profile: ProfileName) -> None:
    with FakeCentre(profile=profile.profile) as centre:
        file = world.parameters(centre.port, profile=profile)
        with till_of(tmp_path, file) as till:
            assert till.change_key() == SECOND
            assert works(till)
            till.store._compact()
        with till_of(tmp_path, file) as till:
            assert works(till)
            assert till.change_key().generation == 3
    ids = [message.key_id for message in centre.received]
    assert ids == [1, 2, 2, 2, 2, 3]
    assert list(centre.keys) == [3]


# What the centre does with the messages of one change, whether the till says that it worked, and
# which key the terminal has in use then.
LOST = [
    ((), True, 2),
    # The answer with the key, or the question, is lost.
    ((Does.LOSE_ANSWER,), False, 1),
    ((Does.HANG_UP,), False, 1),
    ((Does.MAC_WRONGLY,), False, 1),
    # The echo under the new key, or its answer, is lost.
    ((Does.APPROVE, Does.LOSE_ANSWER), False, 1),
    ((Does.APPROVE, Does.HANG_UP), False, 1),
    ((Does.APPROVE, Does.TRY_LATER), False, 1),
    ((Does.APPROVE, Does.MAC_WRONGLY), False, 1),
]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(("script", "worked", "generation"), LOST)
def test_whatever_is_lost_the_terminal_goes_on(
    tmp_path: Path, script: tuple[Does, ...], worked: bool, generation: int, restarted: bool
) -> None:
    with FakeCentre(*script) as centre:
        file = world.parameters(centre.port)
        with till_of(tmp_path, file) as till:
            if worked:
                till.change_key()
            else:
                with pytest.raises(TerminalError):
                    till.change_key()
            assert till.terminal.mac_key.generation == generation
            if not restarted:
                assert works(till)
                assert till.store.state.pending == {}
        with till_of(tmp_path, file) as till:
            assert works(till)
            # Asking again gives the key that was handed out, or the one after it.
            assert till.change_key().generation in (2, 3)
            assert works(till)
            assert till.terminal.mac_key.generation == max(centre.keys)


def test_killed_between_keeping_and_using_the_key(tmp_path: Path) -> None:
    with FakeCentre() as centre:
        file = world.parameters(centre.port)
        with till_of(tmp_path, file) as till:
            answer = till.network(NetworkCode.KEY_CHANGE)
            assert answer.key is not None
            kept = unwrapped(answer.key, file, key_of_file(file))
            till.store.write(KeyKept(file_fingerprint(file), kept))
        with till_of(tmp_path, file) as till:
            assert till.terminal.mac_key == key_of_file(file)
            assert till.terminal.next_mac_key == SECOND
            assert works(till)
            assert till.terminal.mac_key == SECOND
    assert [message.key_id for message in centre.received] == [1, 2, 2]


def test_a_key_that_the_centre_does_not_know_leaves_the_old_one(tmp_path: Path) -> None:
    with FakeCentre() as centre:
        file = world.parameters(centre.port)
        with till_of(tmp_path, file) as till:
            till.store.write(KeyKept(file_fingerprint(file), MacKey(9, bytes(16))))
            assert works(till)
            assert till.terminal.mac_key.generation == 1
            # The right one takes its place.
            assert till.change_key() == SECOND


def test_a_new_parameter_file_takes_the_place_of_both_keys(tmp_path: Path) -> None:
    with FakeCentre() as centre:
        with till_of(tmp_path, world.parameters(centre.port)) as till:
            till.change_key()
        enrolled = world.parameters(centre.port, key_generation=2, mac_key=SECOND.key)
        with till_of(tmp_path, enrolled) as till:
            assert till.terminal.mac_key == key_of_file(enrolled)
            assert till.change_key().generation == 3
            assert works(till)


def test_without_an_exchange_key_the_centre_is_not_asked(tmp_path: Path) -> None:
    with FakeCentre() as centre:
        file = world.parameters(centre.port, exchange_key=b"")
        with till_of(tmp_path, file) as till, pytest.raises(TerminalError, match="no exchange key"):
            till.change_key()
    assert centre.received == []


def test_a_blocked_terminal_gets_none(tmp_path: Path) -> None:
    with FakeCentre(Does.DECLINE) as centre:
        centre.offers_keys = False
        file = world.parameters(centre.port)
        with till_of(tmp_path, file) as till, pytest.raises(TerminalError, match="blocked"):
            till.change_key()


@pytest.mark.parametrize(
    ("wrapped", "told"),
    [
        (bytes(24), "not for this terminal"),
        (aes_key_wrap(bytes(32), bytes(16)), "not for this terminal"),
        (aes_key_wrap(world.EXCHANGE_KEY, bytes(24)), "24 bytes"),
    ],
)
def test_a_key_for_somebody_else_is_not_taken(wrapped: bytes, told: str) -> None:
    file = world.parameters()
    with pytest.raises(TerminalError, match=told):
        unwrapped(OfferedKey(generation=2, wrapped=wrapped), file, key_of_file(file))


@pytest.mark.parametrize("kept", [False, True])
def test_only_the_key_that_was_kept_is_taken(kept: bool) -> None:
    state = TerminalState()
    if kept:
        state.apply(KeyKept(b"file", SECOND))
    with pytest.raises(ValueError, match="no key of generation 3"):
        state.apply(KeyTaken(3))


def test_no_key_is_shown() -> None:
    record = KeyKept(b"file", MacKey(2, bytes(range(200, 216))))
    assert "hidden" in repr(record)
    assert "\\xc8" not in repr(record)


def test_a_centre_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    file = world.parameters(1)
    with till_of(tmp_path, file) as till, pytest.raises(LinkError):
        till.change_key()


def test_a_new_exchange_key_comes_with_a_mac_key_and_opens_the_next() -> None:
    file = world.parameters()
    wrapped = aes_key_wrap(world.EXCHANGE_KEY, bytes(range(48)))
    moved = unwrapped(OfferedKey(generation=2, wrapped=wrapped), file, key_of_file(file))
    assert moved == MacKey(2, bytes(range(16)), bytes(range(16, 48)))
    following = aes_key_wrap(moved.exchange, bytes(16))
    third = unwrapped(OfferedKey(generation=3, wrapped=following), file, moved)
    assert third == MacKey(3, bytes(16), moved.exchange)
    with pytest.raises(TerminalError, match="not for this terminal"):
        unwrapped(OfferedKey(generation=3, wrapped=following), file, key_of_file(file))
