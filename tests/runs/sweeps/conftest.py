from __future__ import annotations

import pytest
from support.jobs import Jobs

from ganlab.runs.sweeps import job


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """Jobs of sweeps without processes."""
    planned = Jobs()
    monkeypatch.setattr(job, "start", planned.start)
    return planned
