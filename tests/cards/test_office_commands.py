"""`spk cards` at the issuing office: from a file of applications to a card in its holder's hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from processing.cards.commands import app
from processing.cards.store import CardStore
from processing.cli import run
from processing.kernel.database import open_pool
from processing.kernel.roles import Role
from processing.wire.key_use import KeyUseReport
from tests.cards import population as p
from tests.cards.ordering import OrderingOffice
from tests.plugins.postgres import Database

Spk = Callable[..., tuple[int, str]]
POINT = ("point", "add", "MFC-1", "--region", "99", "--name", "МФЦ", "--address", "ул. Мира, 3",
         "--phone", "8 800 100", "--hours", "пн–пт", "--lang")  # fmt: skip
CLERK, CHIEF = ("--by", "Ольга"), ("--by", "Иван")
ORDER = ("order", "--point", "MFC-1", *CLERK, "--reason", "заявление 17")


@pytest.fixture
def spk(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Spk:
    """Give a function that runs `spk cards` on a populated database: exit code, what it said."""
    asyncio.run(p.populate(database))
    monkeypatch.setenv("SPK_DSN", database.superuser_dsn)
    monkeypatch.setenv("SPK_TIME_ZONE", "Asia/Yekaterinburg")

    def command(*words: str) -> tuple[int, str]:
        try:
            code = run(app, words)
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out + said.err

    assert command(*POINT, "ru") == (0, "Пункт выдачи MFC-1: МФЦ\n")
    asyncio.run(stations(database))
    return command


async def stations(database: Database) -> None:
    async with database.connect() as connection:
        await connection.executemany(
            "SELECT cards.add_station($1, $2, FALSE)",
            [("office-1", bytes(32)), ("office-2", bytes([1]) * 32)],
        )


def write(database: Database, station: str) -> UUID:
    """Let a station write the only open card of its batch; its GUID."""

    async def work() -> UUID:
        pool = await open_pool(database.dsn(Role.ISSUING), Role.ISSUING, "test")
        try:
            office = OrderingOffice(database, CardStore(pool))
            # Certificates are of this moment of the test's clock.
            (batch,) = (await office.batches.unfinished(station)).batches
            (order, *_) = await office.orders(batch, station)
            await office.issued(order, station)
            return order.card_id
        finally:
            await pool.close()

    return asyncio.run(work())


def test_from_the_application_to_the_card(spk: Spk, database: Database, tmp_path: Path) -> None:
    assert spk(*ORDER, p.LONE_SNILS) == (0, "Заявление 1 принято; одобряет другой сотрудник\n")
    assert spk(*ORDER, p.LONE_SNILS)[0] == 2
    assert "ждёт одобрения" in spk("where", "1")[1]
    code, said = spk("approve", "1", *CLERK)
    assert (code, said) == (3, "принял заявление тот же сотрудник: одобряет другой: 1 (1)\n")
    assert spk("approve", "1", *CHIEF) == (0, "одобрено, карта заказана: 1 (1)\n")
    assert "approved, waits for its day" in spk("orders", "--lang", "en")[1]
    assert spk("batch", *CHIEF)[1].startswith("Партия 1: MFC-1, на ")
    assert spk("batch", *CHIEF)[1] == "Собирать нечего\n"
    assert spk("give-batch", "1", "--station", "nowhere", *CHIEF)[0] == 2
    assert spk("give-batch", "1", "--station", "office-1", *CHIEF)[0] == 0
    code, said = spk("give-batch", "1", "--station", "office-2", *CHIEF)
    assert (code, "take-back" in said) == (2, True)
    assert "картами не станет" in spk("take-back", "1", *CHIEF, "--reason", "сломана")[1]
    assert "not taken  1 left, 0 done" in spk("batches", "--lang", "en")[1]
    assert spk("give-batch", "1", "--station", "office-2", *CHIEF)[0] == 0
    assert "делает office-2" in spk("where", "112-233-445 95")[1]
    card_id = write(database, "office-2")
    told = spk("where", str(card_id))[1]
    for words in ("готова, ждёт в пункте выдачи", "МФЦ, ул. Мира, 3", "8 800 100 (пн–пт)"):
        assert words in told
    hand_over = ("hand-over", str(card_id), *CLERK, "--reason", "паспорт предъявлен")
    assert spk(*hand_over) == (0, f"{card_id}: карта действует\n")
    assert "карта вручена" in spk("where", "1")[1]
    out = tmp_path / "use.json"
    assert spk("key-use", "--out", str(out))[0] == 0
    uses = {use.key: use.users for use in KeyUseReport.decode(out.read_bytes()).uses}
    assert uses == {"card master": 1, "issuing CA": 1}


FILE = (
    "СНИЛС;СНИЛС представляемого\n112-233-445 95;\n087-654-303 00;00000000301\n123;\n11223344595;\n"
)


def test_a_file_of_applications_adds_up(spk: Spk, tmp_path: Path) -> None:
    path, refused = tmp_path / "заявления.csv", tmp_path / "отказы.csv"
    path.write_text(FILE, encoding="cp1251")
    code, said = spk(*ORDER, "--from", str(path), "--refused", str(refused))
    lines = said.splitlines()
    assert (code, lines[0]) == (3, "Строк 4 = принято 2 + отказано 2")
    assert "строка 4: " in lines[1]
    assert "строка 5: такая карта уже заказана" in lines[2]
    written = refused.read_text(encoding="utf-8-sig").splitlines()
    assert [line.split(";")[:2] for line in written] == [
        ["СНИЛС", "Строка"],
        ["123", "4"],
        ["11223344595", "5"],
    ]
    refused.unlink()
    assert "Rows 4 = taken 0 + refused 4" in spk(*ORDER, "--from", str(path), "--lang", "en")[1]
    assert spk(*ORDER, "--from", str(tmp_path / "nowhere.csv"))[0] == 2
    assert spk("approve", "--all", *CHIEF) == (0, "одобрено, карта заказана: 2 (1, 2)\n")


WRONG: list[tuple[tuple[str, ...], str]] = [
    ((*ORDER,), "--from"),
    ((*ORDER, "123"), "СНИЛС"),
    (("order", p.LONE_SNILS, "--point", "MFC-1", "--by", " ", "--reason", "x"), "назовите себя"),
    (("order", p.LONE_SNILS, "--point", "X", *CLERK, "--reason", "x"), "point list"),
    ((*ORDER, "087-654-302 01"), "spk"),
    ((*ORDER, p.LONE_SNILS, "--kind", "replacement"), "заменять нечего"),
    (("where", "77"), "такого заявления нет"),
    (("where", "9643909900000000009"), "онтрольн"),
    (("refuse", "77", *CHIEF, "--reason", "x"), "такого заявления нет"),
    (("approve", *CHIEF), "--all"),
    (("take-back", "7", *CHIEF, "--reason", "x"), "партии 7 нет"),
    (("walk-in", "nowhere"), "такой станции нет"),
    (("blanks", "give", "L-1", "5", "--station", "office-1", *CLERK), "такой партии заготовок нет"),
    (("blanks", "count", "--station", "nowhere", "--left", "5", *CLERK), "такой станции нет"),
    (("point", "add", "MFC 1", *POINT[3:], "ru"), "латинские буквы"),
    (("point", "add", "MFC-2", "--region", "7", *POINT[5:], "ru"), "региона 7 нет"),
    (("point", "close", "nowhere"), "такого пункта нет"),
]


def test_what_is_wrong_is_said_plainly(spk: Spk) -> None:
    for words, expected in WRONG:
        code, said = spk(*words)
        assert code == 2, (words, said)
        assert expected in said, words


def test_blanks_add_up_or_ring(spk: Spk) -> None:
    receive = ("blanks", "receive", "L-1", "100", "--family", "yubico", *CLERK)
    assert spk(*receive) == (0, "Принято в хранилище: 100\n")
    give = ("blanks", "give", "L-1", "20", "--station", "office-1", *CLERK)
    assert spk(*give) == (0, "Выдано станции: 20\n")
    spoil = ("blanks", "spoil", "1", "--station", "office-1", *CLERK, "--reason", "упала")
    assert spk(*spoil)[0] == 0
    count = ("blanks", "count", "--station", "office-1", *CLERK, "--left")
    code, said = spk(*count, "18")
    assert (code, said.startswith("НЕ ХВАТАЕТ 1  office-1")) == (1, True)
    code, said = spk(*count, "19", "--lang", "en")
    assert (code, said.endswith("in 20 = good 0 + spoiled 1 + left 19\n")) == (0, True)
    listed = spk("blanks", "list")[1]
    assert "L-1  yubico  в хранилище 80" in listed
    assert "осталось 19" in listed


def test_the_rest_of_the_office(spk: Spk) -> None:
    assert "до 500 в день" in spk("point", "list")[1]
    assert spk("renew", "--before", "2040-01-01", *CLERK)[1].endswith("принято 0\n")
    assert spk("expire") == (0, "Просроченных карт: 0\n")
    assert spk("walk-in", "office-1", "--no-allow")[0] == 0
    assert spk("point", "close", "MFC-1")[0] == 0
    assert spk(*ORDER, p.LONE_SNILS)[0] == 2
