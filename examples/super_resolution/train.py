"""Four times larger emoji: a small residual network, with and without a conditional adversary.

    python examples/super_resolution/train.py emoji64.zip [steps] [folder]

The discriminator judges a picture beside its small original, which is the condition. Without it the network learns the
mean of all pictures that are possible, which is blurred; with it edges are drawn. The script prints a table and writes
a picture of: the small one, without, with, the original.
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import ganlab

BATCH, WIDTH, FACTOR = 8, 24, 4


def images(path: Path) -> Tensor:
    """Return all images of an archive, float (N, 3, 64, 64) in [-1, 1], in a keyed order."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        found = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names]
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(0))
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)[order].float() / 127.5 - 1


class Upscaler(nn.Module):
    """(B, 3, h, w) -> (B, 3, 4 h, 4 w): a residual of bilinear upsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, WIDTH, 3, padding=1)
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, 3, padding=1))
                for _ in range(3)
            ]
        )
        self.out = nn.Conv2d(WIDTH, 3 * FACTOR**2, 3, padding=1)

    def forward(self, small: Tensor) -> Tensor:
        x = self.first(small)
        for block in self.blocks:
            x = x + block(x)
        return upsampled(small) + F.pixel_shuffle(self.out(x), FACTOR)


class Discriminator(nn.Module):
    """A map of patches of a picture and its small original."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(6, WIDTH, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(WIDTH, 2 * WIDTH, 4, 2, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(2 * WIDTH, 1, 3, 1, 1),
        )  # fmt: skip

    def forward(self, x: Tensor, small: Tensor) -> Tensor:
        return self.layers(torch.cat([x, upsampled(small)], 1))


def upsampled(small: Tensor) -> Tensor:
    return F.interpolate(small, scale_factor=FACTOR, mode="bilinear")


def train(data: Tensor, steps: int, adversarial: bool) -> Upscaler:
    torch.manual_seed(0)
    model, opponent = Upscaler(), None
    if adversarial:
        opponent = ganlab.Adversary(
            Discriminator(), "relativistic_average", {"r1": {"gamma": 0.1, "interval_steps": 8}}, "diff_augment",
            optimizer={"adam": {"betas": [0.5, 0.99]}}, lr=5e-4, weight=0.1, start_step=steps // 4,
        )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    draws = torch.Generator().manual_seed(1)
    for step in range(steps):
        x = data[torch.randint(len(data), (BATCH,), generator=draws)]
        small = F.avg_pool2d(x, FACTOR)
        made = model(small)
        loss = error = (made - x).abs().mean()
        if opponent is not None:
            opponent.step(real=x, fake=made, condition=small)
            loss = loss + opponent.generator_loss(fake=made, real=x, condition=small)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"{'with' if adversarial else 'without'} {step} error {error.item():.4f}", flush=True)
    return model.eval()


def sharpness(x: Tensor) -> float:
    """Mean size of the differences of neighbouring pixels."""
    return ((x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean()) / 2).item()


@torch.no_grad()
def main(path: Path, steps: int, folder: Path, held_out: int = 128) -> None:
    data = images(path)
    unseen = data[:held_out]
    small = F.avg_pool2d(unseen, FACTOR)
    results = {"bilinear": upsampled(small)}
    for adversarial in (False, True):
        with torch.enable_grad():
            model = train(data[held_out:], steps, adversarial)
        results["with an adversary" if adversarial else "without"] = model(small).clamp(-1, 1)
    results["original"] = unseen
    lines = ["| | mean abs. error | sharpness |", "| --- | --- | --- |"]
    lines += [f"| {n} | {(x - unseen).abs().mean().item():.4f} | {sharpness(x):.4f} |" for n, x in results.items()]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text("\n".join(lines) + "\n")
    rows = [F.interpolate(small, scale_factor=FACTOR), *list(results.values())[1:]]
    picture = torch.cat([torch.cat(list(row[:10]), 2) for row in rows], 1)  # (3, rows · 64, 10 · 64)
    pixels = picture.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(folder / "pictures.png")
    print("\n".join(lines))


if __name__ == "__main__":
    torch.set_num_threads(1)
    words = sys.argv[1:]
    main(Path(words[0]), int(words[1]) if len(words) > 1 else 600, Path(words[2] if len(words) > 2 else "larger"))
