"""Shared by the routes of ingest: documented problem responses and access to the job queue."""

from shared.http import problems
from shared.http.problems import Forbidden, Invalid, NotFound, Unauthenticated
from shared.jobs import Jobs
from shared.service import Service

LIST_PROBLEMS = problems.responses(Unauthenticated, Forbidden, Invalid)
ITEM_PROBLEMS = problems.responses(Unauthenticated, Forbidden, NotFound, Invalid)


def jobs_of(service: Service) -> Jobs:
    """Return the service's job queue. Raises `RuntimeError` if the service has none."""
    if service.jobs is None:
        raise RuntimeError("ingest has no job queue")
    return service.jobs
