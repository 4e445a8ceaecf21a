"""Exports the fine-tuned model and the sentence embedder as ONNX graphs."""

import warnings
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from nlu.base import encoder_path
from nlu.encoder import JointModel
from nlu.onnx_engine import CLASSIFIER, EMBEDDER
from nlu.torch_engine import EMBEDDER as EMBEDDER_FOLDER

_OPSET = 17


class _Embedder(nn.Module):
    """A sentence-transformers model as one graph with normalised output."""

    def __init__(self, model: SentenceTransformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        output = self.model({"input_ids": ids, "attention_mask": mask})
        return nn.functional.normalize(output["sentence_embedding"], dim=-1)  # (batch, dim)


def save_embedder(embedder: str | Path | SentenceTransformer, folder: Path) -> int:
    """Puts an embedder into a bundle as a sentence-transformers folder; returns its dimension.

    It is a tuned one, the folder of another bundle's, or the name of a base encoder; an encoder
    that is no sentence-transformers model gets mean pooling.
    """
    model = embedder
    if not isinstance(model, SentenceTransformer):
        path = str(model) if isinstance(model, Path) else encoder_path(model)
        model = SentenceTransformer(path, device="cpu", local_files_only=isinstance(embedder, Path))
    model = model.cpu()
    model.save(str(folder / EMBEDDER_FOLDER), create_model_card=False)
    return int(model.get_embedding_dimension() or 0)


def export_classifier(model: JointModel, folder: Path) -> None:
    """Writes the float32 graph of the fine-tuned model."""
    outputs = {head: {0: "batch"} for head in model.labels.heads}
    if "tags" in outputs:
        outputs["tags"][1] = "tokens"
    _export(model, model.encoder, folder / CLASSIFIER, outputs)


def export_embedder(folder: Path) -> None:
    """Writes the float32 graph of the saved embedder."""
    model = SentenceTransformer(str(folder / EMBEDDER_FOLDER), device="cpu")
    encoder = model[0].auto_model
    _export(_Embedder(model).eval(), encoder, folder / EMBEDDER, {"embedding": {0: "batch"}})


def _export(
    model: nn.Module, encoder: nn.Module, path: Path, outputs: dict[str, dict[int, str]]
) -> None:
    # The plain attention exports to a graph that ONNX Runtime fuses better.
    encoder.set_attn_implementation("eager")  # type: ignore[operator]
    ids = torch.full((2, 8), 100, dtype=torch.long)  # (batch, tokens)
    both = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings(), torch.inference_mode():
        # Tracing warns of branches on shapes, which do not depend on the input here.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (ids, torch.ones_like(ids)),
            str(path),
            input_names=["ids", "mask"],
            output_names=list(outputs),
            dynamic_axes={"ids": both, "mask": both, **outputs},
            opset_version=_OPSET,
            # The older exporter: the graphs of the newer one fail shape inference when quantised.
            dynamo=False,
        )
