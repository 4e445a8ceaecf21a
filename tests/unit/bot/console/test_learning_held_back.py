"""The page of what the guard holds back: reasons in words, decided by somebody else."""

import html
from typing import Any

import pytest
from sqlalchemy import select

from bot.console.learning.held import why_held
from bot.console.words import Words
from bot.learning.guard.held import Held
from bot.log import held_back, tables
from tests.integration.review_log import add_turn
from tests.unit.bot.conftest import Running
from tests.unit.bot.console.visitors import Visitor, sign_in

PAGE = "/learning/held-back"
ERROR = {"likely": "track_order", "neighbours": 0.7, "given": 0.02, "probability": 0.004}
DETAILS: dict[str, list[dict[str, Any]]] = {
    "trigger": [{"phrase": "xq", "intent": "pay", "rows": 9, "spread": 6.0, "before": 0}],
    "label_error": [ERROR],
    "influence": [
        {"by": "agent", "rows": 40, "contradicted": 20, "others": 0.05, "likely": "pay"},
        {"by": "customer", "rows": 40, "contradicted": 20, "others": 0.05, "likely": "pay"},
        {"by": "customer", "rows": 30, "of": 40, "most": 3},
        {"by": "customer", "most": 20},
    ],
    "class_shift": [
        {"kind": "rise", "intent": "pay", "before": 0.1, "now": 0.4, "surplus": 120},
        {"kind": "fall", "intent": "pay", "before": 0.4, "now": 0.1, "surplus": 120},
        {"kind": "new", "by": "customer", "share": 0.9},
        {"kind": "new", "by": "agent", "share": 0.9, "spread": 12.0},
    ],
    "protected": [{"predicted": "pay", "intent": "cancel_order"}],
}


async def hold(site: Running, id_: str, text: str, **changes: Any) -> str:
    """A turn that the guard holds back."""
    about: dict[str, Any] = {
        "reason": "label_error",
        "detail": ERROR,
        "intent": "cancel_order",
        "source": "corrected",
        "author": None,
    }
    found = Held(turn_id=id_, **(about | changes))

    def unit(connection: Any) -> int:
        add_turn(connection, id_, text)
        now = site.gateway.world.now()
        return held_back.keep(connection, held=[found], run_id="r-1", now=now)

    assert await site.gateway.journal.write(unit) == 1
    return id_


async def states(site: Running) -> dict[str, str]:
    held = tables.held_back
    rows = await site.gateway.journal.read(
        lambda c: c.execute(select(held.c.turn_id, held.c.state)).all()
    )
    return {row.turn_id: row.state for row in rows}


async def audited(site: Running, actor: Visitor) -> list[tuple[str, Any]]:
    audit = tables.audit
    query = select(audit.c.target, audit.c.detail).where(
        audit.c.action == "decide_held_back", audit.c.actor == actor.id
    )
    rows = await site.gateway.journal.read(lambda c: c.execute(query).all())
    return [(row.target, row.detail) for row in rows]


@pytest.fixture
async def ben(running: Running) -> Visitor:
    return await sign_in(running, "Ben", "reviewer")


async def test_each_turn_stands_with_its_reason_and_who_labelled_it(
    running: Running, ben: Visitor
) -> None:
    await hold(running, "t-1", "where is <my> order", author=ben.id)
    cara = await sign_in(running, "Cara", "administrator")
    page = html.unescape(await cara.text(PAGE))
    assert "where is <my> order" in page
    assert "where is <my> order" not in await cara.text(PAGE)
    assert "rather track_order (70%); 2.0% have this label" in page
    assert "corrected by a person · Ben" in page
    assert "label probably wrong 1" in page
    assert "trigger phrase 0" in page


async def test_one_is_approved_one_rejected_and_others_wait(running: Running, ben: Visitor) -> None:
    for number in range(3):
        await hold(running, f"t-{number}", f"order {number}")
    done = await ben.post(PAGE, approve="t-0", reason="")
    assert done.headers["Location"] == f"/console{PAGE}?notice=learning.approved"
    await ben.post(PAGE, reject="t-1")
    assert await states(running) == {"t-0": "approved", "t-1": "rejected", "t-2": "open"}
    assert await audited(running, ben) == [
        ("t-0", {"decision": "approved"}),
        ("t-1", {"decision": "rejected"}),
    ]
    page = await ben.text(PAGE)
    assert "order 2" in page
    assert "order 0" not in page
    # What is decided stays so.
    assert (await ben.post(PAGE, reject="t-0")).status == 409


async def test_what_is_ticked_is_decided_together(running: Running, ben: Visitor) -> None:
    for number in range(3):
        await hold(running, f"t-{number}", f"order {number}")
    form: Any = [("csrf", ben.csrf), ("reject", ""), ("turn", "t-0"), ("turn", "t-2")]
    done = await ben.send("POST", PAGE, {}, form)
    assert done.status == 303
    assert await states(running) == {"t-0": "rejected", "t-1": "open", "t-2": "rejected"}
    assert len(await audited(running, ben)) == 2


async def test_nobody_decides_on_a_label_of_their_own(running: Running, ben: Visitor) -> None:
    await hold(running, "t-1", "where is it", author=ben.id)
    assert "Your own label" in await ben.text(PAGE)
    assert (await ben.post(PAGE, approve="t-1")).status == 409
    assert await states(running) == {"t-1": "open"}
    assert await audited(running, ben) == []
    cara = await sign_in(running, "Cara", "reviewer")
    assert (await cara.post(PAGE, approve="t-1")).status == 303
    assert await states(running) == {"t-1": "approved"}


async def test_one_kind_alone_can_be_looked_at_page_by_page(running: Running, ben: Visitor) -> None:
    for number in range(51):
        await hold(running, f"t-{number:02}", f"order {number:02}")
    await hold(running, "t-x", "shifted", reason="class_shift", detail={"kind": "rise"})
    shifted = await ben.text(f"{PAGE}?reason=class_shift")
    assert "shifted" in shifted
    assert "order 00" not in shifted
    first = html.unescape(await ben.text(f"{PAGE}?reason=label_error"))
    assert first.count('name="turn"') == 50
    assert "reason=label_error&after=t-49" in first
    second = await ben.text(f"{PAGE}?reason=label_error&after=t-49")
    assert second.count('name="turn"') == 1
    assert (await ben.get(f"{PAGE}?reason=whatever")).status == 400
    assert (await ben.get(f"{PAGE}?after=%00")).status == 200


async def test_a_form_that_decides_nothing_is_refused(running: Running, ben: Visitor) -> None:
    await hold(running, "t-1", "where is it")
    assert (await ben.post(PAGE, turn="t-1")).status == 422
    assert (await ben.post(PAGE, approve="")).status == 422
    assert (await ben.post(PAGE, approve="nothing")).status == 409
    assert await states(running) == {"t-1": "open"}


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_what_the_guard_found_is_a_sentence_in_both_languages(locale: Any) -> None:
    words = Words(locale)
    for reason, details in DETAILS.items():
        said = [why_held(words, reason, detail) for detail in details]
        assert len(set(said)) == len(details)
        for sentence in said:
            # Where no sentence fits, the figures stand by their names.
            assert "kind:" not in sentence
            assert "by:" not in sentence
            assert "{" not in sentence
    assert "70%" in why_held(words, "label_error", ERROR)


def test_figures_without_a_sentence_stand_by_their_names() -> None:
    said = why_held(Words("en"), "influence", {"by": "robot", "share": 0.5, "also": ["trigger"]})
    assert said == "by: robot, share: 50%"
    assert why_held(Words("en"), "trigger", {"rows": 3}) == "rows: 3"
