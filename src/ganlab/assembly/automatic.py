"""Options that are ``auto``: values that follow from the rest of a configuration, see `ganlab.contracts.automatic`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ganlab.config.configuration import Config
from ganlab.contracts.automatic import AUTO, RunOutline
from ganlab.contracts.dataset import Dataset
from ganlab.core.errors import GanlabError, sentence


def filled(config: Config) -> tuple[Config, list[str]]:
    """The configuration with a value for each option that is ``auto``, and a line about each.

    Args:
        config: With its size, channels and classes.

    Raises:
        GanlabError: If there is no value for one.
    """
    regularizers = tuple(part.maker for part in config.regularizers.values())
    run = RunOutline(config.data.shape, config.data.batch_size, regularizers, _end(config))
    components, lines = dict(config.components), []
    for key, part in config.components.items():
        for name, rule in getattr(part.maker, "automatic", {}).items():
            if part.arguments.get(name) != AUTO:
                continue
            try:
                value, why = rule(run)
            except ValueError as error:
                raise GanlabError(f"{key}.{name}: {sentence(error)}") from error
            chosen, part = {name: value}, components[key]
            components[key] = replace(part, options={**part.options, **chosen}, arguments={**part.arguments, **chosen})
            lines.append(f"{key}.{name}: {why}")
    return (replace(config, components=components), lines) if lines else (config, [])


def _end(config: Config) -> Mapping[str, float]:
    """The end of a run as that of a schedule; empty: it has none that is known before its game is."""
    if config.run.max_kimg is not None:
        return {"end_kimg": config.run.max_kimg}
    steps = config.trainer.get("max_steps")
    if steps is None and "growth" not in config:
        steps = getattr(config["data"].maker, "steps", Dataset.steps)
    return {"end_steps": steps} if isinstance(steps, int) and steps > 0 else {}
