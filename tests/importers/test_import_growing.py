"""Checkpoints of growing networks make, imported, what the originals made of them: at every level and alpha."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from growing_files import write
from values import CUTOFF, FIXTURES, IMAGES, PSI, fill, images, kept, labels, latents, read, stages

from ganlab import cli, importers
from ganlab.core.errors import GanlabError
from ganlab.importers import conversion
from ganlab.importers.growing import widths
from ganlab.importers.network import Network, Tensors
from ganlab.models import pggan, stylegan
from ganlab.runs.run import Run

About = dict[str, Any]
Outputs = dict[str, np.ndarray]
Imported = Callable[[str], tuple[About, Outputs, Run]]

CASES = sorted(file.stem for file in FIXTURES.glob("*.npz"))
TOLERANCE = {"gan_zoo": 1e-5, "pggan_tensorflow": 1e-4, "stylegan_tensorflow": 1e-4}  # ‖a − b‖ / ‖b‖
ROLES = {"G.npz": "generator", "D.npz": "discriminator", "netG": "generator", "netD": "discriminator"}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """``imported(case)``: what the fixture says, its outputs, and the run made of the files."""
    made: dict[str, tuple[About, Outputs, Run]] = {}

    def make(case: str) -> tuple[About, Outputs, Run]:
        if case not in made:
            folder = write(case, tmp_path_factory.mktemp(case) / "files")
            result = conversion.make_run(str(folder), None, str(folder.parent / "run"))
            about, outputs = read(case)
            assert result.format == about["format"]
            made[case] = about, outputs, Run(result.folder)
        return made[case]

    return make


def torch_labels(name: str, count: int, classes: int) -> torch.Tensor | None:
    y = labels(name, count, classes)
    return None if y is None else torch.from_numpy(y)


def asked(case: str, about: About, role: str, network: Any, images_of_batch: int = IMAGES) -> torch.Tensor:
    """The network's output for the inputs of the fixture at its level."""
    like = next(network.parameters())
    if role == "generator":
        z, y = torch.from_numpy(latents(case, about["latent_dim"])), torch_labels(f"{case}/G", 3, about["classes"])
        styled = {"psi": PSI, "cutoff": CUTOFF, "noise": "fixed"} if hasattr(network, "w_avg") else {}
        return network(z.to(like), y, **styled)
    y = torch_labels(f"{case}/D", IMAGES, about["classes"])
    x = torch.from_numpy(images(case, about["channels"], network.image_size_at(network.level)[0])).to(like)
    return network(x[:images_of_batch], None if y is None else y[:images_of_batch])


