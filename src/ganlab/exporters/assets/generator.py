"""The generator in this folder, by torch and safetensors alone: images = Generator().sample(16, label=3)."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file


class Generator:
    def __init__(self, folder=Path(__file__).parent):
        self.about = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.network = torch.export.load(folder / "graph.pt2").module()
        weights = {f"generator.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
        self.network.load_state_dict({name: weights[name] for name in self.network.state_dict()}, assign=True)

    def latents(self, count, seed=0, truncation=torch.inf):
        prior, random = self.about["latents"], torch.Generator().manual_seed(seed)
        low, high = max(prior.get("low", -truncation), -truncation), min(prior.get("high", truncation), truncation)
        scale = prior.get("scale", 1e3 * (high - low))  # uniform: a bell so wide that it is flat between the ends
        z = torch.empty(count, self.about["latent_dim"], dtype=torch.float64)
        return torch.nn.init.trunc_normal_(z, 0.0, scale, low, high, generator=random).float()

    def images(self, z, label=0, psi=1.0, seed=0):
        maps = torch.randn(1, self.about["inputs"].get("noise", [0])[-1], generator=torch.Generator().manual_seed(seed))
        given = {"z": z, "label": torch.as_tensor(label).expand(len(z)), "noise": maps.expand(len(z), -1)}
        return self.network(**{name: given.get(name, torch.tensor(float(psi))) for name in self.about["inputs"]})

    def sample(self, count, label=0, seed=0, truncation=torch.inf, psi=1.0):  # label: one class, or one an image
        return self.images(self.latents(count, seed, truncation), label, psi, seed)
