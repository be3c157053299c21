"""All rollups use one definition of the figures."""

import hashlib
from typing import Any

from sqlalchemy import true
from sqlalchemy.dialects import postgresql

from services.metrics.indicators.sla import SLA_DEFINITION
from services.metrics.sla_rollups.packed_figures import KINDS, packed_rows

DIALECT: Any = postgresql.dialect()  # type: ignore[no-untyped-call]
# By version of the definition: the digest of the queries that count a month.
DIGESTS = {1: "7e217ae7d6507dd74cbdda54394466231eb8e3ec4bad61fc8d3efe1971d4d213"}


def test_rollup_queries_match_the_digest_of_their_definition() -> None:
    """After a change enter the new digest, and raise `SLA_DEFINITION` if the meaning of figures changed."""
    compiled = [packed_rows(kind, true()).compile(dialect=DIALECT) for kind in KINDS]
    text = "\n".join(f"{one} {sorted(one.params.items())}" for one in compiled)
    assert hashlib.sha256(text.encode()).hexdigest() == DIGESTS[SLA_DEFINITION]
