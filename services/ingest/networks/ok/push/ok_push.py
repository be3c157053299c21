"""Events of the OK Bot API: each group has its own secret address."""

from services.ingest.networks.ok.ok_payloads import parse_webhook
from services.ingest.networks.push_port import PushSpec

PUSH = PushSpec(
    parse=parse_webhook,
    # OK waits 5 seconds.
    answer_seconds=4.5,
    sender_networks=lambda settings: settings.ok_webhook_address_ranges,
    summary="An event of OK",
    description="Store one OK Bot API event. The last path segment is the page's secret.",
    example={
        "webhookType": "MESSAGE_CREATED",
        "sender": {"user_id": "user:700001", "name": "Имя"},
        "recipient": {"chat_id": "chat:C0ffee00"},
        "message": {"text": "Здравствуйте", "seq": 115000000000000001, "mid": "mid:C0ffee00.1"},
        "timestamp": 1767225600000,
    },
)
