"""`spk station` as an officer types it: batches of a real centre at real readers, a bureau."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image

from card_personalization.chip.piv.objects import Slot
from card_personalization.chip.softcard.card import SoftCard
from card_personalization.chip.softcard.delays import DelayedCard, Delays
from card_personalization.chip.softcard.state import Profile, factory_state
from card_personalization.readers.virtual import VirtualReaders
from card_personalization.station.reading import challenge, read_card
from card_personalization.station.station_commands import app
from card_personalization.station.steps import Step
from hsm_stub.client.address import UnixAddress
from hsm_stub.client.async_client import AsyncHsmClient
from hsm_stub.client.client import HsmClient
from hsm_stub.key_material import point_of
from hsm_stub.public_files import write_public_files
from processing.cards.applications import ApplicationStore, Wish
from processing.cards.batch_export import export_batch, open_orders
from processing.cards.batches import BatchStore
from processing.cards.points import DeliveryPoint, PointStore
from processing.cli import run
from processing.kernel.clock import SystemClock
from processing.kernel.database import open_pool
from processing.kernel.roles import Role
from processing.wire.api import OrderRequest
from tests.cards import population as p
from tests.cards.ordering import CHIEF, DESK, POINT
from tests.station.office import STATION, ServedCentre, client_of

TODAY = date(2026, 1, 1)
"""Long past, so that the orders are due."""
pytestmark = pytest.mark.timeout(240)


class Station:
    """A station's desk at a served centre."""

    def __init__(
        self, centre: ServedCentre, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.centre = centre
        self.folder = folder
        self._capsys = capsys
        (folder / "token").write_text(centre.token, encoding="utf-8")

    def spk(self, *words: str) -> tuple[int, str]:
        """Run `spk station` with these words; exit code, and all that was said."""
        try:
            code = run(app, [*words, "--folder", str(self.folder / "station")])
        except SystemExit as leaving:
            code = int(leaving.code or 0)
        out, err = self._capsys.readouterr()
        return code, out + err

    def at_centre(self, *words: str) -> tuple[int, str]:
        """Run a command that talks to the centre."""
        token = str(self.folder / "token")
        return self.spk(*words, "--centre", self.centre.address, "--token-file", token)


@pytest.fixture
def station(
    centre: ServedCentre,
    hsm_address: object,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Station:
    monkeypatch.setenv("SPK_HSM", str(hsm_address))
    return Station(centre, tmp_path, capsys)


async def _ordered(centre: ServedCentre, citizens: tuple[UUID, ...]) -> None:
    clock = SystemClock("Asia/Yekaterinburg")
    pool = await open_pool(centre.database.dsn(Role.ISSUING), Role.ISSUING, "test")
    try:
        point = DeliveryPoint(
            point_id=POINT,
            region=p.REGION,
            name="МФЦ",
            address="ул. Мира, 3",
            phone="8 800 100-00-00",
            hours="пн–пт 9–18",
            delivery_days=0,
            daily_max=500,
        )
        assert await PointStore(pool).put(point)
        applications = ApplicationStore(pool, clock)
        applied = await applications.apply([Wish(citizen_id=one) for one in citizens], DESK)
        numbers = [one.number for one in applied if one.number is not None]
        assert len(numbers) == len(citizens)
        await applications.approve(await applications.numbered(numbers), CHIEF, POINT)
        batches = BatchStore(pool)
        async with centre.database.connect() as connection:
            await connection.execute("UPDATE cards.card_order SET planned_on = $1", TODAY)
        assert await batches.make(clock.local_date(), CHIEF)
    finally:
        await pool.close()


def order_batch(centre: ServedCentre, *citizens: UUID) -> None:
    """Have applications of these people approved and put into a batch that is due."""
    asyncio.run(_ordered(centre, citizens))


def card_states(centre: ServedCentre) -> list[int]:
    return sorted(centre.order_states())


@pytest.mark.pcsc
def test_a_batch_is_worked_off_at_every_reader_and_the_books_close(
    station: Station, readers: VirtualReaders
) -> None:
    order_batch(station.centre, p.LONE, p.MOTHER, p.FATHER, p.GRANDMOTHER)
    mailers = station.folder / "mailers"
    cards = [SoftCard(factory_state(serial=number)) for number in range(1, 5)]
    names = [readers.insert_card(card) for card in cards]
    assert station.spk("stock", "--add", "6", "--note", "lot 1")[0] == 0
    code, said = station.at_centre("run", *names, "--mailers", str(mailers), "--phone", "112")
    assert code == 0, said
    assert "заявок 4" in said
    assert "Годных 4, брака 0" in said
    assert card_states(station.centre) == [2, 2, 2, 2]
    assert len(list(mailers.glob("*.pdf"))) == 4
    code, said = station.spk("close", "--left", "3", "--by", "Петрова", "--no-tell-centre")
    assert (code, "не сходится" in said) == (1, True)
    closing = ("close", "--left", "2", "--by", "Петрова", "--no-tell-centre")
    code, said = station.spk(*closing)
    assert (code, "не стёрты файлы ПИН-конвертов — 4" in said) == (1, True), said
    min(mailers.iterdir()).unlink()
    code, said = station.spk("wipe-mailers")
    assert (code, list(mailers.iterdir())) == (0, []), said
    assert "Стёрто конвертов: 3" in said
    assert said.count("файла нет на месте") == 1
    assert "Стёрто конвертов: 0" in station.spk("wipe-mailers")[1]
    code, said = station.spk(*closing)
    assert code == 0, said
    assert "Пришло 6 = годных 4 + брака 0 + осталось 2" in said
    assert "Пришло 2 = годных 0" in station.spk("stock")[1]
    code, said = station.at_centre("run", *names)
    assert (code, "Партий для станции нет" in said) == (0, True)


def test_what_is_written_off_is_listed_with_its_reason(station: Station) -> None:
    station.spk("stock", "--add", "1")
    assert station.at_centre("spoiled", "blank")[0] == 1
    code, said = station.at_centre("spoiled", "blank", "--reason", "погнута")
    assert (code, "погнута" in said, "Брака: 1" in said) == (0, True, True)
    assert "не начата" in station.at_centre("spoiled", "96439", "--reason", "потеряна")[1]
    assert "= годных 0 + брака 1 + осталось 0" in station.spk("stock")[1]


async def _exported(centre: ServedCentre, address: UnixAddress, point: bytes) -> bytes:
    pool = await open_pool(centre.database.dsn(Role.ISSUING), Role.ISSUING, "test")
    try:
        orders = await open_orders(pool, STATION, 10)
        async with AsyncHsmClient(address) as hsm:
            now_ms = time.time_ns() // 1_000_000
            return await export_batch(orders, point, uuid4(), hsm, now_ms, make_keys=True)
    finally:
        await pool.close()


@pytest.mark.pcsc
def test_a_bureau_makes_cards_without_key_service_and_centre(
    station: Station,
    hsm: HsmClient,
    hsm_address: UnixAddress,
    readers: VirtualReaders,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, centre = station.folder, station.centre
    with centre.client() as client:
        for citizen in (p.LONE, p.MOTHER):
            client.order(OrderRequest(citizen_id=citizen))
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "station.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public = folder / "public"
    public.mkdir()
    write_public_files(public, hsm.public_keys())
    exported = asyncio.run(_exported(centre, hsm_address, point_of(key.public_key())))
    (folder / "batch.spk").write_bytes(exported)
    words = [
        "run",
        *(
            readers.insert_card(SoftCard(factory_state(profile)))
            for profile in (Profile.YUBICO, Profile.OPENFIPS201)
        ),
        "--bureau",
        str(folder / "batch.spk"),
        "--station-key",
        str(folder / "station.key"),
        "--public",
        str(public),
        "--mailers",
        str(folder / "mailers"),
        "--phone",
        "112",
    ]
    monkeypatch.setenv("SPK_HSM", "unix:/nowhere")
    code, said = station.spk(*words)
    assert code == 0, said
    assert card_states(centre) == [1, 1]
    monkeypatch.setenv("SPK_HSM", str(hsm_address))
    code, said = station.at_centre("resume")
    assert (code, "Не закончено карт: 0" in said) == (0, True), said
    assert card_states(centre) == [2, 2]


@pytest.mark.pcsc
@pytest.mark.parametrize("step", [Step.KEYS, Step.OBJECTS, Step.LOCK, Step.REPORT])
def test_a_station_killed_in_the_middle_goes_on_where_it_stood(
    station: Station, readers: VirtualReaders, step: Step
) -> None:
    order_batch(station.centre, p.LONE)
    soft = SoftCard(factory_state(serial=9))
    reader = readers.insert_card(DelayedCard(soft, Delays(apdu_ms=4, key_operation_ms=20)))
    words = ["run", reader, "--centre", station.centre.address]
    words += ["--token-file", str(station.folder / "token"), "--lang", "en"]
    program = "from card_personalization.station.station_commands import app; app()"
    running = subprocess.Popen(
        [sys.executable, "-c", program, *words, "--folder", str(station.folder / "station")],
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        text=True,
    )
    with running:
        assert running.stdout is not None
        for line in running.stdout:
            if step.value.en in line:
                running.kill()
                break
        else:
            pytest.fail("the station never came to this step")
    code, said = station.at_centre("run", reader)
    assert code == 0, said
    assert card_states(station.centre) == [2]
    assert station.centre.card_count() == 1
    card = client_of(soft)
    card.select()
    view = read_card(card)
    challenge(card, Slot.CARD_AUTHENTICATION, view.certificates[0].point)


@pytest.mark.pcsc
def test_a_batch_with_transport_pins_prints_nothing(
    station: Station, readers: VirtualReaders
) -> None:
    order_batch(station.centre, p.LONE)
    soft = SoftCard(factory_state(serial=5))
    reader = readers.insert_card(soft)
    station.spk("stock", "--add", "1")
    code, said = station.at_centre("run", reader, "--transport-pin")
    assert (code, "Годных 1" in said, "онверт" in said) == (0, True, False), said
    rows = station.centre.rows("SELECT card_number, pin_is_transport FROM cards.card")
    ((number, is_transport),) = rows
    assert is_transport is True
    card = client_of(soft)
    card.select()
    card.verify_pin(str(number)[-6:])
    assert station.spk("close", "--left", "0", "--no-tell-centre")[0] == 0


def test_mailers_want_a_telephone(station: Station) -> None:
    code, said = station.at_centre("run", "reader", "--mailers", str(station.folder / "mailers"))
    assert (code, "--phone" in said) == (1, True), said
    assert not (station.folder / "mailers").exists()


def test_a_face_is_written_with_the_photo_of_its_order(station: Station) -> None:
    with station.centre.client() as client:
        order = client.order(OrderRequest(citizen_id=p.LONE))
    photos, out = station.folder / "photos", station.folder / "faces"
    for folder in (photos, out):
        folder.mkdir()
    words = ("face", str(order.order_id), "--phone", "112", "--out", str(out))
    code, said = station.at_centre(*words, "--photos", str(photos))
    assert (code, "Фотографии нет" in said) == (0, True), said
    plain = (out / f"{order.card_number}.pdf").read_bytes()
    for path in out.iterdir():
        path.unlink()
    portrait = io.BytesIO()
    Image.new("RGB", (228, 300), (200, 30, 30)).save(portrait, "PNG")
    (photos / f"{order.card_number}.png").write_bytes(portrait.getvalue())
    code, said = station.at_centre(*words, "--photos", str(photos))
    assert (code, "Фотографии нет" in said) == (0, False), said
    assert (out / f"{order.card_number}.pdf").read_bytes() != plain
    for wrong in ((*words[:1], order.card_number, *words[2:]), (*words, "--photos", "/nowhere")):
        code, said = station.at_centre(*wrong)
        assert code == 1, said
