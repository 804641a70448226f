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
    """

    module: str = ""
    extra: str = ""

    @property
    def is_installed(self) -> bool:
        """Tell if it can be used."""
        try:
            return not self.module or importlib.util.find_spec(self.module) is not None
        except ImportError:  # of a package above it
            return False


KNOWN: dict[str, dict[str, Plugin]] = {
    "launcher": {
        OWN: Plugin(),
        "basic": Plugin(),
        "joblib": Plugin("hydra_plugins.hydra_joblib_launcher", "joblib"),
        "ray": Plugin("hydra_plugins.hydra_ray_launcher", "ray"),
        "submitit_local": Plugin("hydra_plugins.hydra_submitit_launcher", "submitit"),
        "submitit_slurm": Plugin("hydra_plugins.hydra_submitit_launcher", "submitit"),
    },
    "sweeper": {
        GRID: Plugin(),
        "optuna": Plugin("optuna", "optuna"),
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
