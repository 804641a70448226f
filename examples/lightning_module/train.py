"""Networks and a data set of one's own, trained by a plain Trainer of Lightning's.

    python examples/lightning_module/train.py [iterations] [folder]

Nothing here but `ganlab.GANModule` is ganlab's. The images are ellipses, made as they are asked for; it takes about two
minutes on two cores, and writes samples.png, metrics.csv and checkpoints into the folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import ganlab

SIZE, WIDTH = 16, 32


class Generator(nn.Module):
    """Images (B, 3, 16, 16) from z (B, 32)."""

    latent_dim = 32

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.ConvTranspose2d(32, 4 * WIDTH, 4),
            nn.BatchNorm2d(4 * WIDTH),
            nn.ReLU(),
            nn.ConvTranspose2d(4 * WIDTH, WIDTH, 4, 2, 1),
            nn.BatchNorm2d(WIDTH),
            nn.ReLU(),
            nn.ConvTranspose2d(WIDTH, 3, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.net(z[:, :, None, None])
        return images


class Discriminator(nn.Module):
    """A logit (B, 1), high for real."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, WIDTH, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(WIDTH, 4 * WIDTH, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(4 * WIDTH * 16, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return logits


class Ellipses(Dataset[dict[str, Tensor]]):
    """Ellipses of random place, size and colour on a dark ground: bytes under ``image``, as many loaders give them."""

    def __len__(self) -> int:
        return 2000

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        random = torch.Generator().manual_seed(index)
        center, radius = 4 + 8 * torch.rand(2, generator=random), 2 + 3 * torch.rand(2, generator=random)
        y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
        inside = ((x - center[0]) / radius[0]).square() + ((y - center[1]) / radius[1]).square() < 1
        colour = torch.randint(80, 256, (3, 1, 1), generator=random)
        return {"image": torch.where(inside, colour, 20).to(torch.uint8)}


class Pixels(nn.Module):
    """Features of images for the validation's FID: their pixels at a quarter of the size."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(images.float() / 255, 4).flatten(1)


def main(iterations: int, folder: Path) -> None:
    torch.manual_seed(0)
    module = ganlab.GANModule.of(
        generator=Generator(),
        discriminator=Discriminator(),
        loss="non_saturating",
        reg={"r1": {"gamma": 1.0}},
        lr={"generator": 1e-3, "discriminator": 1e-3},
        metrics=["fid"],
        features=Pixels(),
    )
    loader, validation = DataLoader(Ellipses(), batch_size=32, shuffle=True), DataLoader(Ellipses(), batch_size=100)
    checkpoints = ModelCheckpoint(folder / "checkpoints", monitor="generator/adversarial")
    trainer = L.Trainer(
        max_steps=iterations, accelerator="cpu", callbacks=[checkpoints], logger=CSVLogger(folder), log_every_n_steps=10
    )
    trainer.fit(module, loader, validation)
    trainer.validate(module, validation)

    # later: the networks are given again, since a checkpoint holds no code
    networks = {"generator": Generator(), "discriminator": Discriminator()}
    loaded = ganlab.GANModule.load_from_checkpoint(checkpoints.best_model_path, **networks, features=Pixels())
    found = trainer.predict(loaded, DataLoader(range(32), batch_size=16))  # type: ignore[arg-type]
    samples = torch.cat([batch for batch in found or [] if isinstance(batch, Tensor)])
    rows = samples.view(4, 8, 3, SIZE, SIZE).permute(0, 3, 1, 4, 2).reshape(4 * SIZE, 8 * SIZE, 3)
    pixels = ((rows + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    Image.fromarray(pixels.numpy()).resize((8 * SIZE * 4, 4 * SIZE * 4), Image.Resampling.NEAREST).save(
        folder / "samples.png"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600, Path(sys.argv[2] if len(sys.argv) > 2 else "ellipses"))
