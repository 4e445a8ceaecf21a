"""The parts of a running gateway: how they hang together, start, drain and stop."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import aiohttp

from actions.understanding import UnderstandingClient
from bot.attachments import PlatformAttachments
from bot.channels.channel import Channel, Wiring
from bot.channels.registry import close_channels, open_channels
from bot.console.answers.store import AnswerStore
from bot.console.channels.processes import Processes
from bot.console.review.understanding import Labels, ServiceEmbedding
from bot.console.sessions import Sessions
from bot.console.voice.job import VoiceJob
from bot.delivery import Delivery
from bot.door import Door
from bot.handoff.desk import Desk
from bot.handoff.policy import Policy
from bot.handoff.sweep import Sweep
from bot.http.file_links import FileLinks
from bot.http.files import FileLimits, FileStore
from bot.http.guard import Guard
from bot.http.limits import Limits
from bot.intake import Intake
from bot.learning.by_hand import ByHand
from bot.learning.corrections import ReviewedTurns
from bot.learning.release.opened import open_releases
from bot.learning.release.releases import Releases
from bot.learning.runs import RunParts, TrainingRuns
from bot.learning.unknown_job import UnknownJob
from bot.learning.versions import Versions
from bot.locks import AdvisoryLocks, ConversationLocks, NoLocks
from bot.log import database
from bot.log.files import Quota
from bot.log.journal import Journal
from bot.log.review_candidates import Terms
from bot.log.review_ranking import Ranking
from bot.privacy.eraser import Eraser
from bot.privacy.opened import open_eraser
from bot.privacy.retention import Retention
from bot.push import Listener
from bot.redaction import Redactor
from bot.sender import Postage, Sender
from bot.settings import Settings
from bot.turner import Patience, Services, Turner
from bot.turns import HttpDialogue, HttpUnderstanding
from bot.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What a test replaces; None means the real thing."""

    services: Services | None = None
    world: World | None = None
    postage: Postage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Everything behind the routes."""

    settings: Settings
    world: World
    guard: Guard
    journal: Journal
    locks: ConversationLocks
    listener: Listener | None
    services: Services
    delivery: Delivery
    intake: Intake
    door: Door
    limits: Limits
    redactor: Redactor
    files: FileStore
    links: FileLinks
    channels: dict[str, Channel]
    sender: Sender
    desk: Desk
    sweep: Sweep
    answers: AnswerStore
    versions: Versions
    releases: Releases
    training: TrainingRuns
    by_hand: ByHand
    processes: Processes
    sessions: Sessions
    eraser: Eraser
    retention: Retention
    voice: VoiceJob
    ranking: Ranking
    unknowns: UnknownJob
    labels: Labels

    def redact(self, text: str) -> str:
        """The text without personal data."""
        return self.redactor.redact(text).text

    async def start(self) -> None:
        """Migrate the database, then take up what an earlier process left."""
        await asyncio.to_thread(database.upgrade, self.settings.database_url)
        self.journal.start()
        self.locks.start()
        if self.listener is not None:
            self.listener.start()
        self.sender.start()
        for channel in self.channels.values():
            if hasattr(channel, "start"):
                await channel.start()
        await self.delivery.resume()
        self.sweep.start()
        self.training.start()
        self.eraser.start()
        self.retention.start()
        self.voice.start()
        self.ranking.start()

    async def drain(self) -> int:
        """Take nothing new, answer what was accepted; returns how many are left for later."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.settings.drain_timeout_s):
                await self.intake.settle()
        return await self.delivery.drain(self.settings.drain_timeout_s)

    async def stop(self) -> None:
        """Let go of everything, the journal last."""
        await self.sweep.close()
        await self.retention.close()
        await self.eraser.close()
        await self.voice.close()
        await self.unknowns.close()
        await self.ranking.close()
        await self.training.close()
        await self.answers.close()
        await self.delivery.close()
        await self.sender.close(self.settings.drain_timeout_s)
        await close_channels(self.channels)
        if self.listener is not None:
            await self.listener.close()
        await self.locks.close()
        self.sessions.close()
        await self.guard.refusals.close()
        await self.journal.close()


