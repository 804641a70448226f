"""GAN_stability, VGAN, IntroVAE and MEG: imported networks make the outputs and gradients of the official ones."""

from __future__ import annotations

import copy
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from native import kept, thinned
from others import FOLDER, given, noise, read, slope, thinned_gradient, values, write
from torch import Tensor, nn

from ganlab import cli, importers
from ganlab.core.errors import GanlabError
from ganlab.importers import conversion
from ganlab.importers.network import Tensors
from ganlab.regularizers.vib import pointwise
from ganlab.runs.run import Run

CASES = sorted(path.stem for path in FOLDER.glob("*.npz"))
Imported = Callable[[str], tuple[dict[str, Any], Run]]


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    made: dict[str, tuple[dict[str, Any], Run]] = {}

    def make(case: str) -> tuple[dict[str, Any], Run]:
        if case not in made:
            folder, about = tmp_path_factory.mktemp(case), read(case)
            write(case, folder / "files", about)
            result = conversion.make_run(str(folder / "files"), None, str(folder / "run"))
            assert (result.format, result.messages) == (about["format"], ())
            made[case] = about, Run(result.folder)
        return made[case]

    return make


def roles(about: dict[str, Any]) -> dict[str, str]:
    judge = "encoder" if about["format"] == "introvae" else "discriminator"
    return {"G": "generator", "average": "average", "D": judge, "H": "statistics"}


class Bottled(nn.Module):
    """A discriminator with the bottleneck behind its features."""

    discriminator: Any
    vib: Any

    def __init__(self, discriminator: Any, vib: Any) -> None:
        super().__init__()
        self.discriminator, self.vib = discriminator, vib

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        features = self.discriminator.features(x, y)
        mean, log_std = (pointwise(layer, features) for layer in (self.vib.mean, self.vib.log_std))
        return self.discriminator.head(mean + log_std.exp() * noise(mean), y)


def network(run: Run, role: str) -> nn.Module:
    """A copy of a network of the run."""
    if role == "average":
        return copy.deepcopy(run.generator)
    own = copy.deepcopy(conversion._own(run.module.game, role))
    vib = run.module.game.players["discriminator"].modules.get("vib")
    return Bottled(own, copy.deepcopy(vib)) if vib is not None and role == "discriminator" else own


def ask(about: dict[str, Any], case: str, role: str, made: nn.Module, step: int) -> Tensor:
    z, x, y = given(case, about["size"], about["latent_dim"], about["classes"], step)
    precision = next(made.parameters()).dtype
    z, x, labels = z.to(precision), x.to(precision), y if about["classes"] else None
    unit = about["format"] == "introvae"  # their images are in [0, 1], ours in [-1, 1]
    if role == "statistics":
        return made(x, z)
    if role == "encoder":
        return torch.cat(made(2 * x - 1), 1)
    if role == "discriminator":
        return -made(x, labels) if about["format"] == "meg" else made(x, labels)
    return (made(z, labels) + 1) / 2 if unit else made(z, labels)


def error(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("case", CASES)
def test_outputs_state_and_gradients_equal_those_of_the_official_networks(case: str, imported: Imported) -> None:
    """Within 1e-5 in single precision, gradients within 1e-4; 1e-6 in double, since fixtures are single."""
    about, run = imported(case)
    for name in about["shapes"]:
        role = roles(about)[name]
        for precision, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-6)):
            made = network(run, role).to(precision).eval()
            with torch.no_grad():
                assert error(thinned(ask(about, case, role, made, 0)), about[f"{name}/eval"]) <= tolerance
            made.train()
            for parameter in made.parameters():
                parameter.requires_grad_(True)
            for step in (1, 2, 3):
                output = ask(about, case, role, made, step)
                assert error(thinned(output.detach()), about[f"{name}/train"][step - 1]) <= tolerance
            slope(f"{case}/{name}", output).backward()
            theirs = in_their_names(about, case, name, made, run)
            moved = [kept(value) for n, value in sorted(theirs.items()) if "running" in n]
            if moved:
                assert error(torch.cat(moved), about[f"{name}/state"]) <= tolerance
            slopes = in_their_names(about, case, name, made, run, gradients=True)
            found = torch.cat([thinned_gradient(value) for _, value in sorted(slopes.items())])
            assert error(found, about[f"{name}/gradient"]) <= 10 * tolerance


