import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

from nlu.bundle import BundleStore, open_bundle
from nlu.engine import Query
from nlu.onnx_engine import CLASSIFIER, OnnxEngine
from nlu.quantising import _keeps, _quantise
from nlu.tokens import TextTokenizer

TEXTS = ["hello there", "where is HP-204418", "can i pay with amex please", "thanks a lot"]


@pytest.fixture
def graph(models_dir: Path, tmp_path: Path) -> Path:
    """The float32 graph of a trained bundle, in a copy of its folder."""
    from nlu.encoder import load_model
    from nlu.export import export_classifier

    bundle = open_bundle(BundleStore(models_dir).folder("first"))
    folder = shutil.copytree(bundle.folder, tmp_path / "bundle")
    export_classifier(load_model(bundle.folder, bundle.labels), folder)
    return folder / CLASSIFIER


def operations(path: Path) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(str(path)).graph.node)


def test_one_text_of_a_few_does_not_decide_on_rounding() -> None:
    def scored(right: int, n: int) -> dict[str, dict[str, float]]:
        return {"intent": {"accuracy": right / n, "n": n}}

    assert _keeps(scored(90, 100), scored(89, 100))
    assert not _keeps(scored(90, 100), scored(88, 100))
    assert _keeps(scored(900, 1000), scored(897, 1000))
    assert not _keeps(scored(900, 1000), scored(896, 1000))


def test_the_fastest_form_is_taken_where_it_costs_nothing(graph: Path) -> None:
    assert _quantise(graph, lambda: True) == "int8"
    assert operations(graph)["MatMulInteger"] > 0
    assert not list(graph.parent.glob("*.float32.*"))


def test_rounding_by_blocks_is_closer_and_comes_next(graph: Path) -> None:
    tokenizer = TextTokenizer(graph.parent / "tokenizer.json", 128)
    queries = [Query(text=text, encoded=tokenizer.encode(text)) for text in TEXTS]
    exact = OnnxEngine(graph.parent, mode="cpu").classify(queries)
    errors: list[float] = []

    def accept() -> bool:
        rounded = OnnxEngine(graph.parent, mode="cpu-int8").classify(queries)
        errors.append(float(np.mean([np.abs(rounded[h] - exact[h]).mean() for h in exact])))
        return len(errors) == 2

    assert _quantise(graph, accept) == "int8-blocks"
    assert 0 < errors[1] < errors[0]
    found = operations(graph)
    assert found["MatMulNBits"] > 0
    assert "MatMulInteger" not in found
    assert not list(graph.parent.glob("*.float32.*"))


def test_where_every_form_costs_too_much_the_graph_stays_as_it_was(graph: Path) -> None:
    before = graph.read_bytes()
    assert _quantise(graph, lambda: False) == "float32"
    assert graph.read_bytes() == before
    assert not list(graph.parent.glob("*.float32.*"))


def test_nothing_is_said_and_the_callers_logging_stays(graph: Path) -> None:
    code = (
        "import logging, sys; from pathlib import Path; from nlu.quantising import _quantise\n"
        f"_quantise(Path({str(graph)!r}), lambda: False)\n"
        "root = logging.getLogger()\n"
        "sys.exit(bool(root.handlers) or root.level != logging.WARNING or root.manager.disable)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, timeout=120, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
