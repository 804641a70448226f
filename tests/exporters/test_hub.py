"""The folder for the Hugging Face Hub is read without ganlab, and pushed and loaded by its name."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support import hub as hubs

from ganlab.exporters import hub, portable
from ganlab.exporters.portable import Fixed
from ganlab.runs.exported import CONFIG
from ganlab.runs.run import Run

WITHOUT_GANLAB = """
import sys
sys.modules["ganlab"] = None  # cannot be imported
import torch
from generator import Generator
generator = Generator()
images = generator.images(torch.load("../z.pt"), label=3)
assert not images.requires_grad
torch.save([images, generator.sample(200), generator.latents(500, 1, 0.5)], "../images.pt")
"""


@pytest.mark.slow
def test_the_loader_of_the_folder_has_thirty_lines_and_needs_no_ganlab(finished: Path, tmp_path: Path) -> None:
    run = Run(finished)
    hub.write(portable.make(run, Fixed()), tmp_path / "hub")
    assert len((tmp_path / "hub" / hub.LOADER).read_text().splitlines()) <= 30
    torch.save(torch.randn(5, 8), tmp_path / "z.pt")
    subprocess.run([sys.executable, "-c", WITHOUT_GANLAB], cwd=tmp_path / "hub", check=True)
    images, drawn, latents = torch.load(tmp_path / "images.pt")
    expected = run.generator(torch.load(tmp_path / "z.pt"), torch.full((5,), 3))
    assert float((images - expected.detach()).abs().max()) < 1e-4
    assert drawn.shape == (200, 1, 8, 8)
    assert 0.4 < float(latents.abs().max()) <= 0.5


@pytest.mark.parametrize(
    ("latents", "truncation", "low", "high", "variance"),
    [
        ({"scale": 2.0}, math.inf, -math.inf, math.inf, 4.0),
        ({"scale": 1.0}, 0.5, -0.5, 0.5, 0.0806),
        ({"scale": 1.0, "low": -1.0, "high": 1.0}, 2.0, -1.0, 1.0, 0.2911),
        ({"low": 0.0, "high": 3.0}, math.inf, 0.0, 3.0, 0.75),
        ({"low": -1.0, "high": 1.0}, 0.5, -0.5, 0.5, 1 / 12),
    ],
)
def test_the_loader_draws_the_latents_of_the_description(
    latents: dict[str, float], truncation: float, low: float, high: float, variance: float
) -> None:
    """Variances in closed form: of a truncated normal distribution 1 - 2 h phi(h) / (2 Phi(h) - 1)."""
    loader = hub.loader(Path()).Generator.__new__(hub.loader(Path()).Generator)
    loader.about = {"latents": latents, "latent_dim": 100}
    z = loader.latents(2000, 0, truncation)
    assert bool((z >= low).all() and (z <= high).all())
    assert float(z.double().var()) == pytest.approx(variance, rel=0.02)
    if math.isfinite(low):
        assert float(z.mean()) == pytest.approx((low + high) / 2, abs=0.01)
        assert float(z.max() - z.min()) == pytest.approx(high - low, rel=0.01)


@pytest.mark.slow
def test_a_folder_is_pushed_to_the_hub_and_loaded_from_there(finished: Path, tmp_path: Path) -> None:
    """Against a stand-in, by the installed command; only description and weights are downloaded."""
    with hubs.running() as hub_:
        variables = {"HF_ENDPOINT": hub_.address, "HF_TOKEN": hubs.TOKEN, "HF_HOME": str(tmp_path / "hf"),
                     "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}  # fmt: skip

        def ganlab_(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
            environment = {**os.environ, **variables, **more}
            command = [sys.executable, "-m", "ganlab", *words]
            return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)

        done = ganlab_("export", str(finished), "format=hub", "out=made", "push=someone/digits")
        assert done.returncode == 0, done.stderr
        assert f"pushed: {hub_.address}/someone/digits" in done.stdout
        assert set(hub_.files["models/someone/digits"]) == set(hub.FILES)
        done = ganlab_("sample", "hf://someone/digits", "count=10", "out=a.png")
        assert done.returncode == 0, done.stderr
        assert sorted(hub_.asked) == ["config.json", "model.safetensors"]
        done = ganlab_("sample", "hf://someone/nothing")
        assert done.returncode == 2
        assert "hf://someone/nothing cannot be downloaded: 404" in done.stderr
        done = ganlab_("export", str(finished), "format=hub", "out=other", "push=someone/digits", HF_TOKEN="hf_wrong")
        assert done.returncode == 2
        assert "push=someone/digits failed, and other is there to try again: " in done.stderr
        assert "401" in done.stderr
        assert "developer.mozilla.org" not in done.stderr
        assert json.loads((tmp_path / "other" / CONFIG).read_text())["latent_dim"] == 8
