"""The guide is true: its rule is sound, its facts are all there, its commands work in a region."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from processing.eligibility.check import check_rule
from processing.eligibility.commands import app
from processing.eligibility.directory import Directory
from processing.eligibility.document import read_rule
from processing.eligibility.fact_names import FACTS, FactName, FactType
from processing.eligibility.trial import run_cases
from processing.kernel.roles import Role
from tests.eligibility.test_publication import region
from tests.house.sources import ROOT
from tests.plugins.postgres import Database

GUIDE = (ROOT / "docs" / "eligibility.md").read_text("utf-8")


def rule_text() -> str:
    """Return the rule that the guide shows."""
    (text,) = re.findall(r"^```toml\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    return str(text)


def test_the_rule_of_the_guide_is_sound(directory: Directory) -> None:
    rule = read_rule(rule_text().encode(), "taxi.toml")
    check_rule(rule, directory)
    assert [one.sentence("ru") for one in run_cases(rule) if not one.passed] == []


def test_the_guide_lists_every_fact_as_the_code_has_it() -> None:
    table = GUIDE.partition("## Факты")[2]
    rows = re.findall(r"^\| `([a-z ]+)` \| (.+?) \| (.+?) \|", table, re.MULTILINE)[1:]
    comparisons = {
        FactType.NUMBER: "`at_least`, `at_most`",
        FactType.WORDS: "`one_of`",
        FactType.TRUTH: "`equals`",
    }
    told = {name: (label, how) for name, label, how in rows}
    assert told == {
        str(name): (
            info.ru,
            (f"`{info.qualifier}`, " if info.qualifier else "") + comparisons[info.type],
        )
        for name, info in FACTS.items()
    }
    assert list(told) == [str(name) for name in FactName]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command and return what it prints."""
    with pytest.raises(SystemExit) as left:
        app(words)
    told = capsys.readouterr()
    assert left.value.code == 0, told.err
    return told.out


async def disabled_person(database: Database) -> str:
    """Make a region; return the СНИЛС of somebody in it with a disability of group II."""
    async with region(database):
        pass
    async with database.connect() as superuser:
        snils = await superuser.fetchval(
            "SELECT c.snils FROM register.citizen AS c INNER JOIN register.citizen_category AS k"
            " ON c.citizen_id = k.citizen_id WHERE k.category = 'DISABLED.2' LIMIT 1"
        )
    return str(snils)


def test_a_new_user_gets_from_the_guide_to_an_answer(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    snils = asyncio.run(disabled_person(database))
    monkeypatch.setenv("SPK_DSN", database.dsn(Role.REGISTER))
    document = tmp_path / "taxi.toml"
    document.write_text(rule_text(), "utf-8")
    assert_commands_are_true(capsys, document, snils, tmp_path / "ids.txt")


def assert_commands_are_true(
    capsys: pytest.CaptureFixture[str], document: Path, snils: str, listed: Path
) -> None:
    assert said(capsys, "check", str(document)) == "TAXI.SOCIAL v2: ошибок нет\n"
    assert "## Кому положено" in said(capsys, "explain", str(document))
    assert "примеров 3, не сошлось 0" in said(capsys, "test", str(document))
    proposed = said(capsys, "publish", str(document), "--by", "anna")
    assert proposed == "TAXI.SOCIAL v2: внесено; утверждает другой человек\n"
    approved = said(capsys, "approve", "TAXI.SOCIAL", "2", "--by", "boris")
    assert approved == "TAXI.SOCIAL v2: утверждено, действует с 2027-01-01\n"
    asked = ("TAXI.SOCIAL", "--by", "olga", "--purpose", "приём", "--on", "2026-11-22")
    why = said(capsys, "why", f"{snils[:3]}-{snils[3:6]}-{snils[6:9]} {snils[9:]}", *asked)
    assert "(TAXI.SOCIAL v1), 22.11.2026: положено" in why
    assert "запись: category " in why
    cashier = said(capsys, "why", snils, *asked, "--audience", "cashier", "--lang", "en")
    assert cashier.startswith("A counter is not told why")
    counted = said(capsys, "candidates", *asked, "--list", str(listed))
    assert counted.startswith("TAXI.SOCIAL v1: людей 60, положено ")
    assert all(re.fullmatch(r"[0-9a-f-]{36}", line) for line in listed.read_text().splitlines())
    assert said(capsys, "run", "--by", "olga").startswith("проход 1: событий ")
    new = said(
        capsys, "amount", "99", "PM", "2000000", "--since", "2027-01-01", "--basis", "акт",
        "--by", "anna",
    )  # fmt: skip
    assert new == "PM 2027-01-01: 20\u00a0000,00\u00a0₽: внесено\n"
    assert "напоминаний" in said(capsys, "remind")
