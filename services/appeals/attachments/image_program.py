"""Program that re-encodes an image: it reads a file from standard input and writes a JPEG without metadata.

It runs in a separate process, with limits on memory and CPU time, because the file may be hostile. The first line
of the output is a JSON object: `width` and `height`, or `refused` with the reason. It imports nothing of the
project and has no access to secrets.
"""

import io
import json
import resource
import sys

from PIL import Image, ImageOps, UnidentifiedImageError

MAX_PIXELS = 52_000_000
# VK refuses an image with a larger ratio of the long to the short side.
MAX_RATIO = 20
# VK scales an image down to this longest side, in pixels.
LONGEST_SIDE = 2560
QUALITY = 90
MEMORY_BYTES = 1024**3
CPU_SECONDS = 15
FORMATS = ("JPEG", "PNG", "WEBP")
UNKNOWN = "The content is not a JPEG, PNG or WebP image; its name and its declared type are not considered"
DAMAGED = "The image is damaged, or its dimensions are too large to decode"


class Refused(Exception):  # noqa: N818 — an outcome, not a failure of the program
    """The file is not accepted; the message says why."""


def limit_resources() -> None:
    """Limit the memory and the CPU time of this process."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def reencode(content: bytes) -> tuple[bytes, int, int]:
    """Return a JPEG of the image, upright and without metadata, with its width and height.

    Raises `Refused` if the file is not an image of a known format, is damaged or is too large.
    """
    Image.MAX_IMAGE_PIXELS = None  # the size is checked below, before anything is decoded
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _check_size(*image.size)
            # A JPEG is decoded at a smaller scale if that is large enough.
            image.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
            upright = ImageOps.exif_transpose(image)
            upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            plain = _on_white(upright)
    except UnidentifiedImageError as error:
        raise Refused(UNKNOWN) from error
    except (OSError, ValueError, SyntaxError, RuntimeError, MemoryError, EOFError, IndexError) as error:
        raise Refused(DAMAGED) from error
    # A new image has none of the metadata: EXIF with the position, XMP, comments, colour profile, thumbnails.
    clean = Image.new("RGB", plain.size)
    clean.paste(plain)
    output = io.BytesIO()
    clean.save(output, "JPEG", quality=QUALITY, optimize=True)
    return output.getvalue(), *clean.size


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise Refused(f"The image has {width} × {height} pixels; at most {MAX_PIXELS:,} are accepted")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise Refused(f"One side of the image is more than {MAX_RATIO} times the other")


def _on_white(image: Image.Image) -> Image.Image:
    """Return the image in RGB; transparent pixels become white."""
    if image.mode.startswith("I"):  # 16-bit greyscale, whose values `convert` would cut off
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    ground = Image.new("RGBA", layer.size, "white")
    ground.alpha_composite(layer)
    return ground.convert("RGB")


def main() -> None:
    """Read, re-encode and write one image."""
    limit_resources()
    try:
        content, width, height = reencode(sys.stdin.buffer.read())
    except Refused as refusal:
        header: dict[str, object] = {"refused": str(refusal)}
        content = b""
    else:
        header = {"width": width, "height": height}
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + content)


if __name__ == "__main__":
    main()
