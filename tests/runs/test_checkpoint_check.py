"""Foreign checkpoints are checked: a run continues correctly, or one sentence names the misfit."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.leaves import REMOVED, Place, changed, leaves, reshaped, retyped
from support.runs import TINY, assert_bit_equal, state

import ganlab
from ganlab import cli
from ganlab.assembly import experiment
from ganlab.config import compose
from ganlab.core.errors import GanlabError
from ganlab.data import contents
from ganlab.runs import checkpoint_check, checkpoints, fine_tuning, run_folder, session, trainer
from ganlab.runs.checkpoints import AtomicCheckpointIO

LAST = Path("checkpoints/last.ckpt")
# three kinds of runs: plain; with lazy turns, spectral norm, a bottleneck, an average, two optimizers and kept steps;
# and in the middle of a fade
RUNS = {
    "plain": TINY,
    "regularized": (
        *TINY, "reg=[r1,sn,vib]", "reg.r1.interval_steps=2", "reg.vib.channels=4", "ema.ramp_up=null",
        "game.update=optimistic", "optimizer/generator=rmsprop", "optimizer.generator.momentum=0.5",
    ),
    "growing": (
        *TINY[4:], "model=pggan", "loss=wgan_gp", "data.num_classes=0", "data.image_size=8", "generator.width=4",
        "generator.latent_dim=8", "discriminator.width=4", "growth=progressive", "growth.stable_kimg=0.016",
        "growth.fade_kimg=0.044",
    ),
}  # fmt: skip


class Case:
    """A run, its checkpoint, and what it goes on with."""

    def __init__(self, name: str, folder: Path) -> None:
        words = [*RUNS[name], "trainer.max_steps=4", f"run.dir={folder}"]
        self.folder = session.start(compose.read(words)).folder
        self.whole = checkpoints.load(self.folder / LAST)
        config = run_folder.read_config(self.folder)
        self.module = experiment.build(config, with_data=False).module
        self.loops = trainer.make(dict(config.trainer), [], [], AtomicCheckpointIO()).fit_loop.state_dict()
        self.right = self.taken(self.whole)

    def taken(self, checkpoint: Any) -> dict[str, Any]:
        """As `session.resume` does it, without the file."""
        if not checkpoint_check.is_ours(checkpoint):
            raise GanlabError("The file is no checkpoint of ganlab.")
        other = contents.differences(checkpoint["ganlab"].get("data"), self.whole["ganlab"]["data"])
        if other:
            raise GanlabError(f"The data is not what the run was trained on: {'; '.join(other)}.")
        found = checkpoint_check.taken(self.module, checkpoint, "last.ckpt", self.loops)
        not_used = ("config", "data")  # but for the comparison above
        found["ganlab"] = {key: value for key, value in found["ganlab"].items() if key not in not_used}
        found["state_dict"] = dict(found["state_dict"])
        if found["ganlab"]["stage"] is not None:
            found["ganlab"]["stage"] = {
                "average": 0,
                "gradient_scale": 1.0,
                **found["ganlab"]["stage"],
            }  # older runs have none
        return found


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    made: dict[str, Case] = {}

    def case(name: str) -> Case:
        if name not in made:
            made[name] = Case(name, tmp_path_factory.mktemp(name) / "run")
        return made[name]

    return case


def assert_right_or_one_sentence(case: Case, place: Place, value: Any) -> bool:
    """Tell if it was refused."""
    try:
        found = case.taken(changed(case.whole, place, value))
    except GanlabError as error:
        assert "\n" not in str(error), place
        return True
    assert_bit_equal(found, case.right, f"{place} {value!r}")
    return False


@pytest.mark.parametrize("name", RUNS)
def test_each_leaf_removed_retyped_or_reshaped_changes_nothing_or_is_refused(cases: Any, name: str) -> None:
    """Each in one of the three ways; the slow test has all."""
    case = cases(name)
    places = [(place, value) for place, value in leaves(case.whole) if place[:2] != ("ganlab", "config")]
    refused = {"weights": 0, "all": 0}
    for number, (place, value) in enumerate(places):
        kind = ([REMOVED], retyped(value), reshaped(value))[number % 3]
        count = assert_right_or_one_sentence(case, place, kind[number % len(kind)])
        refused["all"] += count
        refused["weights"] += count and place[0] in ("state_dict",)
    assert refused["weights"] == len(case.whole["state_dict"])
    assert refused["all"] > len(places) / 2


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_each_leaf_in_every_way(cases: Any, name: str) -> None:
    case = cases(name)
    for place, value in leaves(case.whole):
        for new in (REMOVED, *retyped(value), *reshaped(value)):
            assert_right_or_one_sentence(case, place, new)


@pytest.mark.parametrize("name", RUNS)
def test_whole_parts_that_are_missing_or_twice_there_are_refused(cases: Any, name: str) -> None:
    """But for those that a run does not need."""
    case = cases(name)
    inner = {place[:depth] for place, _ in leaves(case.whole) for depth in range(1, 4) if len(place) > depth}
    unneeded = {("callbacks",), ("lr_schedulers",), ("ganlab", "config"), ("ganlab", "data")}
    unneeded |= {("loops", loop) for loop in ("validate_loop", "test_loop", "predict_loop")}
    unneeded |= {place for place in inner if place[:2] in unneeded or place[0] in ("callbacks", "lr_schedulers")}
    for place in sorted(inner - unneeded, key=str):
        assert assert_right_or_one_sentence(case, place, REMOVED), place
    states = case.whole["optimizer_states"]
    for others in ([*states, states[0]], states[::-1], []):
        assert assert_right_or_one_sentence(case, ("optimizer_states",), others)


def test_the_sentence_names_what_does_not_fit(cases: Any) -> None:
    case = cases("regularized")
    bias = ("optimizer_states", 0, "state", 0, "exp_avg")
    sentences = {
        bias: r"fit this run: optimizer of discriminator: discriminator\.convs\.0\.bias\.exp_avg is \(2,\) instead of",
        ("ganlab", "optimistic", "generator", 1): r"last step of generator\[1\] is \(2,\) instead of \(64, 16\)\.",
        ("state_dict", "game.generator.linear.weight"): r"another model: game\.generator\.linear\.weight is \(2,\)",
    }
    for place, sentence in sentences.items():
        with pytest.raises(GanlabError, match=sentence):
            case.taken(changed(case.whole, place, torch.zeros(2)))


def test_moments_that_share_memory_in_the_file_do_not_share_it_in_the_run(cases: Any) -> None:
    case = cases("plain")
    place = ("optimizer_states", 0, "state", 0)
    shape = case.whole["optimizer_states"][0]["state"][0]["exp_avg"].shape
    one = torch.zeros(()).expand(shape)
    found = case.taken(changed(changed(case.whole, (*place, "exp_avg"), one), (*place, "exp_avg_sq"), one))
    moments = found["optimizer_states"][0]["state"][0]
    moments["exp_avg"].view(-1)[0] = 1
    assert moments["exp_avg"].sum() == 1
    assert moments["exp_avg_sq"].sum() == 0


def test_loops_of_another_version_of_lightning_are_taken_as_far_as_they_are_known(cases: Any) -> None:
    case = cases("plain")
    other = changed(case.whole, ("pytorch-lightning_version",), "2.5.0")
    loop = ("loops", "fit_loop")
    for place in ((*loop, "epoch_loop.val_loop.batch_progress"), (*loop, "epoch_progress", "total", "ready")):
        other = changed(other, place, REMOVED)
    other["loops"]["fit_loop"]["of_that_version"] = 3
    found = case.taken(other)
    assert found["pytorch-lightning_version"] == case.right["pytorch-lightning_version"]
    found["loops"]["fit_loop"]["epoch_progress"]["total"]["ready"] = 1
    assert_bit_equal(found["loops"], case.right["loops"])
    with pytest.raises(GanlabError, match="its loops count"):
        case.taken(changed(other, (*loop, checkpoint_check.STEPS), REMOVED))


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_a_run_of_another_precision_goes_on(train: Any, precision: str) -> None:
    words = (f"trainer.precision={precision}", "game.update=optimistic")
    folder = train(*words, name="half", steps=2)
    session.resume(folder, {"trainer.max_steps": 4})
    whole = state(train(*words, name="whole"))
    assert_bit_equal(state(folder), whole)
    assert whole["state_dict"]["game.generator.linear.weight"].dtype == (
        torch.float64 if precision == "64-true" else torch.float32
    )
    assert ganlab.load(folder).sample(2).isfinite().all()
    content = checkpoints.load(folder / LAST)
    moment = content["optimizer_states"][0]["state"][0]
    moment["exp_avg"] = moment["exp_avg"].half()
    torch.save(content, folder / LAST)
    with pytest.raises(GanlabError, match=r"exp_avg is torch\.float16 instead of"):
        session.resume(folder, {"trainer.max_steps": 6})


def test_the_trainer_counts_on_from_an_imported_checkpoint(train: Any) -> None:
    """Importers write neither loops nor optimizers: there, the Trainer's count began at 0 again."""
    folder = train(steps=3)
    imported = {key: value for key, value in checkpoints.load(folder / LAST).items() if key != "loops"}
    torch.save({**imported, "optimizer_states": [], "callbacks": {}}, folder / LAST)
    session.resume(folder, {"trainer.max_steps": 5})
    after = checkpoints.load(folder / LAST)
    assert after["ganlab"]["progress"]["iteration"] == after["global_step"] == 5
    assert set(after["loops"]["fit_loop"][checkpoint_check.STEPS]["total"].values()) == {5}
    torch.save({**imported, "optimizer_states": [], "global_step": 4}, folder / LAST)
    with pytest.raises(GanlabError, match="its global_step is 4, and it has no loops"):
        session.resume(folder, {"trainer.max_steps": 7})


