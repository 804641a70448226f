import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.distributions import install

from ganlab.config import catalog, help_pages, presets
from ganlab.core import registry
from ganlab.core.errors import GanlabError

HEAVY = ("torch", "lightning", "hydra", "omegaconf", "numpy", "PIL")


def test_a_preset_is_what_hydra_composes_of_it() -> None:
    found = presets.composition("loss", "wgan_gp")
    assert [(part.kind, part.name, part.key) for part in found.parts] == [
        ("loss", "wasserstein", "loss"),
        ("reg", "gradient_penalty", "reg.gradient_penalty"),
    ]
    assert found.values == {}
    rates = {option.name: option.default for option in presets.keys("model", "biggan") if option.name.endswith(".lr")}
    assert rates == {"optimizer.generator.lr": 1e-4, "optimizer.discriminator.lr": 4e-4}
    assert presets.composition("optimizer/discriminator", "small").values == {
        "optimizer.discriminator.lr": 1e-3,
        "optimizer.discriminator.betas": [0.0, 0.9],
    }


def test_an_experiment_in_the_users_conf_is_the_whole_run_and_what_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "conf/experiment/mine.yaml"
    file.parent.mkdir(parents=True)
    lines = ["# @package _global_", "# My recipe", "defaults:", "  - override /loss: r1", "  - override /reg: [sn]"]
    file.write_text("\n".join([*lines, "seed: 3"]))
    (tmp_path / "conf/experiment/torn.yaml").write_text("{")
    monkeypatch.chdir(tmp_path)
    mine, torn = (catalog.find("experiment", name) for name in ("mine", "torn"))
    assert (mine.provider, presets.summary(mine)) == ("./conf", "My recipe")
    assert "cannot be read" in presets.summary(torn)
    found = presets.composition("experiment", "mine")
    assert {part.name for part in found.parts} >= {"non_saturating", "r1", "sn", "sngan", "digits", "standard"}
    assert {key: value for key, value in found.values.items() if not key.startswith("optimizer.")} == {"seed": 3}


def test_a_preset_is_composed_anew_when_a_file_that_it_uses_changes_or_appears(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "conf/loss/mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("defaults: [hinge, _self_]\nmargin: 2.0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANLAB_CACHE", str(tmp_path / "cache"))
    assert presets.composition("loss", "mine").values == {"loss.margin": 2.0}
    asked: list[str] = []
    ask = presets._ask_hydra

    def listening(target: str) -> tuple[list[str], dict[str, object]]:
        asked.append(target)
        return ask(target)

    monkeypatch.setattr(presets, "_ask_hydra", listening)
    monkeypatch.setattr(presets, "_rows", inspect.unwrap(presets._rows))  # as in another process
    assert presets.composition("loss", "mine").values == {"loss.margin": 2.0}
    assert asked == []
    file.write_text("defaults: [hinge, _self_]\nmargin: 2.25\n")
    assert presets.composition("loss", "mine").values == {"loss.margin": 2.25}
    (tmp_path / "conf/loss/hinge.yaml").write_text("component: hinge\nmargin: 1.5\n")
    assert presets.composition("loss", "mine").values == {"loss.margin": 2.25}
    assert asked == ["loss/mine"] * 2


def test_a_wrong_kind_and_a_wrong_name_have_different_messages() -> None:
    with pytest.raises(GanlabError, match=r"There is no kind 'los'. Did you mean 'loss'"):
        catalog.find("los", "hinge")
    with pytest.raises(GanlabError, match=r"No loss is called 'sn'. There is reg=sn."):
        catalog.find("loss", "sn")
    with pytest.raises(GanlabError, match=r"No loss is called 'hindge'. Did you mean 'hinge'"):
        catalog.find("loss", "hindge")


def test_two_that_claim_one_name_are_marked_and_shown_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        install(tmp_path, f"claim-{number}", {}, f"[ganlab.losses]\nclaimed = claim{number}:Loss\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.forget()
    try:
        line = next(text for text in help_pages.summary_lines(catalog.choices("loss")) if "claimed" in text)
        assert line.split(None, 1)[1] == "CLAIMED BY claim-1 AND claim-2: uninstall all but one"
    finally:
        monkeypatch.undo()
        registry.forget()


def test_the_page_of_train_names_every_group_choice_option_and_common_key() -> None:
    page = help_pages.train()
    for group in catalog.run_groups():
        for choice in catalog.choices(group):
            assert group == "trainer" or f"\n  {choice.name} " in page or f"\n  {choice.name}\n" in page
    content = yaml.safe_load((catalog.conf_dir() / "train.yaml").read_text())
    for top, node in content.items():
        for key in node if isinstance(node, dict) else ():
            assert top == "hydra" or f"\n  {top}.{key}=" in page
    assert "\n  hinge                 margin=1.0\n" in page
    assert "trainer.precision" in page
    assert "trainer.strategy" not in page  # ganlab's own
    assert max(map(len, page.splitlines())) <= help_pages.WIDTH


def test_common_keys_carry_their_comments() -> None:
    about = {option.name: option.about for option in catalog.run_keys()}
    assert about["accumulate"] == "Micro-batches of one step: the batch may be larger than memory."
    assert about["ema.half_life_kimg"] == "Half-life of the average; 0: no averaging."


def test_help_list_show_and_completion_import_nothing_heavy() -> None:
    lines = [[], ["list"], ["show", "hinge"], ["show", "model", "biggan"], ["completion", "bash"]]
    lines += [[command, "--help"] for command in ("train", "resume", "sample", "list", "show")]
    lines += [["complete", "--", "train", word] for word in ("", "loss=", "loss.", "trainer.")]
    program = (
        "import sys\nfrom ganlab import cli\n"
        f"for words in {lines}:\n    assert cli.dispatch(words) == 0\n"
        f"sys.exit(' '.join(m for m in {HEAVY} if m in sys.modules) or None)"
    )
    help_pages.train()  # fills the cache
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
