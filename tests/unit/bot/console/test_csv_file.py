"""CSV files: nothing in a cell is run by a spreadsheet, and what was written is read again."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from bot.console.csv_file import attachment, cell, lines

ATTACKS = [
    "=1+1",
    "+1+1",
    "-1+1",
    "@SUM(A1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "  =1+1",
    "\u00a0=1+1",
    "＝1+1",
    '=HYPERLINK("http://evil.example","click")',
    "=cmd|'/C calc'!A0",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "hello", "a=b", "1+1", "3-4 days", "me@shop.example", "你好"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert cell(text) == text


def test_numbers_stay_numbers_and_moments_are_iso() -> None:
    at = datetime(2026, 3, 2, 9, 30, 15, 999, tzinfo=UTC)
    written = lines([[-1, 0.25, None, True, at]])
    assert written == '-1,0.25,"","true","2026-03-02T09:30:15+00:00"\r\n'


@given(st.lists(st.lists(st.text(), min_size=1, max_size=4), max_size=4))
def test_no_cell_of_any_text_begins_a_formula_and_none_breaks_out(rows: list[list[str]]) -> None:
    written = lines(rows)
    read = list(csv.reader(io.StringIO(written, newline="")))
    assert [len(row) for row in read] == [len(row) for row in rows]
    for row, kept in zip(read, rows, strict=True):
        for shown, text in zip(row, kept, strict=True):
            assert shown.removeprefix("'") == text.replace("\0", "").removeprefix("'")
            assert not shown.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
            assert not shown.startswith(("\t", "\r", "\n"))


async def test_a_file_is_streamed_and_opens_in_excel() -> None:
    async def many() -> AsyncIterator[list[Any]]:
        for number in range(1201):
            yield [number, "=evil" if number == 1200 else "你好"]

    async def serve(request: web.Request) -> web.Response:
        return attachment("rows.csv", ["n", "text"], many())

    app = web.Application()
    app.router.add_get("/", serve)
    async with TestClient(TestServer(app)) as client:
        response = await client.get("/")
        body = await response.read()
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == 'attachment; filename="rows.csv"'
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert body.startswith(b"\xef\xbb\xbf"), "the mark by which Excel knows UTF-8"
    read = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")))
    assert (len(read), read[1], read[-1]) == (1202, ["0", "你好"], ["1200", "'=evil"])
