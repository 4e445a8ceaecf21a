"""The databases' plans for the inbox's queries, as the documentation shows them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, event

from bot.bench.console_kinds import SHOWN, Fields
from bot.console.inbox.places import read_place
from bot.console.inbox.query import read_query
from bot.log import database
from bot.log.inbox_pages import Wanted, listed
from bot.log.inbox_search import search
from bot.log.search_terms import terms_of

Plans = dict[str, list[str]]

_HEAD = """# Queries of the inbox

The plans that SQLite and PostgreSQL make for the inbox's lists, over {turns:,} turns of
`kefu log seed`. The benchmark writes them, and asks for every page over HTTP to time it:

```sh
kefu bench console --json --plans docs/reference/console-queries.md
```

- **Lists** walk the index `conversation_recent`, newest first, and stop when the page is full. All
  that a filter asks of a conversation is in the index: no row of the table is read but those shown.
  Intent, emotion and model version of its turns are there as bits: a conversation that cannot have
  such a turn is passed over, one that may have it is looked up in `turn_conversation`.
- **Who waits** comes from the small partial index `conversation_open`.
- **Pages** begin after (or before) a place, never at an offset: the thousandth costs what the first
  does.
- **Words** that at most 5,000 messages have come from FTS5 or GIN, and their conversations are then
  filtered and put in order. For words that many have, the list is walked instead and the words of
  each conversation are compared, up to 2,000 conversations a page.
- Nothing is counted.
"""


def plans_of(url: str, asked: Mapping[str, Fields]) -> Plans:
    """By kind: the plan of each statement that the list itself runs, a text each."""
    engine = database.open_engine(url)
    found: Plans = {}
    with engine.connect() as connection:
        for kind in SHOWN:
            found[kind] = [
                _plan(connection, statement, parameters)
                for statement, parameters in _statements(connection, asked[kind])
            ]
    engine.dispose()
    return found


def document(shown: Mapping[str, Plans], turns: int) -> str:
    """The page, with the plans of each database below each kind."""
    parts = [_HEAD.format(turns=turns)]
    for kind in SHOWN:
        parts.append(f"\n## {kind[0].upper()}{kind[1:]}\n")
        for name, plans in shown.items():
            title = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[name]
            joined = "\n\n".join(plans[kind])
            parts.append(f"\n{title}:\n\n```\n{joined}\n```\n")
    return "".join(parts)


def _statements(connection: Connection, fields: Fields) -> list[tuple[str, Any]]:
    """What the list runs for these fields: each statement once, however often it is run."""
    seen: dict[str, Any] = {}

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            seen.setdefault(statement, parameters)

    asked = read_query(fields, agent_id="nobody")
    name = "before" if "before" in fields else "after"
    place = read_place(name, fields[name]) if name in fields else None
    wanted = Wanted(filters=asked.filters, place=place, back=name == "before")
    event.listen(connection, "before_cursor_execute", note)
    try:
        if asked.words:
            search(connection, terms_of(asked.words), wanted)
        else:
            listed(connection, wanted)
    finally:
        event.remove(connection, "before_cursor_execute", note)
    return list(seen.items())


def _plan(connection: Connection, statement: str, parameters: Any) -> str:
    driver: Any = connection.connection.driver_connection
    cursor = driver.cursor()
    try:
        if connection.dialect.name == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            rows = cursor.fetchall()
            depth = {0: -1}
            lines = []
            for number, parent, _, detail in rows:
                depth[number] = depth.get(parent, -1) + 1
                lines.append("  " * depth[number] + detail)
            return "\n".join(lines)
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, BUFFERS OFF) {statement}", parameters)
        return "\n".join(_shortened(row[0]) for row in cursor.fetchall())
    finally:
        cursor.close()


def _shortened(line: str) -> str:
    """A long list of ids says nothing: its beginning stands for it."""
    return line if len(line) <= 240 else f"{line[:237]}..."
