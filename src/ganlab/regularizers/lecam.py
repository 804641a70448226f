"""LeCam regularization for small data sets."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ganlab.contracts.address import Address
from ganlab.contracts.plan import Progress
from ganlab.contracts.regularizer import Regularizer
from ganlab.contracts.turn import Terms
from ganlab.contracts.view import View
from ganlab.core import distributed
from ganlab.core.checks import at_least_zero, share


class LeCam(Regularizer):
    """LeCam: the logits of each kind stay near the moving average of the other kind's.

    weight * (E[(D(x) - a_F)^2] + E[(D(G(z)) - a_R)^2]), or one-sided
    weight * (E[max(0, D(x) - a_F)^2] + E[max(0, a_R - D(G(z)))^2])

    a_R and a_F follow the mean logits of reals and fakes: a <- decay * a + (1 - decay) * mean, with the present
    mean counted before the term is taken; they begin as the first mean. Nobody gets a gradient through
    them. The means are over all ranks; under accumulation each micro-batch's term counts its own mean, and the
    step that of all. It shares the main forward pass.

    Source: Tseng et al. 2021 (arXiv:2104.03310), section 3. The one-sided form, and that the mean is counted
    first, is the authors' code (github.com/google/lecam-gan f9af948), with decay 0.9 for BigGAN after 1000 iterations
    without the term, and 0.99 for StyleGAN2, whose averages begin as the mean of all means so far.

    Args:
        weight: lambda of the paper, at least 0; the authors' scripts have 0.3 for BigGAN on CIFAR-10, 3e-7 for
            StyleGAN2 on 1,000 images of FFHQ and 1e-6 on a tenth of CIFAR-10.
        decay: Of the moving averages, a step of the discriminator, in [0, 1).
        one_sided: Only logits on their own side of the other kind's average count.
        start_kimg: Before this the term is 0 and the averages are the present means; at least 0.

    Raises:
        ValueError: If an option is out of range.
    """

    addresses = (Address("discriminator"),)
    needs = ("adversarial",)

    anchors: Tensor
    started: Tensor
    counts: Tensor

    def __init__(
        self, weight: float = 0.3, decay: float = 0.99, one_sided: bool = False, start_kimg: float = 0.0
    ) -> None:
        super().__init__()
        self.weight, self.decay = at_least_zero("weight", weight), share("decay", decay, one=False)
        self.one_sided = one_sided
        self.start_kimg = at_least_zero("start_kimg", start_kimg)
        self.idle_hooks = () if start_kimg else ("before_iteration",)
        self.register_buffer("anchors", torch.zeros(2))  # a_R, a_F
        self.register_buffer("started", torch.zeros(()))
        self.register_buffer("counts", torch.tensor(not start_kimg), persistent=False)  # the term does

    def before_iteration(self, progress: Progress) -> None:
        self.counts.fill_(progress.images_seen >= 1000 * self.start_kimg)

    def terms(self, player: str, view: View) -> Terms:
        real, fake = view.logits(view.reals), view.logits(view.fakes())
        means = distributed.mean(torch.stack([real.detach().mean(), fake.detach().mean()]))
        view.update(self.started, torch.ones_like(self.started))
        averages = torch.where(
            self.counts & (self.started > 0), torch.lerp(means, self.anchors.to(means), self.decay), means
        )
        view.update(self.anchors, averages)
        of_reals, of_fakes = averages.unbind()
        above, below = real - of_fakes, of_reals - fake
        if self.one_sided:
            above, below = F.relu(above), F.relu(below)
        term = self.weight * (above.square().mean() + below.square().mean())
        return {"lecam": torch.where(self.counts, term, 0) if self.start_kimg else term}
