"""Terminals on real PostgreSQL: listing, blocking, and a parameter file with a right key."""

from __future__ import annotations

import asyncio
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from datetime import date
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from hsm_stub.backends.software import SoftwareBackend
from hsm_stub.client.address import UnixAddress
from hsm_stub.client.async_client import AsyncHsmClient
from hsm_stub.client.commands import PublicKeys
from hsm_stub.key_material import new_key_material
from hsm_stub.security_module import SecurityModule
from processing.cli import run
from processing.kernel.config import ListenAddress
from processing.kernel.database import open_pool
from processing.kernel.errors import ConfigurationError
from processing.kernel.private_file import write_private_file
from processing.kernel.roles import Role
from processing.terminals.commands import app
from processing.terminals.enrolment import parameters_of
from processing.terminals.model import Terminal, TerminalState
from processing.terminals.store import TerminalStore
from processing.wire.parameter_file import (
    FramingName,
    ItemParameters,
    ParameterFile,
    ProfileName,
    RefusalWords,
    ServiceParameters,
)
from tests.hsm_stub.running import serving
from tests.plugins.postgres import Database

TODAY = date(2026, 9, 21)
CENTRE = ListenAddress("centre.example", 8583)

REGION = """
    INSERT INTO regulations.region VALUES (99, 'Asia/Yekaterinburg', 'Область', 'Region');
    INSERT INTO regulations.service VALUES
        ('MEDICINE', 1, 'Лекарства', 'Medicine', 1, 1, 1, '2026-01-01', '2026-06-30'),
        ('MEDICINE', 2, 'Лекарства', 'Medicine', 1, 1, 1, '2026-07-01', '2026-12-31'),
        ('MEDICINE', 3, 'Лекарства', 'Medicine', 1, 1, 1, '2027-01-01', '2027-12-31'),
        ('OMS.VISIT', 1, 'Посещение', 'Visit', 3, 1, 1, '2026-01-01', '2030-12-31'),
        ('CERTIFICATE', 1, 'Сертификат', 'Certificate', 2, 2, 2, '2026-01-01', '2030-12-31');
    UPDATE regulations.service SET reserve_minutes = 90, visit = 1 WHERE service = 'MEDICINE';
    INSERT INTO regulations.refusal VALUES
        ('MEDICINE', 1, 603, 'Рано', 'Early', 'Позже', 'Later'),
        ('MEDICINE', 2, 602, 'Всё', 'All', 'Позже', 'Later');
    INSERT INTO regulations.item VALUES
        ('B-2', 'B', 796, 0, NULL, 'Второй', 'Second'),
        ('A-1', 'A', 113, 3, 5000, 'Первый', 'First');
    INSERT INTO terminals.provider VALUES
        ('00000000-0000-0000-0000-0000000000b1', 'AP', '7712345678', 'pharmacy',
         'Аптека', 'Pharmacy', 'C-1'),
        ('00000000-0000-0000-0000-0000000000b2', 'CL', '7712345679', 'clinic',
         'Клиника', 'Clinic', 'C-2');
    INSERT INTO terminals.terminal (terminal_id, provider_id, region, key_generation) VALUES
        ('AP000001', '00000000-0000-0000-0000-0000000000b1', 99, 7),
        ('CL000001', '00000000-0000-0000-0000-0000000000b2', 99, 1);
    INSERT INTO terminals.terminal_service VALUES
        ('AP000001', 'MEDICINE'), ('AP000001', 'CERTIFICATE'), ('AP000001', 'WITHDRAWN');
"""


@pytest.fixture
async def furnished(database: Database) -> Database:
    """Give a database with a pharmacy's and a clinic's terminal."""
    async with database.connect() as connection:
        await connection.execute(REGION)
    return database


@pytest.fixture
async def store(furnished: Database) -> AsyncIterator[TerminalStore]:
    pool = await open_pool(furnished.dsn(Role.OPERATOR), Role.OPERATOR, "test")
    yield TerminalStore(pool)
    await pool.close()


