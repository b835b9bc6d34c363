"""docs/issuing-office.md: a stranger types its commands, in order, and sees what it shows."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import cyclopts
import pytest
from pypdf import PdfReader
from textual.pilot import Pilot
from textual.widgets import Input, Static

from card_personalization.station.screen.app import StationScreen
from processing.cli import COMMAND_GROUP, run
from tests.cards.population import populate
from tests.plugins.centre import Program
from tests.plugins.postgres import Database

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "issuing-office.md"
PRINTER = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_bytes(sys.stdin.buffer.read())"
READY = {"hsm": "listening", "centre": "serving http"}


def app_of(program: str) -> cyclopts.App:
    """Load a program by the entry points of this checkout, installed or not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, name = project["entry-points"][COMMAND_GROUP][program].partition(":")
    app = getattr(importlib.import_module(module), name)
    assert isinstance(app, cyclopts.App)
    return app


class Office:
    """One machine with a printer and a drawer of blank cards, as a newcomer finds it."""

    def __init__(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.folder = folder
        self.printed = folder / "printed.pdf"
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self._programs: list[Program] = []
        self.ids = {"2032-01-01": "2099-01-01"}
        self.left = 4
        monkeypatch.setattr("builtins.input", self._typed)
        monkeypatch.setattr("getpass.getpass", self._keyed)

        def sit(screen: StationScreen) -> None:
            """Sit at the screen as the guide says: F2, cards, F7 with the count, F10."""
            self.left -= 1
            asyncio.run(work_a_shift(screen, str(self.left)))

        monkeypatch.setattr(StationScreen, "run", sit)

    def type(self, line: str) -> str:
        """Type one line; what it showed."""
        for printer in re.findall(r'"(lp -d \w+)"', line):
            line = line.replace(printer, self._printer_command)
        _, program, *words = shlex.split(line)
        if words[-1] == "&":
            self._start(program, words[:-1])
            return ""
        with contextlib.suppress(SystemExit):
            run(app_of(program), words)
        shown = self._capsys.readouterr()
        return shown.out + shown.err

    def real(self, text: str) -> str:
        """Put what this office has in the place of what the guide shows."""
        for shown, there in self.ids.items():
            text = text.replace(shown, there)
        return text

    def close(self) -> None:
        """End the programs, the last first."""
        for program in reversed(self._programs):
            program.close()

    @property
    def _printer_command(self) -> str:
        return shlex.join([sys.executable, "-c", PRINTER, str(self.printed)]).replace('"', '\\"')

    def _start(self, program: str, words: list[str]) -> None:
        started = Program((program, *words), dict(os.environ))
        self._programs.append(started)
        seen = started.wait_for(READY[program])
        if program == "centre":
            self._monkeypatch.setenv("SPK_CENTRE", f"http://127.0.0.1:{seen['port']}")

    def _typed(self, question: str = "") -> str:
        """Answer as a custodian does: by what stands on the sheet."""
        found = re.match(r"Word (\d+)", question)
        if found is None:
            return ""
        text = PdfReader(io.BytesIO(self.printed.read_bytes())).pages[0].extract_text()
        word = re.search(rf"{found[1]}\.\s*([a-z]+)", text)
        assert word is not None
        return word[1]

    def _keyed(self, prompt: str) -> str:
        """Key a PIN in as its holder does: the old one from the mailer."""
        if "Нынешний" not in prompt:
            return "135790"
        text = PdfReader(io.BytesIO(self.printed.read_bytes())).pages[0].extract_text()
        pin = re.search(r"ПИН-код\n([\d ]{6,})\n", text)
        assert pin is not None
        return pin[1].replace(" ", "")


async def work_a_shift(screen: StationScreen, left: str) -> None:
    """Press the keys of the guide, and wait for what it promises after each."""
    async with screen.run_test(size=(80, 24)) as pilot:
        await pilot.press("f2")
        await until(pilot, screen, "#summary", "Готово 1 · Брак 0 · Осталось 0")
        await pilot.press("f7")
        await pilot.pause()
        screen.screen.query_one(Input).value = left
        await pilot.press("enter")
        await until(pilot, screen, "#said", "✓ СХОДИТСЯ")
        await pilot.press("escape", "f10")
        await pilot.pause()


async def until(pilot: Pilot[None], screen: StationScreen, query: str, words: str) -> None:
    """Let the screen refresh itself until a part of it says something."""
    shown = ""
    for _ in range(400):
        shown = str(screen.screen.query_one(query, Static).content)
        if words in shown:
            return
        await pilot.pause(0.1)
    raise AssertionError(
        (words, shown, str(screen.screen_stack[0].query_one("#messages", Static).content))
    )


@pytest.fixture
async def office(
    database: Database,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await populate(database)


@pytest.fixture
def newcomer(
    office: None,
    database: Database,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Office]:
    settings = {
        "SPK_HOME": str(tmp_path),
        "SPK_DSN": database.superuser_dsn,
        "SPK_HSM": f"unix:{tmp_path / 'hsm.sock'}",
        "SPK_HSM_PASSPHRASE": "пароль для теста руководства",
        "SPK_HTTP_LISTEN": "127.0.0.1:0",
        "SPK_ISO8583_LISTEN": "127.0.0.1:0",
        "SPK_LOG_FORMAT": "json",
        "COLUMNS": "200",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    sitting = Office(tmp_path, capsys, monkeypatch)
    try:
        yield sitting
    finally:
        sitting.close()


def steps_of_the_guide() -> list[tuple[str, str]]:
    """Give each command of the guide with what stands below it."""
    text = GUIDE.read_text(encoding="utf-8")
    steps = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for step in block.strip().split("$ ")[1:]:
            command, _, expected = step.partition("\n")
            steps.append((command.strip(), expected.strip()))
    return steps


@pytest.mark.timeout(300)
def test_a_stranger_follows_the_guide(newcomer: Office) -> None:
    steps = steps_of_the_guide()
    assert len(steps) > 10
    for command, expected in steps:
        typed, wanted = newcomer.real(command), newcomer.real(expected)
        check_shown(typed, wanted, newcomer.type(typed), newcomer.ids)


GUID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


def check_shown(command: str, expected: str, output: str, ids: dict[str, str]) -> None:
    """Compare line by line; `…` stands for anything, a GUID for the one that is there."""
    for line in filter(None, map(str.strip, expected.splitlines())):
        if line == "…":
            continue
        shown = [guid for guid in GUID.findall(line) if guid not in ids.values()]
        pattern = re.escape(line).replace("…", ".*")
        for number, guid in enumerate(shown):
            pattern = pattern.replace(re.escape(guid), f"(?P<id{number}>{GUID.pattern})")
        found = re.search(pattern, output)
        assert found is not None, (command, line, output)
        for number, guid in enumerate(shown):
            ids[guid] = found[f"id{number}"]