# --- from the command line


def moments_of_two(content: dict[str, Any]) -> None:
    for optimizer in content["optimizer_states"]:
        for moments in optimizer["state"].values():
            moments["exp_avg"] = torch.zeros(2)


def no_loops(content: dict[str, Any]) -> None:
    del content["loops"]


def last_steps_of_nobody(content: dict[str, Any]) -> None:
    content["ganlab"]["optimistic"] = {"generator": []}


def phase_of_no_growth(content: dict[str, Any]) -> None:
    content["ganlab"].update(phase=3, stage={"level": 10**9})


def weights_of_sixteen_bits(content: dict[str, Any]) -> None:
    name = "average.generator.linear.weight"
    content["state_dict"][name] = content["state_dict"][name].half()


def weights_on_no_device(content: dict[str, Any]) -> None:
    name = "average.generator.linear.weight"
    content["state_dict"][name] = content["state_dict"][name].to("meta")


DAMAGES: dict[Callable[[dict[str, Any]], None], str] = {
    moments_of_two: r"optimizer of discriminator: \S+\.exp_avg is \(2,\) instead of",
    no_loops: "it has optimizers and no loops",
    last_steps_of_nobody: "it has a last step of 'generator', and the run has none",
    phase_of_no_growth: "it has a stage of growth",
    weights_of_sixteen_bits: r"average\.generator\.linear\.weight is torch\.float16 instead of torch\.float32",
    weights_on_no_device: r"average\.generator\.linear\.weight is no plain tensor",
}
OF_TRAINING = (moments_of_two, no_loops)
COMMANDS = {
    "resume": ("trainer.max_steps=6",),
    "sample": ("count=4",),
    "evaluate": ("metrics=spectrum", "samples=40", "real=false"),
}


