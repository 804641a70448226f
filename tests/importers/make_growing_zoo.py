"""Write growing/zoo_*.npz: what pytorch_GAN_zoo's Progressive GAN makes of our values.

git clone https://github.com/facebookresearch/pytorch_GAN_zoo && git -C pytorch_GAN_zoo checkout b75dee40
python tests/importers/make_growing_zoo.py pytorch_GAN_zoo

The official networks are grown to each level with the same values and evaluated in double precision; their alpha is
the share of the older level, 1 − ours.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from values import IMAGES, LATENTS, fill, images, kept, labels, latents, one_hot, save, stages

CASES: dict[str, dict[str, Any]] = {
    "zoo_pggan": {"depths": [8, 8, 8, 4], "channels": 3, "classes": 0, "stddev": True},
    "zoo_pggan_labels": {"depths": [6, 6, 6], "channels": 1, "classes": 5, "stddev": False},
}
UNEVEN = 6  # images that groups of four do not divide


def make(case: str, options: dict[str, Any]) -> None:
    from models.networks.progressive_conv_net import DNet, GNet

    first, *others = options["depths"]
    classes, channels, length = options["classes"], options["channels"], 7

    def grown(level: int) -> dict[str, torch.nn.Module]:
        nets = {
            "netG": GNet(length + classes, first, dimOutput=channels),
            "netD": DNet(
                first, sizeDecisionLayer=1 + classes, miniBatchNormalization=options["stddev"], dimInput=channels
            ),
        }
        for net in nets.values():
            for depth in others[:level]:
                net.addScale(depth)
        return nets

    levels = len(others)
    files = {
        f"{name}": {key: list(value.shape) for key, value in net.state_dict().items()}
        for name, net in grown(levels).items()
    }
    values = {name: fill(f"{case}/{name}", shapes) for name, shapes in files.items()}
    z = np.concatenate([latents(case, length), one_hot(labels(f"{case}/G", LATENTS, classes), LATENTS, classes)], 1)
    of_class = one_hot(labels(f"{case}/D", IMAGES, classes), IMAGES, classes)
    outputs = {}
    for level, alpha in stages(levels):
        for name, net in grown(level).items():
            net.load_state_dict({key: torch.from_numpy(values[name][key]) for key in net.state_dict()})
            net.double()
            if level:
                net.setNewAlpha(1 - alpha)
            if name == "netG":
                outputs[f"G/{level}/{alpha}"] = kept(net(torch.from_numpy(z).double()).detach().numpy())
                continue
            x = torch.from_numpy(images(case, channels, 4 * 2**level)).double()
            for key, count in (("D", IMAGES), ("uneven D", UNEVEN)):
                scores = net(x[:count]).detach().numpy()
                outputs[f"{key}/{level}/{alpha}"] = scores[:, 0] + (scores[:, 1:] * of_class[:count]).sum(1)
    about = {"format": "gan_zoo", "files": files, "size": 4 * 2**levels, "channels": channels, "classes": classes}
    save(case, {**about, "latent_dim": length}, outputs)


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    for name, options in CASES.items():
        make(name, options)
