"""The generator in this folder, without ganlab: needs torch and safetensors.

images = Generator().sample(16, label=3)  # float32 (16, C, H, W) in [-1, 1]
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file


class Generator:
    def __init__(self, folder: Path = Path(__file__).parent) -> None:
        self.about: dict[str, Any] = json.loads((folder / "config.json").read_text())
        self.network = torch.export.load(folder / "graph.pt2").module()
        weights = load_file(folder / "model.safetensors")
        named = {name: weights[name.removeprefix("generator.")] for name in self.network.state_dict()}
        self.network.load_state_dict(named, assign=True)

    def latents(self, count: int, seed: int = 0, truncation: float | None = None) -> torch.Tensor:
        prior, limit, random = self.about["latents"], truncation or torch.inf, torch.Generator().manual_seed(seed)
        u = torch.rand(count, self.about["latent_dim"], generator=random, dtype=torch.float64).clamp(1e-12)
        low, high = (end if known is None else known for end, known in ((-limit, prior["low"]), (limit, prior["high"])))
        ends = [max(low, -limit), min(high, limit)]
        if prior["scale"] is None:  # uniform; otherwise normal, given that it is between the ends
            return (ends[0] + (ends[1] - ends[0]) * u).float()
        low, high = torch.special.ndtr(torch.tensor(ends, dtype=torch.float64) / prior["scale"])
        return (prior["scale"] * torch.special.ndtri(low + (high - low) * u)).float()

    @torch.no_grad()
    def images(self, z: torch.Tensor, label: Any = None, psi: float = 1.0, seed: int = 0) -> torch.Tensor:
        inputs, random = {"z": z}, torch.Generator().manual_seed(seed)
        if "label" in self.about["inputs"]:
            drawn = torch.randint(self.about["num_classes"], (len(z),), generator=random)
            inputs["label"] = drawn if label is None else torch.as_tensor(label).expand(len(z))
        if "psi" in self.about["inputs"]:
            inputs["psi"] = torch.tensor(float(psi))
        if "noise" in self.about["inputs"]:
            inputs["noise"] = torch.randn(1, self.about["inputs"]["noise"][1], generator=random).expand(len(z), -1)
        return self.network(**inputs)  # type: ignore[no-any-return]

    def sample(
        self, count: int, label: Any = None, seed: int = 0, truncation: float | None = None, psi: float = 1.0
    ) -> torch.Tensor:
        return self.images(self.latents(count, seed, truncation), label, psi, seed)
