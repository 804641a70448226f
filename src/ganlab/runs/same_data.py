"""Refuse to resume a run with other data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganlab.assembly.experiment import Experiment
from ganlab.core import files
from ganlab.core.errors import GanlabError
from ganlab.data import contents

OPTION, ACCEPT = "data.changed", "accept"


def accepted(overrides: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Remove the option that accepts other data for one session; return the other options, and True if it was set.

    Raises:
        GanlabError: If it has another value.
    """
    if overrides.get(OPTION, ACCEPT) != ACCEPT:
        raise GanlabError(f"{OPTION} must be {ACCEPT}, got {overrides[OPTION]!r}.")
    return {key: value for key, value in overrides.items() if key != OPTION}, OPTION in overrides


def describe(built: Experiment) -> None:
    """Store a description of the data in checkpoints."""
    if built.module.trained_on is None and built.data is not None and built.images is not None:
        assert built.data.source is not None
        built.module.trained_on = contents.describe(built.data.source, built.images)


def refuse_other(built: Experiment, checkpoint: Mapping[str, Any], folder: Path, accepts: bool) -> str | None:
    """Compare the data with the description in a checkpoint, if it has one.

    Returns:
        A sentence about accepted differences, or None.

    Raises:
        GanlabError: If they differ and that is not accepted.
    """
    describe(built)
    assert built.module.trained_on is not None
    found = contents.differences(checkpoint["ganlab"].get("data"), built.module.trained_on)
    if not found:
        return None
    if not accepts:
        raise GanlabError(
            f"The data is not what {files.typed(folder)} was trained on; what differs: {'; '.join(found)}. Bring it "
            f"back, or go on with it as it is: `ganlab resume {files.typed(folder)} {OPTION}={ACCEPT}`."
        )
    return f"Going on with other data; what differs: {'; '.join(found)}."
