"""Uploads of photos over real HTTP: refused files, removed metadata, and read access."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psutil
import pytest
from PIL import Image

from services.appeals.attachments import image_program, images, uploads
from services.appeals.attachments.display_names import display_name
from services.appeals.attachments.file_storage import FolderStorage, file_storage
from services.appeals.attachments.storage_port import StorageMisconfigured, StorageUnavailable
from shared.auth import tokens
from shared.auth.callers import Caller
from shared.auth.rights import Role
from shared.contracts.values import MAX_ATTACHMENT_BYTES
from shared.http.problems import Unavailable
from tests.integration.appeals.attachment_helpers import (
    PATH,
    headers,
    http_client,
    stored_ids,
    upload,
    uploaded,
)
from tests.integration.appeals.conftest import AppealsScenario
from tests.integration.appeals.reply_helpers import appeal, draft
from tests.support.eventually import HANG_SECONDS
from tests.support.sample_images import (
    SECRETS,
    jpeg,
    photo_with_position,
    png,
    png_bomb,
    webp,
    webp_bomb,
)
from tests.support.service_under_test import CENTRE_SUBJECT

MEGABYTE = 1024 * 1024
in_process = pytest.mark.usefixtures("images_in_process")


@pytest.fixture
async def http(scenario: AppealsScenario) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the service behind a real HTTP server."""
    async with http_client(scenario) as client:
        yield client


async def stored(http: httpx.AsyncClient, scenario: AppealsScenario, found: dict[str, Any]) -> bytes:
    answer = await http.get(f"{PATH}/{found['id']}", headers=headers(scenario))
    assert answer.status_code == 200, answer.text
    return answer.content


def refusal(answer: httpx.Response) -> str:
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/file"
    return str(error["detail"])


async def test_photo_is_stored_and_returned_with_safe_headers(
    scenario: AppealsScenario, http: httpx.AsyncClient
) -> None:
    answer = await upload(scenario, http, jpeg(64, 48))
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert answer.headers["location"] == f"{PATH}/{made['id']}"
    assert (made["name"], made["content_type"], made["width"], made["height"]) == (
        "двор.jpg",
        "image/jpeg",
        64,
        48,
    )
    read = await http.get(f"{PATH}/{made['id']}", headers=headers(scenario))
    assert read.headers["content-type"] == "image/jpeg"
    assert read.headers["x-content-type-options"] == "nosniff"
    disposition = read.headers["content-disposition"]
    assert disposition.startswith("attachment; ")
    assert disposition.endswith("filename*=UTF-8''%D0%B4%D0%B2%D0%BE%D1%80.jpg")
    assert len(read.content) == made["size"]
    with Image.open(io.BytesIO(read.content)) as image:
        assert (image.format, image.size) == ("JPEG", (64, 48))


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"<html><script>alert(1)</script></html>", "photo.jpg"),
        (b"MZ\x90\x00" + b"\0" * 200, "photo.png"),
        (b"%PDF-1.7\n%%EOF", "photo.jpg"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "photo.jpg"),
        (
            b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00",
            "photo.jpg",
        ),
    ],
    ids=["html", "program", "pdf", "svg", "gif"],
)
async def test_content_other_than_a_photo_is_refused_whatever_its_name(
    scenario: AppealsScenario, http: httpx.AsyncClient, content: bytes, name: str
) -> None:
    before = await stored_ids()
    answer = await upload(scenario, http, content, name)
    assert refusal(answer) == image_program.UNKNOWN
    assert await stored_ids() == before


@pytest.mark.parametrize(("content", "name"), [(png(), "photo.exe"), (webp(), "photo.jpg")], ids=["png", "webp"])
async def test_content_type_is_decided_by_content_not_by_file_name(
    scenario: AppealsScenario, http: httpx.AsyncClient, content: bytes, name: str
) -> None:
    made = await uploaded(scenario, http, content, name=name, kind="text/html")
    assert (made["name"], made["content_type"]) == ("photo.jpg", "image/jpeg")
    assert (await stored(http, scenario, made)).startswith(b"\xff\xd8\xff")


