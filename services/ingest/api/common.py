"""What the routes of ingest share: the problems they document."""

from shared import problems
from shared.problems import Forbidden, Invalid, NotFound, Unauthenticated

READING = problems.responses(Unauthenticated, Forbidden, Invalid)
ONE = problems.responses(Unauthenticated, Forbidden, NotFound, Invalid)
