"""The composition root of the service process: options in, a service until SIGTERM out."""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
import time
from collections.abc import MutableMapping
from pathlib import Path

import msgspec
from structlog.typing import FilteringBoundLogger

from hsm_stub.backends.software import SoftwareBackend
from hsm_stub.client.address import parse_address, token_for
from hsm_stub.keystore import open_key_file
from hsm_stub.listening import Listening, listen
from hsm_stub.log import open_log
from hsm_stub.passphrase import read_passphrase
from hsm_stub.security_module import SecurityModule
from hsm_stub.service import Service


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `spk hsm run` was told."""

    keys: Path
    url: str
    group: str | None = None
    token_file: Path | None = None
    passphrase_file: Path | None = None
    verbose: bool = False


def run_service(options: RunOptions, environment: MutableMapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT; raises the errors of `hsm_stub.errors` before it listens."""
    # A core dump would hold the keys.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    address = parse_address(options.url)
    token = token_for(address, environment, options.token_file)
    passphrase = read_passphrase(environment, options.passphrase_file)
    # What this process starts later must not inherit them.
    for name in ("SPK_HSM_PASSPHRASE", "SPK_HSM_TOKEN"):
        environment.pop(name, None)
    backend = SoftwareBackend(open_key_file(options.keys, passphrase))
    module = SecurityModule(backend, lambda: time.monotonic_ns() // 1_000_000)
    log = open_log(sys.stderr, verbose=options.verbose)
    # Last, so that no client waits at a socket whose service still asks for its passphrase.
    listening = listen(address, options.group)
    try:
        asyncio.run(_serve(module, listening, token, log))
    finally:
        listening.close()


async def _serve(
    module: SecurityModule, listening: Listening, token: bytes, log: FilteringBoundLogger
) -> None:
    service = Service(module, listening, token, log, lambda: time.monotonic_ns() // 1_000)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stop)
    await service.run()
