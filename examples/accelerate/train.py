"""The adversary in a loop of Hugging Face accelerate; without accelerate the same loop runs in one process.

    accelerate launch --num_processes 2 examples/accelerate/train.py [steps]     # or python, or torchrun

`accelerator.prepare` wraps the generator, whose gradients it averages. The discriminator is handed over as it is, or
wrapped: ganlab averages its gradients, once. A random network is to be imitated in a batch of 16, whatever the number
of processes: the losses that are printed are the same.
"""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn

import ganlab

try:
    from accelerate import Accelerator
except ImportError:
    Accelerator = None

BATCH = 16


def generator() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))


def discriminator() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))


def main(steps: int) -> Tensor:
    accelerator = None if Accelerator is None else Accelerator(cpu=not torch.cuda.is_available())
    device = torch.device("cpu") if accelerator is None else accelerator.device
    rank, world = (0, 1) if accelerator is None else (accelerator.process_index, accelerator.num_processes)
    torch.manual_seed(0)  # the same weights in every process
    model, judge, teacher = generator(), discriminator().to(device), generator().to(device).requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, betas=(0.0, 0.99))
    if accelerator is not None:
        model, optimizer = accelerator.prepare(model, optimizer)
    adversary = ganlab.Adversary(judge, "non_saturating", {"r1": {"gamma": 0.1}}, lr=2e-3)
    draws = torch.Generator().manual_seed(1)  # all processes draw the same batch, and each takes its part
    for step in range(steps):
        real, z = (torch.randn(BATCH, 4, generator=draws).chunk(world)[rank].to(device) for _ in range(2))
        x, fake = teacher(real), model(z)
        scalars = adversary.step(real=x, fake=fake)
        loss = adversary.generator_loss(fake=fake)
        optimizer.zero_grad()
        if accelerator is None:
            loss.backward()
        else:
            accelerator.backward(loss)
        optimizer.step()
        if step % 50 == 0:
            value = scalars["discriminator/adversarial"]
            value = value if accelerator is None else accelerator.reduce(value, "mean")
            if rank == 0:
                print(f"{step} {value.item():.5f}", flush=True)
    return torch.cat([p.detach().flatten().cpu() for p in (*adversary.parameters(), *model.parameters())])


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