@pytest.mark.parametrize(("command", "damage"), [
    (command, damage) for command, damage in itertools.product(COMMANDS, DAMAGES)
    if command == "resume" or damage not in OF_TRAINING
], ids=lambda each: getattr(each, "__name__", each))  # fmt: skip
def test_a_checkpoint_that_does_not_fit_is_refused(
    copied: Path, command: str, damage: Callable[[dict[str, Any]], None]
) -> None:
    content = torch.load(copied / LAST, weights_only=True)
    damage(content)
    torch.save(content, copied / LAST)
    before = {path: path.read_bytes() for path in sorted(copied.rglob("*")) if path.is_file()}
    with pytest.raises(
        GanlabError, match=rf"last\.ckpt (belongs to another model|does not fit this run): {DAMAGES[damage]}"
    ):
        cli.dispatch([command, str(copied), *COMMANDS[command]])
    assert {path: path.read_bytes() for path in sorted(copied.rglob("*")) if path.is_file()} == before


# --- init=RUN: the weights of a run that may have other options


@pytest.mark.parametrize(
    ("name", "options"), [("regularized", ()), ("regularized", ("reg=vib",)), ("plain", ("reg=sn",))]
)
def test_init_from_a_checkpoint_takes_its_weights_or_is_refused(
    cases: Any, monkeypatch: pytest.MonkeyPatch, name: str, options: tuple[str, ...]
) -> None:
    """With the same networks, and with spectral norm where the other run has none."""
    case = cases(name)
    words = [word for word in RUNS[name] if not options or not word.startswith(("reg=", "reg.r1"))]
    built = experiment.build(compose.read([*words, *options]))
    fresh = {key: value.clone() for key, value in built.module.state_dict().items()}
    monkeypatch.setattr(fine_tuning.choice, "named", lambda run: (case.folder, "last"))

    def weights(checkpoint: Any) -> dict[str, Any]:
        monkeypatch.setattr(fine_tuning.choice, "opened", lambda folder, which: (None, checkpoint, []))
        built.module.load_state_dict(fresh)
        fine_tuning.start_from(built.module, replace(built.config, init="RUN"))
        return {key: value.clone() for key, value in built.module.state_dict().items() if "regularizers" not in key}

    right = weights(case.whole)
    for number, (place, value) in enumerate(leaves({"state_dict": case.whole["state_dict"]})):
        for kind in ([REMOVED], retyped(value)[:-1], reshaped(value)):
            new = kind[number % len(kind)]
            checkpoint = changed(case.whole, place, new)
            if not checkpoint_check.is_ours(checkpoint):
                continue
            try:
                found = weights(checkpoint)
            except GanlabError as error:
                assert "init=RUN" in str(error)
            else:
                assert_bit_equal(found, right, str(place))
