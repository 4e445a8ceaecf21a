import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nlu.bundle import BundleStore, open_bundle
from nlu.errors import TrainingFailed
from nlu.examples import Example, TrainingData
from nlu.loading import load, torch_engine
from nlu.understanding import understand

TEXTS = ["hello there", "where is HP-204418", "can i pay with amex please"]


def test_the_report_has_every_head(models_dir: Path) -> None:
    report = json.loads((models_dir / "nlu" / "first" / "metrics.json").read_text())
    assert set(report["validation"]) == {"intent", "emotion", "entities"}
    assert len(report["history"]) == 2
    assert report["precision"]["classifier"] in ("int8", "int8-blocks", "float32")


def test_the_bundle_answers_like_the_trained_model(models_dir: Path) -> None:
    model = load(models_dir / "nlu" / "first", device="cpu", threads=1)
    queries = [model.query(text) for text in TEXTS]
    onnx, _ = model.ladder.classify(queries)
    torch_logits = torch_engine(model.bundle, "cpu").classify(queries)
    assert set(onnx) == {"intent", "emotion", "tags"}
    for head, logits in torch_logits.items():
        assert np.abs(onnx[head] - logits).max() < 0.3


def test_embeddings_are_normalised_and_alike_on_both_runtimes(models_dir: Path) -> None:
    model = load(models_dir / "nlu" / "first", device="cpu", threads=1)
    queries = [model.embed_query(text) for text in TEXTS]
    onnx, _ = model.ladder.embed(queries)
    exact = torch_engine(model.bundle, "cpu").embed(queries)
    assert onnx.shape == (3, 32)
    assert np.allclose(np.linalg.norm(onnx, axis=1), 1, atol=1e-3)
    assert (onnx * exact).sum(axis=1).min() > 0.95


def test_exact_entities_are_found_whatever_the_model_says(models_dir: Path) -> None:
    model = load(models_dir / "nlu" / "first", device="cpu", threads=1)
    query = model.query("where is HP-204418")
    meanings, _ = model.ladder.run(lambda engine: understand(model.bundle, engine, [query]))
    assert "HP-204418" in [item.span.value for item in meanings[0].entities]


def test_no_file_of_a_bundle_is_a_pickle(models_dir: Path) -> None:
    bundle = open_bundle(BundleStore(models_dir).folder("first"))
    suffixes = {Path(name).suffix for name in bundle.manifest.files}
    assert suffixes <= {".safetensors", ".json", ".onnx", ".npz", ".txt", ".md"}


def test_data_that_train_nothing_are_refused(tmp_path: Path, tiny_encoder: Path) -> None:
    from datetime import UTC, datetime

    from nlu.build import Order, build
    from nlu.progress import Progress
    from nlu.recipe import Recipe

    order = Order(
        target=tmp_path / "out",
        base_model=str(tiny_encoder),
        device="cpu",
        recipe=Recipe(),
        parent=None,
        now=datetime(2025, 1, 2, tzinfo=UTC),
    )
    data = TrainingData(examples=(Example(text="a", intent="one"),))
    with pytest.raises(TrainingFailed, match="two intents"):
        build(data, order, Progress(quiet=True))
    assert not (tmp_path / "out").exists()


def test_the_cpu_server_never_imports_torch(models_dir: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import nlu.server; from nlu.loading import load; "
        f"load(Path({str(models_dir / 'nlu' / 'first')!r}), device='cpu', threads=1); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
