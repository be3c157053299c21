"""Re-encoding of uploaded images, in a separate process with limits on memory and time."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from shared.caller_queue import CallerQueue
from shared.http.problems import Invalid
from shared.logs import get_logger

log = get_logger(__name__)

CONTENT_TYPE = "image/jpeg"
FILE_POINTER = "/file"
MAX_CONCURRENT_IMAGES = 2
TIMEOUT_SECONDS = 30.0
NOT_DECODED = "The image takes too long or too much memory to decode"
_PROGRAM = Path(__file__).with_name("image_program.py")
# A waiting image takes up to 20 MiB of memory. A person may have two at a time, and organisations take turns.
IMAGE_QUEUE = CallerQueue(
    "You are already uploading two photos, or many people are uploading photos",
    concurrency=MAX_CONCURRENT_IMAGES,
    max_waiting=16,
    max_per_caller=2,
)


@dataclass(frozen=True)
class CleanImage:
    """A re-encoded JPEG: upright and without metadata."""

    content: bytes
    width: int
    height: int


async def clean_image(content: bytes) -> CleanImage:
    """Return the re-encoded image of an uploaded file, whose type is determined by the content alone. Call this in
    a turn of `IMAGE_QUEUE`.

    Raises `Invalid` naming the field for anything but a JPEG, PNG or WebP image, for a damaged image, for an image
    with too many pixels or too unequal sides, which is not decoded, and for one whose decoding exceeds the limits
    of the process.
    """
    code, output = await _run(content)
    header, _, image = output.partition(b"\n")
    if code != 0 or not header:
        # The program exceeded one of its limits, or crashed.
        log.warning("image not decoded", code=code, size=len(content))
        raise Invalid.field(FILE_POINTER, NOT_DECODED)
    result = json.loads(header)
    if "refused" in result:
        raise Invalid.field(FILE_POINTER, result["refused"])
    return CleanImage(image, result["width"], result["height"])


async def _run(content: bytes) -> tuple[int | None, bytes]:
    """Return the exit code (None after a timeout) and the output of the program."""
    # Without the environment of the service, which contains secrets.
    environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(_PROGRAM), env=environment,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(content), TIMEOUT_SECONDS)
    except TimeoutError:
        return None, b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output
