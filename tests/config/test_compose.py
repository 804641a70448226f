import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.distributions import install

from ganlab import cli
from ganlab.config import catalog, compose, configuration, option_table, presets
from ganlab.core import kinds, registry
from ganlab.core.errors import GanlabError

GROUPS = [group for group in catalog.run_groups() if catalog.choices(group)]
DEFAULTS_ENTRY = re.compile(r"(?m)^  - (?:override )?/?(?:(\w+): )?(\w+)$")
PRESETS = [(choice.group, choice.name) for group in GROUPS for choice in catalog.choices(group) if choice.preset]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


REFUSED = {
    "an entry of a table": (
        ["experiment=pggan_celebahq", "growth.batch_sizes.32=8"],
        "growth.batch_sizes.32 cannot be set by itself: give the whole table, as growth.batch_sizes={32:VALUE,...}.",
    ),
    "an unknown key, with the nearest": (["loss.margn=2"], "'loss.margn' is no option. Did you mean 'loss.margin'?"),
    "a key without its group": (["max_steps=3"], "'max_steps' is no option. Did you mean 'trainer.max_steps'?"),
    "a key of a group that has none": (["model.width=3"], "Did you mean 'generator.width' or 'discriminator.width'?"),
    "a key with its component's name in it": (["augment=ada", "augment.ada.kimg=3"], "Did you mean 'augment.kimg'?"),
    "a player's with its component's name": (
        ["optimizer.generator.adam.lr=1"],
        "Did you mean 'optimizer.generator.lr'?",
    ),
    "a key of a bundle": (["loss=r1", "loss.r1.gamma=1"], "Did you mean 'reg.r1.gamma'?"),
    "a key of a bundle's part": (["loss=r1", "loss.gamma=1"], "Did you mean 'reg.r1.gamma'?"),
    "a key without the regularizer's name": (["reg=sn", "reg.players=1"], "Did you mean 'reg.sn.players'?"),
    "a key without its player": (["optimizer.lr=1"], "'optimizer.generator.lr' or 'optimizer.discriminator.lr'?"),
    "an unknown key with Hydra's plus": (["+foo=1"], "'foo' is no option."),
    "several mistakes at once": (["foo=1", "loss.bar=2"], "'loss.bar' is no option."),
    "an unknown choice": (["trainer=fast"], "No trainer is called 'fast'. Known: default."),
    "an unknown component, with the nearest": (
        ["loss=hindge"],
        "No adversarial loss is called 'hindge'. Did you mean 'hinge'?",
    ),
    "an unknown one of several": (["reg=[sn,orto]"], "No regularizer is called 'orto'. Did you mean 'ortho'?"),
    "an unknown optimizer": (["optimizer/generator=adm"], "No optimizer is called 'adm'. Did you mean 'adam'"),
    "an optimizer of nobody": (["optimizer=adam"], "write optimizer/generator=NAME"),
    "an optimizer of one who does not play": (["optimizer/encoder=adam"], "No player 'encoder' has an optimizer yet"),
    "a file outside the groups": (["loss=../loss/hinge"], "No adversarial loss is called '../loss/hinge'."),
    "no name": (["loss="], "loss= wants a name."),
    "null for none": (["reg=null"], "For none of it write reg=none."),
    "options as a mapping": (["loss={margin:2}"], "options are set one by one, as loss.OPTION=VALUE"),
    "two where one can be": (["loss=[hinge,wasserstein]"], "A run has one loss"),
    "a regularizer twice": (["reg=[sn,sn]"], "reg names 'sn' twice."),
    "a regularizer that the loss brings": (
        ["loss=wgan_gp", "reg=gradient_penalty"],
        "reg names 'gradient_penalty' twice: loss=wgan_gp brings it already.",
    ),
    "an option of a regularizer that is not used": (["reg.sn.iterations=2"], "add it as reg=sn"),
    "an option of a logger that is not used": (["logger.wandb.project=x"], "add it as logger=wandb"),
    "several values without -m": (["loss=hinge,wasserstein"], "sweep over them with `ganlab train -m`"),
    "an open bracket": (["reg=[sn"], "cannot be read: brackets and quotes must be closed"),
    "an option behind a regularizer": (["reg=r1:gamma=1"], "are words of their own, reg=r1 reg.r1.gamma=1."),
    "an option behind a loss": (["loss=hinge:margin=2"], "are words of their own, loss=hinge loss.margin=2."),
    "a sign in a value": (["run.dir=a=b"], 'run.dir="a=b"'),
    "a word": (["hinge"], "options are written key=value"),
    "OmegaConf's mark of no value": (
        ["seed=???", "loss.margin=???"],
        "loss.margin=??? is a mark for a value that must",
    ),
    "the same of a section": (["guard=???"], "guard.action=??? is a mark"),
    "a reference to nothing": (["seed=${foo}"], "cannot be resolved"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_sentence(case: str) -> None:
    words, sentence = REFUSED[case]
    with pytest.raises(GanlabError) as error:
        compose.read(words)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert "None" not in str(error.value)


def test_several_mistakes_are_all_reported() -> None:
    with pytest.raises(GanlabError, match=r"'foo' is no option.*'loss.bar' is no option"):
        compose.read(["foo=1", "loss.bar=2"])


def test_every_option_of_every_group_composes() -> None:
    """One of each group at a time, all regularizers at once: reading takes a while."""
    offered = {
        group: [c.name for c in catalog.choices(group) if not compose.named_needlessly(group, c.name)]
        for group in GROUPS
        if group not in ("reg", "experiment")
    }
    offered = {group: names for group, names in offered.items() if names}
    composed = compose.composed([f"reg=[{','.join(registry.names('reg'))}]"])
    assert composed["reg"] == {name: option_table.node("reg", name) for name in registry.names("reg")}
    for number in range(max(map(len, offered.values()))):
        chosen = {group: names[number % len(names)] for group, names in offered.items()}
        composed = compose.composed(
            [f"{'optimizer/generator' if g == 'optimizer' else g}={n}" for g, n in chosen.items()]
        )
        for group, name in chosen.items():
            if group in kinds.KINDS and (group, name) not in PRESETS:
                node = composed["optimizer"]["generator"] if group == "optimizer" else composed[group]
                node = node[name] if kinds.KINDS[group].many else node
                expected = option_table.node(group, name)
                assert {key: node[key] for key in expected} == expected


def test_none_is_an_option_of_every_optional_group() -> None:
    optional = [name for name, group in catalog.groups().items() if group.kind.optional]
    empty: dict[str, Any] = {"generator": {}, "discriminator": {}, "loss": {}}  # of which a run has one by default
    assert compose.composed([f"{group}=none" for group in optional]) == {**compose.composed([]), **empty}


@pytest.mark.parametrize(("group", "name"), PRESETS)
def test_no_preset_repeats_what_is_so_without_it(group: str, name: str) -> None:
    """Neither a default of a signature nor what a preset that it builds on says."""
    file = catalog.find(group, name).preset
    assert file is not None
    found = presets.composition(catalog.groups()[group].address, name)
    assert not found.problem
    text = file.read_text()
    package = re.findall(r"# @package (\S+)", text) or [catalog.groups()[group].address.replace("/", ".")]
    content = {key: value for key, value in yaml.safe_load(text).items() if key != "defaults"}
    own = dict(presets.leaves(content, "" if package[0] == "_global_" else package[0]))
    brought = {"/".join([where or group, one]) for where, one in DEFAULTS_ENTRY.findall(text) if one != "none"}
    inner: dict[str, Any] = {}
    for preset in brought & {f"{g}/{n}" for g, n in PRESETS}:
        inner.update(presets.composition(*preset.split("/")).values)
    changed = [f"{key}." for key in found.values]
    for key, value in own.items():
        assert inner[key] != value if key in inner else f"{key}.".startswith(tuple(changed)), key


def test_train_yaml_says_what_a_run_is_composed_of_and_no_default() -> None:
    content = yaml.safe_load((catalog.conf_dir() / "train.yaml").read_text())
    assert set(content) == {"defaults", "hydra"}


def test_a_model_sets_networks_and_optimizers_alone() -> None:
    for choice in catalog.choices("model"):
        found = presets.composition("model", choice.name)
        assert {key.partition(".")[0] for key in found.values} <= {"generator", "discriminator", "optimizer"}
        assert {part.kind for part in found.parts} == {"generator", "discriminator", "optimizer"}


def test_networks_are_swapped_on_top_of_a_model_in_any_order() -> None:
    words = ["generator=dcgan", "model=biggan", "discriminator=mlp", "generator.width=8"]
    for order in (words, words[::-1]):
        composed = compose.composed(order)
        assert composed["generator"]["component"] == "dcgan"
        assert composed["generator"]["width"] == 8
        assert composed["discriminator"]["component"] == "mlp"
        assert composed["optimizer"]["discriminator"]["lr"] == 4e-4  # biggan's


def test_an_optimizer_is_swapped_on_top_of_a_model_without_the_others_numbers() -> None:
    composed = compose.composed(["model=biggan", "optimizer/generator=sgd", "optimizer.generator.momentum=0.5"])
    expected = {"component": "sgd", "lr": 0.01, "momentum": 0.5, "nesterov": False, "weight_decay": 0.0}
    assert composed["optimizer"]["generator"] == expected
    configuration.checked(composed)
    with pytest.raises(GanlabError, match=r"'optimizer.generator.betas' is no option."):
        compose.read(["optimizer/generator=sgd", "optimizer.generator.betas=[0,0.9]"])


def test_a_bundle_is_the_loss_and_its_penalty() -> None:
    composed = compose.composed(["loss=wgan_gp", "reg=sn", "reg.gradient_penalty.weight=5"])
    assert composed["loss"] == {"component": "wasserstein"}
    assert set(composed["reg"]) == {"sn", "gradient_penalty"}
    assert composed["reg"]["gradient_penalty"]["weight"] == 5


def test_any_key_may_be_set_in_open_nodes() -> None:
    composed = compose.composed(
        ["trainer.precision=bf16-mixed", "clip.encoder=1.0", "logger=wandb", "logger.wandb.tags=[a]"]
    )
    assert composed["trainer"]["precision"] == "bf16-mixed"
    assert composed["clip"] == {"generator": None, "discriminator": None, "encoder": 1.0}
    assert composed["logger"]["wandb"]["tags"] == ["a"]


def test_a_schedule_takes_the_place_of_a_number() -> None:
    schedule: dict[str, Any] = {"from": 2e-4, "to": 0, "end_steps": 100}
    word = "optimizer.generator.lr={from:2e-4,to:0,end_steps:100}"
    assert compose.composed([word])["optimizer"]["generator"]["lr"] == schedule


def test_presets_in_the_users_conf_are_found(folder: Path) -> None:
    write(
        folder / "conf/experiment/mine.yaml",
        "# @package _global_\ndefaults:\n  - override /loss: wgan_gp\n  - override /reg: [sn, ortho]\nseed: 7\n",
    )
    write(folder / "conf/loss/wide.yaml", "defaults: [hinge]\nmargin: 3\n")
    composed = compose.composed(["experiment=mine"])
    assert composed["seed"] == 7
    assert set(composed["reg"]) == {"sn", "ortho", "gradient_penalty"}
    assert compose.composed(["loss=wide"])["loss"] == {"component": "hinge", "margin": 3}


def test_a_stray_train_yaml_in_the_users_conf_changes_nothing(folder: Path) -> None:
    plain = compose.composed([])
    write(folder / "conf/train.yaml", "seed: 666\n")
    write(folder / "conf/loss/wgan_gp.yaml", "component: hinge\n")
    assert compose.composed([]) == plain
    assert compose.composed(["loss=wgan_gp"])["loss"]["component"] == "wasserstein"


def test_the_users_conf_may_not_be_yaml_as_long_as_nobody_names_it(folder: Path) -> None:
    write(folder / "conf/loss/odd.yaml", "{")
    assert compose.composed(["loss=hinge"])["loss"]["component"] == "hinge"
    with pytest.raises(GanlabError, match="A preset is no YAML"):
        compose.read(["loss=odd"])


def test_presets_of_plug_ins_are_found_and_their_packages_are_not_imported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "with_conf/__init__.py": "raise RuntimeError",
        "with_conf/conf/experiment/theirs.yaml": "# @package _global_\nseed: 11\n",
    }
    install(folder / "site", "with-conf", files, "[ganlab.conf]\nwith_conf = with_conf.conf\n")
    monkeypatch.syspath_prepend(str(folder / "site"))
    registry.forget()
    try:
        assert compose.composed(["experiment=theirs"])["seed"] == 11
        assert "theirs" in [choice.name for choice in catalog.choices("experiment")]
    finally:
        monkeypatch.undo()
        registry.forget()


def test_the_configuration_is_plain_and_complete() -> None:
    composed = compose.composed([])
    assert "hydra" not in composed
    for network in ("generator", "discriminator"):
        parameters = inspect.signature(registry.load(network, composed[network]["component"])).parameters
        assert composed[network].keys() == {"component", *parameters} - {*kinds.KINDS[network].given}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"- a\n- b\n", r"The preset loss/mine is a list, and a mapping of options is wanted"),
        (b"5\n", r"A preset in ./conf or of a package cannot be composed"),
        (b"defaults: 5\n", r"A preset in ./conf or of a package cannot be composed"),
        (b"defaults:\n  - {a: {b: c}}\n", r"A preset in ./conf or of a package cannot be composed"),
        (b"\xff\xfe", r"A preset in ./conf or of a package cannot be composed"),
        (b"a: &x [*x]\n", r"A preset in ./conf or of a package cannot be composed"),
    ],
)
def test_presets_that_are_none_are_refused_and_listed(
    text: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf" / "loss").mkdir(parents=True)
    (tmp_path / "conf" / "loss" / "mine.yaml").write_bytes(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GanlabError, match=said):
        compose.read(["loss=mine"])
    for command in ("list", "show"):
        assert cli.dispatch([command, "loss", *(["mine"] if command == "show" else [])]) == 0
