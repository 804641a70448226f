"""Write trained/introvae_celebahq.npz: ten iterations of the authors' code.

git clone https://github.com/hhb072/IntroVAE && git -C IntroVAE checkout c8ce5d29
python tests/importers/make_trained_introvae.py IntroVAE

Their ``train`` runs as it is, in double precision. Its second backward pass goes on, past the decoder whose gradient it
is for, to an encoder whose weights have changed meanwhile: gradients that nothing takes. torch 0.4 did not notice; so
that today's does not, an optimizer here writes weights behind autograd's back, as all did then.
"""

from __future__ import annotations

import ast
import sys
import types
from pathlib import Path
from typing import Any

import torch
from foreign import commit, fill
from torch import Tensor, nn
from trained import ITERATIONS, Draws, images, save

CASE, BATCH, LATENTS, CHANNELS, SIZE = "introvae_celebahq", 4, 5, [3, 6, 6], 32
WEIGHTS = {"m_plus": 120.0, "weight_rec": 0.05 / 4, "weight_kl": 1.0, "weight_neg": 0.5}  # images in [-1, 1]


class Adam(torch.optim.Adam):
    """Steps copies of the weights, and writes them into these without a new version."""

    def __init__(self, network: nn.Module, lr: float) -> None:
        self.own = list(network.parameters())
        super().__init__([nn.Parameter(p.detach().clone()) for p in self.own], lr=lr)

    def step(self, closure: Any = None) -> None:
        copies = self.param_groups[0]["params"]
        for copy, own in zip(copies, self.own, strict=True):
            copy.grad = own.grad
        super().step()
        for copy, own in zip(copies, self.own, strict=True):
            own.data.copy_(copy.data)

    def zero_grad(self, set_to_none: bool = True) -> None:
        for own in self.own:
            own.grad = None


def inner(path: Path, name: str, names: dict[str, Any]) -> Any:
    """A function inside of ``main``; a scalar was an array of one number."""
    tree = ast.parse(path.read_text().replace(".data[0]", ".data").replace(" is 0:", " == 0:"))
    (main,) = (node for node in tree.body if getattr(node, "name", None) == "main")
    tree.body = [node for node in main.body if getattr(node, "name", None) == name]  # type: ignore[attr-defined]
    exec(compile(tree, str(path), "exec"), names)
    return names[name]


def introvae(checkout: Path) -> None:
    sys.path.insert(0, str(checkout))
    import networks
    from torch.autograd import Variable
    from torch.nn import functional

    torch.set_default_dtype(torch.float64)
    networks.data_parallel = lambda network, x: network(x)
    draws, found = Draws(CASE), {"discriminator": [], "generator": []}  # type: ignore[var-annotated]
    given: list[Tensor] = []
    torch.Tensor.cuda = lambda self, *arguments: self  # type: ignore[assignment,method-assign]
    torch.Tensor.normal_ = lambda self, *arguments: given.pop()  # type: ignore[assignment,method-assign]
    torch.cuda.FloatTensor = torch.empty  # type: ignore[assignment,misc]
    backward = torch.Tensor.backward

    def recording(loss: Tensor, **options: Any) -> None:
        found["discriminator" if options else "generator"].append(float(loss.detach()))
        backward(loss, **options)

    torch.Tensor.backward = recording  # type: ignore[assignment,method-assign]
    model = networks.IntroVAE(cdim=3, hdim=LATENTS, channels=CHANNELS, image_size=SIZE).double()
    shapes = {"G": fill(f"{CASE}/G", model.decoder), "D": fill(f"{CASE}/D", model.encoder)}
    train = inner(checkout / "main.py", "train", {
        "torch": torch, "Variable": Variable, "F": functional, "time": types.SimpleNamespace(time=float),
        "start_time": 0, "train_data_loader": [], "model": model, "print": lambda text: None,
        "optimizerE": Adam(model.encoder, 2e-4), "optimizerG": Adam(model.decoder, 2e-4),
        "opt": types.SimpleNamespace(hdim=LATENTS, test_iter=10**9, tensorboard=False, **WEIGHTS),
    })  # fmt: skip
    for _ in range(ITERATIONS):
        given[:] = [draws.normal(BATCH, LATENTS) for _ in range(2)]  # of codes, then of latents, which are asked first
        train(0, 0, images(draws.reals(BATCH, SIZE, 0)[0]), 1)
    about = {"source": f"IntroVAE {commit(checkout)}", "shapes": shapes, "batch": BATCH, "size": SIZE,
             "width": CHANNELS[0], "largest_width": CHANNELS[-1], "latent_dim": LATENTS}  # fmt: skip
    save(CASE, about, found, {"G": model.decoder.state_dict(), "D": model.encoder.state_dict()})


if __name__ == "__main__":
    torch.set_num_threads(1)
    introvae(Path(sys.argv[1]).resolve())
