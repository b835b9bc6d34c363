"""The state folder: no request is lost or changed, whatever byte the terminal dies at."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processing.wire.digest import canonical_bytes
from processing.wire.outcome import Outcome
from processing.wire.transaction import MessageClass
from terminal_sim import state
from terminal_sim.state import Asked, Counted, DayClosed, Decided, EntryState, Record, Undecided
from terminal_sim.store import LOG_NAME, StateFolderError, Store
from terminal_sim.terminal import Terminal
from tests.terminal_sim import world

PARAMETERS = world.parameters()
OUTCOMES = (
    Outcome.APPROVED,
    Outcome.ALLOWANCE_EXHAUSTED,
    Outcome.TRY_LATER,
    Outcome.KEY_REUSED,
    None,
)


def open_store(folder: Path, *, compact_above_bytes: int = 10**9, later_ms: int = 0) -> Store:
    return Store.open(folder, PARAMETERS, world.NOW_MS + later_ms, compact_above_bytes)


def work(store: Store, steps: list[Outcome | None]) -> list[int]:
    """Sell once per step, with that outcome or none; where the log ended after each record."""
    terminal = Terminal(PARAMETERS, store.state, lambda count: b"\x07" * count)
    log = store._log.path
    ends = []

    def write(record: Record) -> None:
        store.write(record)
        ends.append(log.stat().st_size)

    for outcome in steps:
        request = world.sale(terminal)
        write(Asked(request))
        if outcome is None:
            continue
        answer = world.answer(request, outcome)
        write((Decided if outcome.decided else Undecided)(request.key, answer))
    return ends


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=4), st.data())
def test_killed_at_any_byte_no_request_is_lost_or_changed(
    steps: list[Outcome | None], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open_store(folder) as store:
            opened_bytes = store._log.size_bytes
            ends = work(store, steps)
            requests = {
                key: entry.request
                for key, entry in {**store.state.decided, **store.state.pending}.items()
            }
            epoch = store.state.epoch
        log = folder / LOG_NAME
        whole = log.read_bytes()
        cut = data.draw(st.integers(opened_bytes, len(whole)))
        log.write_bytes(whole[:cut])
        with open_store(folder, later_ms=60_000) as store:
            found = store.state
            assert found.epoch == epoch
            assert not store.report.damage
            kept = {**found.decided, **found.pending}
            # A request whose record was whole before the cut may have been sent: it is there.
            records = sum(end <= cut for end in ends)
            assert len(kept) == len(asked_in(steps, records))
            for key, entry in kept.items():
                assert canonical_bytes(entry.request) == canonical_bytes(requests[key])
                assert entry.request.signature == requests[key].signature
            # What comes next never takes a number that may have been sent.
            fresh = Terminal(PARAMETERS, found, bytes).next_key(
                MessageClass.FINANCIAL, world.NOW_MS + 60_000
            )
            assert all(fresh.stan > key.stan for key in kept)


def asked_in(steps: list[Outcome | None], records: int) -> list[Outcome | None]:
    """The steps whose request is among the first so many records."""
    asked = []
    for outcome in steps:
        if records <= 0:
            break
        asked.append(outcome)
        records -= 1 if outcome is None else 2
    return asked


def test_pending_requests_come_back_in_order(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        work(store, [None, Outcome.APPROVED, Outcome.TRY_LATER, None])
        before = list(store.state.pending)
    with open_store(tmp_path) as store:
        states = [entry.state for entry in store.state.pending.values()]
        assert list(store.state.pending) == before
        assert states == [EntryState.PENDING, EntryState.UNDECIDED, EntryState.PENDING]


def test_compaction_changes_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        work(store, [*OUTCOMES, *OUTCOMES])
        store.write(Counted(world.TODAY, 999_000, 77))
        store.write(DayClosed(world.TODAY))
        before = vars(store.state)
    with open_store(tmp_path, compact_above_bytes=0) as store:
        assert vars(store.state) == before
    with open_store(tmp_path) as store:
        assert vars(store.state) == before
        assert store.state.totals[world.TODAY].approved_count == 2


def test_a_long_shift_does_not_grow_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "DECIDED_KEPT", 5)
    with open_store(tmp_path, compact_above_bytes=4_000) as store:
        for number in range(60):
            work(store, [Outcome.APPROVED])
            assert store._log.size_bytes < 20_000
            assert len(store.state.decided) == min(number + 1, 5)
        before = vars(store.state)
    with open_store(tmp_path) as store:
        assert vars(store.state) == before
        assert store.state.totals[world.TODAY].approved_count == 60


@pytest.mark.parametrize("loss", ["folder gone", "log gone", "log damaged", "log replaced"])
def test_lost_state_begins_a_new_epoch_with_fresh_numbers(tmp_path: Path, loss: str) -> None:
    with open_store(tmp_path / "state") as store:
        work(store, [Outcome.APPROVED, None])
        epoch = store.state.epoch
        used = {key.stan for key in (*store.state.decided, *store.state.pending)}
    log = tmp_path / "state" / LOG_NAME
    whole = bytearray(log.read_bytes())
    match loss:
        case "folder gone":
            (tmp_path / "state").rename(tmp_path / "elsewhere")
        case "log gone":
            log.unlink()
        case "log damaged":
            whole[len(whole) // 2] ^= 1
            log.write_bytes(bytes(whole))
        case _:
            log.write_bytes(b"not a log at all")
    with open_store(tmp_path / "state", later_ms=1_000) as store:
        assert store.state.epoch > epoch
        assert store.state.last_stans[world.TODAY] >= max(used)
        assert bool(store.report.damage) is (loss in ("log damaged", "log replaced"))
    with open_store(tmp_path / "state", later_ms=2_000) as store:
        assert store.state.epoch > epoch
        assert not store.report.damage


def test_damage_keeps_what_was_before_it_and_a_copy(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        ends = work(store, [None, None, None])
        first = next(iter(store.state.pending))
    log = tmp_path / LOG_NAME
    damaged = bytearray(log.read_bytes())
    damaged[ends[0] + 40] ^= 0x10
    log.write_bytes(bytes(damaged))
    with open_store(tmp_path, later_ms=1_000) as store:
        assert list(store.state.pending) == [first]
        assert "damaged at byte" in store.report.damage
    copies = list(tmp_path.glob("*.damaged"))
    assert [copy.read_bytes() for copy in copies] == [bytes(damaged)]


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    with open_store(tmp_path), pytest.raises(StateFolderError, match="another terminal"):
        open_store(tmp_path)
    with open_store(tmp_path) as store:
        assert store.state.terminal_id == "AP000001"


def test_the_folder_of_another_terminal_is_refused(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    other = msgspec.structs.replace(PARAMETERS, terminal_id="AP000002")
    with pytest.raises(StateFolderError, match="AP000001"):
        Store.open(tmp_path, other, world.NOW_MS)


def test_a_decision_on_an_unknown_request_is_damage(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        terminal = Terminal(PARAMETERS, store.state, lambda count: b"\x07" * count)
        request = world.sale(terminal)
        stray = Decided(request.key, world.answer(request))
        store._log.append(msgspec.msgpack.encode(stray))
    with open_store(tmp_path, later_ms=1_000) as store:
        assert "no request is pending" in store.report.damage
