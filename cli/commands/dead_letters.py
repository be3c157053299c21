"""List dead-lettered jobs, and run them again once the cause is fixed."""

from shared.audit import recorder
from shared.database.sessions import Database, connect, driver_connection
from shared.jobs import Jobs
from shared.settings import ServiceName, settings


async def list_dead_letters(service: ServiceName) -> list[str]:
    """Return one line for each dead-lettered job of a service, newest first. Needs the service's database role."""
    connection = await connect(settings().direct_url)
    try:
        jobs = await Jobs(service).list_dead_letters(connection)
    finally:
        await connection.close()
    return [
        f"{job.id}  {job.entrypoint}  {job.updated:%Y-%m-%d %H:%M}  {(job.payload or b'').decode()}"
        for job in jobs
    ]


async def requeue(service: ServiceName, ids: list[int]) -> None:
    """Put dead-lettered jobs back into the queue and reset their attempts to zero."""
    database = Database(settings().direct_url, 1, name="dead-letters")
    try:
        async with database.write() as session:
            recorder.set_context(session, recorder.operator_context(service, "dead-letters --requeue"))
            await Jobs(service).requeue(await driver_connection(session), ids)
            await recorder.record_action(session, f"{service}_jobs", *map(str, ids))
    finally:
        await database.close()
