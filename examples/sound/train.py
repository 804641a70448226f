"""A small vocoder of synthetic tones, with and without HiFi-GAN's multi-period discriminator.

    python examples/sound/train.py [steps] [folder]

Tones of three harmonics are made from their spectrogram of 16 bands, in which neither phases nor fine structure are.
The discriminator looks at every 2nd, 3rd and 5th sample, and its features are matched (arXiv:2010.05646). The script
prints a table of spectral errors and writes a picture of spectrograms.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import ganlab

RATE, LENGTH, HOP, BANDS, BATCH, WIDTH = 8000, 2048, 64, 16, 8, 32
PERIODS = (2, 3, 5)


def tones(count: int, draws: torch.Generator) -> Tensor:
    """Return sounds (B, 1, T) in [-1, 1]: three harmonics of a gliding pitch, with noise between them."""
    pitch, glide = torch.rand(2, count, 1, generator=draws)
    time = torch.arange(LENGTH) / RATE
    phase = 2 * math.pi * ((150 + 350 * pitch) * time + 200 * (glide - 0.5) * time.square())
    start = 2 * math.pi * torch.rand(3, count, 1, generator=draws)
    share = torch.rand(3, count, 1, generator=draws)
    sound = sum((share[k] / (k + 1)) * torch.sin((k + 1) * phase + start[k]) for k in range(3))
    noise = 0.02 * torch.randn(count, LENGTH, generator=draws)
    return ((torch.as_tensor(sound) + noise) / 2)[:, None]


def spectrum(sound: Tensor, size: int = 256) -> Tensor:
    """Return log magnitudes (B, frequencies, frames)."""
    window = torch.hann_window(size)
    return torch.stft(sound[:, 0], size, HOP, window=window, return_complex=True).abs().clamp(min=1e-3).log()


def condition(sound: Tensor) -> Tensor:
    """Return the spectrogram in few bands, (B, BANDS, frames)."""
    return F.adaptive_avg_pool2d(spectrum(sound)[:, None], (BANDS, LENGTH // HOP))[:, 0]


class Vocoder(nn.Module):
    """(B, BANDS, T / 64) -> (B, 1, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(BANDS, 2 * WIDTH, 5, padding=2), nn.LeakyReLU(0.1),
            nn.ConvTranspose1d(2 * WIDTH, WIDTH, 16, 8, 4), nn.LeakyReLU(0.1),
            nn.Conv1d(WIDTH, WIDTH, 7, padding=3), nn.LeakyReLU(0.1),
            nn.ConvTranspose1d(WIDTH, WIDTH, 16, 8, 4), nn.LeakyReLU(0.1),
            nn.Conv1d(WIDTH, WIDTH, 9, padding=4), nn.LeakyReLU(0.1), nn.Conv1d(WIDTH, 1, 9, padding=4), nn.Tanh(),
        )  # fmt: skip

    def forward(self, bands: Tensor) -> Tensor:
        return self.layers(bands)


class Periods(nn.Module):
    """Logits and features of the sound folded at each period."""

    def __init__(self) -> None:
        super().__init__()
        shapes = ((1, WIDTH // 2), (WIDTH // 2, WIDTH), (WIDTH, WIDTH))
        self.stacks = nn.ModuleList(
            [nn.ModuleList([nn.Conv2d(a, b, (5, 1), (3, 1), (2, 0)) for a, b in shapes]) for _ in PERIODS]
        )
        self.ends = nn.ModuleList([nn.Conv2d(WIDTH, 1, (3, 1), 1, (1, 0)) for _ in PERIODS])

    def forward(self, sound: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        logits, features = [], []
        for period, stack, end in zip(PERIODS, self.stacks, self.ends, strict=True):
            x = F.pad(sound, (0, -sound.shape[2] % period), "reflect").unflatten(2, (-1, period))  # (B, 1, T/p, p)
            kept = []
            for layer in stack:  # type: ignore[attr-defined]
                x = F.leaky_relu(layer(x), 0.1)
                kept.append(x)
            logits.append(end(x))
            features.append(kept)
        return logits, features


def train(steps: int, adversarial: bool) -> Vocoder:
    torch.manual_seed(0)
    model, opponent = Vocoder(), None
    if adversarial:
        opponent = ganlab.Adversary(
            Periods(), "least_squares", reduction="sum", feature_matching=2.0, weight=0.2, start_step=steps // 5,
            optimizer={"adamw": {"betas": [0.8, 0.99]}}, lr={"from": 1e-3, "to": 2e-4}, total_steps=steps,
        )  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, betas=(0.8, 0.99))
    draws = torch.Generator().manual_seed(1)
    for step in range(steps):
        x = tones(BATCH, draws)
        made = model(condition(x))
        loss = error = (spectrum(made) - spectrum(x)).abs().mean()
        if opponent is not None:
            opponent.step(real=x, fake=made)
            loss = loss + opponent.generator_loss(fake=made, real=x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"{'with' if adversarial else 'without'} {step} error {error.item():.4f}", flush=True)
    return model.eval()


def main(steps: int, folder: Path) -> None:
    x = tones(64, torch.Generator().manual_seed(2))
    sounds = {"original": x}
    for adversarial in (False, True):
        model = train(steps, adversarial)
        with torch.no_grad():
            sounds["with an adversary" if adversarial else "without"] = model(condition(x))
    lines = ["| | error, 32 ms windows | error, 8 ms windows | error, 64 ms windows |", "| --- | --- | --- | --- |"]
    for name, sound in list(sounds.items())[1:]:
        errors = [(spectrum(sound, size) - spectrum(x, size)).abs().mean().item() for size in (256, 64, 512)]
        lines.append(f"| {name} | " + " | ".join(f"{error:.3f}" for error in errors) + " |")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text("\n".join(lines) + "\n")
    rows = [torch.cat(list(spectrum(sound, 512)[:6].flip(1)), 1) for sound in sounds.values()]
    picture = (torch.cat(rows, 0) + 7).div(11).clamp(0, 1).mul(255).to(torch.uint8).numpy()
    Image.fromarray(picture).resize((picture.shape[1] * 4, picture.shape[0])).save(folder / "spectrograms.png")
    print("\n".join(lines))


if __name__ == "__main__":
    torch.set_num_threads(1)
    words = sys.argv[1:]
    main(int(words[0]) if words else 600, Path(words[1] if len(words) > 1 else "sound"))
