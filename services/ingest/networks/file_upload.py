"""Upload of files to the addresses that a network gives for them."""

import json
import time
from typing import Any

import aiohttp

from services.ingest.networks.calls import NoValidResponse, record_call, transport_failure
from services.ingest.networks.port import Photo

METHOD = "upload"


async def upload_file(
    http: aiohttp.ClientSession, network: str, url: object, field: str, photo: Photo, *, timeout_seconds: float
) -> dict[str, Any]:
    """Upload a photo as one part of a form; return the server's JSON object.

    No token is sent: the address contains a key. Raises `NoValidResponse` if there is no valid address, the server
    cannot be reached, or the response is not a JSON object.
    """
    started = time.perf_counter()
    if not isinstance(url, str) or not url.startswith(("https://", "http://")):
        raise NoValidResponse(network, METHOD, "the network gave no address for the upload")
    form = aiohttp.FormData()
    # A fixed name: servers need the extension, and the original name may contain personal data.
    form.add_field(field, photo.content, filename="photo.jpg", content_type=photo.content_type)
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    try:
        async with http.post(url, data=form, timeout=timeout, allow_redirects=False) as answer:
            body = json.loads(await answer.read())
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        record_call(network, METHOD, "no_response", started)
        raise transport_failure(network, METHOD, error) from None
    if not isinstance(body, dict):
        record_call(network, METHOD, "invalid_response", started)
        raise NoValidResponse(network, METHOD, "the response is not an object")
    record_call(network, METHOD, "success", started)
    return body
