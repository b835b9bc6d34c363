"""Running the key service in this event loop or as a process of its own."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from hsm_stub.audit import AuditLog
from hsm_stub.client.address import Address, UnixAddress
from hsm_stub.client.client import HsmClient
from hsm_stub.client.handshake import token_key
from hsm_stub.desk import Desk
from hsm_stub.doorman import Doorman
from hsm_stub.launch import utc_ms
from hsm_stub.listening import listen
from hsm_stub.log import open_log
from hsm_stub.policy import TRIAL_POLICY, policy_sha256
from hsm_stub.security_module import SecurityModule
from hsm_stub.service import Service

PASSPHRASE = "correct horse battery"
LIGHT_SCRYPT = 10
NOW_MS = 1_790_000_000_000


class HandClock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_ms = 1_000

    def __call__(self) -> int:
        return self.now_ms


class RunningService:
    """A service in this test's event loop, with what it logged."""

    def __init__(
        self, service: Service, address: Address, log: io.StringIO, module: SecurityModule
    ) -> None:
        self.service = service
        self.address = address
        self.log = log
        self.module = module


def desk_of(module: SecurityModule, audit: Path, policy: str = TRIAL_POLICY) -> Desk:
    return Desk(module, policy, AuditLog(audit, module, utc_ms, policy_sha256(policy)), utc_ms)


@asynccontextmanager
async def serving(
    module: SecurityModule, address: Address, token: bytes = b"", policy: str = TRIAL_POLICY
) -> AsyncIterator[RunningService]:
    log = io.StringIO()
    with tempfile.TemporaryDirectory(prefix="spk-audit-") as audit:
        listening = listen(address)
        desk = desk_of(module, Path(audit), policy)
        doorman = Doorman(lambda: desk.policy, token_key(token))
        service = Service(
            desk,
            listening,
            doorman,
            open_log(log, verbose=True),
            lambda: time.monotonic_ns() // 1000,
        )
        running = asyncio.create_task(service.run())
        try:
            yield RunningService(service, listening.address, log, module)
        finally:
            service.stop()
            await running


def spk_environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SPK_")}
    return kept | {"SPK_HOME": str(folder), "SPK_HSM_PASSPHRASE": PASSPHRASE} | more


def spk_command(*arguments: str) -> list[str]:
    program = (
        "import sys; from processing.cli import run; from hsm_stub.commands import app; "
        "sys.exit(run(app))"
    )
    return [sys.executable, "-c", program, *arguments]


@contextmanager
def process(folder: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """`spk hsm run` as a process of its own, killed at the end if it still runs."""
    started = subprocess.Popen(
        spk_command("run", *arguments),
        env=spk_environment(folder, **environment),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def ready(address: UnixAddress) -> HsmClient:
    client = HsmClient(address)
    client.wait_ready(30_000)
    return client
