"""The terminal's stop-lists: what is believed, what is kept, whom they keep from being served."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from processing.wire.stop_list import StopList
from terminal_sim.errors import TerminalError
from terminal_sim.stop_lists import (
    COMPLETE_NAME,
    INCREMENT_NAME,
    Fetch,
    StopListShelf,
    fetcher,
)
from terminal_sim.terminal import CardIdentity
from tests.plugins.stop_lists import PUBLIC_KEY, USE_MINUTES, signed, stop_list
from tests.terminal_sim import world

STOPPED, SERVED = CardIdentity(bytes(16), 99, ""), CardIdentity(bytes([7] * 16), 99, "")
NOW_MS = world.NOW_MS
TOO_LATE_MS = NOW_MS + USE_MINUTES * 60_000


def complete(*stopped: CardIdentity, number: int = 1) -> StopList:
    return stop_list((one.card_id for one in stopped), number=number, issued_at_ms=NOW_MS)


def increment(*stopped: CardIdentity, let_go: tuple[CardIdentity, ...] = ()) -> StopList:
    return stop_list(
        (one.card_id for one in stopped),
        (one.card_id for one in let_go),
        number=2,
        issued_at_ms=NOW_MS + 1,
    )


def gives(**files: bytes | None) -> Fetch:
    return lambda name, _number: files.get(name)


def test_lists_are_fetched_once_and_found_again(tmp_path: Path) -> None:
    asked: list[tuple[str, int | None]] = []
    files = {"complete": signed(complete(STOPPED)), "increment": signed(increment())}

    def fetch(name: str, number: int | None) -> bytes | None:
        asked.append((name, number))
        return files.pop(name, None)

    shelf = StopListShelf(tmp_path, (PUBLIC_KEY,))
    assert shelf.lists is None
    assert shelf.renew(fetch).newest.number == 2
    assert shelf.renew(fetch).newest.number == 2
    assert asked == [("complete", None), ("increment", None), ("complete", 1), ("increment", 2)]
    found = StopListShelf(tmp_path, (PUBLIC_KEY,)).lists
    assert found is not None
    assert found.stops(UUID(bytes=STOPPED.card_id))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "повреждён"),
        (signed(complete(STOPPED, number=3))[:-1], "не тем ключом"),
        (signed(complete(STOPPED, number=3))[:-2] + b"ab", "подпись"),
        (signed(complete(STOPPED, number=1)), "старее"),
    ],
)
def test_a_bad_download_costs_nothing(tmp_path: Path, data: bytes, words: str) -> None:
    shelf = StopListShelf(tmp_path, (PUBLIC_KEY,))
    shelf.renew(gives(complete=signed(complete(STOPPED, number=2))))
    with pytest.raises(TerminalError) as raised:
        shelf.renew(gives(complete=data))
    assert words in raised.value.ru
    kept = StopListShelf(tmp_path, (PUBLIC_KEY,)).lists
    assert kept is not None
    assert kept.newest.number == 2


def test_an_increment_to_another_list_is_not_used(tmp_path: Path) -> None:
    shelf = StopListShelf(tmp_path, (PUBLIC_KEY,))
    shelf.renew(gives(complete=signed(complete()), increment=signed(increment(STOPPED))))
    lists = shelf.renew(gives(complete=signed(complete(number=3))))
    assert (lists.newest.number, lists.increment) == (3, None)


@pytest.mark.parametrize("name", [COMPLETE_NAME, INCREMENT_NAME])
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, name: str) -> None:
    shelf = StopListShelf(tmp_path, (PUBLIC_KEY,))
    shelf.renew(gives(complete=signed(complete()), increment=signed(increment())))
    (tmp_path / name).write_bytes(b"torn")
    found = StopListShelf(tmp_path, (PUBLIC_KEY,)).lists
    assert (found is None) is (name == COMPLETE_NAME)
    assert found is None or found.newest.number == 1


def test_nothing_to_fetch_is_said(tmp_path: Path) -> None:
    with pytest.raises(TerminalError) as raised:
        StopListShelf(tmp_path, (PUBLIC_KEY,)).renew(gives())
    assert "ещё нет" in raised.value.ru


@pytest.mark.parametrize("address", ["", "file:///etc/passwd", "ftp://example.org"])
def test_only_web_addresses_are_fetched(address: str) -> None:
    parameters = msgspec.structs.replace(world.parameters(), content_url=address)
    with pytest.raises(TerminalError, match="--from"):
        fetcher(parameters, None)


def test_a_centre_that_is_away_is_said() -> None:
    fetch = fetcher(world.parameters(), "http://127.0.0.1:9")
    with pytest.raises(TerminalError, match=r"127\.0\.0\.1:9"):
        fetch("complete", None)
