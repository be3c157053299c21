"""VK in the catalogue of networks."""

from services.ingest.networks.network_spec import NetworkSpec
from services.ingest.networks.vk.push.callback_events import PUSH
from services.ingest.networks.vk.vk_network import MAX_LENGTH, VkNetwork
from services.ingest.networks.vk.vk_page_lookup import VkPageLookup
from services.ingest.networks.vk.vk_payloads import page_author_id, reports_reply_to

SPEC = NetworkSpec(
    VkNetwork,
    MAX_LENGTH,
    VkPageLookup,
    page_author_id=page_author_id,
    reports_reply_to=reports_reply_to,
    push=PUSH,
)
