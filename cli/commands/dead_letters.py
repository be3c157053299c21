"""Jobs that failed for good: seen, and put back once the cause is mended."""

from shared.audit import recorder
from shared.database.sessions import Database, connect, driver_connection
from shared.jobs import Jobs
from shared.settings import ServiceName, settings


async def show(service: ServiceName) -> list[str]:
    """One line for each held job of a service, newest first. Runs as the service's database role."""
    connection = await connect(settings().direct_url)
    try:
        held = await Jobs(service).held(connection)
    finally:
        await connection.close()
    return [
        f"{job.id}  {job.entrypoint}  {job.updated:%Y-%m-%d %H:%M}  {(job.payload or b'').decode()}"
        for job in held
    ]


async def put_back(service: ServiceName, ids: list[int]) -> None:
    """Run held jobs again from their first attempt."""
    database = Database(settings().direct_url, 1, name="held-jobs")
    try:
        async with database.write() as session:
            recorder.attribute(session, recorder.operator(service, "held-jobs --put-back"))
            await Jobs(service).put_back(await driver_connection(session), ids)
            await recorder.note(session, f"{service}_jobs", *map(str, ids))
    finally:
        await database.close()
