"""The cache of terminal keys: who has one, for how long, and how many are kept."""

from __future__ import annotations

from typing import cast
from uuid import UUID

import pytest

from processing.terminals.keys import KEY_KNOWN_MAX_MS, TerminalKeys
from processing.terminals.model import Provider, Terminal, TerminalState
from processing.terminals.store import TerminalStore
from processing.wire.iso8583.mac import Mac


class Rows:
    """The rows of terminals, as `TerminalStore` reads them; counts the look-ups."""

    def __init__(self) -> None:
        self.generations = {"AP000001": 1, "AP000002": 1}
        self.handed_out: dict[str, int] = {}
        self.read = 0
        self.taken = 0

    async def terminal(self, terminal_id: str) -> Terminal | None:
        """Return a terminal of the table above."""
        self.read += 1
        if terminal_id not in self.generations:
            return None
        provider = Provider(
            provider_id=UUID(int=1), code="P", kind="pharmacy", name_ru="", name_en="", contract=""
        )
        return Terminal(
            terminal_id=terminal_id,
            state=TerminalState.ACTIVE,
            key_generation=self.generations[terminal_id],
            region=99,
            time_zone="Asia/Yekaterinburg",
            provider=provider,
            services=(),
            next_key_generation=self.handed_out.get(terminal_id),
        )

    async def take_key(self, terminal_id: str, generation: int) -> bool:
        """Let the generation handed out replace the one before."""
        self.taken += 1
        if self.handed_out.get(terminal_id) != generation:
            return False
        self.generations[terminal_id] = self.handed_out.pop(terminal_id)
        return True


class Deriver:
    """Derives a key that shows for whom it is."""

    async def derive_terminal_key(self, terminal_id: str, key_id: int, master: int) -> bytes:
        """Return 16 bytes."""
        return f"{terminal_id}{key_id:08d}".encode()


class Watch:
    """A clock that is moved by hand."""

    now_ns = 0

    def __call__(self) -> int:
        """Return the time."""
        return self.now_ns


def key_cache(rows: Rows, watch: Watch, keys_max: int = 10) -> TerminalKeys:
    """Return a cache over the rows."""
    return TerminalKeys(cast("TerminalStore", rows), Deriver(), keys_max, watch)


@pytest.mark.parametrize(
    ("terminal_id", "key_id", "there"),
    [
        ("AP000001", 1, True),
        ("AP000001", 0, False),
        ("AP000001", 2, False),
        ("XX000001", 1, False),
    ],
)
async def test_only_the_generation_in_the_row_has_a_key(
    terminal_id: str, key_id: int, there: bool
) -> None:
    mac = await key_cache(Rows(), Watch()).mac(terminal_id, key_id)
    assert (mac is not None) is there
    if mac is not None:
        assert mac.tag(b"x") == Mac(f"{terminal_id}{key_id:08d}".encode()).tag(b"x")


async def test_a_replaced_key_is_good_for_no_longer_than_the_limit() -> None:
    rows, watch = Rows(), Watch()
    keys = key_cache(rows, watch)
    assert await keys.mac("AP000001", 1) is not None
    rows.generations["AP000001"] = 2
    watch.now_ns = KEY_KNOWN_MAX_MS * 1_000_000
    assert await keys.mac("AP000001", 1) is not None
    assert rows.read == 1
    watch.now_ns += 1
    assert await keys.mac("AP000001", 1) is None
    assert await keys.mac("AP000001", 2) is not None


async def said(keys: TerminalKeys, key_id: int) -> bool:
    """Whether an authentic message under this key is believed; takes note of it as a gateway."""
    if await keys.mac("AP000001", key_id) is None:
        return False
    await keys.proven("AP000001", key_id)
    return True


async def test_the_first_message_under_a_new_key_ends_the_old_one() -> None:
    rows, watch = Rows(), Watch()
    here, elsewhere = key_cache(rows, watch), key_cache(rows, watch)
    for keys in (here, elsewhere):
        assert await said(keys, 1)
    rows.handed_out["AP000001"] = 2
    assert await said(here, 1)
    # Looked up, not yet proven: a forger who names the new generation ends nothing.
    assert await here.mac("AP000001", 2) is not None
    assert await said(here, 1)
    assert await said(here, 2)
    assert not await said(here, 1)
    assert not rows.handed_out
    # Another worker believes the old key until it reads the row again, the new one at once.
    assert await said(elsewhere, 1)
    assert await said(elsewhere, 2)
    watch.now_ns += KEY_KNOWN_MAX_MS * 1_000_000 + 1
    assert not await said(elsewhere, 1)
    assert await said(elsewhere, 2)


async def test_a_key_in_use_is_taken_no_more() -> None:
    rows = Rows()
    keys = key_cache(rows, Watch())
    for _ in range(5):
        assert await said(keys, 1)
    assert (rows.read, rows.taken) == (1, 0)


async def test_after_the_last_generation_comes_the_first() -> None:
    rows = Rows()
    rows.generations["AP000001"] = 255
    keys = key_cache(rows, Watch())
    assert await said(keys, 255)
    rows.handed_out["AP000001"] = 0
    assert await said(keys, 0)
    assert not await said(keys, 255)


async def test_the_longest_unused_key_leaves_first() -> None:
    rows, watch = Rows(), Watch()
    keys = key_cache(rows, watch, keys_max=1)
    for terminal_id in ("AP000001", "AP000002", "AP000002", "AP000001"):
        assert await keys.mac(terminal_id, 1) is not None
    assert rows.read == 3
