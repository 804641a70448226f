"""Ten iterations equal those of the references' own code: weights, vectors, statistics, averages and losses.

Both begin with the same weights and see the same pixels and draws, in double precision; see `make_trained.py` and its
siblings. What runs is the recipe, where there is one, with other sizes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import cases_chainer
import cases_growing
import cases_introvae
import cases_sagan
import cases_tf
import cases_tf_more
import cases_torch
import pytest
import torch
from replay import Terms, error, parts, play, tensors_of
from torch import Tensor
from trained import FOLDER, kept, read

CASE = {**cases_torch.CASE, **cases_tf.CASE, **cases_tf_more.CASE, **cases_chainer.CASE,
        **cases_sagan.CASE, **cases_introvae.CASE, **cases_growing.CASE}  # fmt: skip
# large pictures in double precision, or several steps of a critic; each code has a quick case as well
SLOW = dict.fromkeys(
    ("sagan_imagenet128", "sngan_imagenet128", "biggan_imagenet128", "biggan_deep_imagenet128", "ct_gan_cifar10"),
    pytest.mark.slow,
)
CASES = [pytest.param(name, marks=SLOW.get(name, ())) for name in sorted(path.stem for path in FOLDER.glob("*.npz"))]


@pytest.mark.parametrize("case", CASES)
def test_ten_iterations_equal_those_of_the_published_code(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    about, losses, expected = read(case)
    module, terms, networks = play(case, CASE[case], about, monkeypatch)
    for name, values in losses.items():
        made = [CASE[case].losses[name](terms_) for terms_ in terms if applies(CASE[case].losses[name], terms_)]
        made_ = torch.stack(made).detach().view(len(values), -1).mean(1)  # over micro-batches that are one there
        assert error(made_, values) < CASE[case].tolerance, name
    for network, tensors in expected.items():
        found = networks["G" if network == "average" else network].found(tensors_of(parts(module, network)))
        compared = [name for name in tensors if name in found and compares(name, network)]
        assert len(compared) > 5
        for name in compared:
            assert error(kept(found[name]), tensors[name]) < CASE[case].tolerance, f"{network}: {name}"


@pytest.mark.slow
@pytest.mark.parametrize(("case", "tolerance"), [
    ("stylegan2", 1e-4), ("stylegan2_cifar10", 1e-4), ("r3gan_ffhq", 3e-4), ("r3gan_cifar10", 3e-4),
])  # fmt: skip
def test_ten_iterations_in_single_precision_stay_close_to_the_published_code_in_double(
    case: str, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses, and the weights and averages of each network as one vector.

    R1 jumps where rounding gives an activation another sign. R3GAN's own code in single precision is 2.2e-4 from
    itself in double by this measure (`make_trained_r3gan.py`), at one iteration, and so is ours.
    """
    about, losses, expected = read(case)
    module, terms, networks = play(case, CASE[case], about, monkeypatch, torch.float32)
    for name, values in losses.items():
        made = [CASE[case].losses[name](terms_) for terms_ in terms if applies(CASE[case].losses[name], terms_)]
        assert error(torch.stack(made).detach().double().view(len(values), -1).mean(1), values) < tolerance, name
    for network, tensors in expected.items():
        found = networks["G" if network == "average" else network].found(tensors_of(parts(module, network)))
        names = [name for name in tensors if name in found and compares(name, network)]
        own = torch.cat([kept(found[name]).double() for name in names])
        assert error(own, torch.cat([tensors[name] for name in names])) < tolerance, network


def applies(make: Callable[[Terms], Tensor], terms: Terms) -> bool:
    try:
        make(terms)
    except KeyError:
        return False
    return True


def compares(name: str, network: str) -> bool:
    """Not counters; and BigGAN-PyTorch averages spectral norm's vectors too, of which ours are copies."""
    if re.search(r"(num_batches_tracked|sv0|sn_sigma)$", name):
        return False
    return network != "average" or not name.endswith(".u0")
