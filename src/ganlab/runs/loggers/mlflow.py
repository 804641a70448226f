"""MLflow."""

from __future__ import annotations

import os
import re
from typing import Any

from lightning.pytorch.loggers import MLFlowLogger

from ganlab.contracts.callback import RunContext
from ganlab.core import files
from ganlab.core.errors import GanlabError


class MLflow(MLFlowLogger):
    """MLflow: scalars, grids and the configuration, at the images seen.

    They go to the server of MLFLOW_TRACKING_URI, or else, without the grids, into ``mlflow`` in the run. A resumed run
    continues its run of MLflow.

    Args:
        experiment_name: Where the run is listed.
        run_name: Of the run; None: its folder's.
        tags: Words by names, to find it by.
        prefix: Before the names of scalars.
    """

    def __init__(
        self,
        run: RunContext,
        experiment_name: str = "ganlab",
        run_name: str | None = None,
        tags: dict[str, str] | None = None,
        prefix: str = "",
    ) -> None:
        self._file = run.folder / "mlflow_run.txt"
        self._server = os.environ.get("MLFLOW_TRACKING_URI")
        self._place = "server" if self._server else "files"
        self._goes_on = self._run_before()
        if not self._server:  # MLflow 3.17 asks for a database instead, which a run folder has no use for
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        try:
            super().__init__(
                experiment_name,
                run_name=run.folder.name if run_name is None else run_name,
                tracking_uri=self._server,
                tags=None if tags is None else dict(tags),
                save_dir=str(run.folder / "mlflow"),
                prefix=prefix,
                run_id=self._goes_on,
            )
        except ModuleNotFoundError as error:
            raise GanlabError('logger=mlflow needs a package: pip install "ganlab[mlflow]".') from error

    def log_hyperparams(self, params: Any) -> None:
        """Log the configuration, once: MLflow refuses to change it, as a run that is resumed may."""
        if self._goes_on is None:
            files.write_text(self._file, f"{self.run_id} {self._place}\n")
            super().log_hyperparams(params)

    def log_image(self, key: str, images: list[Any], step: int) -> None:
        """Send pictures to a server, by the images seen; MLflow's files in a run folder may name other places."""
        if not self._server:
            return
        for number, image in enumerate(images):
            part = f"_{number}" if number else ""
            self.experiment.log_image(self.run_id, image, f"{key}/{step:012d}{part}.png")

    def _run_before(self) -> str | None:
        try:
            text = files.read(self._file).decode(errors="replace").strip()
        except OSError:
            return None
        found = re.fullmatch(rf"([0-9a-f]{{32}}) {self._place}", text)
        return found[1] if found else None
