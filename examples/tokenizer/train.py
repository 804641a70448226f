"""A small VQ autoencoder of emoji, and three ways to give it an adversary.

    python examples/tokenizer/train.py emoji64.zip [steps] [folder]

``none`` is trained by |x - x̂| alone. ``naive`` adds a patch discriminator with the hinge loss from the first step,
with a constant weight: the reconstruction is ruined. ``cured`` starts it late, lets its weight rise, weighs it by
gradients at the last layer as VQGAN does, and holds its logits with LeCam. The script prints a table and writes a
picture.
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
from ganlab.features.efficientnet_lite0 import EfficientNetLite0
from ganlab.metrics.frechet import frechet

BATCH, WIDTH, CODES, DIM = 8, 24, 128, 8
WAYS = ("none", "naive", "cured")


def images(path: Path) -> Tensor:
    """Return all images of an archive, uint8 (N, 3, 64, 64), in a keyed order."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".png"))
        found = [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")) for name in names]
    order = torch.randperm(len(found), generator=torch.Generator().manual_seed(0))
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)[order].contiguous()


def block(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.GroupNorm(8, inside), nn.SiLU(), nn.Conv2d(inside, outside, 3, padding=1))


class Tokenizer(nn.Module):
    """64 x 64 pixels -> 16 x 16 tokens of a codebook -> 64 x 64 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, WIDTH, 4, 2, 1), block(WIDTH, WIDTH), nn.Conv2d(WIDTH, WIDTH, 4, 2, 1),
            block(WIDTH, WIDTH), nn.Conv2d(WIDTH, DIM, 1),
        )  # fmt: skip
        self.codebook = nn.Parameter(torch.randn(CODES, DIM) / DIM)
        self.decoder = nn.Sequential(
            nn.Conv2d(DIM, WIDTH, 3, padding=1), block(WIDTH, WIDTH), nn.Upsample(scale_factor=2),
            block(WIDTH, WIDTH), nn.Upsample(scale_factor=2), block(WIDTH, WIDTH), nn.GroupNorm(8, WIDTH), nn.SiLU(),
        )  # fmt: skip
        self.out = nn.Conv2d(WIDTH, 3, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        z = self.encoder(x).movedim(1, -1)  # (B, 16, 16, DIM)
        codes = self.codebook[torch.cdist(z.reshape(-1, DIM), self.codebook).argmin(1)].view_as(z)
        loss = F.mse_loss(codes, z.detach()) + 0.25 * F.mse_loss(z, codes.detach())
        quantized = z + (codes - z).detach()  # gradients pass straight through
        return self.out(self.decoder(quantized.movedim(-1, 1))), loss


def discriminator() -> nn.Sequential:
    """PatchGAN: 15 x 15 logits."""
    return nn.Sequential(
        nn.Conv2d(3, WIDTH, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(WIDTH, 2 * WIDTH, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(2 * WIDTH, 1, 4, 1, 1),
    )  # fmt: skip


def adversary(way: str, steps: int) -> ganlab.Adversary | None:
    if way == "none":
        return None
    if way == "naive":
        return ganlab.Adversary(discriminator(), "hinge", lr=1e-3)
    start = 3 * steps // 5
    return ganlab.Adversary(
        discriminator(), "hinge", {"lecam": {"weight": 0.01}}, lr=2e-4, weight=0.05, start_step=start,
        ramp_steps=steps // 10, total_steps=steps,
    )  # fmt: skip


def train(data: Tensor, way: str, steps: int) -> Tokenizer:
    torch.manual_seed(0)
    model, opponent = Tokenizer(), None
    opponent = adversary(way, steps)
    optimizer = torch.optim.Adam(model.parameters(), 2e-3, betas=(0.5, 0.9))
    draws = torch.Generator().manual_seed(1)
    for step in range(steps):
        x = data[torch.randint(len(data), (BATCH,), generator=draws)].float() / 127.5 - 1
        x_hat, loss = model(x)
        error = (x - x_hat).abs().mean()
        loss = loss + error
        if opponent is not None:
            opponent.step(real=x, fake=x_hat)
            weighed = {"reconstruction": error, "last_layer": model.out.weight} if way == "cured" else {}
            loss = loss + opponent.generator_loss(fake=x_hat, **weighed)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"{way} {step} error {error.item():.4f}", flush=True)
    return model.eval()


@torch.no_grad()
def reconstructed(model: Tokenizer, data: Tensor) -> Tensor:
    parts = [model(part.float() / 127.5 - 1)[0].clamp(-1, 1) for part in data.split(64)]
    return torch.cat(parts).add(1).mul(127.5).round().to(torch.uint8)


def moments(network: EfficientNetLite0, data: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        features = torch.cat([network.extract(part)[0] for part in data.split(8)]).double()
    return features.mean(0), features.T.cov()


def main(path: Path, steps: int, folder: Path, held_out: int = 256) -> None:
    data = images(path)
    seen, unseen = data[held_out:], data[:held_out]
    network = EfficientNetLite0()
    network.prepare()
    real, rows = moments(network, unseen), [unseen[:12]]
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["| adversary | mean abs. error | FID |", "| --- | --- | --- |"]
    for way in WAYS:
        made = reconstructed(train(seen, way, steps), unseen)
        error = (made.float() - unseen.float()).abs().mean().item() / 127.5
        lines.append(f"| {way} | {error:.4f} | {frechet(*real, *moments(network, made)):.1f} |")
        rows.append(made[:12])
    (folder / "table.md").write_text("\n".join(lines) + "\n")
    picture = torch.cat([torch.cat(list(row), 2) for row in rows], 1).permute(1, 2, 0).numpy()
    Image.fromarray(picture).save(folder / "reconstructions.png")
    print("\n".join(lines))


if __name__ == "__main__":
    torch.set_num_threads(1)
    words = sys.argv[1:]
    main(Path(words[0]), int(words[1]) if len(words) > 1 else 600, Path(words[2] if len(words) > 2 else "tokenizer"))
