"""The clock of the database in a run whose clock is shifted."""

from collections.abc import Iterable

from shared.database.sessions import connect

_SCHEMA = "shifted_clock"
_FUNCTIONS = {"now": "STABLE", "clock_timestamp": "VOLATILE"}


async def shift_database_clock(url: str, roles: Iterable[str], seconds: float) -> None:
    """Shift `now()` and `clock_timestamp()` for new connections of these roles; 0 seconds removes the shift.

    `url` is the superuser's URL of the database. Postgres has no setting for this, so a schema that is searched
    first has functions of these names. Do not pass the owner: its migrations would create tables in that schema.
    """
    connection = await connect(url)
    try:
        async with connection.transaction():
            await connection.execute(f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE")
            if seconds:
                await connection.execute(f"CREATE SCHEMA {_SCHEMA}; GRANT USAGE ON SCHEMA {_SCHEMA} TO PUBLIC")
            for name, volatility in _FUNCTIONS.items() if seconds else ():
                await connection.execute(
                    f"CREATE FUNCTION {_SCHEMA}.{name}() RETURNS timestamptz LANGUAGE sql {volatility}"
                    f" RETURN pg_catalog.{name}() + make_interval(secs => {seconds!r})"
                )
            search_path = f"SET search_path = {_SCHEMA}, pg_catalog, public" if seconds else "RESET search_path"
            for role in roles:
                statement = await connection.fetchval(
                    "SELECT format('ALTER ROLE %I IN DATABASE %I %s', $1::text, current_database(), $2::text)",
                    role,
                    search_path,
                )
                await connection.execute(statement)
    finally:
        await connection.close()
