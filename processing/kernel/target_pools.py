"""Connections to every target of the centre, each checked to be the target it is taken for."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Mapping
from typing import Final

from processing.kernel.bucket import BUCKETS
from processing.kernel.config import Settings
from processing.kernel.database import ONLINE_LIMITS, DatabasePool, SessionLimits, open_pool
from processing.kernel.locate import start_embedded
from processing.kernel.migrate import check_migrated
from processing.kernel.roles import Role
from processing.kernel.sql_files import read_sql_folder, sql_root
from processing.kernel.targets import (
    HOME,
    Target,
    TargetMap,
    check_target,
    target_dsn,
    target_map,
)


class TargetPools:
    """A pool for each target; made by `open_targets`."""

    def __init__(self, targets: TargetMap, pools: Mapping[int, DatabasePool]) -> None:
        self.map: Final = targets
        self.pools: Final = dict(sorted(pools.items()))
        """By the target's number, in its order."""

    def __len__(self) -> int:
        return len(self.pools)

    @property
    def home(self) -> DatabasePool:
        """The first target's: there are register, orders and stations."""
        return self.pools[HOME]

    @property
    def elsewhere(self) -> dict[int, DatabasePool]:
        """All but the first, by number."""
        return {number: pool for number, pool in self.pools.items() if number != HOME}

    async def check_migrated(self) -> None:
        """Raise `MigrationError` unless every target has exactly this release's schema."""
        folder = read_sql_folder(sql_root())
        for pool in self.pools.values():
            async with pool.connection() as connection:
                await check_migrated(connection, folder)


def alone(pool: DatabasePool) -> TargetPools:
    """Return the pools of a centre whose only database is at hand."""
    only = Target(number=HOME, buckets=(0, BUCKETS - 1))
    return TargetPools(TargetMap((only,)), {HOME: pool})


@contextlib.asynccontextmanager
async def open_targets(
    settings: Settings,
    role: Role,
    application_name: str,
    limits: SessionLimits = ONLINE_LIMITS,
    *,
    patient: bool = False,
) -> AsyncIterator[TargetPools]:
    """Connect to every target as `role`, for a command.

    Starts the embedded server if a target lies there. Raises as `open_pool` does, and
    `TargetMismatchError` for a database that is another target than the settings say. With
    `patient`, a target of several may be away: whoever asks it then is told so.
    """
    targets = target_map(settings)
    await asyncio.to_thread(start_embedded, settings, targets)
    patient = patient and len(targets) > 1
    async with open_pools(
        settings, targets, role, application_name, limits, patient=patient
    ) as pools:
        if not patient:
            await pools.check_migrated()
        yield pools


@contextlib.asynccontextmanager
async def open_pools(
    settings: Settings,
    targets: TargetMap,
    role: Role,
    application_name: str,
    limits: SessionLimits = ONLINE_LIMITS,
    *,
    unchanging: bool = False,
    patient: bool = False,
) -> AsyncIterator[TargetPools]:
    """Make the pools of `targets`; nothing is started, the schema is not looked at.

    With `patient`, a target that is away is connected to when it is back. `unchanging` as for
    `open_pool`.
    """
    pools: dict[int, DatabasePool] = {}
    try:
        for target in targets.targets:
            pools[target.number] = await open_pool(
                target_dsn(settings, target, role),
                role,
                application_name,
                limits,
                unchanging=unchanging,
                connections_min=0 if patient else 1,
                check=functools.partial(check_target, target=target, count=len(targets)),
            )
        yield TargetPools(targets, pools)
    finally:
        for pool in pools.values():
            await pool.close()
