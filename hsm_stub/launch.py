"""The composition root of the service process: options in, a service until SIGTERM out."""

from __future__ import annotations

import asyncio
import resource
import signal
import sys
import time
from collections.abc import Callable, MutableMapping
from pathlib import Path

import msgspec
from structlog.typing import FilteringBoundLogger

from hsm_stub.audit import AuditLog, last_policy
from hsm_stub.client.address import parse_address, token_for
from hsm_stub.client.handshake import token_key
from hsm_stub.desk import Desk
from hsm_stub.doorman import Doorman
from hsm_stub.errors import PolicyError
from hsm_stub.home import audit_folder, policy_file
from hsm_stub.listening import Listening, listen
from hsm_stub.log import open_log
from hsm_stub.opening import OpenKeys, open_keys
from hsm_stub.policy import TRIAL_POLICY, policy_sha256, read_policy
from hsm_stub.private_file import write_private
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
    accept_policy: bool = False


def run_service(options: RunOptions, environment: MutableMapping[str, str]) -> None:
    """Serve until SIGTERM or SIGINT; raises the errors of `hsm_stub.errors` before it listens."""
    # A core dump would hold the keys.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    address = parse_address(options.url)
    policy_text = _policy_text(options.keys)
    # What the policy's clients prove themselves with is in the policy.
    needed = not read_policy(policy_text).clients
    token = token_for(address, environment, options.token_file) if needed else b""
    keys = open_keys(options.keys, environment, options.passphrase_file)
    # What this process starts later must not inherit them.
    for name in ("SPK_HSM_PASSPHRASE", "SPK_HSM_TOKEN"):
        environment.pop(name, None)
    log = open_log(sys.stderr, verbose=options.verbose)
    # Last but for the audit, so that no client waits at a socket whose service still asks for its
    # passphrase, and no second service writes into the first one's audit.
    listening = listen(address, options.group)
    try:
        desk = _desk(options, policy_text, keys)
        doorman = Doorman(lambda: desk.policy, token_key(token))
        asyncio.run(_serve(desk, listening, doorman, log))
    finally:
        listening.close()


def _desk(options: RunOptions, policy_text: str, keys: OpenKeys) -> Desk:
    def module() -> SecurityModule:
        return SecurityModule(keys.backend(), _monotonic_ms)

    first = module()
    sha256 = policy_sha256(policy_text)
    folder = audit_folder(options.keys)
    before = last_policy(folder)
    if before not in {"", sha256.hex()} and not options.accept_policy:
        raise PolicyError(
            f"{policy_file(options.keys)} is not the policy that was in force last "
            f"({before[:16]}…, now {sha256.hex()[:16]}…): put that back, or say --accept-policy "
            "once if it was you who changed it"
        )
    audit = AuditLog(folder, first, utc_ms, sha256)
    install: Callable[[str], None] = lambda text: write_private(policy_file(options.keys), text)  # noqa: E731
    return Desk(first, policy_text, audit, utc_ms, install, module)


def _policy_text(keys: Path) -> str:
    """Return the policy beside the keys, or that of a trial where there is none."""
    path = policy_file(keys)
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return TRIAL_POLICY
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"the policy {path} cannot be read: {error}") from None


async def _serve(
    desk: Desk, listening: Listening, doorman: Doorman, log: FilteringBoundLogger
) -> None:
    service = Service(desk, listening, doorman, log, lambda: time.monotonic_ns() // 1_000)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stop)
    await service.run()


def utc_ms() -> int:
    """Return the wall clock in UTC milliseconds."""
    return time.time_ns() // 1_000_000


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
