"""Which device models run on, found without importing torch where there is no GPU."""

import platform
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from nlu.errors import NluError

if TYPE_CHECKING:
    import torch


def gpu_present() -> bool:
    """Whether an NVIDIA driver shows a GPU; torch may still be unable to use it."""
    return Path("/proc/driver/nvidia/gpus").is_dir() or Path("/dev/nvidia0").exists()


def choose_device(setting: str) -> str:
    """`cuda` or `cpu` for the setting `auto`, `cuda` or `cpu`."""
    if setting not in ("auto", "cuda", "cpu"):
        raise NluError(f"KEFU_DEVICE is {setting!r}; it must be auto, cuda or cpu")
    if setting == "cpu" or (setting == "auto" and not gpu_present()):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if setting == "cuda":
        raise NluError("KEFU_DEVICE is cuda but torch sees no GPU; use auto or cpu")
    return "cpu"


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16 itself; elsewhere emulation is slower than float32."""
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def autocast(device: str, *, training: bool) -> "AbstractContextManager[None] | torch.autocast":
    """bfloat16 where the device has it; else float16 to infer on a GPU, float32 for the rest."""
    import torch

    if device == "cuda":
        if torch.cuda.is_bf16_supported():
            return torch.autocast("cuda", torch.bfloat16)
        # Training in float16 would need its gradients scaled.
        return nullcontext() if training else torch.autocast("cuda", torch.float16)
    if cpu_has_bf16():
        return torch.autocast("cpu", torch.bfloat16)
    return nullcontext()
