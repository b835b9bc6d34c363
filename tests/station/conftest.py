"""The office of tests/station/office.py as fixtures."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from card_personalization.station.centre import CentreClient
from hsm_stub.client.address import UnixAddress
from hsm_stub.client.client import HsmClient
from hsm_stub.key_material import new_key_material
from hsm_stub.keystore import create_key_file
from tests.plugins.postgres import Database
from tests.station.office import ServedCentre, served_centre

PASSPHRASE = "test passphrase of the station"
LIGHT_SCRYPT = 10
READY_TIMEOUT_MS = 30_000


@pytest.fixture(scope="session")
def hsm_address() -> Iterator[UnixAddress]:
    """Give the address of a key service that runs as a process of its own."""
    # Not pytest's own folder: a socket's path has 107 bytes at most.
    with tempfile.TemporaryDirectory(prefix="spk-hsm-") as name:
        folder = Path(name)
        material = new_key_material("99", time.time_ns() // 1_000_000)
        create_key_file(folder / "keys.spk", material, PASSPHRASE, LIGHT_SCRYPT)
        address = UnixAddress(folder / "hsm.sock")
        program = "from hsm_stub.commands import app; app()"
        running = subprocess.Popen(
            [sys.executable, "-c", program, "run", "--keys", str(folder / "keys.spk")],
            env={**os.environ, "SPK_HSM": str(address), "SPK_HSM_PASSPHRASE": PASSPHRASE},
            stderr=subprocess.DEVNULL,
        )
        try:
            with HsmClient(address) as client:
                client.wait_ready(READY_TIMEOUT_MS)
            yield address
        finally:
            running.terminate()
            running.wait()


@pytest.fixture
def hsm(hsm_address: UnixAddress) -> Iterator[HsmClient]:
    """Give a client of the key service."""
    with HsmClient(hsm_address) as client:
        yield client


@pytest.fixture
def centre(database: Database, hsm: HsmClient) -> Iterator[ServedCentre]:
    """Give a served centre with the citizens of tests/cards/population.py."""
    with served_centre(database, hsm) as served:
        yield served


@pytest.fixture
def client(centre: ServedCentre) -> Iterator[CentreClient]:
    """Give the station's way to that centre."""
    with centre.client() as opened:
        yield opened
