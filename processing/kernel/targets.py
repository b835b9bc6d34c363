"""The databases of the centre: one, or several that each serve a range of buckets.

SPK_TARGETS names a TOML file such as

    [[target]]
    number = 1
    buckets = [0, 511]
    dsn = "postgresql://spk@db1/spk"

    [[target]]
    number = 2
    buckets = [512, 1023]
    dsn = "postgresql://spk@db2/spk"

Every bucket, 0 to 1023, is served by exactly one target. Instead of `dsn`, `database` names a
further database of the embedded server. Without SPK_TARGETS there is one target, for all buckets:
what SPK_DSN names, or the embedded server's own database.

Each database keeps its number and its range (`rights.target`, written by `spk db migrate`), so
that a file in which two addresses were mixed up is refused and not obeyed.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Final

import asyncpg
import msgspec

from processing.kernel.bucket import BUCKETS
from processing.kernel.config import Settings
from processing.kernel.database import Connection, check_server, server_name
from processing.kernel.embedded import EmbeddedPostgres
from processing.kernel.errors import ConfigurationError, MigrationError, TargetMismatchError
from processing.kernel.roles import Role

TARGETS_MAX: Final = 31
"""Most databases of one centre: each has lanes of the journal of its own, and a lane's number has
15 bits."""

LANES_PER_TARGET: Final = 1024
"""Lanes of one database; the first of target N is (N - 1) * 1024 + 1."""

HOME: Final = 1
"""The target that also keeps register, card orders and stations."""

DATABASE_PATTERN: Final = "^[a-z_][a-z0-9_]{0,62}$"

REFERENCE_TABLES: Final = (
    "regulations.region",
    "regulations.measure",
    "regulations.service",
    "regulations.price_rule",
    "regulations.requirement",
    "regulations.norm",
    "regulations.refusal",
    "regulations.provider_kind",
    "regulations.category_measure",
    "regulations.item",
    "terminals.provider",
    "terminals.terminal",
    "terminals.terminal_service",
    "cards.card",
)
"""What every target holds in full: who decides there needs it, and no batch crosses targets."""

CHECKSUM: Final = """
    SELECT
        count(*) AS row_count,
        coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) AS checksum
    FROM {table} AS t
"""
"""The same for the same rows in any order."""

_ASSIGN: Final = "SELECT rights.assign_target($1, $2, $3, $4)"
_SERVED: Final = "SELECT target, targets, first_bucket, last_bucket FROM rights.target"
_BOOK: Final = "SELECT to_regclass('rights.target') IS NOT NULL"

_Bucket = Annotated[int, msgspec.Meta(ge=0, le=BUCKETS - 1)]


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One database: its number, the first and last of its buckets, and where it is.

    `dsn` None means the embedded server, whose database is `database` (None: its usual one).
    """

    number: Annotated[int, msgspec.Meta(ge=1, le=TARGETS_MAX)]
    buckets: tuple[_Bucket, _Bucket]
    dsn: Annotated[str, msgspec.Meta(pattern="^postgres(ql)?://")] | None = None
    database: Annotated[str, msgspec.Meta(pattern=DATABASE_PATTERN)] | None = None

    @property
    def first_lane(self) -> int:
        """Number of its first lane of the journal."""
        return (self.number - 1) * LANES_PER_TARGET + 1

    @property
    def place(self) -> str:
        """Where it is, for messages: without login or password."""
        if self.dsn is not None:
            return server_name(self.dsn)
        return "the embedded PostgreSQL" + (f", database {self.database}" if self.database else "")


