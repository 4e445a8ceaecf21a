"""The trained dialogue models on disk: which one is newest, and what each was trained from."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from bot.dialogue.errors import NoDialogueModel

MODELS_KEPT = 3


def newest_model(folder: Path) -> Path:
    """The model file that was written last. Raises NoDialogueModel."""
    models = model_files(folder)
    if not models:
        raise NoDialogueModel(str(folder))
    return models[-1]


def model_files(folder: Path) -> list[Path]:
    """All model files, oldest first."""
    return sorted(folder.glob("*.tar.gz"), key=lambda path: (path.stat().st_mtime_ns, path.name))


def hash_inputs(files: Iterable[Path], rasa_version: str) -> str:
    """One hash over what a model is trained from."""
    digest = hashlib.sha256(rasa_version.encode())
    for path in files:
        digest.update(b"\0" + path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def trained_from(folder: Path) -> str | None:
    """The hash of the newest model's inputs, if it is on record."""
    models = model_files(folder)
    record = _record(models[-1]) if models else None
    if record is None or not record.exists():
        return None
    return str(json.loads(record.read_text())["inputs_sha256"])


def record_inputs(model: Path, inputs_sha256: str) -> None:
    """Keep the hash of its inputs beside a model, and drop models that nobody will go back to."""
    _record(model).write_text(json.dumps({"inputs_sha256": inputs_sha256}) + "\n")
    for old in model_files(model.parent)[:-MODELS_KEPT]:
        old.unlink()
        _record(old).unlink(missing_ok=True)


def _record(model: Path) -> Path:
    return model.with_name(model.name.removesuffix(".tar.gz") + ".json")
