"""Route of the AsyncAPI document."""

import json
from functools import cache

from fastapi import APIRouter, Response

from services.webhooks.event_catalogue.asyncapi import StreamMessage, asyncapi_document
from services.webhooks.schemas.events import FeedEvent
from services.webhooks.schemas.stream import StreamEnded, StreamEndReason, StreamOpened
from services.webhooks.stream.frames import example_event

# Left out of the OpenAPI document, because the route describes the API and is not one of its resources.
router = APIRouter(include_in_schema=False)


@cache
def document_body() -> bytes:
    """Return the AsyncAPI document as JSON bytes."""
    ended = StreamEnded(
        reason=StreamEndReason.SHUTDOWN, detail="The server is shutting down: open the stream again"
    )
    stream = {
        "stream.opened": StreamMessage(StreamOpened, "The first message of a stream", {"position": "0.42"}),
        "stream.event": StreamMessage(
            FeedEvent, "An event; the message is named after its type", example_event().model_dump(mode="json")
        ),
        "stream.ended": StreamMessage(
            StreamEnded, "The last message of a stream that the server ends", ended.model_dump(mode="json")
        ),
    }
    return json.dumps(asyncapi_document(stream), ensure_ascii=False).encode()


@router.get("/asyncapi.json")
async def get_asyncapi_document() -> Response:
    """Return what webhooks and the event stream send, as an AsyncAPI 3.0 document."""
    return Response(document_body(), media_type="application/json")
