"""What survives the end of the dialogue process."""

import signal
import threading
from pathlib import Path
from typing import Any

from tests.dialogue.fakes import FakeServices
from tests.dialogue.processes import DialogueProcess, actions_of


def test_a_killed_process_goes_on_where_it_was(
    services: FakeServices, models_dir: Path, tmp_path: Path
) -> None:
    process = DialogueProcess(services.url, models_dir, tmp_path)
    for _ in range(9):
        process.say("c", "/ask_size")
    first = process.say("c", '/cancel_order{"order_number": "HP-100000"}', "m-1")
    process.stop(signal.SIGKILL)

    process.start()
    again = process.say("c", '/cancel_order{"order_number": "HP-100000"}', "m-1")
    assert again["duplicate"] is True
    for part in ("replies", "parse", "events"):
        assert again[part] == first[part]
    process.say("c", "jo@mail.example")
    assert "action_cancel_order" in actions_of(process.say("c", "/affirm"))

    # SIGTERM while a turn is under way: it is answered, then the process ends well.
    services.actions.delay_s = 1.0
    answers: list[dict[str, Any]] = []
    asking = threading.Thread(target=lambda: answers.append(process.say("c", "/ask_size", "m-9")))
    calls = len(services.actions.calls)
    asking.start()
    while len(services.actions.calls) == calls:
        threading.Event().wait(0.01)
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    asking.join()
    assert answers[0]["replies"][0]["text"] == "said by action_answer"
