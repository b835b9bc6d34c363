"""`spk reader`: pcscd with virtual readers, its control, and its refusals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from card_personalization.chip.softcard.drawer import Drawer, DrawerError
from card_personalization.chip.softcard.state import factory_state
from card_personalization.readers import pcscd
from card_personalization.readers.control import InsertCard, ListReaders, RemoveCard, ask
from card_personalization.readers.pcscd import ReadersError, Scope, start_pcscd
from card_personalization.readers.virtual import VirtualReaders, virtual_readers
from tests.chip.issued import IssuedCard

ROOT = Path(__file__).parents[2]
START_S = 60.0
PROGRAM = "from card_personalization.readers.commands import app; app()"


def spk_reader(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def read_until(process: subprocess.Popen[str], wanted: str) -> str:
    """What a program wrote up to a line with the text wanted."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if wanted in line:
            return seen
    raise AssertionError(f"ended after: {seen}")


@pytest.mark.pcsc
def test_commands_start_insert_list_remove(
    tmp_path: Path, virtual_readers_session: VirtualReaders
) -> None:
    assert virtual_readers_session.daemon_runs
    drawer = str(tmp_path / "drawer")
    assert "one, two" in spk_reader("blank", "one", "two", "--drawer", drawer).stdout
    start = ["start", "one", "--readers", "2", "--scope", "private", "--drawer", drawer]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *start], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            announced = read_until(process, "until Ctrl-C")
            assert "export PCSCLITE_CSOCK_NAME=" in announced
            folder = Path(drawer)
            first, second = "spk reader A 00 00", "spk reader A 00 01"
            assert ask(folder, ListReaders()).cards == {first: "one", second: None}
            assert ask(folder, InsertCard("two")).cards == {first: "one", second: "two"}
            assert "every virtual reader" in str(ask(folder, InsertCard("two")).refusal)
            assert ask(folder, RemoveCard(first)).cards[first] is None
            assert "no card in the reader" in str(ask(folder, RemoveCard(first)).refusal)
            assert "no card 'three'" in str(ask(folder, InsertCard("three")).refusal)
            inserted = spk_reader("insert", "one", "--contactless", "--drawer", drawer)
            assert (inserted.returncode, "one" in inserted.stdout) == (0, True)
            assert second in spk_reader("list", "--drawer", drawer).stdout
            assert spk_reader("remove", second, "--drawer", drawer).returncode == 0
            refused = spk_reader("remove", second, "--drawer", drawer)
            assert (refused.returncode, "no card in" in refused.stderr) == (1, True)
            with pytest.raises(DrawerError, match="another program holds"):
                Drawer(folder).take("one")
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(START_S) == 0
    Drawer(folder).take("one").put_back()
    with pytest.raises(ReadersError, match="run spk reader start first"):
        ask(folder, ListReaders())


@pytest.mark.pcsc
def test_pcscd_ends_with_the_program_that_started_it(
    tmp_path: Path, virtual_readers_session: VirtualReaders
) -> None:
    assert virtual_readers_session.daemon_runs
    program = (
        "import sys\n"
        "from card_personalization.readers.pcscd import start_pcscd\n"
        "daemon = start_pcscd(1)\n"
        "print(daemon.readers[0].port, daemon.folder, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        port, folder = read_until(process, "\n").split()
        with socket.create_connection(("127.0.0.1", int(port)), START_S) as card:
            process.kill()
            # The driver's end falls when pcscd does; nobody else holds it.
            card.settimeout(START_S)
            with contextlib.suppress(ConnectionResetError):
                while card.recv(64):
                    pass
            assert process.wait(START_S) == -signal.SIGKILL
    deadline = time.monotonic() + START_S
    while Path(folder).exists() and time.monotonic() < deadline:
        os.sched_yield()
    assert not Path(folder).exists()


@pytest.mark.pcsc
def test_one_run_per_process(virtual_readers_session: VirtualReaders) -> None:
    before = os.environ["PCSCLITE_CSOCK_NAME"]
    with pytest.raises(ReadersError, match="already runs virtual readers"), virtual_readers(1):
        pass
    assert virtual_readers_session.daemon_runs
    assert os.environ["PCSCLITE_CSOCK_NAME"] == before


@pytest.mark.pcsc
def test_readers_refuse_in_words(readers: VirtualReaders, issued: IssuedCard) -> None:
    for _ in readers.names:
        readers.insert_card(issued.card)
    assert set(readers.cards().values()) == {"?"}
    with pytest.raises(ReadersError, match="every virtual reader holds a card"):
        readers.insert_card(issued.card)
    with pytest.raises(ReadersError, match="remove it first"):
        readers.insert_card(issued.card, readers.names[0])
    with pytest.raises(ReadersError, match="no virtual reader 'x'"):
        readers.insert_card(issued.card, "x")
    with pytest.raises(ReadersError, match="without a drawer"):
        readers.insert("one")
    readers.remove(readers.names[1])
    with pytest.raises(ReadersError, match="there is no card"):
        readers.remove(readers.names[1])


@pytest.mark.parametrize("count", [0, 17])
def test_the_number_of_readers_has_a_limit(count: int) -> None:
    with pytest.raises(ReadersError, match=f"1 to 16 readers, not {count}"):
        start_pcscd(count)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pcscd, "_DAEMON_PATHS", ())
    monkeypatch.setattr(pcscd, "_DRIVER_FOLDERS", (tmp_path,))
    with pytest.raises(ReadersError, match="apt-get install pcscd vsmartcard-vpcd"):
        start_pcscd(1)


def test_a_running_pcscd_is_not_replaced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        monkeypatch.setattr(pcscd, "SYSTEM_SOCKET", path)
        monkeypatch.setattr(pcscd, "_find_programs", lambda: None)
        with pytest.raises(ReadersError, match="a pcscd already runs on this machine"):
            start_pcscd(1, Scope.SYSTEM)


def test_a_program_that_died_is_told(tmp_path: Path) -> None:
    notice = {"process_id": 4_194_305, "control_socket": str(tmp_path / "gone"), "environment": {}}
    (tmp_path / "readers.json").write_text(json.dumps(notice))
    with pytest.raises(ReadersError, match="4194305 that held the drawer"):
        ask(tmp_path, ListReaders())


def test_blank_cards_need_names_not_taken(tmp_path: Path) -> None:
    drawer = str(tmp_path)
    Drawer(tmp_path).add("one", factory_state())
    for arguments, told in ((["one"], "already holds"), ([], "name at least one card")):
        ended = spk_reader("blank", *arguments, "--drawer", drawer)
        assert (ended.returncode, told in ended.stderr) == (1, True)
