"""Answers as files: downloads for a spreadsheet or as YAML, and files taken in."""

import asyncio
from collections import Counter
from pathlib import Path

from aiohttp import web
from sqlalchemy import Connection

from actions.errors import DataFileError
from actions.qa.exchange import COLUMNS, parse_table, table_rows, yaml_of
from actions.qa.origins import read_origins
from actions.qa.pairs import Pair, parse_yaml_pairs
from actions.qa.store import read_pairs
from bot.console.answers.store import AnswerStore
from bot.console.csv_file import attachment
from bot.console.visit import Visit
from bot.errors import RequestError
from bot.log import exports
from bot.log.exports import Export
from bot.log.journal import Journal
from bot.world import World

MAX_FILE_BYTES = 5_000_000
MAX_PAIRS = 5_000
_TABLES = (".csv",)
_YAML = (".yml", ".yaml")


class AnswerFiles:
    """Out as CSV or YAML, in again as either."""

    def __init__(self, store: AnswerStore, journal: Journal, world: World) -> None:
        self._store = store
        self._journal = journal
        self._world = world

    async def as_table(self, visit: Visit) -> web.StreamResponse:
        """All active answers, a row a wording."""
        pairs = await self._exported(visit, "csv")
        return attachment("answers.csv", COLUMNS, table_rows(pairs))

    async def as_yaml(self, visit: Visit) -> web.StreamResponse:
        """All active answers as `kefu qa import` reads them."""
        pairs = await self._exported(visit, "yml")
        return web.Response(
            # Seconds of work for thousands of answers.
            text=await asyncio.to_thread(yaml_of, pairs),
            content_type="application/yaml",
            headers={"Content-Disposition": 'attachment; filename="answers.yml"'},
        )

    async def _exported(self, visit: Visit, format_: str) -> list[Pair]:
        """All active pairs; on record when wordings of customers are among them."""

        def unit(connection: Connection) -> list[Pair]:
            pairs, origins = read_pairs(connection), read_origins(connection)
            if origins:
                record = Export(
                    id=id_,
                    kind="answers",
                    format=format_,
                    actor=visit.agent.name,
                    made_at=now,
                    count=len(pairs),
                    conversations=tuple(origins),
                )
                exports.record(connection, record)
            return pairs

        id_, now = self._world.new_id(), self._world.now()
        return await self._journal.write(unit)

    async def show(self, visit: Visit) -> web.Response:
        """The form for a file."""
        return visit.page("answers/import.html", saved=None, problem=None)

    async def take(self, visit: Visit) -> web.Response:
        """Keep the pairs of a file that is right; what was there is in its history."""
        upload = (await visit.form()).get("file")
        if not isinstance(upload, web.FileField) or not upload.filename:
            return visit.page("answers/import.html", saved=None, problem="", status=422)
        name = Path(upload.filename).name[:100]
        with upload.file as file:
            data = file.read()
        try:
            pairs = await asyncio.to_thread(_read, name, data)
        except (DataFileError, RequestError) as error:
            return visit.page("answers/import.html", saved=None, problem=str(error), status=422)
        saved = await self._store.save_all(pairs, actor=visit.agent.name, note=name)
        return visit.page("answers/import.html", saved=saved, problem=None)


def _read(name: str, data: bytes) -> list[Pair]:
    path = Path(name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataFileError(path, "not UTF-8 text") from None
    if "\0" in text:
        raise DataFileError(path, "holds control characters; save it as plain text")
    if path.suffix.lower() in _TABLES:
        pairs = parse_table(text, path)
    elif path.suffix.lower() in _YAML:
        pairs = parse_yaml_pairs(text, path)
    else:
        raise DataFileError(path, "give a file that ends in .csv, .yml or .yaml")
    if len(pairs) > MAX_PAIRS:
        raise DataFileError(path, f"holds {len(pairs)} answers; part it into files of {MAX_PAIRS}")
    for pair_id, count in Counter(pair.id for pair in pairs if pair.id).items():
        if count > 1:
            raise DataFileError(path, f"pair {pair_id} is in it twice")
        if len(pair_id) > 120:
            raise DataFileError(path, f"pair {pair_id[:40]}… has an id longer than 120 characters")
    return pairs
