"""Presets read without Hydra have the components and options that Hydra composes."""

from pathlib import Path

import pytest

from ganlab.config import bundle, catalog, presets
from ganlab.core import registry
from ganlab.core.errors import GanlabError

BUNDLES = [(kind, c.name) for kind in ("loss", "optimizer") for c in catalog.choices(kind) if c.preset is not None]


@pytest.mark.parametrize(("kind", "name"), BUNDLES)
def test_a_preset_is_what_hydra_composes(kind: str, name: str) -> None:
    path = "optimizer/generator" if kind == "optimizer" else kind
    composed = presets.composition(path, name)
    assert not composed.problem
    expected = {
        part.key: (
            part.name,
            {key.rpartition(".")[2]: v for key, v in composed.values.items() if key.startswith(f"{part.key}.")},
        )
        for part in composed.parts
    }
    found = bundle.read(kind, name)
    assert found is not None
    keys = {"optimizer": "optimizer.generator", "loss": "loss"}
    assert expected == {
        keys.get(of, f"{of}.{part}"): (part, options)
        for of, components in found.items()
        for part, options in components.items()
    }


def test_a_preset_of_the_users_extends_another_and_one_that_says_more_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    registry.forget()
    Path("conf/loss").mkdir(parents=True)
    mine = "# @package _global_\ndefaults:\n  - wgan_gp@loss\nreg:\n  gradient_penalty:\n    weight: 3.0\n"
    Path("conf/loss/mine.yaml").write_text(mine)
    Path("conf/loss/more.yaml").write_text(mine + "game:\n  discriminator_steps: 5\n")
    assert bundle.read("loss", "mine") == {"loss": {"wasserstein": {}}, "reg": {"gradient_penalty": {"weight": 3.0}}}
    with pytest.raises(GanlabError, match=r"loss=more is a preset that only the command line can read .*more\.yaml"):
        bundle.read("loss", "more")