@pytest.fixture
def module() -> SecurityModule:
    material = new_key_material("99", time.time_ns() // 1_000_000)
    return SecurityModule(SoftwareBackend(material), lambda: time.monotonic_ns() // 1_000_000)


@pytest.fixture
def socket_folder() -> Iterator[Path]:
    # Not pytest's own folder: a socket's path has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="spk-hsm-") as folder:
        yield Path(folder)


async def known(store: TerminalStore, terminal_id: str) -> Terminal:
    terminal = await store.terminal(terminal_id)
    assert terminal is not None
    return terminal


async def test_terminals_are_listed_with_whose_they_are(store: TerminalStore) -> None:
    pharmacy, clinic = await store.terminals()
    assert pharmacy.terminal_id == "AP000001"
    assert (pharmacy.state, pharmacy.key_generation) == (TerminalState.ACTIVE, 7)
    assert (pharmacy.region, pharmacy.time_zone) == (99, "Asia/Yekaterinburg")
    assert pharmacy.services == ("CERTIFICATE", "MEDICINE", "WITHDRAWN")
    assert pharmacy.provider.provider_id == UUID(int=0xB1)
    assert (pharmacy.provider.code, pharmacy.provider.kind) == ("AP", "pharmacy")
    assert (clinic.terminal_id, clinic.services) == ("CL000001", ())
    assert await store.terminal("CL000001") == clinic
    assert await store.terminal("XX000001") is None


async def test_a_terminal_is_blocked_and_unblocked(store: TerminalStore) -> None:
    for state in (TerminalState.BLOCKED, TerminalState.BLOCKED, TerminalState.ACTIVE):
        assert await store.set_state("AP000001", state)
        assert (await known(store, "AP000001")).state is state
        assert (await known(store, "CL000001")).state is TerminalState.ACTIVE
    assert not await store.set_state("XX000001", TerminalState.BLOCKED)


@pytest.mark.parametrize(
    ("on", "versions"),
    [
        (date(2025, 12, 31), {}),
        (date(2026, 6, 30), {"MEDICINE": 1, "CERTIFICATE": 1}),
        (date(2026, 7, 1), {"MEDICINE": 2, "CERTIFICATE": 1}),
        (date(2027, 1, 1), {"MEDICINE": 3, "CERTIFICATE": 1}),
        (date(2028, 1, 1), {"CERTIFICATE": 1}),
    ],
)
async def test_services_come_in_the_version_in_force(
    store: TerminalStore, on: date, versions: dict[str, int]
) -> None:
    offer = await store.offer("AP000001", on)
    assert {service.service: service.version for service in offer.services} == versions
    later = {service.version for service in offer.coming if service.service == "MEDICINE"}
    assert later == {
        one for one in (1, 2, 3) if one > versions.get("MEDICINE", 3 * (on.year > 2027))
    }


async def test_only_the_operator_blocks_terminals(furnished: Database) -> None:
    for role in (Role.PROCESSING, Role.ISSUING, Role.FINANCE, Role.REGISTER):
        async with furnished.connect(role) as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("SELECT terminals.set_state('AP000001', 2::smallint)")


ALL_GONE = RefusalWords(
    outcome=602, text_ru="Всё", text_en="All", remedy_ru="Позже", remedy_en="Later"
)


def expected_parameters(key: bytes, exchange_key: bytes, public: PublicKeys) -> ParameterFile:
    return ParameterFile(
        terminal_id="AP000001",
        provider_code="AP",
        provider_name_ru="Аптека",
        provider_name_en="Pharmacy",
        region=99,
        time_zone="Asia/Yekaterinburg",
        centre_host="centre.example",
        centre_port=8583,
        framing=FramingName.LENGTH_4_ASCII,
        profile=ProfileName.HEX,
        key_generation=7,
        mac_key=key,
        exchange_key=exchange_key,
        receipt_keys=(public.receipt_key,),
        content_keys=(public.active_point("content signing"),),
        content_url="http://centre.example:8580",
        issuing_cas=public.issuing_certificates[:1],
        services=(
            ServiceParameters(
                service="CERTIFICATE",
                version=1,
                name_ru="Сертификат",
                name_en="Certificate",
                evidence=2,
                consumes=2,
                shortage=2,
                valid_from=date(2026, 1, 1),
                valid_to=date(2030, 12, 31),
                grace_days=3,
            ),
            ServiceParameters(
                service="MEDICINE",
                version=2,
                name_ru="Лекарства",
                name_en="Medicine",
                evidence=1,
                consumes=1,
                shortage=1,
                reserve_minutes=90,
                visit=1,
                valid_from=date(2026, 7, 1),
                valid_to=date(2026, 12, 31),
                grace_days=3,
                refusals=(ALL_GONE,),
            ),
        ),
        items=(
            ItemParameters(
                item="A-1",
                item_class="A",
                unit_okei=113,
                scale=3,
                name_ru="Первый",
                name_en="First",
            ),
            ItemParameters(
                item="B-2",
                item_class="B",
                unit_okei=796,
                scale=0,
                name_ru="Второй",
                name_en="Second",
            ),
        ),
    )


async def test_parameters_hold_all_a_terminal_must_know(
    store: TerminalStore, module: SecurityModule, socket_folder: Path
) -> None:
    terminal = await known(store, "AP000001")
    async with (
        serving(module, UnixAddress(socket_folder / "hsm.sock")) as service,
        AsyncHsmClient(service.address) as hsm,
    ):
        found = await parameters_of(
            terminal,
            store,
            hsm,
            CENTRE,
            TODAY,
            framing=FramingName.LENGTH_4_ASCII,
            profile=ProfileName.HEX,
            content_url="http://centre.example:8580",
        )
        public = await hsm.public_keys()
        key = await hsm.derive_terminal_key("AP000001", 7)
        exchange_key = await hsm.derive_exchange_key("AP000001", 1)
        with pytest.raises(ConfigurationError, match="no service is in force at CL000001"):
            await parameters_of(
                await known(store, "CL000001"),
                store,
                hsm,
                CENTRE,
                TODAY,
                framing=FramingName.LENGTH_2,
                profile=ProfileName.BINARY,
            )
    assert found == expected_parameters(key, exchange_key, public)
    assert ParameterFile.decode(found.encode()) == found


def spk(*arguments: str) -> int:
    try:
        return run(app, list(arguments))
    except SystemExit as leaving:
        return int(leaving.code or 0)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("list",), 0, "AP000001"),
        (("block", "AP000001"), 0, "AP000001 is blocked"),
        (("unblock", "AP000001"), 0, "AP000001 is active"),
        (("block", "XX000001"), 2, "there is no terminal XX000001"),
        (("enrol", "XX000001", "--out", "nowhere"), 2, "there is no terminal XX000001"),
        (("enrol", "AP000001", "--out", "nowhere"), 1, "spk hsm run"),
    ],
)
def test_commands_say_what_they_did(
    furnished: Database,
    arguments: tuple[str, ...],
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SPK_DSN", furnished.dsn(Role.OPERATOR))
    monkeypatch.setenv("SPK_HSM", f"unix:{tmp_path}/none")
    monkeypatch.chdir(tmp_path)
    assert spk(*arguments) == code
    out, err = capsys.readouterr()
    assert words in (out if code == 0 else err)
    assert list(tmp_path.iterdir()) == []


async def test_new_keys_come_with_a_new_file_when_asked_for(
    furnished: Database,
    module: SecurityModule,
    socket_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("SPK_DSN", furnished.dsn(Role.OPERATOR))
    monkeypatch.setenv("SPK_HSM", f"unix:{socket_folder}/hsm.sock")
    out = tmp_path / "file"
    enrolled = []
    async with serving(module, UnixAddress(socket_folder / "hsm.sock")):
        for options in ((), ("--replace",), ("--replace", "--new-keys")):
            words = ("enrol", "AP000001", "--out", str(out), *options)
            assert await asyncio.to_thread(spk, *words) == 0
            enrolled.append(ParameterFile.decode(out.read_bytes()))
        missing = ("enrol", "XX000001", "--out", str(out), "--replace", "--new-keys")
        assert await asyncio.to_thread(spk, *missing) == 2
    first, again, renewed = enrolled
    assert first == again
    assert (first.key_generation, renewed.key_generation) == (7, 8)
    assert renewed.mac_key != first.mac_key
    assert renewed.exchange_key != first.exchange_key
    assert await asyncio.to_thread(spk, "list") == 0
    assert "AP000001" in capsys.readouterr().out


def test_a_private_file_is_whole_and_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_private_file(path, b"one")
    with pytest.raises(ConfigurationError, match="exists already"):
        write_private_file(path, b"two")
    assert path.read_bytes() == b"one"
    write_private_file(path, b"three", replace=True)
    assert path.read_bytes() == b"three"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_private_file(tmp_path / "nowhere" / "file", b"")
    assert list(tmp_path.iterdir()) == [path]
