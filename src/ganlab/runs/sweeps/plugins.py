"""Hydra's launchers and sweepers that ganlab has configuration for, and the extras that install them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from ganlab.core.errors import GanlabError, suggestion

OWN, GRID = "ganlab", "basic"  # ganlab's launcher, and Hydra's sweeper over all combinations


@dataclass(frozen=True)
class Plugin:
    """A launcher or sweeper.

    Args:
        module: It is installed if there is this module; empty: it is ganlab's or Hydra's own.
        extra: ``pip install 'ganlab[EXTRA]'`` brings it.
        ready: What its options are in a sweep, as Hydra's words; those on the command line come after them.
        jobs: The option for the number of jobs at a time; empty: there is none.
        shares: Whether its jobs share the cores of this machine.
        here: Whether its jobs are run by this process itself, one at a time.
        search: The module of a sweeper of ganlab's own, whose ``check(words)`` refuses what it cannot search.
    """

    module: str = ""
    extra: str = ""
    ready: tuple[str, ...] = ()
    jobs: str = ""
    shares: bool = False
    here: bool = False
    search: str = ""

    @property
    def is_installed(self) -> bool:
        """Tell if it can be used."""
        try:
            return not self.module or importlib.util.find_spec(self.module) is not None
        except ImportError:  # of a package above it
            return False


KNOWN: dict[str, dict[str, Plugin]] = {
    "launcher": {
        OWN: Plugin(shares=True),
        "basic": Plugin(shares=True, here=True),
        "joblib": Plugin(
            "hydra_plugins.hydra_joblib_launcher",
            "joblib",
            ready=("hydra.launcher.n_jobs=1", "hydra.launcher.batch_size=1"),
            jobs="hydra.launcher.n_jobs",
            shares=True,
        ),
        "ray": Plugin(
            "hydra_plugins.hydra_ray_launcher",
            "ray",
            ready=(
                "++hydra.launcher.ray.init.include_dashboard=false",
                "++hydra.launcher.ray.remote.num_cpus=1",
                "++hydra.launcher.ray.remote.num_gpus=0",
                "++hydra.launcher.ray.remote.max_retries=0",  # `ganlab resume` goes on with jobs that were lost
            ),
            jobs="++hydra.launcher.ray.init.num_cpus",
        ),
        "submitit_local": Plugin(
            "hydra_plugins.hydra_submitit_launcher",
            "submitit",
            ready=("hydra.launcher.timeout_min=10080",),
            jobs="hydra.sweeper.max_batch_size",
            shares=True,
        ),
        "submitit_slurm": Plugin(
            "hydra_plugins.hydra_submitit_launcher",
            "submitit",
            # a job that reaches its time limit is queued again, and goes on from its checkpoint
            ready=("hydra.launcher.timeout_min=1440", "hydra.launcher.max_num_timeout=100"),
            jobs="hydra.launcher.array_parallelism",
        ),
    },
    "sweeper": {
        GRID: Plugin(),
        "optuna": Plugin("optuna", "optuna", search="ganlab.runs.sweeps.optuna"),
    },
}


def refuse_missing(kind: str, name: str) -> None:
    """Refuse a ``launcher`` or ``sweeper`` that is not installed.

    Raises:
        GanlabError: With the extra to install, or the names that there are.
    """
    plugin = KNOWN[kind].get(name)
    if plugin is None and name not in _of_others(kind):
        known = ", ".join(KNOWN[kind])
        raise GanlabError(f"No {kind} is called {name!r}.{suggestion(name, KNOWN[kind])} Known: {known}.")
    if plugin is not None and not plugin.is_installed:
        raise GanlabError(f"hydra/{kind}={name} is not installed: pip install 'ganlab[{plugin.extra}]'.")


def _of_others(kind: str) -> list[str]:
    """Names that other packages for Hydra have registered."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.plugins import Plugins

    Plugins.instance()  # imports them
    try:
        return [name.removesuffix(".yaml") for name in ConfigStore.instance().list(f"hydra/{kind}")]
    except OSError:
        return []
