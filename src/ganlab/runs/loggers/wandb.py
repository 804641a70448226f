"""Weights & Biases."""

from __future__ import annotations

import inspect
import os
import re
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger

from ganlab.contracts.callback import RunContext
from ganlab.core.errors import GanlabError


class WeightsAndBiases(WandbLogger):
    """Weights & Biases: scalars, grids and the configuration, at the images seen.

    A resumed run continues its run of W&B.

    Args:
        name: Of the run; None: its folder's.
        project: Where the run is listed.
        entity: User or team; None: yours.
        group: Of runs that belong together.
        job_type: What the run is for.
        tags: Words to find it by.
        notes: A longer description.
        id: Of the run of W&B's; None: the one that the run folder had, or a new one.
        offline: Keep the log on this machine; `wandb sync` sends it later.
        mode: ``online``, ``offline`` or ``disabled``; None: as ``offline`` or WANDB_MODE says.
        prefix: Before the names of scalars.
    """

    def __init__(
        self,
        run: RunContext,
        name: str | None = None,
        project: str = "ganlab",
        entity: str | None = None,
        group: str | None = None,
        job_type: str | None = None,
        tags: list[str] | None = None,
        notes: str | None = None,
        id: str | None = None,
        offline: bool = False,
        mode: str | None = None,
        prefix: str = "",
    ) -> None:
        try:
            import wandb
        except ModuleNotFoundError as error:
            raise GanlabError('logger=wandb needs a package: pip install "ganlab[wandb]".') from error
        if not re.fullmatch(r"[\w-]*", id or ""):
            raise ValueError(f"id must be letters, digits, - and _, got {id!r}")
        how = "offline" if offline else mode or os.environ.get("WANDB_MODE", "")
        if how.lower() not in ("offline", "disabled", "dryrun") and not logged_in(wandb):
            raise GanlabError(
                "logger=wandb, but nobody is logged in to Weights & Biases here: run `wandb login`, "
                "or keep the log on this machine with logger.wandb.offline=true."
            )
        options: dict[str, Any] = {
            "entity": entity,
            "group": group,
            "job_type": job_type,
            "tags": tags,
            "notes": notes,
            "mode": mode,
        }
        super().__init__(
            name=run.folder.name if name is None else name,
            save_dir=run.folder,
            id=id or run_of(run.folder),
            offline=offline,
            project=project,
            prefix=prefix,
            config=dict(run.config),
            **{option: value for option, value in options.items() if value is not None},
        )


def run_of(folder: Path) -> str | None:
    """Return the id of the last W&B run in a run folder: W&B names its folders run-DATE_TIME-ID."""
    runs = sorted((folder / "wandb").glob("*run-*_*-*"), key=lambda path: path.stat().st_mtime)
    names = [re.fullmatch(r"(?:offline-)?run-\d{8}_\d{6}-(.+)", run.name) for run in runs]
    return next((name[1] for name in reversed(names) if name), None)


def logged_in(wandb: Any) -> bool:
    """Tell if W&B knows the user."""
    if "prompt" in inspect.signature(wandb.login).parameters:
        return bool(wandb.login(prompt=False))
    return bool(wandb.api.api_key)  # older versions
