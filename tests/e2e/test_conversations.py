"""The test conversations of tests/conversations, spoken over HTTP to the running system."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.bench.system import PrivateSystem
from tests.e2e.conftest import Customer

FOLDER = Path(__file__).parents[1] / "conversations"
ANNOTATION = re.compile(r"\[([^\]]*)\](?:\([^)]*\)|\{[^}]*\})")
# Rasa's own steps of a form, which a story writes in other ways than the tracker records them.
UNCOMPARED = {"action_deactivate_loop", "action_default_ask_affirmation"}


def load_stories() -> dict[str, list[dict[str, Any]]]:
    """Steps by story name."""
    found = {}
    for path in sorted(FOLDER.glob("*.yml")):
        for story in yaml.safe_load(path.read_text(encoding="utf-8"))["stories"]:
            found[f"{path.stem}: {story['story']}"] = story["steps"]
    return found


STORIES = load_stories()


def expected_turns(steps: list[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """(text the customer says, actions expected in that turn)."""
    turns: list[tuple[str, list[str]]] = []
    for step in steps:
        if "user" in step:
            turns.append((ANNOTATION.sub(r"\1", step["user"]).strip(), []))
        elif "action" in step:
            turns[-1][1].append(step["action"])
    return turns


def test_there_are_at_least_forty_conversations() -> None:
    assert len(STORIES) >= 40


@pytest.mark.parametrize("name", STORIES)
def test_conversation(system: PrivateSystem, name: str) -> None:
    customer = Customer(url=system.url)
    for text, expected in expected_turns(STORIES[name]):
        detail = customer.say(text)["detail"]
        done = [action for action in detail["answer"]["actions"] if action not in UNCOMPARED]
        wanted = [action for action in expected if action not in UNCOMPARED]
        assert done == wanted, (text, detail["intent"], detail["emotion"])
