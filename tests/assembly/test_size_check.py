"""Numbers that no machine can serve are refused before anything is decoded, allocated or left behind."""

from pathlib import Path

import pytest
import torch
from support.runs import TINY

from ganlab.assembly import experiment, run_data, size_check
from ganlab.config import compose
from ganlab.core import memory
from ganlab.core.errors import GanlabError

TOO_LARGE = {
    "data.batch_size=1e30": "data.batch_size must be a whole number below",
    "data.batch_size=1000000000000": "Batches of data.batch_size=1000000000000 images of 8x8 need .* GiB of memory",
    "sample.count=1000000000000": "Grids of sample.count=1000000000000 images of 8x8 need .* GiB of memory",
    "generator.width=1e30": "generator.width must be a whole number below",
    "generator.width=1000000000": "With generator.width=1000000000 the networks have more weights than this machine",
    "discriminator.width=1e18": "With discriminator.width=1000000000000000000 the networks have more weights",
    "generator.latent_dim=1000000000000": "With generator.latent_dim=1000000000000 the networks have more weights",
    "data.image_size=1000000": "images of 1000000x1000000 need",
}


@pytest.mark.parametrize("word", TOO_LARGE)
def test_what_no_machine_can_serve_is_refused_before_an_image_is_decoded(
    word: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "total", lambda: 64 * 2**30)
    monkeypatch.setattr(run_data, "prepared", lambda *_: pytest.fail("images were decoded"))
    with pytest.raises(GanlabError, match=TOO_LARGE[word]):
        experiment.build(compose.read([*TINY, word, f"run.dir={tmp_path / 'run'}"]))
    assert not (tmp_path / "run").exists()


def test_layers_without_end_are_refused_and_no_hook_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_check, "_MOST_TENSORS", 500)

    def endless() -> None:
        while True:
            torch.nn.Linear(1, 1)

    with pytest.raises(GanlabError, match="The networks have more weights"):
        size_check.refuse_networks({}, endless)
    for _ in range(1000):
        torch.nn.Linear(1, 1)


@pytest.mark.parametrize(
    "model", ["dcgan", "mlp", "small", "sngan", "sagan", "biggan", "biggan_deep", "pggan", "stylegan", "gan_stability"]
)
def test_every_model_can_be_built_without_memory(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check skips without a message those that cannot."""
    found: list[torch.nn.Parameter] = []

    class Reached(Exception):
        pass

    def reached(parts: object, make: object) -> None:
        with torch.device("meta"):
            found.extend(p for n in make().values() for p in n.parameters())  # type: ignore[operator]
        raise Reached

    monkeypatch.setattr(size_check, "refuse_networks", reached)
    with pytest.raises(Reached):
        experiment.build(compose.read([f"model={model}"]))
    assert {parameter.device.type for parameter in found} == {"meta"}


def test_weights_are_the_same_with_and_without_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    first = experiment.build(compose.read([*TINY, "model=sngan", "reg=sn"])).module.state_dict()
    monkeypatch.setattr(size_check, "refuse_networks", lambda *_: None)
    second = experiment.build(compose.read([*TINY, "model=sngan", "reg=sn"])).module.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in second)


def test_a_whole_number_may_be_written_as_a_float() -> None:
    config = compose.read([*TINY, "accumulate=2.0", "data.batch_size=8.0"])
    assert experiment.build(config).module.training_options.accumulate == 2
    assert type(config.accumulate) is int


@pytest.mark.parametrize("count", [0, 2**20, 2**40, 1e40])
def test_sizes_are_readable(count: float) -> None:
    assert memory.size(count).endswith(("MiB", "GiB"))
    assert len(memory.size(count)) < 16
