"""ganlab's launcher and sweeper, where Hydra looks for plug-ins: they are imported with Hydra, so they import little.

A package ``hydra_plugins`` must have no ``__init__.py``: it is shared by all distributions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class GanlabLauncher(Launcher):
    """Trains N jobs at a time on this machine, see `ganlab.runs.sweeps.launcher`."""

    def __init__(self) -> None:
        self.config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from ganlab.runs.sweeps import batch

        assert self.config is not None
        return batch.run(str(self.config.hydra.sweep.dir), job_overrides, initial_job_idx)


class OptunaSweeper(Sweeper):
    """Chooses the values of each job by those before it, see `ganlab.runs.sweeps.optuna`, which reads the options."""

    def __init__(self, **options: Any) -> None:
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        from ganlab.runs.sweeps import optuna

        assert self.config is not None
        assert self.launcher is not None
        optuna.search(str(self.config.hydra.sweep.dir), self.launcher)


def _store(group: str, name: str, target: Any) -> None:
    node = {"_target_": f"{target.__module__}.{target.__qualname__}"}
    ConfigStore.instance().store(group=f"hydra/{group}", name=name, node=node, provider="ganlab")


_store("launcher", "ganlab", GanlabLauncher)
_store("sweeper", "optuna", OptunaSweeper)