def open_gateway(
    settings: Settings, session: aiohttp.ClientSession, overrides: Overrides
) -> Gateway:
    """Put the parts together; nothing is connected yet.

    Raises DatabaseUrlError, or SettingError naming the setting that cannot be used.
    """
    world = overrides.world or World()
    journal = Journal(
        write_engine=database.open_engine(settings.database_url, writer=True),
        read_engine=database.open_engine(settings.database_url),
        world=world,
    )
    guard = Guard.of(settings, journal)
    files = FileStore(journal, _file_limits(settings), world)
    # Filled below: a channel needs the door, and what is behind the door needs the channels.
    channels: dict[str, Channel] = {}
    numbered: set[str] = set()
    services = overrides.services or Services(
        dialogue=HttpDialogue(session, settings.dialogue_url, timeout_s=settings.turn_timeout_s),
        understanding=HttpUnderstanding(
            session, settings.nlu_url, timeout_s=settings.turn_timeout_s
        ),
        attachments=PlatformAttachments(store=files, channels=channels, world=world),
        numbered=numbered,
    )
    redactor = Redactor(settings.redaction_regions, settings.redaction_keep)
    desk = Desk(
        journal,
        services.dialogue,
        Policy.of(settings),
        lambda text: redactor.redact(text).text,
        world,
    )
    services = replace(services, before_turn=desk.settle_hand_back)
    locks = AdvisoryLocks(settings.database_url) if journal.shared else NoLocks()
    patience = _patience(settings)
    turner = Turner(journal, services, redactor, patience, world)
    delivery = Delivery(journal, turner, locks, patience, world)
    intake = Intake(journal, delivery, guard.tokens)
    limits = Limits(
        max_text_chars=settings.max_text_chars,
        wait_timeout_s=settings.wait_timeout_s,
        max_file_bytes=settings.max_file_bytes,
    )
    door = Door(journal, intake, limits, world, guard.limits)
    links = FileLinks(guard.tokens.hash_text, world.now, base_url=settings.public_url)
    channels |= open_channels(
        Wiring(
            door=door,
            session=session,
            world=world,
            limits=limits,
            journal=journal,
            public_url=settings.public_url.rstrip("/") if settings.public_url else None,
            file_url=links.address,
        )
    )
    numbered |= {name for name, channel in channels.items() if channel.numbered}
    postage = overrides.postage or Postage()
    versions = Versions(session, settings)
    releases = open_releases(journal, session, settings, world)
    # The ranking lets go of it.
    embedding = ServiceEmbedding(
        UnderstandingClient(settings.nlu_url, timeout_s=settings.embed_timeout_s)
    )
    eraser = open_eraser(settings, journal, services, guard.tokens.hash_text, world)
    answers = AnswerStore(journal, settings, world)
    eraser.on_answers = answers.look_again
    return Gateway(
        settings=settings,
        world=world,
        guard=guard,
        journal=journal,
        locks=locks,
        listener=Listener(settings.database_url, journal.hub) if journal.shared else None,
        services=services,
        delivery=delivery,
        intake=intake,
        door=door,
        limits=limits,
        redactor=redactor,
        files=files,
        links=links,
        channels=channels,
        sender=Sender(journal, channels, links.address, postage, world),
        desk=desk,
        sweep=Sweep(journal, desk, world),
        answers=answers,
        versions=versions,
        releases=releases,
        processes=Processes(session, settings),
        eraser=eraser,
        retention=Retention(journal, eraser, world),
        training=TrainingRuns(
            RunParts(
                journal=journal,
                settings=settings,
                world=world,
                corrections=ReviewedTurns(journal),
                promote=partial(releases.promote, actor="training"),
            )
        ),
        by_hand=ByHand(journal, settings),
        sessions=Sessions.of(settings, journal, guard, world),
        voice=VoiceJob.of(settings, journal, session, world),
        ranking=Ranking(
            journal,
            embedding,
            world,
            terms=Terms(
                per_customer=settings.review_per_customer,
                double_share=settings.review_double_share,
                random_share=settings.review_random_share,
                lease_s=settings.review_lease_s,
            ),
            every_s=settings.review_every_s,
        ),
        unknowns=UnknownJob(journal, embedding, world),
        labels=Labels(journal, session, settings.nlu_url),
    )


def _file_limits(settings: Settings) -> FileLimits:
    return FileLimits(
        max_file_bytes=settings.max_file_bytes,
        quota=Quota(files=settings.max_files, bytes=settings.max_files_bytes),
    )


def _patience(settings: Settings) -> Patience:
    return Patience(
        retry_for_s=settings.turn_retry_s,
        concurrency=settings.turn_concurrency,
        max_pending=settings.max_pending,
        max_pending_per_conversation=settings.max_pending_per_conversation,
        apology=settings.apology,
        file_reply=settings.file_reply,
    )
