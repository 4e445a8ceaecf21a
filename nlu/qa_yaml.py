"""Reads the intents of answered questions: each wording of a QA pair teaches its intent."""

from pathlib import Path
from typing import Any

import yaml

from nlu.errors import DataError
from nlu.examples import Example


def read_qa_wordings(folder: Path) -> list[Example]:
    """The question and variants of every pair with an `intent` in `folder/*.yml`.

    Entities are not annotated there, so these examples train the intent head only.
    """
    examples: list[Example] = []
    for path in sorted(folder.glob("*.yml")):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            problem = str(error).splitlines()[0]
            raise DataError(f"cannot be read: {problem}", path=path) from None
        pairs = content.get("pairs") if isinstance(content, dict) else None
        if not isinstance(pairs, list):
            raise DataError("needs a list `pairs`", path=path)
        for pair in pairs:
            examples += _wordings(pair, path)
    return examples


def _wordings(pair: Any, path: Path) -> list[Example]:
    if not isinstance(pair, dict):
        raise DataError("a pair must be a mapping of keys", path=path)
    intent = pair.get("intent")
    if intent is None:
        return []
    variants = pair.get("variants") or []
    texts = [pair.get("question"), *variants] if isinstance(variants, list) else []
    wordings = [text.strip() for text in texts if isinstance(text, str) and text.strip()]
    if not isinstance(intent, str) or not wordings or len(wordings) < len(texts):
        raise DataError(f"pair {pair.get('id')}: intent and wordings must be text", path=path)
    return [Example(text=text, intent=intent) for text in wordings]
