"""Images for tests: photos, files that only look like photos, and decompression bombs."""

import io
import struct
import zlib
from typing import Any

from PIL import Image, PngImagePlugin

SECRETS = (b"Exif", b"GPS", b"xpacket", b"Canon", b"taken by Anna", b"ICC_PROFILE")


def jpeg(width: int = 64, height: int = 48, color: str = "gray", **saved: Any) -> bytes:
    """Return a JPEG of one colour."""
    output = io.BytesIO()
    Image.new("RGB", (width, height), color).save(output, "JPEG", **saved)
    return output.getvalue()


def photo_with_position() -> bytes:
    """Return a phone photo: 60 × 40, to be rotated by 90°, with position, camera, XMP and a comment."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise
    exif[0x010F] = "Canon"
    exif[0x8825] = {1: "N", 2: (51.0, 50.0, 4.2), 3: "E", 4: (107.0, 35.0, 4.5)}
    image = Image.new("RGB", (60, 40), "white")
    image.paste("red", (0, 0, 20, 40))
    output = io.BytesIO()
    xmp = b"<?xpacket begin=''?><x:xmpmeta xmlns:x='adobe:ns:meta/'><exif:GPSLatitude>51</exif:GPSLatitude>"
    image.save(output, "JPEG", exif=exif, xmp=xmp, comment=b"taken by Anna", icc_profile=b"profile")
    return output.getvalue()


def png(width: int = 64, height: int = 48, text: str | None = None, transparent: bool = False) -> bytes:
    """Return a PNG, with a text chunk if given."""
    info = PngImagePlugin.PngInfo()
    if text is not None:
        info.add_text("Comment", text)
    output = io.BytesIO()
    mode, color = ("RGBA", (255, 0, 0, 0)) if transparent else ("RGB", (0, 0, 255))
    Image.new(mode, (width, height), color).save(output, "PNG", pnginfo=info)
    return output.getvalue()


def webp() -> bytes:
    """Return a WebP image."""
    output = io.BytesIO()
    Image.new("RGB", (64, 48), "green").save(output, "WEBP")
    return output.getvalue()


def png_bomb(width: int, height: int) -> bytes:
    """Return a small PNG file with huge dimensions; its data expands to as many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    row = b"\0" * (1 + (width + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def webp_bomb() -> bytes:
    """Return a WebP file of 30 bytes whose header declares a canvas of 16384 × 16384."""
    side = (16_383).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + side + side
    return b"RIFF" + struct.pack("<I", len(body)) + body
