"""Writes a training's curves where TensorBoard reads them."""

from pathlib import Path


class Board:
    """Scalars by step; without a folder nothing is written."""

    def __init__(self, folder: Path | None) -> None:
        self._writer = None
        if folder is not None:
            from tensorboardX import SummaryWriter

            self._writer = SummaryWriter(str(folder))

    def write(self, values: dict[str, float], step: int) -> None:
        """Add a point to each curve."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Have everything on disk."""
        if self._writer is not None:
            self._writer.close()
