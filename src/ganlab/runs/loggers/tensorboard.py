"""TensorBoard."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger

from ganlab.contracts.callback import RunContext
from ganlab.core.errors import GanlabError


class TensorBoard(TensorBoardLogger):
    """Event files for TensorBoard: scalars, grids and the configuration, at the images seen.

    `tensorboard --logdir RUN` shows them. A resumed run adds a file of its own.

    Args:
        name: Folder below the run.
        version: Folder below that; "": none.
        sub_dir: Folder below that, or None.
        prefix: Before the names of scalars.
        log_graph: Log the networks' graph, where the module has an example of its input.
        default_hp_metric: Log a number with the configuration, so that TensorBoard lists the run among others.
        max_queue: Events that wait to be written.
        flush_secs: Seconds after which they are.
    """

    def __init__(
        self,
        run: RunContext,
        name: str = "tensorboard",
        version: int | str | None = "",
        sub_dir: str | None = None,
        prefix: str = "",
        log_graph: bool = False,
        default_hp_metric: bool = True,
        max_queue: int = 10,
        flush_secs: int = 120,
    ) -> None:
        try:
            super().__init__(
                run.folder,
                name=name,
                version=version,
                log_graph=log_graph,
                default_hp_metric=default_hp_metric,
                prefix=prefix,
                sub_dir=sub_dir,
                max_queue=max_queue,
                flush_secs=flush_secs,
            )
        except ModuleNotFoundError as error:
            raise GanlabError('logger=tensorboard needs a package: pip install "ganlab[tensorboard]".') from error

    def log_image(self, key: str, images: list[Any], step: int) -> None:
        """Log pictures, (height, width, channels) each."""
        for number, image in enumerate(images):
            self.experiment.add_image(f"{key}_{number}" if number else key, image, step, dataformats="HWC")
