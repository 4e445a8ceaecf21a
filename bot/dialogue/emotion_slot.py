"""The slot that holds the emotion and shows the policies only whether it is anger."""

from rasa.shared.core.slots import Slot


class EmotionSlot(Slot):
    """A slot whose value is the emotion's name and whose only feature is "angry".

    A categorical slot would put every emotion into the policies' states. Memoised stories match
    whole states, so each would have to be written once per emotion. With one feature that is
    zero for all but anger (Rasa leaves all-zero slots out of a state), rules can still be
    conditioned on `emotion: angry`, and nothing else has to know that emotions exist.
    """

    type_name = "bot.dialogue.emotion_slot.EmotionSlot"

    def _as_feature(self) -> list[float]:
        return [1.0 if self.value == "angry" else 0.0]
