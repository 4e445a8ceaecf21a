"""A stock Rasa to measure against: `rasa init`'s default config, trained on the same data."""

import hashlib
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bot.bench.report import progress
from bot.bench.system import SystemDidNotStart, free_port
from bot.errors import KefuError
from bot.settings import Settings

START_TIMEOUT_S = 300.0
MODEL = "stock"
Mapping = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StockRasa:
    """A running stock Rasa server."""

    url: str
    pid: int
    start_s: float


def build(settings: Settings, folder: Path, epochs: int | None) -> None:
    """Write the stock project: our data, with the QA pairs as a retrieval intent `faq`.

    `epochs` shortens the training of its networks, which their speed does not depend on; None
    leaves the default of 100.
    """
    domain = _load(Path(__file__).parents[1] / "dialogue" / "domain.yml")
    rules = _load(settings.data_dir / "rules.yml")["rules"]
    nlu = _load(settings.data_dir / "nlu.yml")["nlu"]
    pairs = [
        pair
        for path in sorted((settings.data_dir / "qa").glob("*.yml"))
        for pair in _load(path)["pairs"]
    ]
    questions = _answered_intents(rules)
    domain["intents"] = [name for name in domain["intents"] if name not in questions] + ["faq"]
    domain["responses"] |= {f"utter_faq/{p['id']}": [{"text": p["answer"]}] for p in pairs}
    # Nothing tells a stock Rasa the emotion.
    domain["slots"]["emotion"] = {"type": "text", "influence_conversation": False, "mappings": []}
    domain["slots"]["emotion"]["mappings"] = [{"type": "from_entity", "entity": "emotion"}]
    for slot in domain["slots"].values():
        for mapping in slot.get("mappings", []):
            if isinstance(mapping.get("intent"), list):
                mapping["intent"] = [name for name in mapping["intent"] if name not in questions]
    kept = [rule for rule in rules if not _mentions(rule, questions | {"emotion"})]
    kept.append({"rule": "faq", "steps": [{"intent": "faq"}, {"action": "utter_faq"}]})
    steps = [{"intent": "greet"}, {"action": "utter_greet"}]
    steps += [{"intent": "faq"}, {"action": "utter_faq"}]
    story = {"story": "faq", "steps": steps}
    examples = [item for item in nlu if item.get("intent") not in questions]
    for pair in pairs:
        wordings = "".join(f"- {text}\n" for text in [pair["question"], *pair["variants"]])
        examples.append({"intent": f"faq/{pair['id']}", "examples": wordings})
    folder.mkdir(parents=True, exist_ok=True)
    _dump(folder / "config.yml", _default_config(settings, epochs))
    (folder / "credentials.yml").write_text("rest:\n")
    version = {"version": "3.1"}
    _dump(folder / "domain.yml", domain)
    _dump(folder / "nlu.yml", {**version, "nlu": examples})
    _dump(folder / "core.yml", {**version, "rules": kept, "stories": [story]})


def _answered_intents(rules: list[Mapping]) -> set[str]:
    """Intents that our rules answer from the QA store."""
    found = set()
    for rule in rules:
        if any(step.get("action") == "action_answer" for step in rule["steps"]):
            found |= {step["intent"] for step in rule["steps"] if "intent" in step}
    return found - {"out_of_scope"}


def _mentions(rule: Mapping, names: set[str]) -> bool:
    words = set(re.findall(r"\w+", yaml.safe_dump([rule.get("condition", []), rule["steps"]])))
    return bool(words & (names | {"action_answer"}))


def _default_config(settings: Settings, epochs: int | None) -> Mapping:
    """What `rasa init` trains with, read from the Rasa that is installed."""
    code = "import rasa.engine.recipes as r, pathlib; print(pathlib.Path(r.__file__).parent)"
    done = subprocess.run(
        [str(settings.rasa_python), "-c", code], capture_output=True, text=True, timeout=120
    )
    recipes = Path(done.stdout.strip().splitlines()[-1])
    config = _load(recipes / "config_files" / "default_config.yml")
    for part in [*config["pipeline"], *config["policies"]]:
        if epochs is not None and "epochs" in part:
            part["epochs"] = epochs
    return {"recipe": "default.v1", "assistant_id": "stock", "language": "en", **config}


def train(settings: Settings, folder: Path) -> float:
    """Train the stock project unless its files are unchanged; seconds it took, 0 if it did not.

    Raises KefuError when Rasa's own training fails.
    """
    files = ("config.yml", "domain.yml", "nlu.yml", "core.yml")
    digest = hashlib.sha256(b"".join((folder / name).read_bytes() for name in files)).hexdigest()
    stamp = folder / "trained.sha256"
    if stamp.exists() and stamp.read_text() == digest:
        return 0.0
    progress("training the stock Rasa (DIET, ResponseSelector, TED: some minutes)")
    command = [
        str(settings.rasa_python.absolute()),
        "-m",
        "rasa",
        "train",
        "--config",
        "config.yml",
    ]
    command += ["--domain", "domain.yml", "--data", "nlu.yml", "core.yml"]
    command += ["--out", "models", "--fixed-model-name", MODEL]
    started = time.monotonic()
    with (folder / "train.log").open("wb") as log:
        done = subprocess.run(command, cwd=folder, stdout=log, stderr=log, check=False)
    if done.returncode != 0:
        raise KefuError(f"training the stock Rasa failed: read {folder / 'train.log'}")
    stamp.write_text(digest)
    return time.monotonic() - started


@contextmanager
def running(settings: Settings, folder: Path, actions_url: str) -> Iterator[StockRasa]:
    """The trained stock Rasa on its REST channel, with SQLite as its tracker store."""
    database = folder / "tracker.db"
    database.unlink(missing_ok=True)
    endpoints = {
        "action_endpoint": {"url": f"{actions_url}/webhook"},
        "tracker_store": {"type": "SQL", "dialect": "sqlite", "db": str(database.resolve())},
    }
    _dump(folder / "endpoints.yml", endpoints)
    port = free_port()
    command = [str(settings.rasa_python.absolute()), "-m", "rasa", "run", "-i", "127.0.0.1"]
    command += ["-p", str(port), "-m", f"models/{MODEL}.tar.gz"]
    command += ["--endpoints", "endpoints.yml", "--credentials", "credentials.yml"]
    log = folder / "run.log"
    started = time.monotonic()
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=folder, stdout=sink, stderr=sink)
    url = f"http://127.0.0.1:{port}"
    try:
        while not _answers(url):
            if process.poll() is not None or time.monotonic() - started > START_TIMEOUT_S:
                raise SystemDidNotStart(log)
            time.sleep(0.05)
        yield StockRasa(url=url, pid=process.pid, start_s=time.monotonic() - started)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _load(path: Path) -> Mapping:
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def _dump(path: Path, content: Mapping) -> None:
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False, width=10_000))