def in_their_names(
    about: dict[str, Any], case: str, name: str, made: nn.Module, run: Run, gradients: bool = False
) -> dict[str, Tensor]:
    """Tensors of ours, or their gradients, by the names and in the shapes that they have there."""
    chosen, shapes = importers.formats()[about["format"]], about["shapes"][name]
    state = values(case, name, shapes)
    found: dict[str, Tensor] = {}
    for role, own in ((roles(about)[name], made), *((("vib", made.vib),) if isinstance(made, Bottled) else ())):
        own = own.discriminator if isinstance(own, Bottled) else own
        part = {n: v for n, v in state.items() if n.partition(".")[0] not in chosen.BOTTLENECK or role == "vib"} if (
            about["format"] == "gan_stability") else state  # fmt: skip
        part = {n: v for n, v in part.items() if role != "vib" or n.partition(".")[0] in chosen.BOTTLENECK}
        reader = chosen.generator if role in ("generator", "average") else getattr(chosen, role)
        arguments = () if role in ("generator", "average") else ((about["size"], 3, about["classes"]),)
        sources = reader(Tensors(part, name), *arguments).sources
        values_ = {n: p.grad for n, p in own.named_parameters()} if gradients else own.state_dict()
        found |= {
            sources[n]: v.reshape(shapes[sources[n]]) for n, v in values_.items() if n in sources and v is not None
        }
    return found


@pytest.mark.parametrize("case", ["stability_labels", "vgan", "introvae_script", "meg_cifar"])
def test_changing_any_tensor_of_a_file_changes_the_imported_output(case: str, imported: Imported) -> None:
    about, run = imported(case)
    chosen = importers.formats()[about["format"]]
    for name in about["shapes"]:
        role = roles(about)[name]
        if role == "average":
            continue
        state, made = values(case, name, about["shapes"][name]), network(run, role).double().eval()
        with torch.no_grad():
            before = ask(about, case, role, made, 0)
            for key, tensor in made.state_dict().items():
                if tensor.is_floating_point():
                    old = tensor.clone()
                    tensor.mul_(1.3 if key.endswith("var") else -1.3)  # of an embedding of one number the sign counts
                    assert not torch.equal(ask(about, case, role, made, 0), before), key
                    tensor.copy_(old)
        bottled = getattr(chosen, "BOTTLENECK", {})
        part = {n: v for n, v in state.items() if n.partition(".")[0] not in bottled}
        arguments = () if role == "generator" else ((about["size"], 3, about["classes"]),)
        sources = getattr(chosen, role)(Tensors(part, name), *arguments).sources
        assert set(sources.values()) == {n for n in part if not n.endswith("num_batches_tracked")}


class _Classes(types.ModuleType):
    """IntroVAE's module as a file names it: four classes that hold what they are given."""

    def __init__(self) -> None:
        super().__init__("networks")
        for name in ("IntroVAE", "Encoder", "Decoder", "_Residual_Block"):
            setattr(self, name, type(name, (nn.Module,), {"__module__": "networks"}))


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The whole model that IntroVAE pickles, with the tensors of a fixture."""
    classes: Any = _Classes()
    monkeypatch.setitem(sys.modules, "networks", classes)
    about, model = read("introvae"), classes.IntroVAE()
    for part, kind, name in (("encoder", classes.Encoder, "D"), ("decoder", classes.Decoder, "G")):
        model.add_module(part, kind())
        for key, value in values("introvae", name, about["shapes"][name]).items():
            *path, last = f"{part}.{key}".split(".")
            module: Any = model
            for step, after in zip(path, [*path[1:], last], strict=True):
                if step not in module._modules:
                    block = step.startswith("res_in")
                    module.add_module(step, classes._Residual_Block() if block else layer(step, after))
                module = module._modules[step]
            place = module._buffers if last.startswith(("running", "num")) else module._parameters
            place[last] = value if place is module._buffers else nn.Parameter(value)
    return model


def layer(step: str, after: str) -> nn.Module:
    if not hasattr(nn.Linear(1, 1), after) and after not in nn.BatchNorm2d(1).state_dict():
        return nn.Sequential()
    return nn.BatchNorm2d(1) if step.startswith("bn") else nn.Conv2d(1, 1, 1, bias=False)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_of_the_whole_model_is_read_without_its_classes(
    tmp_path: Path, whole: Any, zipped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torch.save of old and of new versions writes it."""
    path = tmp_path / "model_epoch_3_iter_0.pth"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the older format looks for the source of classes
        torch.save({"epoch": 3, "model": whole}, path, _use_new_zipfile_serialization=zipped)
    monkeypatch.delitem(sys.modules, "networks")
    about = read("introvae")
    run = Run(conversion.make_run(str(path), None, str(tmp_path / "run")).folder)
    with torch.no_grad():
        output = ask(about, "introvae", "generator", network(run, "generator").eval(), 0)
    assert error(thinned(output.detach()), about["G/eval"]) <= 1e-5


