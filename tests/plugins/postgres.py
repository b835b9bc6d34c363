"""Real PostgreSQL for tests: one server per run, a migrated template, a fresh clone per test.

The server is the embedded one, started by the first test that needs it and shared by all xdist
workers; SPK_TEST_DSN names another one (a superuser's address). Use it like this:

    async def test_something(database: Database) -> None:
        pool = await open_pool(database.dsn(Role.PROCESSING), Role.PROCESSING, "test")
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from processing.kernel.embedded import EmbeddedPostgres
from processing.kernel.file_lock import held_lock
from processing.kernel.migrate import migrate
from processing.kernel.roles import Role
from processing.kernel.sql_files import read_sql_folder, sql_root

HOME_PREFIX = "spk-test-"
HOME_VARIABLE = "SPK_TEST_HOME"
"""How the controller of a run tells its xdist workers where the server lives."""

TEMPLATE_WAIT_MS = 60_000

MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - the run's own folder in it is made by mkdtemp
MEMORY_FREE_MIN_BYTES = 6 * 1024**3


class Server(msgspec.Struct, frozen=True):
    """A PostgreSQL that tests may use: the embedded one in `home`, or the one at `own_dsn`."""

    home: Path
    own_dsn: str | None

    def dsn(self, role: Role, database: str) -> str:
        """Return the address of `database` for a login that may act as `role`."""
        if self.own_dsn is not None:
            return urlsplit(self.own_dsn)._replace(path=f"/{database}").geturl()
        return EmbeddedPostgres(self.home).dsn(role, database)

    def superuser_dsn(self, database: str) -> str:
        """Return the address of `database` for a superuser."""
        if self.own_dsn is not None:
            return urlsplit(self.own_dsn)._replace(path=f"/{database}").geturl()
        return EmbeddedPostgres(self.home).superuser_dsn(database)

    async def execute(self, statement: str) -> None:
        """Run one statement as a superuser, outside of every test's database."""
        connection = await asyncpg.connect(self.superuser_dsn("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


class Database(msgspec.Struct, frozen=True):
    """A database of one test, dropped after it."""

    server: Server
    name: str

    def dsn(self, role: Role = Role.PROCESSING) -> str:
        """Return the address for a login that may act as `role`."""
        return self.server.dsn(role, self.name)

    @property
    def superuser_dsn(self) -> str:
        """The address for a superuser, whom no grant stops."""
        return self.server.superuser_dsn(self.name)

    @contextlib.asynccontextmanager
    async def connect(self, role: Role | None = None) -> AsyncIterator[asyncpg.Connection]:
        """Open one connection that acts as `role`, by default as superuser."""
        if role is None:
            connection = await asyncpg.connect(self.superuser_dsn)
        else:
            connection = await asyncpg.connect(self.dsn(role), server_settings={"role": role.value})
        try:
            yield connection
        finally:
            await connection.close()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose this run's home folder, in the process that starts the workers."""
    if hasattr(config, "workerinput"):
        return
    _stop_abandoned_servers()
    # Not pytest's own folder: root's is closed to the account that PostgreSQL runs as.
    prefix = f"{HOME_PREFIX}{os.getpid()}-"
    os.environ[HOME_VARIABLE] = tempfile.mkdtemp(prefix=prefix, dir=_roomy_memory())
    Path(os.environ[HOME_VARIABLE]).chmod(0o711)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the run's server and remove its files, after all workers have ended."""
    if hasattr(config, "workerinput") or HOME_VARIABLE not in os.environ:
        return
    _remove_home(Path(os.environ.pop(HOME_VARIABLE)))


def _roomy_memory() -> Path | None:
    """Return a folder in memory with room for a run, if this machine has one.

    Each test's database is a thousand files that are made and removed again: on a disk that takes
    longer than most tests. What a test is about, the server's own writing, is the same in both.
    """
    try:
        roomy = shutil.disk_usage(MEMORY_FOLDER).free >= MEMORY_FREE_MIN_BYTES
    except OSError:
        return None
    return MEMORY_FOLDER if roomy and os.access(MEMORY_FOLDER, os.W_OK) else None


@pytest.fixture(scope="session")
def postgres() -> Server:
    """Give the run's server, started if need be."""
    home = Path(os.environ[HOME_VARIABLE])
    own_dsn = os.environ.get("SPK_TEST_DSN") or None
    if own_dsn is None:
        EmbeddedPostgres(home).start()
    return Server(home, own_dsn)


@pytest.fixture(scope="session")
def migrated_template(postgres: Server) -> str:
    """Give the name of a database migrated to this checkout's schema; nobody connects to it."""
    folder = read_sql_folder(sql_root())
    name = f"spk_template_{folder.sha256.hex()[:16]}"
    with held_lock(postgres.home / "template.lock", TEMPLATE_WAIT_MS):
        _run(_make_template(postgres, name))
    return name


@pytest.fixture
def database(postgres: Server, migrated_template: str) -> Iterator[Database]:
    """Give a fresh, migrated database of this test's own."""
    with _temporary_database(postgres, migrated_template) as made:
        yield made


@pytest.fixture
def empty_database(postgres: Server) -> Iterator[Database]:
    """Give a fresh database without any schema."""
    with _temporary_database(postgres, "template1") as made:
        yield made


@pytest.fixture
def make_database(postgres: Server) -> Iterator[Callable[[], Database]]:
    """Give a function that makes an empty database, for tests that need several."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(_temporary_database(postgres, "template1"))


async def _make_template(server: Server, name: str) -> None:
    connection = await asyncpg.connect(server.superuser_dsn("postgres"))
    try:
        if await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            return
        # Renamed when it is whole: a run that was stopped half-way leaves no broken template.
        draft = f"{name}_{secrets.token_hex(4)}"
        await connection.execute(f"CREATE DATABASE {draft}")
        await migrate(server.superuser_dsn(draft), read_sql_folder(sql_root()))
        await connection.execute(f"ALTER DATABASE {draft} RENAME TO {name}")
    finally:
        await connection.close()


@contextlib.contextmanager
def _temporary_database(server: Server, template: str) -> Iterator[Database]:
    name = f"test_{secrets.token_hex(8)}"
    _run(server.execute(f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield Database(server, name)
    finally:
        _run(server.execute(f"DROP DATABASE {name} WITH (FORCE)"))


def _run(work: Coroutine[None, None, None]) -> None:
    """Run `work` to its end, also where this thread's event loop is busy with a test."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


def _stop_abandoned_servers() -> None:
    """Stop the servers of earlier runs that were killed before they could do it themselves."""
    for folder in (MEMORY_FOLDER, Path(tempfile.gettempdir())):
        for home in folder.glob(f"{HOME_PREFIX}*-*"):
            owner = home.name.removeprefix(HOME_PREFIX).partition("-")[0]
            with contextlib.suppress(OSError):
                if home.stat().st_uid == os.geteuid() and not Path(f"/proc/{owner}").exists():
                    _remove_home(home)


def _remove_home(home: Path) -> None:
    if (home / "postgres").exists():
        EmbeddedPostgres(home).stop()
    shutil.rmtree(home, ignore_errors=True)
