"""The model: one pretrained encoder with a head each for intent, emotion and entity tags."""

import logging
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from nlu.base import encoder_path
from nlu.errors import EncoderMissing
from nlu.labels import Labels

_DROPOUT = 0.1


class JointModel(nn.Module):
    """An encoder with a linear head for each label set that is not empty."""

    def __init__(self, encoder: nn.Module, labels: Labels) -> None:
        super().__init__()
        # BERT's own pooler is trained for next-sentence prediction; the mean is used instead.
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None  # type: ignore[assignment]
        self.encoder = encoder
        self.labels = labels
        dim = encoder.config.hidden_size  # type: ignore[union-attr]
        self.dropout = nn.Dropout(_DROPOUT)
        self.heads = nn.ModuleDict(
            {head: nn.Linear(dim, len(labels.of(head))) for head in labels.heads}  # type: ignore[arg-type]
        )

    def head(self, name: str) -> nn.Linear:
        """The layer of one head."""
        layer = self.heads[name]
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """Logits in the order of `labels.heads`; ids and mask are (batch, tokens).

        Intent and emotion logits are (batch, labels), tag logits (batch, tokens, labels).
        """
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        hidden = self.dropout(hidden)  # (batch, tokens, dim)
        pooled = mean_pool(hidden, mask)  # (batch, dim)
        return tuple(
            head(hidden if name == "tags" else pooled) for name, head in self.heads.items()
        )


def mean_pool(hidden: Tensor, mask: Tensor) -> Tensor:
    """Mean of the hidden states of real tokens: (batch, tokens, dim) -> (batch, dim)."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)  # (batch, tokens, 1)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0)


def pretrained(base_model: str, labels: Labels) -> JointModel:
    """The base encoder with fresh heads."""
    path = encoder_path(base_model)
    try:
        encoder = AutoModel.from_pretrained(path, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise EncoderMissing(f"cannot load the encoder {base_model!r}: {_first(error)}") from None
    return JointModel(encoder, labels)


def save_tokenizer(base_model: str, target: Path) -> None:
    """Writes the base encoder's tokenizer.json."""
    path = encoder_path(base_model)
    ready = Path(path) / "tokenizer.json"
    if ready.is_file():
        target.write_bytes(ready.read_bytes())
        return
    try:
        tokenizer = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise EncoderMissing(
            f"cannot load the tokenizer of {base_model!r}: {_first(error)}"
        ) from None
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise EncoderMissing(f"{base_model!r} has no fast tokenizer; choose an encoder with one")
    target.write_text(backend.to_str(), encoding="utf-8")


def save_model(model: JointModel, folder: Path) -> None:
    """Writes the weights as safetensors and the encoder's configuration."""
    state = {name: value.detach().contiguous().cpu() for name, value in model.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    (folder / "encoder").mkdir(exist_ok=True)
    model.encoder.config.save_pretrained(folder / "encoder")  # type: ignore[union-attr, operator]


def load_model(folder: Path, labels: Labels) -> JointModel:
    """The model that `save_model` wrote, in evaluation mode."""
    config = AutoConfig.from_pretrained(folder / "encoder")
    model = JointModel(AutoModel.from_config(config), labels)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def quiet_libraries() -> None:
    """Keeps the libraries' own bars and advice out of the progress of a training, and of logs."""
    logging.getLogger("sentence_transformers").setLevel(logging.ERROR)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
