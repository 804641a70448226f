"""Run folders that nobody trained: files with made-up content, or somebody's attempt to get into a page."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image

from ganlab.evaluation import scores
from support.records import record

EVIL = "</script><script>window.evil = 1</script><img src=x onerror='window.evil = 2'>\"&"


def run_folder(folder: Path, name: str = "adversarial", lines: int = 20, seed: int = 0) -> Path:
    """A run folder with everything that a page shows, and ``name`` wherever a folder may have a text."""
    (folder / "samples").mkdir(parents=True)
    (folder / "config.yaml").write_text(f"seed: {seed}\nloss: {json.dumps(name)}\n")
    environment = {
        "time": "2026-11-26T20:39:10", "command": ["/x/ganlab", "train", name], "python": name, "platform": name,
        "packages": {"torch": "2.14", name: name}, "commits": {"folder": "0123abc", name: None}, "cuda": [name],
        "data": {"images": 1797, "found_size": [8, 9], "classes": [name, name], "contents": name},
    }  # fmt: skip
    (folder / "environment.json").write_text(json.dumps(environment))
    rows = [
        {"iteration": 10 * i, "kimg": 0.64 * i, f"discriminator/{name}": seed + 2 / i, "discriminator/real_logits": i,
         "discriminator/fake_logits": -i, f"{name}/{name}": i * i, "images_per_second": 640.0 * (1 + seed),
         "generator/learning_rate": 0.001, "spectra/discriminator/a/sigma0": i, "spectra/discriminator/b/sigma0": 2 * i}
        for i in range(1, lines + 1)
    ]  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for iteration in (10, 100, 200):
        Image.new("L", (60, 60), iteration + seed).save(folder / "samples" / f"iteration_{iteration:09d}.png")
    for iteration in (50, 100, 200):
        one = record(iteration, during_training=True)
        one["protocol"]["reference"]["split"] = name
        one["values"]["fid"]["about"] = name
        scores.append(folder, one)
    return folder
