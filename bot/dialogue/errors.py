"""What can go wrong in the dialogue process, each with the status that the turn channel answers."""


class DialogueError(Exception):
    """Base of the dialogue process's own errors."""

    status = 500
    code = "dialogue_failed"


class BadTurn(DialogueError):
    """A request body that is no turn."""

    code = "bad_request"

    def __init__(self, field: str, problem: str, *, status: int = 400) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.status = status


class UnderstandingFailed(DialogueError):
    """The understanding service gave no parse."""

    status = 503
    code = "understanding_failed"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the understanding service gave no answer: {reason}; retry the turn")


class ActionFailed(DialogueError):
    """The action server did not run an action."""

    status = 503
    code = "action_failed"

    def __init__(self, action: str, reason: str) -> None:
        super().__init__(f"action {action} did not run: {reason}; retry the turn")
        self.action = action


class RunawayTurn(DialogueError):
    """The policies predicted action after action without listening."""

    code = "runaway_turn"

    def __init__(self, last_action: str) -> None:
        super().__init__(
            f"no end of actions after {last_action}: a rule for what follows is missing"
        )


class TurnNotSaved(DialogueError):
    """The turn could not be written; the conversation is as it was before."""

    status = 503
    code = "turn_not_saved"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the turn was not saved: {reason}; retry it")


class ConversationErased(DialogueError):
    """The conversation was erased: nothing more can be said in it."""

    status = 410
    code = "erased"

    def __init__(self) -> None:
        super().__init__("this conversation was erased; begin another one")


class NotScrubbed(DialogueError):
    """Rows are gone, but their bytes may still be in the database's files."""

    status = 503
    code = "not_scrubbed"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the files still hold what was deleted ({reason}); erase again")


class NoDialogueModel(DialogueError):
    """There is no trained dialogue model to load."""

    code = "no_model"

    def __init__(self, folder: str) -> None:
        super().__init__(f"no dialogue model in {folder}: run bot/dialogue/train.py")
