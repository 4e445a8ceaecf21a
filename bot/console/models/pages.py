"""The pages of the models: versions side by side, switching between them, training runs."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from aiohttp import web

from bot.console.models.figures import compared, figure_of
from bot.console.routes import ADMINISTRATORS
from bot.console.visit import Visit
from bot.errors import RequestError
from bot.learning.corrections import count_since
from bot.learning.release.releases import Releases
from bot.learning.runs import MAX_EPOCHS, Options, TrainingRuns
from bot.learning.versions import Catalogue, Versions
from bot.log import training_runs
from bot.log.journal import Journal
from bot.log.model_usage import usage_by_version
from bot.world import World

SHOWN = 20  # versions with their figures
RUNS = 15
USAGE_DAYS = 30


class ModelPages:
    """Reading for everyone, switching and training for administrators."""

    def __init__(
        self,
        versions: Versions,
        releases: Releases,
        training: TrainingRuns,
        journal: Journal,
        world: World,
    ) -> None:
        self._versions = versions
        self._releases = releases
        self._training = training
        self._journal = journal
        self._world = world

    async def list(self, visit: Visit) -> web.Response:
        """All versions, the training runs, and the form that starts one."""
        catalogue = await self._versions.catalogue()
        models = catalogue.models[:SHOWN]
        since = self._world.now() - timedelta(days=USAGE_DAYS)
        names = [str(model["version"]) for model in models]
        usage = await self._journal.browse(partial(usage_by_version, versions=names, since=since))
        corrections, new = await self._journal.browse(
            partial(count_since, moment=await self._last())
        )
        return visit.page(
            "models/list.html",
            catalogue=catalogue,
            rows=[_row(model) for model in models],
            hidden=len(catalogue.models) - len(models),
            usage=usage,
            days=USAGE_DAYS,
            runs=await self._runs(),
            corrections=corrections,
            new=new,
            most_epochs=MAX_EPOCHS,
            editor=is_editor(visit),
        )

    async def serving(self, visit: Visit) -> web.Response:
        """A fragment: which version serves now; asked again while one is being switched to."""
        return visit.page(
            "models/serving.html",
            catalogue=await self._versions.catalogue(),
            editor=is_editor(visit),
        )

    async def runs(self, visit: Visit) -> web.Response:
        """A fragment: the training runs with the lines of the one that goes on."""
        return visit.page("models/runs.html", runs=await self._runs(), editor=is_editor(visit))

    async def compare(self, visit: Visit) -> web.Response:
        """Two versions side by side."""
        catalogue = await self._versions.catalogue()
        left, right = (
            _known(catalogue, visit.query.get(side, ""), side) for side in ("left", "right")
        )
        since = self._world.now() - timedelta(days=USAGE_DAYS)
        names = [left["version"], right["version"]]
        return visit.page(
            "models/compare.html",
            left=left,
            right=right,
            figures=compared(left, right),
            usage=await self._journal.browse(
                partial(usage_by_version, versions=names, since=since)
            ),
            days=USAGE_DAYS,
            choices=[(model["version"], model["version"]) for model in catalogue.models],
        )

    async def confirm(self, visit: Visit) -> web.Response:
        """What changes when a version is promoted, before it is."""
        catalogue = await self._versions.catalogue()
        wanted = _known(catalogue, visit.param("version"), "version")
        current = catalogue.find(catalogue.current or "")
        return visit.page(
            "models/confirm.html",
            catalogue=catalogue,
            wanted=wanted,
            figures=[] if current is None else compared(current, wanted),
        )

    async def promote(self, visit: Visit) -> web.Response:
        """Have a version serve."""
        version = visit.param("version")
        _known(await self._versions.catalogue(), version, "version")
        await self._releases.promote(version, actor=visit.agent.name)
        return visit.redirect("/models", notice="models.promoted")

    async def train(self, visit: Visit) -> web.Response:
        """Start a training run."""
        form = await visit.form()
        epochs = await visit.field("epochs")
        if epochs and not (epochs.isascii() and epochs.isdigit()):
            raise RequestError(422, "epochs", "is not a number", f"choose from 1 to {MAX_EPOCHS}")
        options = Options(
            corrections="corrections" in form,
            epochs=int(epochs) if epochs else None,
            promote="promote" in form,
        )
        run_id = await self._training.begin(options, actor=visit.agent.name)
        await self._journal.audit(
            visit.agent.id,
            "start_training",
            run_id,
            {"corrections": options.corrections, "epochs": epochs, "promote": options.promote},
        )
        return visit.redirect("/models", notice="models.started")

    async def cancel(self, visit: Visit) -> web.Response:
        """Stop a training run."""
        await self._training.cancel(visit.param("run_id"), actor=visit.agent.name)
        return visit.redirect("/models", notice="models.cancelling")

    async def _runs(self) -> Any:
        return await self._journal.browse(partial(training_runs.listing, limit=RUNS))

    async def _last(self) -> datetime | None:
        """When the corrections were last taken into a version."""
        run = await self._journal.browse(partial(training_runs.last_success, with_corrections=True))
        return None if run is None else run["started_at"]


def is_editor(visit: Visit) -> bool:
    """Whether the visitor may switch and train."""
    return visit.agent.role in ADMINISTRATORS


def _known(catalogue: Catalogue, version: str, field: str) -> dict[str, Any]:
    model = catalogue.find(version)
    if model is None:
        raise RequestError(404, field, "there is no such version", "choose one of the list")
    return model


def _row(model: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": model,
        "created_at": datetime.fromisoformat(str(model["created_at"])),
        "intent": figure_of(model, "intent", "accuracy"),
        "intent_f1": figure_of(model, "intent", "macro_f1"),
        "emotion_f1": figure_of(model, "emotion", "macro_f1"),
        "entity_f1": figure_of(model, "entities", "f1"),
        "ece": figure_of(model, "intent", "ece"),
    }
