"""The page of a proof: whole, safe, without a text that the log no longer has."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bot.learning.proof import charts
from bot.learning.proof.page import LISTED, policy, render
from bot.learning.proof.proof import ProofOrder, prove
from bot.learning.proof.terms import ProofTerms
from nlu.examples import Example
from tests.unit.bot.learning.proof_fakes import INTENTS, FakeReader


def kept(changes: int = 3, wrong: int = 5) -> dict[str, object]:
    texts = [Example(text=f"text {n}", intent=INTENTS[n % 4]) for n in range(60)]
    before = {e.text: (str(e.intent), 0.9) for e in texts}
    after = before | {f"text {n}": ("greet", 0.8) for n in range(0, 4 * wrong, 4)}
    real = {f"real {n}": ("greet", 0.9) for n in range(300)}
    moved = real | {f"real {n}": ("track_order", 0.9) for n in range(changes)}
    readers = {
        "old": FakeReader(before | real),
        "new": FakeReader(after | moved, version="challenger"),
    }
    proof = prove(
        ProofOrder(
            champion=Path("old"),
            challenger=Path("new"),
            frozen=texts,
            shadow=[(f"turn-{n}", f"real {n}") for n in range(300)],
            terms=ProofTerms(draws=100),
        ),
        open_bundle=lambda folder: readers[folder.name],
    )
    return proof.as_json()


class Elements(HTMLParser):
    """Every element with its attributes; whatever is left open."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta",):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_tells_decision_reasons_and_changes() -> None:
    proof = kept()
    page = render(proof, text_of={"turn-0": "where is my parcel"}.get)
    assert "Hold: neither better nor worse is proven" in page or "Refuse" in page
    assert "where is my parcel" in page
    assert page.count("no longer in the log") == 2
    for reason in proof["verdict"]["reasons"]:  # type: ignore[index]
        assert reason["name"] in page
    assert "All that was looked at" in page


def test_the_page_needs_nothing_from_outside_and_runs_nothing() -> None:
    page = render(kept(), text_of=lambda turn_id: None)
    elements = Elements()
    elements.feed(page)
    assert elements.open == []
    for tag, attributes in elements.found:
        assert tag not in ("script", "link", "img", "iframe", "object", "base")
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("style", "src", "href")
            assert "url(" not in (value or "")
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_the_policy_names_the_style_that_is_in_the_page() -> None:
    import base64
    import hashlib

    page = render(kept(), text_of=lambda turn_id: None)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy()


def test_a_customers_words_are_no_markup() -> None:
    words = '<script>alert("x")</script>'
    page = render(kept(), text_of=lambda turn_id: words)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_a_long_list_of_changes_is_cut_and_says_so() -> None:
    asked: list[str] = []
    page = render(kept(changes=290), text_of=lambda turn_id: asked.append(turn_id))
    assert len(asked) == LISTED
    assert f"the first {LISTED} of 290" in page


def test_a_proof_without_anything_to_draw_is_still_a_page() -> None:
    proof = prove(
        ProofOrder(
            champion=Path("old"), challenger=Path("new"), frozen=[], terms=ProofTerms(draws=10)
        ),
        open_bundle=lambda folder: FakeReader({}),
    )
    page = render(proof.as_json(), text_of=lambda turn_id: None)
    assert "<svg" not in page.split("<main>")[1]
    assert "no test text" in page


def test_an_axis_has_round_ticks_and_keeps_marks_inside() -> None:
    axis = charts.Axis(low=0.85, high=1.0, start=0.0, end=150.0)
    assert axis.ticks() == [(0.0, "85%"), (50.0, "90%"), (100.0, "95%"), (150.0, "100%")]
    assert axis.at(0.5) == 0.0
    assert axis.at(2.0) == 150.0
    assert axis.at(0.925) == pytest.approx(75.0)


def test_the_intents_that_moved_most_are_drawn_losses_first() -> None:
    def moved(name: str, before: float, after: float) -> dict[str, object]:
        return {"name": name, "n": 8, "champion": before, "challenger": after}

    rows = [moved(f"up_{n}", 0.5, 0.5 + n / 100) for n in range(1, 20)]
    rows += [moved("down_much", 0.9, 0.4), moved("down_little", 0.9, 0.8), moved("same", 1, 1)]
    rows += [moved(f"down_{n}", 0.9, 0.9 - n / 100) for n in range(1, 5)]
    found = charts.moves(rows, most=3)
    assert found is not None
    losses, gains = ["down_much", "down_little", "down_4"], ["up_19", "up_18", "up_17"]
    assert [one.name for one in found.moves] == losses + gains
    assert found.unmoved == 1
    assert [one.kind for one in found.moves] == ["loss"] * 3 + ["gain"] * 3
    assert charts.moves([]) is None
