"""Keys, modules and services for the tests of the key service."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hsm_stub.backends.backend import Backend
from hsm_stub.backends.pkcs11 import Pkcs11Backend
from hsm_stub.backends.software import SoftwareBackend
from hsm_stub.client.address import UnixAddress
from hsm_stub.key_material import KeyMaterial, new_key_material
from hsm_stub.keystore import create_key_file
from hsm_stub.security_module import SecurityModule
from tests.hsm_stub.running import (
    LIGHT_SCRYPT,
    NOW_MS,
    PASSPHRASE,
    HandClock,
    RunningService,
    serving,
)
from tests.hsm_stub.tokens import SoftToken, require_softhsm


@pytest.fixture(scope="session")
def material() -> KeyMaterial:
    return new_key_material("77", NOW_MS)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(scope="session")
def token_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pkcs11Backend]:
    """Keys in a SoftHSM2 token, made once; a test that changes them makes its own."""
    require_softhsm()
    backend = SoftToken(tmp_path_factory.mktemp("token")).keys()
    # From now on its worker runs, whichever token's configuration the next test names.
    backend.random(1)
    yield backend
    backend.close()


@pytest.fixture(params=["software", "pkcs11"])
def backend(request: pytest.FixtureRequest, material: KeyMaterial) -> Backend:
    """Where the keys are: what every backend must do is tested with each."""
    if request.param == "software":
        return SoftwareBackend(material)
    token: Pkcs11Backend = request.getfixturevalue("token_keys")
    return token


@pytest.fixture
def module(material: KeyMaterial, clock: HandClock) -> SecurityModule:
    return SecurityModule(SoftwareBackend(material), clock)


@pytest.fixture
def any_module(backend: Backend, clock: HandClock) -> SecurityModule:
    return SecurityModule(backend, clock)


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name; pytest's own may be too long."""
    with tempfile.TemporaryDirectory(prefix="hsm") as folder:
        yield Path(folder)


@pytest.fixture
def key_file(short_tmp: Path, material: KeyMaterial) -> Path:
    path = short_tmp / "keys.spk"
    create_key_file(path, material, PASSPHRASE, LIGHT_SCRYPT)
    return path


@pytest.fixture
async def service(module: SecurityModule, short_tmp: Path) -> AsyncIterator[RunningService]:
    async with serving(module, UnixAddress(short_tmp / "hsm.sock")) as running:
        yield running
