"""The discriminator's accuracy on training, held-out and generated images."""

from __future__ import annotations

import torch
from torch import Tensor

from ganlab.contracts.instrument import Instrument, Subject
from ganlab.core.checks import at_least

HELD_OUT = "validation"


class Memorization(Instrument):
    """Shares of training, held-out and generated images that the discriminator takes for what they are.

    d_train, d_held_out   share of real images above the boundary
    d_fake                share of generated images below it
    d_gap                 d_train - d_held_out: above 0 the discriminator knows its training images by heart

    The boundary lies half-way between the median logits of training and of generated images, as 0 means nothing to a
    critic or to least squares; images on it count half. The images are the same ones each time, without augmentation;
    the generated ones are those of the generator that is trained, from fixed latents. `ganlab evaluate
    metrics=memorization` gives the same shares of more images, with intervals.

    Source: Brock et al. 2019 (arXiv:1809.11096), section 4.2: BigGAN's D is right about more than 98 % of the training
    images and 50 to 55 % of those held out.

    Args:
        samples: Images of each kind, at least 1.

    Raises:
        ValueError: If ``samples`` is out of range.
    """

    cost = "three times watch.memorization.samples images through the discriminator, and as many generated"

    def __init__(self, samples: int = 128) -> None:
        self.samples = at_least("samples", samples, 1)

    def prepare(self, subject: Subject) -> None:
        _ = subject.discriminator, subject.generator
        if not subject.counts.get(HELD_OUT):
            raise ValueError("it needs held-out images, and the run has none: set data.held_out=0.1")

    @torch.no_grad()
    def measure(self, subject: Subject) -> dict[str, Tensor]:
        images = {
            "train": subject.reals("train", self.samples),
            "held_out": subject.reals(HELD_OUT, self.samples),
            "fake": subject.fakes(self.samples, averaged=False),
        }
        logits = {role: subject.logits(*found) for role, found in images.items()}
        boundary = (logits["train"].median() + logits["fake"].median()) / 2
        above = {role: (x > boundary).float().mean() + (x == boundary).float().mean() / 2 for role, x in logits.items()}
        return {
            "d_train": above["train"],
            "d_held_out": above["held_out"],
            "d_fake": 1 - above["fake"],
            "d_gap": above["train"] - above["held_out"],
        }
