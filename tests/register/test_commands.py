"""`spk register`, and the guide's session: what a new operator types and sees."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

import asyncpg
import pytest

from processing.cli import run
from processing.kernel.daily import only_one
from processing.register.commands import app
from processing.register.identifiers import show_snils
from tests.plugins.postgres import Database
from tests.register.people import CHILD, FATHER, MOTHER, PENSIONER, SNILS

GUIDE = Path(__file__).parents[2] / "docs" / "esr-guide.md"


@pytest.fixture
def say(
    database: Database,
    owner: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> object:
    """Give a function that runs a command line and returns its output, told apart by exit code."""
    monkeypatch.setenv("SPK_DSN", database.superuser_dsn)

    def run_line(line: str) -> tuple[int, str]:
        try:
            code = run(app, shlex.split(line))
        except SystemExit as left:
            code = int(left.code or 0)
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return run_line


def test_the_guides_session(say: object) -> None:
    """Every command of the guide does what the guide shows beside it."""
    assert callable(say)
    told: dict[str, str] = {
        "112-233-445 95": show_snils(SNILS[PENSIONER]),
        "087-654-303 00": show_snils(SNILS[MOTHER]),
    }
    text = GUIDE.read_text(encoding="utf-8")
    steps = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    assert len(steps) >= 8
    for block in steps:
        for step in block.strip().split("$ spk register ")[1:]:
            command, _, expected = step.replace("\\\n", " ").partition("\n")
            for shown, real in told.items():
                command = command.replace(shown, real)
                expected = expected.replace(shown, real)
            _, output = say(command)
            check_shown(command, expected, output, told)


def check_shown(command: str, expected: str, output: str, told: dict[str, str]) -> None:
    """Compare line by line; times and identifiers may differ, `…` stands for the rest of a line."""
    for line in filter(None, map(str.strip, expected.splitlines())):
        pattern = re.escape(line).replace("…", ".*")
        pattern = re.sub(r"\d\d\\\.\d\d\\\.\d{4}\\ \d\d:\d\d", r"[\\d.]+ [\\d:]+", pattern)
        for key in re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", line):
            if key not in told:
                pattern = pattern.replace(re.escape(key), f"(?P<key>{'[0-9a-f-]{36}'})")
        found = re.search(pattern, output)
        assert found is not None, (command, line, output)
        if "key" in found.groupdict():
            told[re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", line)[0]] = found["key"]


@pytest.mark.parametrize(
    ("line", "code", "told"),
    [
        ("show 112-233-445 96 --by a --purpose b", 2, "контрольная|check digit"),
        ("history king 1 --by a --purpose b", 2, "нет такого вида"),
        ("history address 1 --by a --purpose b", 2, "нужен идентификатор"),
        ("find --by a --purpose b", 2, "спросите номер"),
        ("find --name x --after здесь --by a --purpose b", 2, "скопируйте значение --after"),
        ("find --name x --after 00ff --by a --purpose b", 2, "copy the value of --after"),
        ("find --name x --count 0 --by a --purpose b", 2, "Invalid value"),
        ("find --name x --count 51 --by a --purpose b", 2, "Invalid value"),
        ("approve 7 --by a", 2, "такой заявки нет"),
        ("approve 7 --by a --lang en", 2, "there is no such request"),
        ("undo 700 --by a --reason b", 2, "такого изменения нет"),
        ("change address new --by a --reason b --set x=1", 2, "такого поля нет"),
        ("change address new --by a --reason b --set x", 2, "поле=значение"),
        ("change address new --by a --reason b --lang en", 2, "has to be filled in"),
    ],
)
def test_what_cannot_be_is_said_plainly(say: object, line: str, code: int, told: str) -> None:
    assert callable(say)
    line = line.replace("112-233-445 96", "'112-233-445 96'")
    got, output = say(line)
    assert got == code
    assert re.search(told, output), output


def test_pages_of_people_follow_each_other(say: object) -> None:
    """Each page says how the next is asked for, until nobody is left; nobody is shown twice."""
    assert callable(say)
    shown: list[str] = []
    after = ""
    for _ in range(4):
        code, output = say(f"find --name Соколав --count 2 --by a --purpose b {after}")
        assert code == 0
        shown += re.findall(r"^(\d{3}-\d{3}-\d{3} \d\d)", output, re.MULTILINE)
        further = re.search("Дальше: (--after [0-9a-f]{40})$", output, re.MULTILINE)
        if further is None:
            break
        after = further[1]
    assert sorted(shown) == sorted(show_snils(SNILS[one]) for one in (MOTHER, FATHER, CHILD))


async def hold(database: Database, name: str) -> asyncpg.Connection:
    """Be the program that is at a daily work."""
    connection = await asyncpg.connect(database.superuser_dsn)
    assert await only_one(connection, name)
    return connection


def test_the_days_work_is_one_programs(say: object, database: Database) -> None:
    assert callable(say)
    code, output = say("daily")
    assert (code, output) == (
        0,
        "продлено полисов: 0\nкарт с изменившимися полномочиями: 0\n",
    )
    with asyncio.Runner() as runner:
        busy = runner.run(hold(database, "register"))
        assert say("daily --lang en") == (0, "another program is at it\n")
        runner.run(busy.close())
    assert say("daily --lang en")[1].startswith("policies prolonged: 0")


def test_nothing_is_due_to_a_database_that_serves_alone(say: object) -> None:
    assert callable(say)
    assert say("deliver") == (0, "")
