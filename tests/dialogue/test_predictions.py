"""Our shortcuts predict what Rasa predicts: graph runner, states, cache."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rasa.core.channels.channel import UserMessage
from rasa.core.policies.policy import PolicyPrediction
from rasa.engine import loader
from rasa.engine.runner.dask import DaskGraphRunner
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.shared.core.domain import Domain
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.shared.nlu.constants import TEXT
from rasa.utils.endpoints import EndpointConfig

from bot.dialogue.action_calls import ActionCalls
from bot.dialogue.conversation_locks import ConversationLocks
from bot.dialogue.hand_back_events import hand_back_events
from bot.dialogue.model_files import newest_model
from bot.dialogue.policy_states import RuleOnly, policy_states
from bot.dialogue.tracker_store import TurnTrackerStore
from bot.dialogue.turn_channel import SilentOutput
from bot.dialogue.turn_processor import TurnAgent
from tests.dialogue.fakes import FakeServices, fake_parse

SAID = [
    "/greet", "/thank", "/ask_size", "/report_damaged", "/report_damaged!!", "/affirm", "/deny",
    "/track_order", "/cancel_order", '/return_order{"order_number": "HP-100000"}', "/inform",
    "HP-100000", "jo@mail.example", "/nevermind", "/ask_human", "/nlu_fallback", "/nlu_fallback!!",
    "/out_of_scope", '/choose_answer{"qa_id": "q"}', "/insult!!", "/bot_challenge", "/goodbye",
]  # fmt: skip


def make_agent(models_dir: Path, state: Path, url: str) -> TurnAgent:
    agent = TurnAgent(
        tracker_store=TurnTrackerStore(None, host=f"sqlite:///{state}/dialogue.db"),
        lock_store=ConversationLocks(),
        action_endpoint=EndpointConfig(url=f"{url}/webhook", selective_domain=True),
    )
    agent.load_model(newest_model(models_dir / "dialogue"))
    return agent


async def random_trackers(
    agent: TurnAgent, url: str, conversations: int, turns: int
) -> AsyncIterator[DialogueStateTracker]:
    """The tracker before every prediction of random conversations."""
    import aiohttp

    before: list[DialogueStateTracker] = []
    predict = agent.processor._predict_next_with_tracker

    def noting(tracker: DialogueStateTracker) -> PolicyPrediction:
        if not tracker.followup_action:
            before.append(tracker.copy())
        return predict(tracker)

    agent.processor._predict_next_with_tracker = noting
    async with aiohttp.ClientSession() as session:
        ActionCalls(session, f"{url}/webhook").install()
        for number in range(conversations):
            choose = random.Random(number)
            for _ in range(turns):
                text = choose.choice(SAID)
                message = UserMessage(
                    text, SilentOutput(), f"c{number}", parse_data=fake_parse(text)
                )
                conversation = await agent.processor.run_turn(message)
                if choose.random() < 0.1:
                    for event in hand_back_events(
                        conversation.tracker, "resolved", {"handoff_rest": 2.0}
                    ):
                        conversation.tracker.update(event, agent.domain)
                await agent.tracker_store.commit(conversation)
                for tracker in before:
                    yield tracker
                before.clear()


def plain(state: dict[str, Any]) -> dict[str, Any]:
    """Rasa's state without the text, which depends on who asks."""
    user = {k: v for k, v in state.get("user", {}).items() if k != TEXT}
    rest = {k: v for k, v in state.items() if k != "user"}
    return {**rest, "user": user} if user else rest


def same(left: PolicyPrediction, right: PolicyPrediction) -> bool:
    return (
        list(left.probabilities) == list(right.probabilities)
        and left.policy_name == right.policy_name
        and left.is_no_user_prediction == right.is_no_user_prediction
        and left.hide_rule_turn == right.hide_rule_turn
        and [type(event) for event in left.events] == [type(event) for event in right.events]
    )


def test_states_graph_and_cache_agree_with_rasa(
    services: FakeServices, models_dir: Path, tmp_path: Path
) -> None:
    agent = make_agent(models_dir, tmp_path, services.url)
    processor = agent.processor
    domain: Domain = agent.domain
    assert processor.predictions.usable
    rule_only = processor.predictions._rule_only
    data = {"rule_only_slots": list(rule_only.slots), "rule_only_loops": list(rule_only.loops)}
    (tmp_path / "dask").mkdir()
    _, dask = loader.load_predict_graph_runner(
        tmp_path / "dask",
        newest_model(models_dir / "dialogue"),
        LocalModelStorage,
        DaskGraphRunner,
    )
    target = processor.model_metadata.core_target

    async def compare() -> int:
        compared = 0
        async for tracker in random_trackers(agent, services.url, conversations=12, turns=15):
            states = policy_states(tracker.applied_events(), domain, rule_only)
            assert [plain(s) for s in states.for_rules] == [
                plain(s) for s in tracker.past_states(domain)
            ]
            assert [plain(s) for s in states.for_stories] == [
                plain(s)
                for s in tracker.past_states(
                    domain, ignore_rule_only_turns=True, rule_only_data=data
                )
            ]
            assert tracker.applied_events() == DialogueStateTracker.applied_events(tracker)
            inputs = {"__tracker__": tracker}
            by_dask = dask.run(inputs, [target])[target]
            by_us = processor.graph_runner.run(inputs, [target])[target]
            cached = processor.predictions.get(processor.predictions.key(tracker))
            assert same(by_us, by_dask)
            assert cached is not None
            assert same(cached, by_dask)
            compared += 1
        return compared

    compared = asyncio.run(compare())
    agent.tracker_store.close()
    assert compared > 300


def test_a_copy_of_a_live_tracker_is_what_a_replay_gives(
    services: FakeServices, models_dir: Path, tmp_path: Path
) -> None:
    agent = make_agent(models_dir, tmp_path, services.url)

    async def compare() -> None:
        async for tracker in random_trackers(agent, services.url, conversations=4, turns=12):
            replayed = DialogueStateTracker.copy(tracker)
            copied = tracker.copy()
            assert copied.current_slot_values() == replayed.current_slot_values()
            assert copied.active_loop_name == replayed.active_loop_name
            assert copied.latest_action_name == replayed.latest_action_name
            assert copied.latest_message == replayed.latest_message
            assert copied.events == replayed.events

    asyncio.run(compare())
    agent.tracker_store.close()


def test_an_unknown_policy_is_not_cached() -> None:
    from bot.dialogue.prediction_cache import PredictionCache

    class Stranger:
        """Some policy that is neither of the two."""

    assert not PredictionCache(Domain.empty(), [Stranger()]).usable


@pytest.mark.parametrize("rule_only", [RuleOnly(), RuleOnly(slots=frozenset({"handoff"}))])
def test_an_empty_history_is_one_empty_state(rule_only: RuleOnly) -> None:
    states = policy_states([], Domain.empty(), rule_only)
    assert (states.for_rules, states.for_stories) == ([{}], [{}])