class TargetMap:
    """All targets, by number; every bucket belongs to one of them."""

    def __init__(self, targets: tuple[Target, ...]) -> None:
        self.targets = targets
        self._number_of = tuple(
            target.number
            for target in sorted(targets, key=lambda target: target.buckets)
            for _ in range(target.buckets[0], target.buckets[1] + 1)
        )

    def __len__(self) -> int:
        return len(self.targets)

    def number_of(self, bucket: int) -> int:
        """Return the number of the target that serves a bucket (0 to 1023)."""
        return self._number_of[bucket]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file that SPK_TARGETS names."""

    target: list[Target]


def target_map(settings: Settings) -> TargetMap:
    """Return the databases that the settings name; raises `ConfigurationError`."""
    path = settings.targets_file
    if path is None:
        return TargetMap((Target(number=HOME, buckets=(0, BUCKETS - 1), dsn=settings.dsn),))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"SPK_TARGETS={path} cannot be read: {error}") from error
    return read_target_map(text, f"SPK_TARGETS={path}")


def read_target_map(text: str, name: str) -> TargetMap:
    """Return the map written as TOML; `name` is for messages. Raises `ConfigurationError`."""
    try:
        targets = msgspec.toml.decode(text, type=_File).target
    except msgspec.ValidationError as error:
        # msgspec does not quote values, of which one may hold a password.
        raise ConfigurationError(f"{name}: {error}") from None
    except (msgspec.DecodeError, ValueError):
        raise ConfigurationError(f"{name} is no TOML document") from None
    targets.sort(key=lambda target: target.number)
    if fault := _fault_of(targets):
        raise ConfigurationError(f"{name}: {fault}")
    return TargetMap(tuple(targets))


def _fault_of(targets: list[Target]) -> str | None:
    numbers = [target.number for target in targets]
    if numbers != list(range(1, len(targets) + 1)):
        found = ", ".join(map(str, numbers)) or "none"
        return f"targets are numbered 1, 2, 3 and so on without a gap; found: {found}"
    for target in targets:
        if target.dsn is not None and target.database is not None:
            return f"target {target.number} has dsn and database: give one of them"
        if target.buckets[0] > target.buckets[1]:
            first, last = target.buckets
            return f"target {target.number}: buckets = [{first}, {last}] ends before it begins"
    places = [(target.dsn, target.database) for target in targets]
    for target, place in zip(targets, places, strict=True):
        if places.index(place) != target.number - 1:
            return f"targets {places.index(place) + 1} and {target.number} are one database"
    ranges = sorted((target.buckets, target.number) for target in targets)
    edges = [((-1, -1), 0), *ranges, ((BUCKETS, BUCKETS), 0)]
    for (before, one), (after, other) in pairwise(edges):
        if after[0] <= before[1]:
            return f"bucket {after[0]} is served by target {one} and by target {other}"
        if after[0] > before[1] + 1:
            return f"no target serves the buckets from {before[1] + 1} to {after[0] - 1}"
    return None


def target_dsn(settings: Settings, target: Target, role: Role) -> str:
    """Return the address at which `role` finds a target, without starting anything."""
    if target.dsn is not None:
        return target.dsn
    embedded = EmbeddedPostgres(settings.home)
    if target.database is None:
        return embedded.dsn(role)
    return embedded.dsn(role, target.database)


async def check_target(connection: Connection, target: Target, count: int) -> None:
    """Raise `TargetMismatchError` unless this database is target `target` of `count`."""
    await check_server(connection)
    row = None
    if await connection.fetchval(_BOOK):
        row = await connection.fetchrow(_SERVED)
    if row is None:
        raise MigrationError(
            f"the database lacks what this release needs ({target.place}): run `spk db migrate`"
        )
    number, known, first, last = row
    if (number, known, (first, last)) != (target.number, count, target.buckets):
        raise TargetMismatchError(
            f"the database at {target.place} is target {number} of {known}, for buckets {first} "
            f"to {last}, and not target {target.number} of {count}, for buckets "
            f"{target.buckets[0]} to {target.buckets[1]}: name it where it belongs (SPK_TARGETS, "
            "SPK_DSN), or run `spk db migrate` if it is empty and meant for these"
        )


async def assign_target(connection: Connection, target: Target, count: int) -> bool:
    """Tell a database which target of `count` it is; whether that was news to it.

    `connection` is an administrator's. Raises `TargetMismatchError` when the database holds
    anything of other buckets, or lanes of another target.
    """
    first, last = target.buckets
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL ROLE {Role.OWNER.value}")
            return bool(await connection.fetchval(_ASSIGN, target.number, count, first, last))
    except asyncpg.CheckViolationError as error:
        raise TargetMismatchError(
            f"the database at {target.place} holds rows that target {target.number} of {count} "
            f"(buckets {first} to {last}) must not have, in {error.schema_name}."
            f"{error.table_name}: buckets are not moved between databases by this command"
        ) from error
