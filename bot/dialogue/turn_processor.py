"""Rasa's message processor, with turns that either happen or fail.

Overrides of MessageProcessor:
- `_load_model` uses our graph runner, and `_predict_next_with_tracker` a cache in front of it.
- `_run_action` lets failures through. Rasa logs them and goes on, so that the customer gets half an
  answer, and the half-made turn is saved.
- `handle_message` drops the live tracker when a turn fails, so that a retry starts cleanly.
And two additions: an offer of a person stands for one message, see `_expire_offer`, and what a
person's hand-back changed wears off, see `hand_back_events.py`.
"""

import logging
import tarfile
from pathlib import Path
from typing import Any

from rasa.core.actions.action import Action, ActionExecutionRejection
from rasa.core.agent import Agent
from rasa.core.channels.channel import CollectingOutputChannel, OutputChannel, UserMessage
from rasa.core.lock_store import LockStore
from rasa.core.nlg import NaturalLanguageGenerator, TemplatedNaturalLanguageGenerator
from rasa.core.policies.policy import PolicyPrediction
from rasa.core.processor import MessageProcessor
from rasa.core.tracker_store import TrackerStore
from rasa.engine import loader
from rasa.engine.runner.interface import GraphRunner
from rasa.engine.storage.local_model_storage import LocalModelStorage
from rasa.engine.storage.storage import ModelMetadata
from rasa.shared.core.domain import Domain
from rasa.shared.core.events import ActionExecutionRejected, SlotSet
from rasa.shared.core.trackers import DialogueStateTracker
from rasa.utils.common import TempDirectoryPath, get_temp_dir_name

from bot.dialogue.conversation import Conversation
from bot.dialogue.errors import NoDialogueModel, RunawayTurn
from bot.dialogue.graph_runner import OrderedGraphRunner
from bot.dialogue.hand_back_events import count_rest, note_waiting
from bot.dialogue.prediction_cache import PredictionCache, policies_of
from bot.dialogue.tracker_store import TurnTrackerStore

logger = logging.getLogger(__name__)


class TurnProcessor(MessageProcessor):
    """Runs one turn on a live conversation."""

    tracker_store: TurnTrackerStore
    graph_runner: OrderedGraphRunner
    predictions: PredictionCache

    @staticmethod
    def _load_model(model_path: str | Path) -> tuple[str, ModelMetadata, GraphRunner]:
        """Unpack a model file and build its graph for our runner."""
        with TempDirectoryPath(get_temp_dir_name()) as folder:
            try:
                metadata, runner = loader.load_predict_graph_runner(
                    Path(folder), Path(model_path), LocalModelStorage, OrderedGraphRunner
                )
            except (tarfile.ReadError, FileNotFoundError) as error:
                raise NoDialogueModel(str(Path(model_path).parent)) from error
        return Path(model_path).name, metadata, runner

    def cache_predictions(self) -> None:
        """Start with an empty cache, if this model's policies allow one."""
        policies = policies_of(self.graph_runner.components())
        self.predictions = PredictionCache(self.domain, policies)

    def _predict_next_with_tracker(self, tracker: DialogueStateTracker) -> PolicyPrediction:
        if tracker.followup_action or not self.predictions.usable:
            return super()._predict_next_with_tracker(tracker)
        key = self.predictions.key(tracker)
        prediction = self.predictions.get(key)
        if prediction is None:
            prediction = super()._predict_next_with_tracker(tracker)
            self.predictions.put(key, prediction)
        return prediction

    async def run_turn(self, message: UserMessage) -> Conversation:
        """Apply a message and all that follows from it to the live conversation, uncommitted."""
        conversation = await self.tracker_store.conversation(message.sender_id)
        tracker: DialogueStateTracker = await self.get_tracker(message.sender_id)
        channel = message.output_channel
        await self._update_tracker_session(tracker, channel, message.metadata)
        for event in note_waiting(tracker, message.metadata):
            tracker.update(event, self.domain)
        await self._handle_message_with_tracker(message, tracker)
        tracker = await self.run_action_extract_slots(channel, tracker)
        await self._run_prediction_loop(channel, tracker)
        if tracker.get_slot("handoff") == "offered":
            self._expire_offer(conversation)
        for event in count_rest(tracker):
            tracker.update(event, self.domain)
        return conversation

    async def handle_message(self, message: UserMessage) -> list[dict[str, Any]] | None:
        """A turn of one of Rasa's own channels."""
        try:
            conversation = await self.run_turn(message)
            await self.tracker_store.save(conversation.tracker)
        except BaseException:
            self.tracker_store.forget(message.sender_id)
            raise
        if isinstance(message.output_channel, CollectingOutputChannel):
            return message.output_channel.messages
        return None

    async def _run_action(
        self,
        action: Action,
        tracker: DialogueStateTracker,
        output_channel: OutputChannel,
        nlg: NaturalLanguageGenerator,
        prediction: PolicyPrediction,
    ) -> bool:
        trial = tracker.copy()
        trial.update_with_events(prediction.events, self.domain)
        try:
            events = await action.run(output_channel, nlg, trial, self.domain)
        except ActionExecutionRejection:
            rejected = ActionExecutionRejected(
                action.name(), prediction.policy_name, prediction.max_confidence
            )
            tracker.update(rejected)
            return self.should_predict_another_action(action.name())
        self._log_action_on_tracker(tracker, action, events, prediction)
        if any(event.type_name == "user" for event in events):
            # The two-stage fallback repeats the message that it now understands.
            await self.run_action_extract_slots(output_channel, tracker)
        await self.execute_side_effects(events, tracker, output_channel)
        return self.should_predict_another_action(action.name())

    def _expire_offer(self, conversation: Conversation) -> None:
        """Take back an offer of a person that the message neither took nor renewed.

        Without this a "yes" to something else, any number of messages later, would hand over.
        """
        if not any(
            isinstance(event, SlotSet) and event.key == "handoff"
            for event in conversation.new_events()
        ):
            conversation.tracker.update(SlotSet("handoff", None), self.domain)


class TurnAgent(Agent):
    """An Agent with our processor, and without Rasa's fallback to a tracker store in memory.

    Rasa wraps every tracker store so that when the database fails, turns go on unsaved.
    """

    processor: TurnProcessor

    @staticmethod
    def _create_tracker_store(store: TrackerStore | None, domain: Domain) -> TrackerStore:
        assert store is not None
        return store

    @staticmethod
    def _create_lock_store(store: LockStore | None) -> LockStore:
        assert store is not None
        return store

    def load_model(self, model_path: str | Path, fingerprint: str | None = None) -> None:
        """Load a model file. Raises NoDialogueModel."""
        self.processor = TurnProcessor(
            model_path=model_path,
            tracker_store=self.tracker_store,
            lock_store=self.lock_store,
            action_endpoint=self.action_endpoint,
            generator=self.nlg,
            on_circuit_break=_fail_runaway_turn,
            http_interpreter=self.http_interpreter,
        )
        self.processor.cache_predictions()
        self.domain = self.processor.domain
        self._set_fingerprint(fingerprint)
        self.tracker_store.domain = self.domain
        if isinstance(self.nlg, TemplatedNaturalLanguageGenerator):
            self.nlg.responses = self.domain.responses


def _fail_runaway_turn(tracker: DialogueStateTracker, *_: Any) -> None:
    """Rasa would go on with the turn as it is, and the conversation would never listen again."""
    raise RunawayTurn(tracker.latest_action_name or "")
