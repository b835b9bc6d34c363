"""A lost card while two workers serve it: stopped in each at once, and a code in its place."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path
from uuid import UUID

import aiohttp
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from hsm_stub.client.client import HsmClient
from processing.cards.commands import app
from processing.cards.stations import new_token, token_sha256
from processing.cli import run
from processing.kernel.roles import Role
from processing.wire.api import LentCard
from processing.wire.outcome import Outcome
from processing.wire.temporary_card import TemporaryCard
from processing.wire.transaction import IdentifierKind
from tests.plugins.centre import Programs
from tests.plugins.line import Line
from tests.plugins.targets import Databases
from tests.plugins.town import SHOPS, Citizen, Shop, build_town, citizen
from tests.workers.crew import Crew

STATION = "office-1"
MARIA, IVAN = citizen(1), citizen(2)


class Counter:
    """One terminal that sells to one citizen, again and again, until the card is refused."""

    def __init__(self, line: Line, shop: Shop) -> None:
        self.line = line
        self.shop = shop
        self.approved = 0
        self.first = asyncio.Event()

    async def sell_until_refused(self, who: Citizen) -> Outcome:
        """Sell until the centre says no; what it said."""
        while True:
            outcome = (await self.line.decide(self.shop.sale(who))).outcome
            if outcome is not Outcome.APPROVED:
                return outcome
            self.approved += 1
            self.first.set()


@pytest.mark.timeout(300)
async def test_a_lost_card_is_stopped_in_every_worker(
    programs: Programs,
    databases: Databases,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await databases.everywhere(lambda one: build_town(one, granted=1_000_000))
    token = new_token(STATION)
    async with databases.home.connect(Role.OPERATOR) as connection:
        await connection.execute(
            "SELECT cards.add_station($1, $2, FALSE)", STATION, token_sha256(token)
        )
    crew = Crew(programs, workers=2, **databases.settings(programs.folder))
    busy, counters = [
        [Counter(await crew.line(shop), Shop(shop)) for shop in shops]
        for shops in (SHOPS[:2], SHOPS[2:4])
    ]
    assert await crew.measured("spk_iso8583_connections") == {"1": 2, "2": 2}

    # Both workers have the card's key at hand and are selling while the call comes.
    selling = [asyncio.ensure_future(one.sell_until_refused(MARIA)) for one in busy]
    await asyncio.gather(*(one.first.wait() for one in busy))
    code = await report(crew, token, MARIA)
    # The rule is a second. None passes: what is begun after the answer is refused everywhere.
    for one in counters:
        last = await one.line.decide(one.shop.sale(MARIA))
        assert last.outcome is Outcome.CARD_BLOCKED
    assert [await task for task in selling] == [Outcome.CARD_BLOCKED] * 2
    assert await states(databases, MARIA) == {2}
    await assert_code_serves(crew, counters, code)

    # The office's command does the same, and prints the sheet for its owner's eyes only.
    sheet = tmp_path / "sheet.pdf"
    office = Office(crew, monkeypatch, capsys)
    words = ("lost", str(UUID(bytes=IVAN.card_id)), "--by", "Ольга", "--reason", "tram")
    code_of_exit, told, _ = await office.spk(*words, "--out", str(sheet))
    assert (code_of_exit, "приостановлена, новая заказана" in told) == (0, True)
    assert sheet.read_bytes().startswith(b"%PDF-")
    assert stat.S_IMODE(sheet.stat().st_mode) == 0o600
    for one in counters:
        assert await one.sell_until_refused(IVAN) is Outcome.CARD_BLOCKED
    await assert_commands_say_what_is_wrong(office, words, sheet)
    for one in (*busy, *counters):
        await one.line.close()
    assert await asyncio.to_thread(crew.centre.end) == 0


async def report(crew: Crew, token: str, who: Citizen) -> LentCard:
    """Report a card as lost over HTTP; again lends another code."""
    url = f"http://127.0.0.1:{crew.http}/issuing/v1/cards/{UUID(bytes=who.card_id)}/lost"
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        for body in (b"{}", b'{"reason":""}', b""):
            async with session.post(url, data=body) as refused:
                assert refused.status in {400, 422}
        async with session.post(url, data=b'{"reason":"in a tram"}') as answer:
            assert answer.status == 201
            return msgspec.json.decode(await answer.read(), type=LentCard)


async def states(databases: Databases, who: Citizen) -> set[int]:
    """Return in which states the databases have a card, its authorities included."""
    found = await databases.everywhere(
        lambda one: one.fetch(
            "SELECT state FROM cards.card WHERE card_id = $1 UNION "
            "SELECT card_state FROM rights.card_authority WHERE card_id = $1",
            UUID(bytes=who.card_id),
        )
    )
    return {row[0] for rows in found for row in rows}


async def assert_code_serves(crew: Crew, counters: list[Counter], code: LentCard) -> None:
    """Sell by the code at both workers."""
    with HsmClient(crew.programs.hsm_address) as hsm:
        point = hsm.public_keys().active_point("content signing")
    card = TemporaryCard.decode(code.text, (point,))
    key = ec.derive_private_key(int.from_bytes(card.private_key), ec.SECP256R1())
    who = msgspec.structs.replace(MARIA, card_id=card.card_id, tap=key, pin=key)
    for one in counters:
        sale = one.shop.sale(who, identifier_kind=IdentifierKind.QR_CERTIFICATE)
        assert (await one.line.decide(sale)).outcome is Outcome.APPROVED


async def assert_commands_say_what_is_wrong(
    office: Office, words: tuple[str, ...], sheet: Path
) -> None:
    """Ask for what cannot be, in both languages, and who waits for a new card."""
    fresh = sheet.with_name("second.pdf")
    unknown = (words[0], str(UUID(int=1)), *words[2:])
    for asked, ru, en in (
        ((*words, "--out", str(sheet)), "нужен новый файл", "give a new file"),
        ((*words, "--out", str(sheet.with_suffix(".txt"))), "нужен новый файл", "give a new file"),
        ((*unknown, "--out", str(fresh)), "карт", "card"),
        ((words[0], "087-654-302 00", *words[2:], "--out", str(fresh)), "карт", "card"),
    ):
        for language, expected in (("ru", ru), ("en", en)):
            code, _, complaint = await office.spk(*asked, "--lang", language)
            assert (code, expected in complaint) == (2, True), complaint
            assert "Traceback" not in complaint
    assert not fresh.exists()
    _, waiting, _ = await office.spk("waiting", "--lang", "en")
    people = [str(UUID(bytes=who.holder_id)) for who in (MARIA, IVAN)]
    lines = waiting.splitlines()
    assert [person for line in lines for person in people if person in line] == people
    assert all("waits" in line for line in lines)


class Office:
    """Gives the office's commands, in this process and a thread of their own."""

    def __init__(
        self, crew: Crew, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]
    ) -> None:
        for name, value in (crew.programs.environment | crew.environment).items():
            patch.setenv(name, value)
        self._capture = capture

    async def spk(self, *words: str) -> tuple[int, str, str]:
        """Run `spk cards`; its exit code, what it printed and what it complained of."""
        self._capture.readouterr()
        code = await asyncio.to_thread(exit_code_of, words)
        return (code, *self._capture.readouterr())


def exit_code_of(words: tuple[str, ...]) -> int:
    """Run a command line; what its process would end with."""
    try:
        return run(app, words)
    except SystemExit as ended:
        return int(ended.code or 0)
