"""Keeps how far a training is, so that one that was killed goes on instead of beginning again.

Tensors are safetensors and the rest is JSON: a checkpoint that somebody else wrote cannot run code.
"""

import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from nlu.encoder import JointModel

_TENSORS, _STATE = "checkpoint.safetensors", "checkpoint.json"
_MODEL, _BEST, _OPTIMISER, _CHANCE = "model/", "best/", "optimiser/", "chance"


@dataclass(slots=True, kw_only=True)
class Course:
    """How a training has gone so far."""

    epoch: int = 0  # that are done
    best_score: float = -1.0
    best_epoch: int = 0
    best_state: dict[str, Tensor]
    history: list[dict[str, float]]


class Checkpoints:
    """One checkpoint in a folder, of the training with a fingerprint; each replaces the last."""

    def __init__(self, folder: Path | None, fingerprint: str) -> None:
        self._folder = folder
        self._fingerprint = fingerprint

    def save(
        self,
        course: Course,
        model: JointModel,
        optimiser: torch.optim.Optimizer,
        schedule: LambdaLR,
        rng: random.Random,
    ) -> None:
        """Keep the state after an epoch, on disk when this returns."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        tensors = {_MODEL + name: value for name, value in model.state_dict().items()}
        tensors |= {_BEST + name: value for name, value in course.best_state.items()}
        for number, state in optimiser.state_dict()["state"].items():
            tensors |= {f"{_OPTIMISER}{number}/{key}": value for key, value in state.items()}
        tensors[_CHANCE] = torch.get_rng_state()
        number = course.epoch
        self._replace(f"{number}.{_TENSORS}", lambda path: save_file(_apart(tensors), path))
        state = {
            "fingerprint": self._fingerprint,
            "epoch": course.epoch,
            "best_score": course.best_score,
            "best_epoch": course.best_epoch,
            "history": course.history,
            "step": schedule.last_epoch,
            "rates": [group["lr"] for group in optimiser.param_groups],
            "rng": rng.getstate(),
        }
        # The small file last: it names the large one that it belongs to.
        self._replace(_STATE, lambda path: path.write_text(json.dumps(state), "utf-8"))
        for old in self._folder.glob(f"*.{_TENSORS}"):
            if old.name != f"{number}.{_TENSORS}":
                old.unlink()

    def restore(
        self,
        model: JointModel,
        optimiser: torch.optim.Optimizer,
        schedule: LambdaLR,
        rng: random.Random,
    ) -> Course | None:
        """Bring everything to where the last epoch left it; None where there is nothing to go on
        from, or it is of another training.
        """
        state = self._state()
        if state is None or self._folder is None:
            return None
        try:
            tensors = load_file(self._folder / f"{state['epoch']}.{_TENSORS}")
        except (OSError, SafetensorError):
            return None
        model.load_state_dict(_part(tensors, _MODEL))
        kept = optimiser.state_dict()
        moments: dict[int, dict[str, Tensor]] = {}
        for name, value in _part(tensors, _OPTIMISER).items():
            number, key = name.split("/")
            moments.setdefault(int(number), {})[key] = value
        optimiser.load_state_dict({**kept, "state": moments})
        for group, rate in zip(optimiser.param_groups, state["rates"], strict=True):
            group["lr"] = rate
        schedule.last_epoch = state["step"]
        version, numbers, gauss = state["rng"]
        rng.setstate((version, tuple(numbers), gauss))
        torch.set_rng_state(tensors[_CHANCE])
        return Course(
            epoch=state["epoch"],
            best_score=state["best_score"],
            best_epoch=state["best_epoch"],
            best_state=_part(tensors, _BEST),
            history=state["history"],
        )

    def _state(self) -> dict[str, Any] | None:
        if self._folder is None:
            return None
        try:
            state = json.loads((self._folder / _STATE).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(state, dict) or state.get("fingerprint") != self._fingerprint:
            return None
        return state

    def _replace(self, name: str, write: Callable[[Path], object]) -> None:
        assert self._folder is not None
        temporary = self._folder / f".{name}.{os.getpid()}.tmp"
        write(temporary)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        temporary.replace(self._folder / name)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def _apart(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    # A file keeps each tensor once: those that share memory are copied.
    return {name: value.detach().clone().contiguous().cpu() for name, value in tensors.items()}
