"""A run goes on with the data that it was trained on."""

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
    """Changed options of a run that is resumed without the one which accepts other data, and whether it was there: it
    is of this one session.

    Raises:
        GanlabError: If it has another value.
    """
    if overrides.get(OPTION, ACCEPT) != ACCEPT:
        raise GanlabError(f"{OPTION} must be {ACCEPT}, got {overrides[OPTION]!r}.")
    return {key: value for key, value in overrides.items() if key != OPTION}, OPTION in overrides


def describe(built: Experiment) -> None:
    """Have checkpoints say what the run is trained on."""
    if built.module.trained_on is None and built.data is not None and built.images is not None:
        assert built.data.source is not None
        built.module.trained_on = contents.describe(built.data.source, built.images)


def refuse_other(built: Experiment, checkpoint: Mapping[str, Any], folder: Path, accepts: bool) -> str | None:
    """Compare the data with those of a checkpoint, if that says what it was trained on.

    Returns:
        How they differ, where that was accepted.

    Raises:
        GanlabError: If they differ otherwise.
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