def test_a_run_of_each_samples_and_goes_on_training(imported: Imported, tmp_path: Path) -> None:
    """`encodes` of IntroVAE is the imported encoder's average too."""
    for case in ("vgan", "introvae", "meg_cifar"):
        _, run = imported(case)
        assert cli.dispatch(["sample", str(run.folder), "count=2", f"out={tmp_path / case}.png"]) == 0
    average = imported("introvae")[1].module.average["discriminator"].state_dict()
    played = imported("introvae")[1].module.game.get_submodule("discriminator").state_dict()
    assert all(torch.equal(average[name], value) for name, value in played.items())


SETTINGS: dict[str, dict[str, Any]] = {
    "vgan": {"reg.vib": {"form": "published", "generator_sees": "sample"}},
    "introvae": {"game": "introvae", "encoder": "introvae", "loss": None, "discriminator": None},
    "meg_cifar": {"game": "meg", "statistics": "meg", "loss": None},
    "stability": {"game": "standard", "reg.vib": None},
}


@pytest.mark.parametrize("case", SETTINGS)
def test_the_run_of_a_checkpoint_plays_the_game_of_its_code(case: str, imported: Imported) -> None:
    """As their codes train; what files do not hold, such as rates, is the user's."""
    config = imported(case)[1].config
    for key, wanted in SETTINGS[case].items():
        if isinstance(wanted, dict):
            assert {name: config[key].arguments[name] for name in wanted} == wanted
        else:
            assert (config[key].name if key in config else None) == wanted


def refusal(folder: Path, content: Any) -> str:
    folder.mkdir(exist_ok=True)
    torch.save(content, folder / "model.pt")
    with pytest.raises(GanlabError) as caught:
        cli.dispatch(["import", str(folder / "model.pt"), f"out={folder / 'run'}"])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_networks_of_theirs_that_ganlab_does_not_have_are_named(tmp_path: Path) -> None:
    about = read("vgan")
    states = {key: values("vgan", of, about["shapes"][of]) for key, of in (("generator", "G"), ("discriminator", "D"))}
    judge = states["discriminator"]
    other = {"resnet_0_0.conv_0.weight": torch.zeros(4, 4, 3, 3)}
    assert "resnet2, resnet3 or resnet4" in refusal(tmp_path, {**states, "discriminator": other})
    without = {name: value for name, value in judge.items() if not name.startswith("logstd_fn")}
    assert "instnoise" in refusal(tmp_path, {**states, "discriminator": without})
    assert "has a discriminator only" in refusal(tmp_path, {"discriminator": judge})
    narrow = {name: value for name, value in judge.items() if name != "conv_img.bias"}
    assert "no tensor 'conv_img.bias'" in refusal(tmp_path, {**states, "discriminator": narrow})
    code = {**judge, "mean_fn.weight": torch.zeros(5, 8, 1, 1)}
    assert "mean_fn.weight" in refusal(tmp_path, {**states, "discriminator": code})
    uneven = {**states["generator"], "resnet.0.conv_1.weight": torch.zeros(7, 8, 3, 3)}
    assert "do not double up" in refusal(tmp_path, {**states, "generator": uneven})


def test_a_missing_network_beside_the_generator_is_fresh_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write("meg_cifar", tmp_path / "files", read("meg_cifar"))
    (tmp_path / "files/netH.pt").unlink()
    assert cli.dispatch(["import", str(tmp_path / "files"), f"out={tmp_path / 'run'}"]) == 0
    assert "has no statistics: the run's has fresh weights." in capsys.readouterr().out