def error(found: torch.Tensor, expected: np.ndarray) -> float:
    return float(np.linalg.norm(kept(found.detach().numpy()) - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("case", CASES)
def test_outputs_equal_those_of_the_original_at_every_level_and_alpha(case: str, imported: Imported) -> None:
    """Every variable is random: noise strengths, biases, the mean of w; G truncated with its stored noise."""
    about, outputs, run = imported(case)
    game: Any = run.module.game
    tolerance = TOLERANCE[about["format"]]
    assert game.generator.latent_dim == about["latent_dim"]
    assert game.generator.num_classes == about["classes"]
    with torch.no_grad():
        for level, alpha in stages(game.generator.levels):
            for network in (game.generator, game.discriminator, run.generator):
                network.set_stage(level, alpha)
            at = f"{level}/{alpha}"
            made = asked(case, about, "generator", game.generator.eval())
            assert error(made, outputs[f"G/{at}"]) <= tolerance, at
            assert torch.equal(made, asked(case, about, "generator", run.generator))
            assert error(asked(case, about, "discriminator", game.discriminator), outputs[f"D/{at}"]) <= tolerance, at
            if f"uneven D/{at}" in outputs:
                found = asked(case, about, "discriminator", game.discriminator, 6)
                assert error(found, outputs[f"uneven D/{at}"]) <= tolerance, at


def convert(about: About, role: str, tensors: Tensors) -> Network:
    chosen = importers.formats()[about["format"]]
    tensors.classes = about["classes"]
    image = (about["size"], about["channels"], about["classes"])
    return chosen.discriminator(tensors, image) if role == "discriminator" else chosen.generator(tensors)


def given(case: str, name: str, shapes: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The tensors of one network as its format's module gets them."""
    state = {key: torch.from_numpy(value) for key, value in fill(f"{case}/{name}", shapes).items()}
    if name.startswith("net"):
        state = {key.replace(".module.", "."): value for key, value in state.items()} | {
            "config.alpha": torch.zeros(())
        }
    return state


@pytest.mark.parametrize("case", ["zoo_pggan", "tf_pggan", "tf_pggan_labels", "tf_stylegan_labels"])
def test_changing_any_tensor_of_a_file_changes_the_imported_output(case: str, imported: Imported) -> None:
    """At the level in use, which lod and alpha give."""
    about, _, run = imported(case)
    for name, shapes in about["files"].items():
        role = ROLES[name]
        network = getattr(run.module.game, role).eval()
        state = given(case, name, shapes)
        original = convert(about, role, Tensors(state, name)).state

        def outputs(changed: dict[str, torch.Tensor], network: Any = network, role: str = role) -> list[torch.Tensor]:
            network.load_state_dict({**network.state_dict(), **changed})
            found = []
            with torch.no_grad():
                for level in range(network.levels + 1):
                    network.set_stage(level, 1.0)
                    found.append(asked(case, about, role, network))
            return found

        before = outputs(original)
        for key, value in state.items():
            if key.rpartition("/")[2] == "lod" or key == "config.alpha":
                continue
            noise = torch.rand(value.shape, generator=torch.Generator().manual_seed(1))
            after = outputs(convert(about, role, Tensors({**state, key: value * (1.2 + noise)}, name)).state)
            assert any((a - b).norm() > 1e-5 * b.norm() for a, b in zip(after, before, strict=True)), f"{name}: {key}"
        again = outputs(original)
        assert all(torch.equal(a, b) for a, b in zip(again, before, strict=True))


@pytest.mark.parametrize("case", ["zoo_pggan_labels", "tf_pggan", "tf_stylegan_labels"])
def test_a_tensor_too_many_or_too_few_is_named_as_in_the_file(case: str, imported: Imported) -> None:
    about, _, run = imported(case)
    for name, shapes in about["files"].items():
        role, state = ROLES[name], given(case, name, shapes)

        def refusal(tensors: dict[str, torch.Tensor], name: str = name, role: str = role) -> str:
            with pytest.raises(GanlabError) as caught:
                found = convert(about, role, Tensors(tensors, name))
                conversion._fill(getattr(run.module.game, role), found, Path(name))
            assert "\n" not in str(caught.value)
            return str(caught.value)

        ignored = [key for key in state if key == "G_synthesis/lod"]
        for key in [key for key in state if key not in ignored][::5]:
            assert key in refusal({k: v for k, v in state.items() if k != key})
        assert "extra is unknown here" in refusal({**state, "extra": torch.zeros(1)})
        bias = next(key for key in state if key.endswith("bias"))
        assert bias in refusal({**state, bias: torch.zeros(len(state[bias]) + 8)})


def test_a_half_grown_network_keeps_its_level(tmp_path: Path) -> None:
    """lod 1.7 of 3 levels: level 2 fades in, its share is 0.3; their alpha 0.7 is the older level's share."""
    about, outputs = read("tf_pggan")
    write("tf_pggan", tmp_path / "tf")
    for name in about["files"]:
        with np.load(tmp_path / "tf" / name) as file:
            arrays = {**file, "lod": np.float32(1.7)}
        np.savez(tmp_path / "tf" / name, **arrays)
    run = Run(conversion.make_run(str(tmp_path / "tf"), None, str(tmp_path / "run")).folder)
    networks: tuple[Any, ...] = (run.module.game.generator, run.module.game.discriminator, run.generator)
    for network in networks:
        assert network.level == 2
        assert float(network.alpha) == pytest.approx(0.3)
    with torch.no_grad():
        assert error(asked("tf_pggan", about, "generator", run.generator), outputs["G/2/0.3"]) <= 1e-5
    zoo = write("zoo_pggan", tmp_path / "zoo", alpha=0.3)
    run = Run(conversion.make_run(str(zoo), None, str(tmp_path / "run2")).folder)
    assert run.generator.level == 3
    assert float(run.generator.alpha) == pytest.approx(0.3)


def test_first_names_of_gan_zoo_without_module_are_known(tmp_path: Path) -> None:
    about, outputs = read("zoo_pggan")
    nets = {
        name: {k.replace(".module.", "."): torch.from_numpy(v) for k, v in fill(f"zoo_pggan/{name}", shapes).items()}
        for name, shapes in about["files"].items()
    }
    torch.save(nets, tmp_path / "old.pt")
    run = Run(conversion.make_run(str(tmp_path / "old.pt"), None, str(tmp_path / "run")).folder)
    with torch.no_grad():
        assert error(asked("zoo_pggan", about, "generator", run.generator), outputs["G/3/1.0"]) <= 1e-5


def test_a_generator_alone_gets_a_fresh_discriminator_of_its_widths(tmp_path: Path) -> None:
    write("tf_stylegan_labels", tmp_path / "files")
    (tmp_path / "files/D.npz").unlink()
    (tmp_path / "files/G.npz").rename(tmp_path / "files/Gs.npz")
    result = conversion.make_run(str(tmp_path / "files"), None, str(tmp_path / "run"))
    assert len(result.messages) == 2  # no discriminator, and the average only
    found = Run(result.folder).config["discriminator"]
    assert (found.name, found.options["width"], found.options["max_width"]) == ("stylegan", 64, 8)


def refused(path: Path) -> str:
    with pytest.raises(GanlabError) as caught:
        cli.dispatch(["import", str(path), f"out={path.parent / 'refused'}"])
    assert not (path.parent / "refused").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_imported_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "pickles").mkdir()
    (tmp_path / "pickles/karras2019stylegan.pkl").write_bytes(b"cdnnlib.tflib.network\nNetwork\n.")
    for path in (tmp_path / "pickles", tmp_path / "pickles/karras2019stylegan.pkl"):
        assert 'np.savez("Gs.npz", **tflib.run(Gs.vars))' in refused(path)
    np.savez(tmp_path / "objects.npz", a=np.array([object()]))
    assert "no plain tensors" in refused(tmp_path / "objects.npz")
    for name, value, sentence in (
        ("perChannelNormalization", False, "perChannelNormalization=False; only True"),
        ("lossCriterion", "DCGAN", "ends in tanh (lossCriterion=DCGAN)"),
        ("attribKeysOrder", {"a": 0, "b": 1}, "several attributes"),
    ):
        folder = write("zoo_pggan_labels", tmp_path / name, 1.0, **{name: value})
        assert sentence in refused(folder / "zoo.pt")
    torch.save({"netG": {"main.weight": torch.zeros(1)}, "netD": {}}, tmp_path / "dcgan.pt")
    assert "unknown make" in refused(tmp_path / "dcgan.pt")


@pytest.mark.parametrize(
    ("channels", "hidden", "expected"),
    [
        ([512, 512, 512, 512, 256, 128, 64, 32, 16], 512, (8192, 512)),
        ([512] * 4, 512, (8192, 512)),
        ([8, 8, 8, 4], 0, (64, 8)),
        ([16, 8, 4], 32, (32, 32)),
        ([6, 3, 1], 13, (13, 13)),
    ],
)
def test_widths_are_those_that_give_the_channels(channels: list[int], hidden: int, expected: tuple[int, int]) -> None:
    found = widths(channels, "x", hidden)
    assert (found["width"], found["max_width"]) == expected


def test_channels_that_no_width_gives_are_the_width() -> None:
    assert widths([8, 8, 3, 3], "x") == widths([8, 8, 3, 3], "x", 8) == {"width": (8, 8, 3, 3)}
    with pytest.raises(GanlabError, match=r"x has maps of \[8, 8, 3, 3\] channels .* and a dense layer of 5"):
        widths([8, 8, 3, 3], "x", 5)


@pytest.mark.parametrize("family", [pggan, stylegan])
def test_a_network_of_any_channels_can_be_built(family: ModuleType) -> None:
    generator = family.Generator(32, latent_dim=4, width=(8, 3, 5, 2))
    discriminator = family.Discriminator(32, width=(8, 3, 5, 2))
    assert [conv.in_channels for conv in discriminator.convs] == [3, 5, 2]
    assert discriminator(generator(torch.randn(2, 4))).shape == (2,)
    with pytest.raises(ValueError, match="expected width to be one number or 4 for 3 doublings"):
        family.Discriminator(32, width=(8, 3, 5))
