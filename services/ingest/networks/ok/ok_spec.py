"""OK in the catalogue of networks."""

from services.ingest.networks.network_spec import NetworkSpec
from services.ingest.networks.ok.ok_network import MAX_LENGTH, OkNetwork
from services.ingest.networks.ok.ok_page_lookup import OkPageLookup
from services.ingest.networks.ok.ok_payloads import POSITION_TOLERANCE_MS, page_author_id, thread_position
from services.ingest.networks.ok.push.ok_push import PUSH

SPEC = NetworkSpec(
    OkNetwork,
    MAX_LENGTH,
    OkPageLookup,
    page_author_id=page_author_id,
    thread_position=thread_position,
    position_tolerance=POSITION_TOLERANCE_MS,
    push=PUSH,
)
