"""What can go wrong in the learning loop; each error says what to do."""

from bot.errors import KefuError


class LearningError(KefuError):
    """Base of the errors of the learning loop."""


class BadPeriod(LearningError):
    """A period that cannot be read."""

    def __init__(self, said: str) -> None:
        super().__init__(
            f"KEFU_LEARN_EVERY or --every: {said!r} is no period; write a number with h, d or w, "
            "such as 12h, 7d or 2w, or off"
        )
        self.said = said


class RunGoesOn(LearningError):
    """Another training or run of the loop has the one slot there is."""

    def __init__(self, run_id: str, host: str) -> None:
        super().__init__(
            f"a run is going on already ({run_id} on {host}); wait for it, or cancel it in the "
            "console under Models"
        )
        self.run_id = run_id
        self.host = host


class NoChampion(LearningError):
    """There is no model yet that a new one could be better than."""

    def __init__(self) -> None:
        super().__init__("no model serves yet that could be improved; run `kefu train` first")


class StepFailed(LearningError):
    """A step of a run ended without a result."""

    def __init__(self, step: str, reason: str) -> None:
        super().__init__(f"{step}: {reason}")
        self.step = step
        self.reason = reason
