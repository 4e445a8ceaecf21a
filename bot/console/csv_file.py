"""CSV files for spreadsheets: streamed, and safe from cells that a spreadsheet would run."""

import asyncio
import csv
import io
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any

from aiohttp import web

# A cell that begins so is a formula in Excel, LibreOffice or Google Sheets, full-width ones too.
_FORMULA = tuple("=+-@＝＋－＠")
_CONTROL = ("\t", "\r", "\n")
_ROWS_AT_ONCE = 500

Row = Sequence[Any]


def attachment(
    name: str, header: Sequence[str], rows: Iterable[Row] | AsyncIterable[Row]
) -> web.Response:
    """A file to be saved under `name`; `rows` are taken while it is sent.

    Text that a spreadsheet would take for a formula gets an apostrophe in front; numbers stay
    numbers, moments are ISO 8601, None is an empty cell.
    """
    return web.Response(
        body=_encoded(header, rows),
        content_type="text/csv",
        charset="utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def cell(value: Any) -> str | int | float:
    """A value as it is written."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    text = str(value).replace("\0", "")
    dangerous = text.startswith(_CONTROL) or text.lstrip().startswith(_FORMULA)
    return f"'{text}" if dangerous else text


def lines(rows: Iterable[Row]) -> str:
    """Rows as lines of the file."""
    written = io.StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([cell(value) for value in row] for row in rows)
    return written.getvalue()


async def _encoded(
    header: Sequence[str], rows: Iterable[Row] | AsyncIterable[Row]
) -> AsyncIterator[bytes]:
    # Without the mark Excel reads the file in the country's old encoding.
    yield ("\ufeff" + lines([header])).encode()
    waiting: list[Row] = []
    async for row in _each(rows):
        waiting.append(row)
        if len(waiting) >= _ROWS_AT_ONCE:
            yield lines(waiting).encode()
            waiting = []
            # Sending waits only for a slow reader: others are to have their turn anyway.
            await asyncio.sleep(0)
    if waiting:
        yield lines(waiting).encode()


async def _each(rows: Iterable[Row] | AsyncIterable[Row]) -> AsyncIterator[Row]:
    if isinstance(rows, AsyncIterable):
        async for row in rows:
            yield row
    else:
        for row in rows:
            yield row
