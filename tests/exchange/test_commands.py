"""`spk exchange` as an operator runs it: one centre, set up, asked, exported."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from processing.exchange.commands import app
from processing.exchange.dci.signature import new_signing_keys
from processing.exchange.egisso.catalogue import write_catalogue
from processing.kernel.errors import ConfigurationError, SpkError
from tests.exchange import facts_world as w
from tests.exchange import people as p
from tests.plugins.postgres import Database

PEER = "spmis.example.org"


@pytest.fixture
def spk(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    """Give what runs one command line and returns what it printed."""
    monkeypatch.setenv("SPK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SPK_DSN", database.superuser_dsn)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "home").mkdir()

    def run(*words: object) -> str:
        app(list(map(str, words)), result_action="return_value")
        return str(capsys.readouterr().out)

    return run


def add_peer(spk: Any, folder: Path, *more: object) -> str:
    keys = folder / "peer.jwks.json"
    keys.write_bytes(msgspec.json.encode(new_signing_keys().jwks()))
    return str(
        spk(
            "peer", "add", PEER, "--name", "Фонд", "--jwks-file", keys, "--purpose", "benefits",
            "--purpose", "pensions:consent", "--part", "identifier", "--part", "name", *more,
        )
    )  # fmt: skip


def test_a_participant_is_registered_and_suspended(spk: Any, tmp_path: Path) -> None:
    assert "spk exchange jwks" in spk("init", "sr.example.org")
    assert len(msgspec.json.decode(spk("jwks"))["keys"]) == 2
    with pytest.raises(ConfigurationError, match="exists already"):
        spk("init", "sr.example.org")
    assert "No participants yet" in spk("peer", "list")
    with pytest.raises(ConfigurationError, match="token-file"):
        add_peer(spk, tmp_path)
    token = tmp_path / "peer.token"
    assert PEER in add_peer(spk, tmp_path, "--token-file", token)
    assert token.read_text().startswith(f"{PEER}.")
    assert token.stat().st_mode & 0o777 == 0o600
    assert "pensions:consent" in spk("peer", "list")
    add_peer(spk, tmp_path, "--callback-uri", "https://spmis.example.org/callback")
    with pytest.raises(ConfigurationError, match="https://host/path"):
        add_peer(spk, tmp_path, "--callback-uri", "http://spmis.example.org/callback")
    assert "suspended" in spk("peer", "suspend", PEER)
    assert "active" in spk("peer", "resume", PEER)
    with pytest.raises(ConfigurationError, match="no participant"):
        spk("peer", "suspend", "nobody")


def test_requests_and_the_outbox_say_what_is_missing(spk: Any, tmp_path: Path) -> None:
    spk("init", "sr.example.org")
    add_peer(spk, tmp_path, "--token-file", tmp_path / "t")
    with pytest.raises(ConfigurationError, match="--snils or --query"):
        spk("search", "--peer", PEER, "--purpose", "benefits")
    with pytest.raises(SpkError, match="has no registry"):
        spk("search", "--peer", PEER, "--purpose", "benefits", "--snils", p.ANNA_SNILS)
    with pytest.raises(ConfigurationError, match="no participant"):
        spk("status", "t", "--peer", "nobody")
    assert spk("inbox") == ""
    assert "Nothing is on its way" in spk("outbox", "list", "--all")
    with pytest.raises(ConfigurationError, match="no message"):
        spk("outbox", "retry", UUID(int=1))
    with pytest.raises(ConfigurationError, match="no message"):
        spk("outbox", "drop", UUID(int=1), "--by", "anna")


async def prepare(database: Database) -> None:
    await p.populate(database)
    async with database.connect() as connection:
        await w.build(connection)
        await w.Journal(connection).event("anna", "PILLS", 1, 14_550)
        await w.Journal(connection).event("unlinked", "PILLS", 1, 1, w.MONTH)


def test_a_month_is_exported(spk: Any, database: Database, tmp_path: Path) -> None:
    asyncio.run(prepare(database))
    assert "No measure is linked" in spk("egisso", "status")
    catalogue = tmp_path / "catalogue.xml"
    catalogue.write_bytes(write_catalogue(UUID(int=5), [w.measure(w.MEDICINE)]))
    assert "+ Мера MED.FED" in spk("egisso", "import", catalogue, "--by", "anna")
    with pytest.raises(ConfigurationError, match="brought already"):
        spk("egisso", "import", catalogue, "--by", "anna")
    with pytest.raises(SpkError, match="another person"):
        spk("egisso", "approve", 1, "--by", "anna")
    assert "is in force" in spk("egisso", "approve", 1, "--by", "boris")
    category = f"VETERAN={w.CATEGORY[w.MEDICINE]}"
    link = ("egisso", "link", w.MEDICINE, "--osz", w.OSZ, "--category", category, "--by", "anna")
    with pytest.raises(ConfigurationError, match="no such ЛМСЗ"):
        spk(*link, "--lmsz", UUID(int=1))
    assert "1 categories" in spk(*link, "--lmsz", w.LMSZ[w.MEDICINE])
    out = tmp_path / "out"
    told = spk("egisso", "export", "--period", "2026-10", "--out", out, "--by", "anna")
    assert "1 records in 1 files, 0 facts unchanged, 1 held back" in told
    assert "OTHER DISABLED.1: мера не связана" in told
    (file,) = out.iterdir()
    number = re.findall(r"Export (\d+)", told)[0]
    again = tmp_path / "again"
    spk("egisso", "export", "--again", number, "--out", again, "--by", "anna")
    assert (again / file.name).read_bytes() == file.read_bytes()
    assert "2026-10" in spk("egisso", "status")
    spk("egisso", "export", "--catalogue", "--out", out, "--by", "anna")
    assert (out / "10.05.I_0001.xml").exists()
    for words, said in (
        (("--period", "2026-13"), "no month"),
        (("--again", "99"), "no export"),
        ((), "one of them"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            spk("egisso", "export", *words, "--out", out, "--by", "anna")
