"""Trains the dialogue model: `.venv-rasa/bin/python bot/dialogue/train.py [--force]`.

Reads bot/dialogue/domain.yml and config.yml, data/rules.yml and data/stories.yml; writes
models/dialogue/*.tar.gz. Does nothing when these have not changed since the newest model.

Rasa replaces ${NAME} in its files from the environment, and a model is a file that may be handed
on; so the training runs in a process of its own with nearly nothing in its environment.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT)  # see server.py

DOMAIN = ROOT / "bot/dialogue/domain.yml"
CONFIG = ROOT / "bot/dialogue/config.yml"
DATA = [ROOT / "data/rules.yml", ROOT / "data/stories.yml"]
CODE = [ROOT / "bot/dialogue/emotion_slot.py"]
CLEAN = "KEFU_CLEAN_TRAINING"


def main() -> None:
    """Train if there is something new to train from; exit code 1 when Rasa refuses."""
    from importlib.metadata import version

    from bot.dialogue.model_files import hash_inputs, newest_model, record_inputs, trained_from
    from bot.dialogue.settings import read_settings

    inputs = hash_inputs([DOMAIN, CONFIG, *DATA, *CODE], version("rasa"))
    if CLEAN not in os.environ:
        folder = read_settings().model_folder.absolute()
        if "--force" not in sys.argv and trained_from(folder) == inputs:
            print(f"dialogue model is up to date: {newest_model(folder)}")
            return
        folder.mkdir(parents=True, exist_ok=True)
        os.execve(
            sys.executable,
            [sys.executable, __file__, str(folder)],
            {
                "PATH": os.defpath,
                "LANG": "C.UTF-8",
                "RASA_TELEMETRY_ENABLED": "false",
                "TF_CPP_MIN_LOG_LEVEL": "3",
                CLEAN: "1",
            },
        )
    model = train(Path(sys.argv[1]))
    record_inputs(model, inputs)
    print(f"dialogue model trained: {model}")


def train(folder: Path) -> Path:
    """Train a model into the folder. Exits with Rasa's message when the data contradict."""
    from bot.dialogue.server import set_up_logging

    set_up_logging()
    import rasa
    from rasa.shared.exceptions import RasaException

    # Rasa keeps a cache of trained parts in the working directory.
    os.chdir(ROOT)
    try:
        result = rasa.train(
            domain=str(DOMAIN),
            config=str(CONFIG),
            training_files=[str(path) for path in DATA],
            output=str(folder),
        )
    except RasaException as error:
        sys.exit(f"the dialogue cannot be trained: {error}")
    if result.model is None:
        sys.exit("the dialogue cannot be trained: Rasa wrote no model")
    return Path(result.model)


if __name__ == "__main__":
    main()
