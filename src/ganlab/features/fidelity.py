"""torch-fidelity, where it is installed."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ganlab.core.errors import GanlabError


def torch_fidelity(module: str) -> Any:
    """A module of torch-fidelity.

    Raises:
        GanlabError: If it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its dependencies' own
            return importlib.import_module(f"torch_fidelity.{module}")
    except (ImportError, RuntimeError) as error:
        raise GanlabError(
            f"This feature extractor needs torch-fidelity, which cannot be imported here ({error}): "
            'pip install "ganlab[metrics]".'
        ) from error


@contextmanager
def load_failed(name: str, remedy: str) -> Iterator[None]:
    """Turn a failure to load weights into one sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except GanlabError:
        raise
    except Exception as error:  # urllib, torch and pickle, each with its own kinds of failure
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise GanlabError(f"The weights of features={name} cannot be loaded ({reason}): {remedy}.") from error
