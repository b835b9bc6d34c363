"""`python -m bench.register_search`: how long finding a person takes in a register of a million.

A PostgreSQL of its own is filled with invented people: surnames, first names and patronymics of
very different frequency, households with addresses, a passport, a telephone and a policy each.
Then questions of each sort are asked, one after another, as the role spk_register, through the
function that the commands call, the log of reads included.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import asyncpg
import cyclopts
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from processing.exchange.dci.search import MATCHES_MAX
from processing.kernel.embedded import EmbeddedPostgres
from processing.kernel.migrate import migrate
from processing.kernel.roles import Role
from processing.kernel.sql_files import read_sql_folder, sql_root
from processing.register.model import Reader
from processing.register.search import Question, find

CITIZENS_DEFAULT: Final = 1_000_000
CHUNK: Final = 100_000
QUESTIONS_DEFAULT: Final = 200
GOAL_MS: Final = 50

# Roots and endings give some 77,000 surnames; a cubed draw makes the first ones common.
WORDS: Final = """
CREATE TEMPORARY TABLE surname AS
SELECT row_number() OVER (ORDER BY md5(w.word)) AS n, initcap(w.word) AS word
FROM (
    SELECT a || b || d || c AS word
    FROM unnest(string_to_array('ив,петр,сид,сок,куз,мор,вол,лебед,коз,нов,пав,сем,гол,вин,богд,'
        'вор,фед,мих,бел,тар,жук,бар,фил,ком,дав,мель,щерб,бык,рож,уша', ',')) AS a
    CROSS JOIN unnest(string_to_array('ан,ин,ол,ен,ар,ер,ил,ым,ос,ук,ят,еб,ыш,ож,алк,ерн,ольц,енк,'
        'юш,ад,ав,аг,ах,иц,ут,уш,ыг,яж,олд,уст,ант,енд,ирс,орг,арм,ешк,обн,ыч,ель,язн,ойк,упч,евр',
        ',')) AS b
    CROSS JOIN unnest(string_to_array(',ач,ем,иш,ул,ян', ',')) AS d
    CROSS JOIN unnest(string_to_array('ов,ев,ин,ский,ко,ых,ук,ян,кин,ухин', ',')) AS c
) AS w;
CREATE UNIQUE INDEX ON surname (n);
CREATE TEMPORARY TABLE words AS
SELECT
    (SELECT count(*) FROM surname) AS surnames,
    string_to_array('Александр,Мария,Иван,Анна,Сергей,Елена,Дмитрий,Ольга,Андрей,Наталья,Пётр,'
        'Татьяна,Алексей,Ирина,Михаил,Светлана,Николай,Юлия,Павел,Екатерина,Артём,Дарья,Илья,'
        'Полина,Фёдор,Вера,Семён,Любовь,Глеб,Зоя', ',') AS first_names,
    string_to_array('Иванович,Петровна,Сергеевич,Андреевна,Дмитриевич,Алексеевна,Николаевич,'
        'Павловна,Михайлович,Ильинична,Семёнович,Фёдоровна,Львович,Глебовна', ',') AS patronymics,
    string_to_array('Садовая,Лесная,Мира,Ленина,Школьная,Полевая,Новая,Заводская,Береговая,'
        'Уральская,Мельничная,Гагарина,Пушкина,Чехова,Речная,Парковая,Северная,Южная,Трудовая,'
        'Озёрная,Ключевая,Вишнёвая,Солнечная,Кирова,Победы,Строителей,Энергетиков,Горная', ',')
        AS streets,
    string_to_array('Заречный,Верхний Уфалей,Нижняя Салда,Каменск,Озёрск,Берёзовский,Полевской,'
        'Красноуфимск,Ивдель,Сысерть,Арамиль,Бисерть,Тавда,Туринск,Реж,Алапаевск,Ирбит,Кушва,'
        'Карпинск,Волчанск', ',') AS towns;
"""

FILL: Final = """
CREATE TEMPORARY TABLE people ON COMMIT DROP AS
SELECT d.*, s.word AS last_name
FROM (
    SELECT
        n, ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id,
        ('00000000-0000-7000-9000-' || lpad(to_hex(n / 3), 12, '0'))::uuid AS household_id,
        1 + floor(random() ^ 3 * w.surnames)::integer AS surname,
        w.first_names[1 + floor(random() ^ 2 * cardinality(w.first_names))::integer] AS first_name,
        w.patronymics[1 + floor(random() * cardinality(w.patronymics))::integer] AS patronymic,
        date '1935-01-01' + floor(random() * 32000)::integer AS birth_date,
        -- every fourth household lives in the first town
        'г. ' || w.towns[
            1 + floor(((n / 3)::bigint * 7919 % 1000 / 1000.0) ^ 2 * cardinality(w.towns))
        ]
            || ', ул. ' || w.streets[1 + (n / 3) % cardinality(w.streets)] || ', д. '
            || 1 + (n / 90) % 199 || ', кв. ' || 1 + (n / 3) % 160 AS address
    FROM generate_series($1::integer, $2::integer) AS n CROSS JOIN words AS w
) AS d
INNER JOIN surname AS s ON d.surname = s.n;

