"""The PostgreSQL roles of the centre: who may do what (DESIGN §4, least privilege).

Group roles cannot log in. Grants in sql/ name only them, so the same schema serves any server:
the embedded one has a login per group role, a foreign one has whatever logins its administrator
made members. A session takes its group role with the setting `role` (`SET ROLE`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import asyncpg

from processing.kernel.errors import MigrationError


class Role(StrEnum):
    """A group role, by the work it is for."""

    OWNER = "spk_owner"
    PROCESSING = "spk_processing"
    REGISTER = "spk_register"
    ISSUING = "spk_issuing"
    FINANCE = "spk_finance"
    OPERATOR = "spk_operator"
    EXCHANGE = "spk_exchange"


LOGIN_SUFFIX: Final = "_login"
"""A login of the embedded server is named after its group role with this suffix."""


def login_of(role: Role) -> str:
    """Return the name of the embedded server's login for `role`."""
    return f"{role.value}{LOGIN_SUFFIX}"


async def ensure_group_roles(connection: asyncpg.Connection) -> None:
    """Create the missing group roles and let this login act as each of them.

    Needs a superuser, a login with CREATEROLE, or that everything is in place already; raises
    `MigrationError` that says what an administrator has to run.
    """
    for role in Role:
        try:
            await connection.execute(_create_role(role))
            if not await connection.fetchval(
                "SELECT pg_has_role(session_user, $1, 'SET')", role.value
            ):
                await connection.execute(f"GRANT {role.value} TO CURRENT_USER")
        except asyncpg.InsufficientPrivilegeError as error:
            raise MigrationError(
                f"this login may not create or become the role {role.value}. Let a superuser run: "
                f"CREATE ROLE {role.value} NOLOGIN; GRANT {role.value} TO "
                f"{await connection.fetchval('SELECT quote_ident(session_user)')};"
            ) from error


async def ensure_owner_may_create(connection: asyncpg.Connection) -> None:
    """Let `spk_owner` create schemas in this database and its bookkeeping in `public`.

    Raises `MigrationError` that says what the owner of the database has to run.
    """
    owner = Role.OWNER.value
    database = await connection.fetchval("SELECT quote_ident(current_database())")
    grants = {
        "has_database_privilege($1, current_database(), 'CREATE')": (
            f"GRANT CREATE, TEMPORARY ON DATABASE {database} TO {owner}"
        ),
        "has_schema_privilege($1, 'public', 'CREATE')": (
            f"GRANT USAGE, CREATE ON SCHEMA public TO {owner}"
        ),
    }
    for test, grant in grants.items():
        if await connection.fetchval(f"SELECT {test}", owner):
            continue
        try:
            await connection.execute(grant)
            held = await connection.fetchval(f"SELECT {test}", owner)
        except asyncpg.InsufficientPrivilegeError:
            held = False
        # PostgreSQL only warns when a grant had no effect, so the result is looked at.
        if not held:
            raise MigrationError(
                f"{owner} may not create objects here. Let the owner of the database run: {grant};"
            )


def _create_role(role: Role) -> str:
    # Two migrators of two databases of one server may both find the role missing.
    return f"""
        DO $$
        BEGIN
            IF to_regrole('{role.value}') IS NULL THEN
                CREATE ROLE {role.value} NOLOGIN;
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END $$
    """
