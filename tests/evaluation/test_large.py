"""Numbers of an evaluation that no machine can serve are named before an image is made."""

from __future__ import annotations

import pytest

from ganlab.contracts.metric import Stream
from ganlab.core import memory, registry
from ganlab.core.errors import GanlabError
from ganlab.evaluation import large
from ganlab.evaluation.protocol import Protocol

HUGE = 10**12
OWN = {"metrics": ["ppl"], "ppl.samples": HUGE}  # makes its own samples, and looks at no others
OTHERS = ("fid.blocks", "per_class.blocks", "spectrum.blocks", "is.splits", "is.blocks", "kid.subsets", "ms_ssim.pairs",
          "sliced_wasserstein.directions")  # fmt: skip


def refuse(changes: dict[str, object], count: int) -> None:
    protocol = Protocol().changed(changes).completed()
    large.refuse(protocol, protocol.make_metrics(), Stream(count, 64, 10, (3, 32, 32), 10))


@pytest.mark.parametrize("name", sorted(set(registry.names("metric")) - {"ppl"}))
def test_every_metric_refuses_more_samples_than_there_is_memory_for(name: str) -> None:
    if name == "brightness":
        pytest.skip("the example plug-in's histogram is as small for any number of images")
    refuse({"metrics": [name]}, 5_000)
    with pytest.raises(GanlabError, match=f"The numbers of {name} from samples={HUGE} need .* GiB of memory, and this"):
        refuse({"metrics": [name]}, HUGE)


@pytest.mark.parametrize("key", OTHERS)
def test_other_numbers_are_named_too(key: str) -> None:
    with pytest.raises(GanlabError, match=f"from 50 samples and {key}={HUGE} need "):
        refuse({"metrics": [key.split(".")[0]], key: HUGE}, 50)


def test_numbers_with_an_exponent_are_named_too() -> None:
    with pytest.raises(GanlabError, match=r"from 50 samples and kid\.subsets=1e\+12 need "):
        refuse({"metrics": ["kid"], "kid.subsets": 1e12}, 50)


def test_samples_of_a_metrics_own_count() -> None:
    with pytest.raises(GanlabError, match=f"ppl.samples={HUGE} need "):
        refuse(OWN, 50)


def test_what_is_kept_counts_with_the_size_of_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 features of 64 numbers take 2.4 MiB, and a random choice of a million images 7.6."""
    monkeypatch.setattr(memory, "total", lambda: 8 * 2**20)
    refuse({"metrics": ["prdc"]}, 10_000)
    with pytest.raises(GanlabError, match="samples=1000000 need 10 MiB"):
        refuse({"metrics": ["prdc"]}, 1_000_000)