INSERT INTO register.citizen (
    citizen_id, snils, last_name, first_name, patronymic, birth_date, sex, region
)
SELECT id, lpad((90000000000 + n)::text, 11, '0'), last_name, first_name, patronymic, birth_date,
    CASE n % 2 WHEN 0 THEN 'm' ELSE 'f' END, 99
FROM people;

INSERT INTO register.household (household_id, number, region, address)
SELECT household_id, '99-' || n / 3, 99, address FROM people WHERE n % 3 = 0
ON CONFLICT DO NOTHING;

INSERT INTO register.household_member (record_id, household_id, citizen_id, relation)
SELECT id, household_id, id, CASE n % 3 WHEN 0 THEN 'head' ELSE 'other' END FROM people
WHERE EXISTS (SELECT FROM register.household AS h WHERE h.household_id = people.household_id);

INSERT INTO register.identity_document (record_id, citizen_id, document_type, series, number)
SELECT id, id, 'passport', (9000 + n / 1000000)::text, lpad((n % 1000000)::text, 6, '0')
FROM people;

INSERT INTO register.contact (record_id, citizen_id, channel, value, preferred)
SELECT id, id, 'phone', (79000000000 + n)::text, TRUE FROM people;

INSERT INTO register.address (record_id, citizen_id, address_kind, line)
SELECT id, id, 'registered', address FROM people;
"""

TOLD: Final = """
SELECT s.matched FROM exchange.search(
    'bench', 'bench', $1, 'Member', $2, '[{"attribute": "birth_date", "sort_order": "asc"}]',
    0, 20, $3, '{identifier,name,birth_date}'
) AS s
"""

app = cyclopts.App(name="register_search", help="Measure finding a person in a large register.")


@app.default
def bench(
    *,
    citizens: Annotated[int, Parameter(help="How many people.")] = CITIZENS_DEFAULT,
    questions: Annotated[int, Parameter(help="Questions of each sort.")] = QUESTIONS_DEFAULT,
    explain: Annotated[bool, Parameter(help="Print the plans too.")] = False,
) -> None:
    """Print p50 and p99 in milliseconds for each sort of question."""
    home = Path(tempfile.mkdtemp(prefix="spk-bench-"))
    home.chmod(0o711)
    server = EmbeddedPostgres(home)
    try:
        server.start()
        asyncio.run(_measure(server, citizens, questions, explain=explain))
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


async def _measure(
    server: EmbeddedPostgres, citizens: int, questions: int, *, explain: bool
) -> None:
    console = Console(width=110)
    await migrate(server.superuser_dsn("postgres"), read_sql_folder(sql_root()))
    owner = await asyncpg.connect(server.superuser_dsn("postgres"))
    began = time.monotonic()
    await fill(owner, citizens)
    console.print(f"{citizens:,} citizens written in {time.monotonic() - began:.0f} s")
    clerk = await asyncpg.connect(
        server.dsn(Role.REGISTER, "postgres"),
        server_settings={"role": Role.REGISTER.value, "jit": "off"},
    )
    people = await sought(owner, questions)
    table = Table("question", "p50 ms", "p99 ms", "found", "goal met", title="Finding a person")
    for sort, asked in sorts(people):
        told = [await _ask(clerk, question) for question in asked]
        spent = sorted(one for one, _ in told)
        p99 = spent[min(len(spent) - 1, len(spent) * 99 // 100)]
        table.add_row(
            sort,
            f"{spent[len(spent) // 2]:.1f}",
            f"{p99:.1f}",
            f"{sum(found for _, found in told) / len(told):.1f}",
            "yes" if p99 < GOAL_MS else "no",
        )
    console.print(table)
    await clerk.close()
    console.print(await _told_to_participants(server, people))
    if explain:
        await _explain(owner, console, people[0])
    await owner.close()


async def fill(owner: asyncpg.Connection, citizens: int) -> None:
    """Write so many people with everything that leads to them."""
    await owner.execute(
        "INSERT INTO regulations.region VALUES (99, 'Asia/Yekaterinburg', 'Область', 'Region')"
    )
    await owner.execute("SELECT setseed(0.5)")
    await owner.execute(WORDS)
    for first in range(0, citizens, CHUNK):
        last = min(first + CHUNK, citizens) - 1
        async with owner.transaction():
            await owner.execute("SELECT register.begin_change('bench', 'bench', 'bench')")
            await owner.execute(FILL.replace("$1", str(first)).replace("$2", str(last)))
    await owner.execute("VACUUM (ANALYZE)")


async def sought(owner: asyncpg.Connection, count: int) -> list[asyncpg.Record]:
    """Return people by chance, with their addresses."""
    return await owner.fetch(
        """
        SELECT c.*, a.line FROM register.citizen AS c
        INNER JOIN register.address AS a ON c.citizen_id = a.citizen_id
        ORDER BY md5(c.snils) LIMIT $1
        """,
        count,
    )


def sorts(people: list[asyncpg.Record]) -> Iterator[tuple[str, list[Question]]]:
    """Give the sorts of questions, each about the same people."""
    chance = random.Random(1)
    yield "СНИЛС", [Question(number=one["snils"]) for one in people]
    yield "telephone", [Question(number=f"7{int(one['snils']) - 81 * 10**9}") for one in people]
    yield "passport number", [Question(number=one["snils"][-6:]) for one in people]
    yield "last name", [Question(name=one["last_name"]) for one in people]
    yield "last name, one typo", [Question(name=_typo(one["last_name"], chance)) for one in people]
    yield "full name", [Question(name=_full(one)) for one in people]
    yield "full name, one typo", [Question(name=_typo(_full(one), chance)) for one in people]
    yield "first name", [Question(name=one["first_name"]) for one in people]
    yield "birth date", [Question(birth_date=one["birth_date"]) for one in people]
    yield (
        "last name, birth date",
        [Question(name=one["last_name"], birth_date=one["birth_date"]) for one in people],
    )
    yield "address", [Question(address=one["line"]) for one in people]
    yield "street and town", [Question(address=one["line"].split(", д.")[0]) for one in people]
    yield (
        "last name, street",
        [Question(name=one["last_name"], address=one["line"].split(", ")[1]) for one in people],
    )
    yield "nobody", [Question(name=f"Ж{n}ыъщ", address="Нигде") for n in range(len(people))]


def _full(one: asyncpg.Record) -> str:
    return f"{one['last_name']} {one['first_name']} {one['patronymic']}"


def _typo(text: str, chance: random.Random) -> str:
    place = chance.randrange(1, max(2, len(text.split(maxsplit=1)[0])))
    return f"{text[:place]}{chance.choice('аеиоунр')}{text[place + 1 :]}"


async def _ask(clerk: asyncpg.Connection, question: Question) -> tuple[float, int]:
    began = time.perf_counter()
    page = await find(clerk, question, Reader("bench", "bench"), count=20)
    return (time.perf_counter() - began) * 1000, len(page.found)


async def _told_to_participants(server: EmbeddedPostgres, people: list[asyncpg.Record]) -> Table:
    """Ask as another agency does, through the one function of the exchange."""
    peer = await asyncpg.connect(
        server.dsn(Role.EXCHANGE, "postgres"),
        server_settings={"role": Role.EXCHANGE.value, "jit": "off"},
    )
    table = Table("question", "p50 ms", "p99 ms", "found", title="A participant's search")
    for sort, consent, conditions in (
        ("СНИЛС", False, [_equal(one, "snils") for one in people]),
        ("surname", False, [_equal(one, "last_name") for one in people]),
        (
            "surname, given name, birth date",
            False,
            [_equal(one, "last_name", "first_name", "birth_date") for one in people],
        ),
        ("everybody: too many", False, [_equal(one, "region") for one in people]),
        ("everybody who consented: nobody", True, [_equal(one, "region") for one in people[:20]]),
    ):
        spent, found = [], 0
        for condition in conditions:
            began = time.perf_counter()
            found += await peer.fetchval(TOLD, consent, json.dumps(condition), MATCHES_MAX)
            spent.append((time.perf_counter() - began) * 1000)
        spent.sort()
        p99 = spent[min(len(spent) - 1, len(spent) * 99 // 100)]
        table.add_row(
            sort, f"{spent[len(spent) // 2]:.1f}", f"{p99:.1f}", f"{found / len(spent):,.1f}"
        )
    await peer.close()
    return table


def _equal(one: asyncpg.Record, *columns: str) -> dict[str, Any]:
    names = {"last_name": "surname", "first_name": "given_name"}
    return {
        "all": [
            {"attribute": names.get(name, name), "operator": "eq", "values": [str(one[name])]}
            for name in columns
        ]
    }


async def _explain(owner: asyncpg.Connection, console: Console, one: asyncpg.Record) -> None:
    """Print how the steps of a search reach their rows."""
    for title, query, *arguments in (
        ("typo", "SELECT * FROM register.alike('{last}', $1, TRUE, 6)", one["last_name"] + "а"),
        ("number", "SELECT * FROM register.by_number($1, 300)", one["snils"]),
        ("name", "SELECT * FROM register.by_name($1, FALSE, NULL, 300)", _full(one)),
        (
            "address",
            "SELECT * FROM register.by_address(register.address_meant($1), 300)",
            one["line"],
        ),
    ):
        rows = await owner.fetch(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {query}", *arguments)
        console.print(title, style="bold")
        console.print("\n".join(row[0] for row in rows), markup=False, highlight=False)


if __name__ == "__main__":
    app()