@in_process
async def test_script_appended_to_an_image_is_not_stored(
    scenario: AppealsScenario, http: httpx.AsyncClient
) -> None:
    made = await uploaded(scenario, http, jpeg() + b"<script>alert(1)</script>")
    assert b"script" not in await stored(http, scenario, made)


async def test_upload_of_200_megabytes_is_refused_and_not_kept_in_memory(
    scenario: AppealsScenario, http: httpx.AsyncClient
) -> None:
    block = b"\0" * MEGABYTE
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
        for _ in range(200):
            sent += len(block)
            yield block
        yield b"\r\n--b--\r\n"

    await uploaded(scenario, http, jpeg())  # modules that the first upload loads must not count below
    process = psutil.Process()
    before, files = process.memory_info().rss, await stored_ids()
    answer = await http.post(
        PATH, content=body(), headers=headers(scenario) | {"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert answer.status_code == 413, answer.text
    assert answer.json()["type"] == "/problems/payload-too-large"
    assert sent == 200 * MEGABYTE
    assert process.memory_info().rss - before < 100 * MEGABYTE
    assert await stored_ids() == files


async def test_file_just_over_the_limit_is_refused(scenario: AppealsScenario, http: httpx.AsyncClient) -> None:
    answer = await upload(scenario, http, b"\0" * (MAX_ATTACHMENT_BYTES + 1))
    assert answer.status_code == 413
    assert str(MAX_ATTACHMENT_BYTES) in answer.json()["detail"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("../../etc/passwd", "passwd.jpg"),
        ("C:\\Users\\anna\\фото.JPG", "фото.jpg"),
        ("/etc/cron.d/x.png", "x.jpg"),
        ("..", "photo.jpg"),
        ("", "photo.jpg"),
        (None, "photo.jpg"),
        ("a\x00b\r\nSet-Cookie: x.jpg", "ab Set-Cookie_ x.jpg"),
        ("gpj.\u202eexe.jpg", "gpj.exe.jpg"),
        ("я" * 300 + ".jpg", "я" * 80 + ".jpg"),
        ('<b>"|?*.jpg', "_b_____.jpg"),
    ],
)
def test_display_name_has_no_path_and_no_hidden_characters(given: str | None, shown: str) -> None:
    assert display_name(given) == shown


@in_process
async def test_path_in_the_file_name_does_not_change_where_the_file_is_stored(
    scenario: AppealsScenario, http: httpx.AsyncClient
) -> None:
    storage = file_storage()
    assert isinstance(storage, FolderStorage)
    folder = storage._folder
    before = {path for path in folder.parent.rglob("*") if path.is_file()}
    made = await uploaded(scenario, http, jpeg(), name="../../../escaped.jpg")
    (written,) = {path for path in folder.parent.rglob("*") if path.is_file()} - before
    assert written == folder / UUID(made["id"]).hex[-2:] / f"{made['id']}.jpg"
    assert made["name"] == "escaped.jpg"
    answer = await http.get(f"{PATH}/..%2F..%2Fescaped.jpg", headers=headers(scenario))
    assert answer.status_code in {404, 422}


async def test_image_bomb_is_refused_before_it_is_decoded(
    scenario: AppealsScenario, http: httpx.AsyncClient
) -> None:
    bomb = png_bomb(30_000, 30_000)
    assert len(bomb) < MEGABYTE
    detail = refusal(await upload(scenario, http, bomb, "photo.png"))
    assert detail == "The image has 30000 × 30000 pixels; at most 52,000,000 are accepted"


async def test_webp_bomb_is_refused(scenario: AppealsScenario, http: httpx.AsyncClient) -> None:
    detail = refusal(await upload(scenario, http, webp_bomb(), "photo.webp"))
    assert detail in {image_program.UNKNOWN, image_program.DAMAGED}


async def test_photo_of_a_caller_without_access_or_beyond_the_limit_is_not_decoded(
    scenario: AppealsScenario, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = 0

    async def count(_content: bytes) -> images.CleanImage:
        nonlocal decoded
        decoded += 1
        return images.CleanImage(jpeg(), 64, 48)

    monkeypatch.setattr("services.appeals.api.replies.attachments.clean_image", count)
    token = scenario.appeals.token("executor", scenario.organisation, subject=str(uuid4()))
    scenario.appeals.granted_access.pop(token)
    gone = await http.post(
        PATH, files={"file": ("a.jpg", jpeg(), "image/jpeg")}, headers={"Authorization": f"Bearer {token}"}
    )
    monkeypatch.setattr(uploads, "MAX_UNATTACHED", 0)
    many = await upload(scenario, http, jpeg())
    assert (gone.status_code, many.status_code) == (401, 409)
    assert decoded == 0


async def test_third_concurrent_upload_of_a_person_is_refused(
    scenario: AppealsScenario, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, decoding = asyncio.Event(), 0

    async def wait(_content: bytes) -> images.CleanImage:
        nonlocal decoding
        decoding += 1
        await released.wait()
        return images.CleanImage(jpeg(), 64, 48)

    monkeypatch.setattr("services.appeals.api.replies.attachments.clean_image", wait)
    async with asyncio.timeout(HANG_SECONDS):
        two = [asyncio.create_task(upload(scenario, http, jpeg())) for _ in range(2)]
        while decoding < 2:
            await asyncio.sleep(0.01)
        third = asyncio.create_task(upload(scenario, http, jpeg()))
        while not third.done() and not images.IMAGE_QUEUE.waiting:
            await asyncio.sleep(0.01)
        assert not images.IMAGE_QUEUE.waiting
        refused = await third
        colleague = scenario.appeals.token("executor", scenario.organisation, subject=str(uuid4()))
        other = asyncio.create_task(
            http.post(
                PATH,
                files={"file": ("a.jpg", jpeg(), "image/jpeg")},
                headers={"Authorization": f"Bearer {colleague}"},
            )
        )
        while not images.IMAGE_QUEUE.waiting:
            await asyncio.sleep(0.01)
        assert decoding == 2
        released.set()
        accepted = [answer.status_code for answer in await asyncio.gather(*two, other)]
    assert accepted == [201, 201, 201]
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")


async def test_image_that_takes_too_long_is_refused(
    scenario: AppealsScenario, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    endless = tmp_path / "endless.py"
    endless.write_text("import sys\nsys.stdin.buffer.read()\nwhile True: pass\n")
    monkeypatch.setattr(images, "_PROGRAM", endless)
    monkeypatch.setattr(images, "TIMEOUT_SECONDS", 0.3)
    assert refusal(await upload(scenario, http, jpeg())) == images.NOT_DECODED
    assert not [child for child in psutil.Process().children() if str(endless) in child.cmdline()]


async def test_image_process_gets_no_secret_in_its_environment(
    scenario: AppealsScenario, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    curious = tmp_path / "curious.py"
    curious.write_text(
        "import json, os, sys\nsys.stdin.buffer.read()\nprint(json.dumps({'refused': repr(sorted(os.environ))}))"
    )
    monkeypatch.setattr(images, "_PROGRAM", curious)
    assert "GOSPABLIK" not in refusal(await upload(scenario, http, jpeg()))


async def test_metadata_is_removed_and_the_photo_is_turned_upright(
    scenario: AppealsScenario, http: httpx.AsyncClient
) -> None:
    original = photo_with_position()
    assert all(secret in original for secret in SECRETS)
    made = await uploaded(scenario, http, original)
    content = await stored(http, scenario, made)
    assert not [secret for secret in SECRETS if secret in content]
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (40, 60)
        assert not image.getexif()
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        red, green, _ = image.getpixel((20, 5))  # type: ignore[misc]
        assert (red > 200, green < 60) == (True, True), "the left edge is on top after the rotation"


@in_process
async def test_text_chunk_of_a_png_is_removed_and_transparency_becomes_white(
    scenario: AppealsScenario, http: httpx.AsyncClient
) -> None:
    content = await stored(
        http, scenario, await uploaded(scenario, http, png(text="taken by Anna", transparent=True))
    )
    assert b"Anna" not in content
    with Image.open(io.BytesIO(content)) as image:
        assert min(image.getpixel((5, 5))) > 250  # type: ignore[arg-type]


async def test_large_photo_is_reduced(scenario: AppealsScenario, http: httpx.AsyncClient) -> None:
    made = await uploaded(scenario, http, jpeg(5_200, 2_600))
    assert (made["width"], made["height"]) == (2_560, 1_280)


def several(first: str, format_: str) -> bytes:
    """Return an image file with two pictures: the first in this colour, the second black."""
    output, second = io.BytesIO(), Image.new("RGB", (50, 40), "black")
    Image.new("RGB", (50, 40), first).save(output, format_, save_all=True, append_images=[second])
    return output.getvalue()


def encoded(image: Image.Image, format_: str) -> bytes:
    """Return the content of an image file in this format."""
    output = io.BytesIO()
    image.save(output, format_)
    return output.getvalue()


@pytest.mark.parametrize(
    ("content", "color"),
    [
        (encoded(Image.new("CMYK", (50, 40), (0, 255, 255, 0)), "JPEG"), (255, 0, 0)),
        (encoded(Image.new("I;16", (50, 40), 32_768), "PNG"), (128, 128, 128)),
        (encoded(Image.new("1", (50, 40), 1), "PNG"), (255, 255, 255)),
        (encoded(Image.new("LA", (50, 40), (0, 128)), "PNG"), (127, 127, 127)),
        (several("red", "MPO"), (255, 0, 0)),
        (several("red", "WEBP"), (255, 0, 0)),
        (several("red", "PNG"), (255, 0, 0)),
    ],
    ids=[
        "cmyk",
        "16 bits",
        "1 bit",
        "half transparent",
        "two pictures of a phone",
        "animated webp",
        "animated png",
    ],
)
def test_image_of_any_mode_is_converted_to_rgb_with_the_same_colour(
    content: bytes, color: tuple[int, int, int]
) -> None:
    made, width, height = image_program.reencode(content)
    with Image.open(io.BytesIO(made)) as image:
        assert (image.mode, width, height) == ("RGB", 50, 40)
        shown = image.getpixel((5, 5))
        assert isinstance(shown, tuple)
        assert max(abs(is_ - wanted) for is_, wanted in zip(shown, color, strict=True)) <= 3


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"", "The file is empty"),
        (jpeg(200, 200)[:400], image_program.DAMAGED),
        (jpeg(2_100, 100), "One side of the image is more than 20 times the other"),
    ],
    ids=["empty", "cut off", "strip"],
)
async def test_unusable_image_is_refused(
    scenario: AppealsScenario, http: httpx.AsyncClient, content: bytes, detail: str
) -> None:
    assert refusal(await upload(scenario, http, content)) == detail


async def test_form_without_the_file_is_refused(scenario: AppealsScenario, http: httpx.AsyncClient) -> None:
    forms: list[dict[str, Any]] = [{"data": {"file": "text"}}, {"json": {}}, {"content": b"x"}]
    for sent in forms:
        answer = await http.post(PATH, headers=headers(scenario), **sent)
        assert "part «file»" in refusal(answer)
    other = await http.post(PATH, files={"photo": ("a.jpg", jpeg())}, headers=headers(scenario))
    assert other.json()["errors"][0]["pointer"] == "/photo"
    two = await http.post(
        PATH, files=[("file", ("a.jpg", jpeg())), ("file", ("b.jpg", jpeg()))], headers=headers(scenario)
    )
    assert two.status_code == 400


@in_process
async def test_unattached_upload_is_readable_only_for_the_uploaders_organisation(
    scenario: AppealsScenario, http: httpx.AsyncClient
) -> None:
    made = await uploaded(scenario, http, jpeg())
    path = f"{PATH}/{made['id']}"
    assert (await http.get(path, headers=headers(scenario, "manager"))).status_code == 200
    for role, org in (("executor", scenario.other_organisation), ("moderator", None)):
        answer = await http.get(path, headers=headers(scenario, role, org))
        assert answer.status_code == 404, role
    assert (await http.get(path)).status_code == 401


@in_process
async def test_attached_photo_is_readable_for_those_who_may_read_the_appeal(
    scenario: AppealsScenario, http: httpx.AsyncClient
) -> None:
    made = await uploaded(scenario, http, jpeg())
    await draft(scenario, await appeal(scenario), attachments=[made["id"]])
    path = f"{PATH}/{made['id']}"
    assert (await http.get(path, headers=headers(scenario, "moderator"))).status_code == 200
    other = headers(scenario, "executor", scenario.other_organisation)
    assert (await http.get(path, headers=other)).status_code == 404


async def test_failed_write_leaves_no_file_and_no_row(
    scenario: AppealsScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    database, storage = scenario.appeals.service.database, file_storage()
    caller = Caller(subject=CENTRE_SUBJECT, name="", role=Role.EXECUTOR, organisation_id=scenario.organisation)
    before = await stored_ids()
    with pytest.raises(Unavailable, match="the photo was not stored"):
        async with database.write() as session:
            await uploads.store_upload(session, storage, caller, images.CleanImage(jpeg(), 64, 48), "a.jpg")
    assert await stored_ids() == before
    assert await scenario.ingest.fetchval("SELECT count(*) FROM attachments") == 0


async def test_start_and_later_check_fail_if_the_folder_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "files").write_text("a file where the folder should be")
    storage = FolderStorage(tmp_path / "files")
    with pytest.raises(StorageMisconfigured, match=r"^GOSPABLIK_ATTACHMENTS_DIR: "):
        await storage.prepare()
    with pytest.raises(StorageUnavailable, match="cannot be written"):
        await storage.check()


async def test_folder_storage_lists_and_deletes_the_file_of_an_interrupted_write(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path / "files")
    await storage.prepare()
    file_id = uuid4()
    await storage.write(file_id, b"content")
    storage._path(file_id).rename(storage._path(file_id).with_suffix(".part"))
    assert ([found async for found in storage.ids()], await storage.read(file_id)) == ([file_id], None)
    await storage.delete(file_id)
    assert [found async for found in storage.ids()] == []


@in_process
async def test_service_token_for_another_route_reads_no_file(
    scenario: AppealsScenario, http: httpx.AsyncClient
) -> None:
    made = await uploaded(scenario, http, jpeg())
    await draft(scenario, await appeal(scenario), attachments=[made["id"]])
    path = f"/internal/attachments/{made['id']}"
    use = tokens.route_claim("GET", path)

    async def read(caller: Any, claim: str = use) -> httpx.Response:
        token = scenario.appeals.service_token(caller, claim)
        return await http.get(path, headers={"Authorization": f"Bearer {token}"})

    answer = await read("ingest")
    assert (answer.status_code, len(answer.content)) == (200, made["size"])
    assert (await read("webhooks")).status_code == 403
    assert (await read("ingest", tokens.route_claim("GET", f"/internal/attachments/{uuid4()}"))).status_code == 401
    unattached = await uploaded(scenario, http, jpeg())
    path = f"/internal/attachments/{unattached['id']}"
    assert (await read("ingest", tokens.route_claim("GET", path))).status_code == 404


@in_process
async def test_attachment_is_audited_without_its_file_name(
    scenario: AppealsScenario, http: httpx.AsyncClient
) -> None:
    made = await uploaded(scenario, http, jpeg(), name="Иванова Анна.jpg")
    connection = await scenario.database.connect()
    row = await connection.fetchrow("SELECT after::text AS after FROM audit WHERE subject_id = $1", made["id"])
    await connection.close()
    assert row is not None
    assert "Иванова" not in row["after"]
