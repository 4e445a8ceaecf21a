"""What customers attach on platforms is fetched into our store, or the message says why not."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from bot import attachments
from bot.attachments import PlatformAttachments
from bot.channels.channel import SendLater, SendRefused, Upload
from bot.errors import StorageError
from bot.http.files import FileLimits, FileStore
from bot.log.files import Quota
from bot.log.journal import Journal
from bot.log.records import Accepted, Inbound
from bot.world import World

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(20)
PHOTO = {"kind": "image", "name": "kettle.png", "reference": "file-1"}


@dataclass
class Platform:
    """Gives one file, after the failures that it is told."""

    name: str = "fake"
    numbered: bool = False
    data: bytes = PNG
    failures: list[Any] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def add_routes(self, router: Any) -> None:
        """It has none."""

    async def send(self, outgoing: Any) -> None:
        """It says nothing."""

    async def fetch(self, attachment: dict[str, Any]) -> Upload:
        self.asked.append(attachment)
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, asyncio.Event):
                await failure.wait()
            raise failure
        return Upload(name="a\x00/../kettle\ud800.png", content_type="image/png", data=self.data)


@dataclass
class Desk:
    """The store and its platform, with one conversation."""

    journal: Journal
    platform: Platform
    conversation_id: str
    rests: list[float] = field(default_factory=list)

    async def bring(self, *attached: dict[str, Any], channel: str = "fake") -> list[dict[str, Any]]:
        async def rest(delay_s: float) -> None:
            self.rests.append(delay_s)

        world = World(sleep=rest)
        limits = FileLimits(max_file_bytes=1000, quota=Quota(files=2, bytes=5000))
        brings = PlatformAttachments(
            store=FileStore(self.journal, limits, world),
            channels={"fake": self.platform},
            world=world,
        )
        inbound = Inbound(
            conversation_id=self.conversation_id,
            channel=channel,
            account="jo",
            message_id="m1",
            text="",
            attachments=attached,
        )
        accepted = Accepted(
            id="row",
            inbound=inbound,
            seq=1,
            status="bot",
            state="accepted",
            created_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        return await brings.bring(accepted)


@pytest.fixture
async def desk(running: Any) -> Desk:
    conversation = await running.converse()
    return Desk(running.gateway.journal, Platform(), conversation.id)


async def test_a_file_is_fetched_and_kept(desk: Desk) -> None:
    (kept,) = await desk.bring(PHOTO)
    assert kept == {
        "kind": "image",
        "name": "kettle.png",
        "content_type": "image/png",
        "size": len(PNG),
        "reference": "file-1",
        "id": kept["id"],
    }
    assert desk.platform.asked == [PHOTO]


async def test_the_same_file_again_is_kept_once(desk: Desk) -> None:
    (first,), (again,) = await desk.bring(PHOTO), await desk.bring(PHOTO)
    assert first["id"] == again["id"]


@pytest.mark.parametrize(
    "attached",
    [{"kind": "image", "id": "ours"}, {"kind": "location", "text": "51.5, -0.1"}],
)
async def test_what_is_ours_or_no_file_stays_as_it_is(desk: Desk, attached: dict[str, Any]) -> None:
    assert await desk.bring(attached) == [attached]
    assert await desk.bring(PHOTO, channel="api") == [PHOTO]
    assert desk.platform.asked == []


async def test_a_busy_platform_is_asked_again(desk: Desk) -> None:
    desk.platform.failures = [SendLater("busy"), SendLater("busy")]
    (kept,) = await desk.bring(PHOTO)
    assert "id" in kept
    assert len(desk.platform.asked) == 3
    assert desk.rests == [1.0, 2.0]


@pytest.mark.parametrize(
    ("failures", "reason", "tries"),
    [
        (lambda: [SendRefused("it is gone")], "it is gone", 1),
        (lambda: [SendLater("busy")] * 9, "busy", 3),
        (lambda: [ZeroDivisionError("secret")], "ZeroDivisionError", 1),
        (lambda: [asyncio.Event(), asyncio.Event(), asyncio.Event()], "no answer in time", 3),
    ],
)
async def test_what_cannot_be_had_says_why_and_keeps_its_reference(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failures: Callable[[], list[Any]],
    reason: str,
    tries: int,
) -> None:
    monkeypatch.setattr(attachments, "FETCH_TIMEOUT_S", 0.01)
    desk.platform.failures = failures()
    (missing,) = await desk.bring(PHOTO)
    assert missing == PHOTO | {"missing": reason}
    assert len(desk.platform.asked) == tries
    assert "attachment missing" in caplog.text


@pytest.mark.parametrize(
    ("data", "reason"),
    [(bytes(2000), "larger than"), (b"<svg onload=x>", "not taken"), (b"", "not taken")],
)
async def test_what_an_upload_may_not_be_is_not_kept(desk: Desk, data: bytes, reason: str) -> None:
    desk.platform.data = data
    (missing,) = await desk.bring(PHOTO)
    assert reason in missing["missing"]
    assert "id" not in missing


async def test_one_that_is_missing_leaves_the_others(desk: Desk) -> None:
    desk.platform.failures = [SendRefused("it is gone")]
    missing, kept = await desk.bring(PHOTO, PHOTO | {"reference": "file-2"})
    assert "missing" in missing
    assert "id" in kept


async def test_a_full_conversation_says_so(desk: Desk) -> None:
    for number in range(3):
        desk.platform.data = PNG + bytes([number])
        (kept,) = await desk.bring(PHOTO)
    assert "at most 2 files" in kept["missing"]


async def test_while_the_database_is_away_nothing_is_called_missing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*arguments: Any, **more: Any) -> None:
        raise StorageError("disk full")

    monkeypatch.setattr(desk.journal, "write", away)
    with pytest.raises(StorageError):
        await desk.bring(PHOTO)


async def test_of_an_erased_conversation_nothing_is_kept(desk: Desk) -> None:
    desk.conversation_id = "none"
    (missing,) = await desk.bring(PHOTO)
    assert "no such conversation" in missing["missing"]
