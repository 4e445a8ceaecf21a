"""Files of customers: what is taken, under which name, and who gets it back."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import RequestError
from bot.http.file_links import FileLinks
from bot.http.file_types import EXTENSIONS, clean_name, type_of
from bot.tokens import Tokens

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + b"\0" * 20
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"
GIF = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"
WEBP = b"RIFF\x1a\x00\x00\x00WEBPVP8L\x0e\x00\x00\x00/"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
HTML = b"<!doctype html><script>alert(1)</script>"


async def upload(
    conversation: Any, data: Any, *, name: str = "photo.png", claimed: str = "image/png"
) -> tuple[int, Any]:
    response = await conversation.client.post(
        f"/api/v1/conversations/{conversation.id}/files",
        params={"name": name},
        data=data,
        headers=conversation.headers | {"Content-Type": claimed},
    )
    return response.status, await response.json()


@pytest.mark.parametrize(
    ("data", "name", "content_type", "kind"),
    [
        (PNG, "photo.png", "image/png", "image"),
        (JPEG, "photo.jpg", "image/jpeg", "image"),
        (GIF, "photo.gif", "image/gif", "image"),
        (WEBP, "photo.webp", "image/webp", "image"),
        (PDF, "invoice.pdf", "application/pdf", "file"),
        ("Größe: 客服".encode(), "note.txt", "text/plain", "file"),
    ],
)
async def test_a_file_is_kept_and_given_back_as_it_was(
    running: Any, data: bytes, name: str, content_type: str, kind: str
) -> None:
    conversation = await running.converse()
    status, file = await upload(conversation, data, name=name, claimed=content_type)
    assert status == 201
    assert {key: file[key] for key in ("kind", "name", "content_type", "size")} == {
        "kind": kind,
        "name": name,
        "content_type": content_type,
        "size": len(data),
    }
    response = await running.client.get(file["url"])
    assert response.status == 200
    assert await response.read() == data
    assert response.content_type == content_type
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    how = "inline" if kind == "image" else "attachment"
    assert response.headers["Content-Disposition"].startswith(f'{how}; filename="{name}"')


@pytest.mark.parametrize(
    ("data", "claimed"),
    [
        pytest.param(SVG, "image/svg+xml", id="SVG"),
        pytest.param(SVG, "image/png", id="SVG that claims to be PNG"),
        pytest.param(b"\xef\xbb\xbf\n <?xml version='1.0'?>" + SVG, "text/plain", id="XML"),
        pytest.param(HTML, "text/html", id="HTML"),
        pytest.param(HTML, "text/plain", id="HTML that claims to be text"),
        pytest.param(b"hello\n" * 500 + HTML, "text/plain", id="HTML after text"),
        pytest.param(b"hello <ScRiPt\n>alert(1)", "text/plain", id="script in capitals"),
        pytest.param(PNG, "text/html", id="PNG that claims to be HTML"),
        pytest.param(PNG, "image/svg+xml; charset=utf-8", id="PNG that claims to be SVG"),
        pytest.param(b"MZ\x90\x00\x03", "image/png", id="a program"),
        pytest.param(b"PK\x03\x04", "application/zip", id="an archive"),
        pytest.param(b"\x00" + PNG, "image/png", id="PNG not at the start"),
        pytest.param(b" " + PDF, "application/pdf", id="PDF not at the start"),
        pytest.param(b"RIFF\x1a\x00\x00\x00WAVEfmt ", "image/webp", id="sound"),
        pytest.param(b"a\x00b", "text/plain", id="text with NUL"),
        pytest.param("naïve".encode("latin-1"), "text/plain", id="text not in UTF-8"),
        pytest.param(b"", "text/plain", id="nothing"),
    ],
)
async def test_a_file_of_another_type_is_refused(running: Any, data: bytes, claimed: str) -> None:
    conversation = await running.converse()
    status, refusal = await upload(conversation, data, claimed=claimed)
    assert status == 415
    assert refusal["error"]["field"] == "body"


@pytest.mark.parametrize("data", [GIF + HTML, JPEG + SVG, PDF + HTML, PNG + b"PK\x03\x04"])
async def test_a_polyglot_is_an_image_or_a_download_and_nothing_else(
    running: Any, data: bytes
) -> None:
    conversation = await running.converse()
    status, file = await upload(conversation, data, name="evil.html", claimed="image/gif")
    assert status == 201
    extension = file["name"].rpartition(".")[2]
    assert file["name"].startswith("evil.html.")
    assert extension in EXTENSIONS[file["content_type"]]
    response = await running.client.get(file["url"])
    assert response.content_type == file["content_type"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"].startswith("sandbox")
    assert f'filename="{file["name"]}"' in response.headers["Content-Disposition"]


async def test_a_file_that_is_too_large_is_cut_off_while_it_is_sent(start: Any) -> None:
    running = await start(max_file_bytes=100_000)
    conversation = await running.converse()
    status, refusal = await upload(conversation, b"x" * 100_001, claimed="text/plain")
    assert (status, refusal["error"]["field"]) == (413, "body")
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 10_000
            yield b"x" * 10_000
            await asyncio.sleep(0)

    async with asyncio.timeout(10):
        status, _ = await upload(conversation, endless(), claimed="text/plain")
    assert status == 413
    # What is on its way in the buffers of both sides, and no more.
    assert sent < 20_000_000
    assert (await upload(conversation, b"x" * 100_000, claimed="text/plain"))[0] == 201


async def test_a_compressed_file_is_refused(running: Any) -> None:
    conversation = await running.converse()
    response = await running.client.post(
        f"/api/v1/conversations/{conversation.id}/files",
        data=PNG,
        headers=conversation.headers | {"Content-Encoding": "gzip"},
    )
    assert response.status == 415


async def test_files_need_the_conversations_token(running: Any) -> None:
    mine, other = await running.converse(), await running.converse()
    response = await running.client.post(
        f"/api/v1/conversations/{other.id}/files", data=PNG, headers=mine.headers
    )
    assert response.status == 403
    response = await running.client.post(f"/api/v1/conversations/{other.id}/files", data=PNG)
    assert response.status == 401


async def test_a_conversation_keeps_so_many_files(start: Any) -> None:
    running = await start(max_files=2, max_files_bytes=1000)
    conversation = await running.converse()
    _, first = await upload(conversation, PNG)
    _, again = await upload(conversation, PNG, name="other.png")
    assert again["id"] == first["id"]
    status, refusal = await upload(conversation, PNG + b"x" * 1000)
    assert (status, refusal["error"]["field"]) == (413, "files")
    assert (await upload(conversation, GIF))[0] == 201
    assert (await upload(conversation, JPEG))[0] == 413
    assert (await upload(await running.converse(), JPEG))[0] == 201


async def test_a_message_carries_files(running: Any, dialogue: Any) -> None:
    conversation = await running.converse()
    _, file = await upload(conversation, PNG)
    for id_, text in (("m1", "look at this"), ("m2", "")):
        response = await running.client.post(
            conversation.url + "?wait=true",
            json={"id": id_, "text": text, "attachments": [file["id"]]},
            headers=conversation.headers,
        )
        assert response.status == 200
    shown = [m for m in (await conversation.messages())["messages"] if m["direction"] == "in"]
    assert [message["attachments"] for message in shown] == [[file], [file]]
    assert [message["text"] for message in shown] == ["look at this", ""]


@pytest.mark.parametrize(
    "attachments", [["nothing"], "file", [1], {"id": "x"}, [None], ["x"] * 11, [[]]]
)
async def test_attachments_that_are_no_files_of_ours_are_refused(
    running: Any, attachments: Any
) -> None:
    conversation = await running.converse()
    response = await running.client.post(
        conversation.url,
        json={"id": "m1", "text": "look", "attachments": attachments},
        headers=conversation.headers,
    )
    assert response.status == 400
    assert (await response.json())["error"]["field"] == "attachments"
    assert (await conversation.messages())["messages"] == []


async def test_a_file_of_another_conversation_cannot_be_sent(running: Any) -> None:
    mine, other = await running.converse(), await running.converse()
    _, file = await upload(other, PNG)
    response = await running.client.post(
        mine.url, json={"id": "m1", "text": "", "attachments": [file["id"]]}, headers=mine.headers
    )
    assert response.status == 400


async def test_a_message_without_text_needs_a_file(running: Any) -> None:
    conversation = await running.converse()
    status, refusal = await conversation.say("m1", "")
    assert (status, refusal["error"]["field"]) == (400, "text")


async def test_every_change_of_a_signed_address_is_refused(running: Any) -> None:
    conversation = await running.converse()
    _, file = await upload(conversation, PNG)
    _, other = await upload(conversation, GIF)
    url = urlsplit(file["url"])
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    changed = [
        (other["url"].partition("?")[0], query),
        (url.path, query | {"expires": str(int(query["expires"]) + 1)}),
        (url.path, query | {"expires": ""}),
        (url.path, query | {"expires": "9" * 30}),
        (url.path, query | {"expires": "\u0661"}),
        (url.path, query | {"signature": ""}),
        (url.path, query | {"signature": query["signature"].upper()}),
        (url.path, query | {"signature": "\u00e9"}),
        (url.path, {}),
        (url.path + "x", query),
    ]
    for place in range(0, 64, 7):
        signature = query["signature"]
        flipped = format(int(signature[place], 16) ^ 1, "x")
        changed.append(
            (url.path, query | {"signature": signature[:place] + flipped + signature[place + 1 :]})
        )
    for path, parameters in changed:
        response = await running.client.get(path, params=parameters)
        assert response.status == 403, (path, parameters)
    assert (await running.client.get(file["url"])).status == 200


def links_at(moment: datetime) -> FileLinks:
    return FileLinks(Tokens("a secret").hash_text, lambda: moment, good_for_s=3600)


def check(links: FileLinks, address: str) -> int:
    url = urlsplit(address)
    query = parse_qs(url.query)
    return links.check(url.path.rpartition("/")[2], query["expires"][0], query["signature"][0])


def test_an_address_expires_and_stays_the_same_for_a_while() -> None:
    address = links_at(datetime(2026, 1, 1, 12, 10, tzinfo=UTC)).address("f1")
    assert links_at(datetime(2026, 1, 1, 12, 50, tzinfo=UTC)).address("f1") == address
    assert links_at(datetime(2026, 1, 1, 13, 10, tzinfo=UTC)).address("f1") != address
    assert check(links_at(datetime(2026, 1, 1, 13, 30, tzinfo=UTC)), address) == 1800
    with pytest.raises(RequestError, match="too old"):
        check(links_at(datetime(2026, 1, 1, 14, 0, tzinfo=UTC)), address)


def test_an_address_can_be_absolute() -> None:
    links = FileLinks(str, lambda: datetime.now(UTC), base_url="https://chat.shop.example/")
    assert links.address("f1").startswith("https://chat.shop.example/api/v1/files/f1?")


def test_a_reference_on_a_platform_is_not_shown() -> None:
    kept = {"kind": "file", "reference": "secret", "missing": "too large", "name": "a.pdf"}
    assert links_at(datetime.now(UTC)).show([kept]) == [{"kind": "file", "name": "a.pdf"}]


@given(st.text(max_size=300), st.sampled_from(sorted(EXTENSIONS)))
def test_a_clean_name_is_one_plain_file_name(name: str, content_type: str) -> None:
    cleaned = clean_name(name, content_type)
    assert 0 < len(cleaned) <= 110
    assert cleaned.isprintable()
    assert not set(cleaned) & set('/\\<>:"|?*')
    assert not cleaned.startswith((".", " "))
    assert cleaned.rpartition(".")[2] in EXTENSIONS[content_type]
    assert clean_name(cleaned, content_type) == cleaned


@pytest.mark.parametrize(
    ("name", "cleaned"),
    [
        ("../../etc/passwd", "passwd.txt"),
        ("C:\\temp\\note.TXT", "note.txt"),
        ("invoice\u202egpj.txt", "invoicegpj.txt"),
        (".htaccess", "htaccess.txt"),
        ("page.html", "page.html.txt"),
        ("<img src=x>.txt", "_img src=x_.txt"),
        ("...", "file.txt"),
        ("发票.txt", "发票.txt"),
    ],
)
def test_a_name_cannot_mislead(name: str, cleaned: str) -> None:
    assert clean_name(name, "text/plain") == cleaned


@given(st.binary(max_size=400), st.text(max_size=30))
def test_a_type_is_one_of_the_list(data: bytes, claimed: str) -> None:
    assert type_of(data, claimed) in {None, *EXTENSIONS}
    assert type_of(b"<svg>" + data, claimed) is None
    assert type_of(b"\n<HTML>" + data, claimed) is None
