"""Network messages on real PostgreSQL: what the operator sees afterwards, and key changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from hsm_stub.client.commands import KeyState, PublicKey, PublicKeys
from processing.kernel.clock import ManualClock
from processing.kernel.database import open_pool
from processing.kernel.roles import Role
from processing.terminals.model import KeyOffer, Presence, Terminal, TerminalState
from processing.terminals.network import TerminalNetwork
from processing.terminals.store import TerminalStore
from processing.wire.iso8583.messages import Network, NetworkAnswer, NetworkCode
from processing.wire.outcome import Outcome
from tests.plugins.postgres import Database

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
REGION = """
    INSERT INTO regulations.region VALUES (99, 'Asia/Yekaterinburg', 'Область', 'Region');
    INSERT INTO terminals.provider VALUES
        ('00000000-0000-0000-0000-0000000000b1', 'AP', '7712345678', 'pharmacy',
         'Аптека', 'Pharmacy', 'C-1');
    INSERT INTO terminals.terminal (terminal_id, provider_id, region, key_generation) VALUES
        ('AP000001', '00000000-0000-0000-0000-0000000000b1', 99, 7),
        ('AP000002', '00000000-0000-0000-0000-0000000000b1', 99, 255);
"""


def ms_of(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


class Wrapper:
    """Wraps keys so that it shows which."""

    active = 1

    async def public_keys(self) -> PublicKeys:
        """Tell which generation of the master is active."""
        key = PublicKey(key="terminal master", generation=self.active, state=KeyState.ACTIVE)
        return PublicKeys(receipt_key=b"", receipt_key_id=b"", issuing_certificates=(), keys=(key,))

    async def wrap_terminal_key(
        self, terminal_id: str, key_id: int, exchange_id: int, master: int, next_master: int
    ) -> bytes:
        """Return 24 bytes."""
        self.masters = (master, next_master)
        return f"{terminal_id}{key_id:08d}{exchange_id:08d}".encode()


@pytest.fixture
async def store(database: Database) -> AsyncIterator[TerminalStore]:
    async with database.connect() as connection:
        await connection.execute(REGION)
    pool = await open_pool(database.dsn(Role.PROCESSING), Role.PROCESSING, "test")
    yield TerminalStore(pool)
    await pool.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock("Asia/Yekaterinburg", ms_of(NOON))


@pytest.fixture
def network(store: TerminalStore, clock: ManualClock) -> TerminalNetwork:
    return TerminalNetwork(store, Wrapper(), clock)


async def row_of(store: TerminalStore, terminal_id: str = "AP000001") -> Terminal:
    terminal = await store.terminal(terminal_id)
    assert terminal is not None
    return terminal


async def say(
    network: TerminalNetwork, code: NetworkCode, terminal_id: str = "AP000001"
) -> NetworkAnswer:
    return await network.answer(Network(terminal_id=terminal_id, stan=1, code=code))


async def block(database: Database) -> None:
    async with database.connect(Role.OPERATOR) as connection:
        await connection.execute("SELECT terminals.set_state('AP000001', 2::smallint)")


def at(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


# What a terminal says, minute by minute, and what the operator then sees of it.
SAID = [
    ((), Presence()),
    ((NetworkCode.ECHO,), Presence(heard_at=at(0))),
    ((NetworkCode.SIGN_ON,), Presence(heard_at=at(0), signed_on=True, signed_at=at(0))),
    (
        (NetworkCode.SIGN_ON, NetworkCode.ECHO),
        Presence(heard_at=at(1), signed_on=True, signed_at=at(0)),
    ),
    (
        (NetworkCode.SIGN_ON, NetworkCode.SIGN_OFF, NetworkCode.ECHO),
        Presence(heard_at=at(2), signed_on=False, signed_at=at(1)),
    ),
    (
        (NetworkCode.SIGN_ON, NetworkCode.CUT_OVER, NetworkCode.KEY_CHANGE),
        Presence(heard_at=at(2), signed_on=True, signed_at=at(0), cut_over_at=at(1)),
    ),
]


@pytest.mark.parametrize(("codes", "seen"), SAID)
async def test_the_operator_sees_what_a_terminal_said(
    network: TerminalNetwork,
    store: TerminalStore,
    clock: ManualClock,
    codes: tuple[NetworkCode, ...],
    seen: Presence,
) -> None:
    for code in codes:
        answer = await say(network, code)
        assert answer.outcome is Outcome.APPROVED
        assert answer.centre_time_ms == clock.utc_ms()
        clock.advance(60_000)
    assert (await row_of(store)).presence == seen
    assert (await row_of(store, "AP000002")).presence == Presence()


async def test_an_older_message_that_comes_late_changes_nothing(store: TerminalStore) -> None:
    await store.hear("AP000001", NetworkCode.SIGN_OFF, at(5))
    await store.hear("AP000001", NetworkCode.SIGN_ON, at(4))
    assert (await row_of(store)).presence == Presence(heard_at=at(5), signed_at=at(5))
    assert await store.hear("XX000001", NetworkCode.ECHO, at(0)) is None


@pytest.mark.parametrize(
    ("now", "posting_date"),
    [
        (datetime(2026, 11, 22, 18, 59, tzinfo=UTC), date(2026, 11, 22)),
        (datetime(2026, 11, 22, 19, 0, tzinfo=UTC), date(2026, 11, 23)),
    ],
)
async def test_after_the_cut_over_the_terminal_knows_the_posting_date(
    network: TerminalNetwork, clock: ManualClock, now: datetime, posting_date: date
) -> None:
    clock.set_utc_ms(ms_of(now))
    assert (await say(network, NetworkCode.CUT_OVER)).posting_date == posting_date


@pytest.mark.parametrize("code", NetworkCode)
async def test_a_blocked_terminal_neither_signs_on_nor_gets_a_key(
    network: TerminalNetwork, store: TerminalStore, database: Database, code: NetworkCode
) -> None:
    await block(database)
    answer = await say(network, code)
    refused = code in (NetworkCode.SIGN_ON, NetworkCode.KEY_CHANGE)
    assert answer.outcome is (Outcome.TERMINAL_BLOCKED if refused else Outcome.APPROVED)
    assert answer.key is None
    terminal = await row_of(store)
    assert (terminal.state, terminal.next_key_generation) == (TerminalState.BLOCKED, None)
    assert not terminal.presence.signed_on


async def test_a_key_is_handed_out_again_until_it_is_used(
    network: TerminalNetwork, store: TerminalStore
) -> None:
    first = await say(network, NetworkCode.KEY_CHANGE)
    assert first.key is not None
    assert (first.key.generation, first.key.wrapped) == (8, b"AP0000010000000800000001")
    assert (await say(network, NetworkCode.KEY_CHANGE)).key == first.key
    assert not await store.take_key("AP000001", 9)
    assert not await store.take_key("AP000002", 8)
    terminal = await row_of(store)
    assert (terminal.key_generation, terminal.next_key_generation) == (7, 8)
    assert await store.take_key("AP000001", 8)
    assert not await store.take_key("AP000001", 8)
    terminal = await row_of(store)
    assert (terminal.key_generation, terminal.next_key_generation) == (8, None)
    following = await say(network, NetworkCode.KEY_CHANGE)
    assert following.key is not None
    assert following.key.generation == 9


async def test_after_the_last_generation_comes_the_first(store: TerminalStore) -> None:
    assert await store.offer_key("AP000002", 1) == KeyOffer(0, 1, 1, 1)
    assert await store.take_key("AP000002", 0)
    assert (await row_of(store, "AP000002")).key_generation == 0


async def test_new_keys_end_those_that_an_old_file_could_learn(
    store: TerminalStore, database: Database
) -> None:
    assert await store.offer_key("AP000001", 1) == KeyOffer(8, 1, 1, 1)
    pool = await open_pool(database.dsn(Role.OPERATOR), Role.OPERATOR, "test")
    operator = TerminalStore(pool)
    assert await operator.renew_keys("AP000001", 2)
    assert not await operator.renew_keys("XX000001", 2)
    await pool.close()
    terminal = await row_of(store)
    assert (terminal.key_generation, terminal.next_key_generation) == (9, None)
    assert await store.offer_key("AP000001", 1) == KeyOffer(10, 2, 2, 1)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await store.renew_keys("AP000001", 2)


async def test_a_terminal_moves_to_the_active_master_with_its_next_key(
    store: TerminalStore, clock: ManualClock
) -> None:
    wrapper = Wrapper()
    network = TerminalNetwork(store, wrapper, clock)
    assert not (await say(network, NetworkCode.SIGN_ON)).key_due
    wrapper.active = 2
    # It is told when it signs on, and only then.
    assert (await say(network, NetworkCode.SIGN_ON)).key_due
    assert not (await say(network, NetworkCode.ECHO)).key_due
    assert (await say(network, NetworkCode.KEY_CHANGE)).key is not None
    assert wrapper.masters == (1, 2)
    wrapper.active = 3
    # What was handed out stays the same until it is used.
    assert (await say(network, NetworkCode.KEY_CHANGE)).key is not None
    assert wrapper.masters == (1, 2)
    assert await store.take_key("AP000001", 8)
    terminal = await row_of(store)
    assert (terminal.master_generation, terminal.next_master_generation) == (2, None)
    assert (await row_of(store, "AP000002")).master_generation == 1
    assert (await say(network, NetworkCode.KEY_CHANGE)).key is not None
    assert wrapper.masters == (2, 3)
