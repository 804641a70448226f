"""Other codes' checkpoints become runs that make the same outputs; what does not fit is refused by name."""

from __future__ import annotations

import copy
import json
import shutil
import struct
from pathlib import Path

import pytest
import torch
from native import FIXTURES, fill, inputs, read, thinned, write
from PIL import Image

from ganlab import cli, importers, importing
from ganlab.errors import GanlabError
from ganlab.importers.network import Tensors
from ganlab.run import Run

CASES = sorted(file.stem for file in FIXTURES.glob("*.npz"))
ROLES = {"G.pth": "generator", "D.pth": "discriminator", "G_ema.pth": "average", "netG_7_steps.pth": "generator",
         "netD_7_steps.pth": "discriminator", "pytorch_model.bin": "generator"}  # fmt: skip


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((thinned(found) - expected).norm() / expected.norm())


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory):
    """``imported(case)``: what the fixture says, the folder of files, and the run made of it."""
    made: dict = {}

    def make(case: str) -> tuple[dict, Path, Run]:
        if case not in made:
            folder = tmp_path_factory.mktemp(case)
            about = read(case)
            write(case, folder / "files", about)
            result = importing.make_run(str(folder / "files"), None, str(folder / "run"))
            assert result.format == about["format"]
            made[case] = about, folder / "files", Run(result.folder)
        return made[case]

    return make


@pytest.mark.parametrize("case", CASES)
def test_outputs_equal_those_of_the_official_network(case: str, imported) -> None:
    """Every parameter and buffer is random; in evaluation mode, ‖a − b‖ ≤ 1e-5 ‖b‖."""
    about, _, run = imported(case)
    assert run.generator.latent_dim == about["latent_dim"]
    assert run.num_classes == about["classes"]
    z, x, y = inputs(case, about["latent_dim"], about["size"], about["classes"])
    game = run.module.game
    networks = {
        "generator": (game.generator, z),
        "discriminator": (game.discriminator, x),
        "average": (run.generator, z),
    }
    with torch.no_grad():
        for name in about["files"]:
            network, given = networks[ROLES[name]]
            assert error(network(given, y), about[f"out/{name}"]) <= 1e-5, name
        if "G_ema.pth" not in about["files"]:  # the average is then the generator
            assert torch.equal(run.generator(z, y), game.generator(z, y))


def network_of(run: Run, role: str) -> torch.nn.Module:
    return getattr(run.module.game, role)


def convert(about: dict, role: str, tensors: Tensors):
    chosen = importers.formats()[about["format"]]
    return (
        chosen.discriminator(tensors, (about["size"], 3, about["classes"]))
        if role == "discriminator"
        else chosen.generator(tensors)
    )


SLOW = [
    pytest.param(case, marks=pytest.mark.slow)
    for case in ("biggan_mybn", "biggan_deep", "huggingface_deep", "mimicry_sagan_128")
]


@pytest.mark.parametrize("case", ["biggan_wide", "mimicry_sagan_32", "mimicry_cgan_pd_32", *SLOW])
def test_changing_any_tensor_of_a_file_changes_the_imported_output(case: str, imported) -> None:
    """But for counters, and for the vectors of one number that BigGAN-PyTorch and mimicry normalize before use."""
    about, _, run = imported(case)
    z, x, y = inputs(case, about["latent_dim"], about["size"], about["classes"])
    z, x, y = z[:1], x[:1], None if y is None else y[1:2]
    with torch.no_grad():
        for name, shapes in about["files"].items():
            role = ROLES[name]
            if role == "average":
                continue
            state = fill(f"{case}/{name}", shapes)
            # in double precision, where some tensors of a saturated picture show as well
            network = copy.deepcopy(network_of(run, role)).double()
            given = (x if role == "discriminator" else z).double()
            values = network.state_dict()
            original = convert(about, role, Tensors(state, name)).state
            for key, value in original.items():
                values[key].copy_(value)
            before = thinned(network(given, y))
            for key, value in state.items():
                if importing.COUNTERS.search(key) or (value.numel() == 1 and key.endswith(("u0", "sn_u"))):
                    continue
                noise = torch.rand(value.shape, generator=torch.Generator().manual_seed(1))
                changed = convert(about, role, Tensors({**state, key: value * (1.2 + noise)}, name)).state
                touched = [k for k in changed if not torch.equal(changed[k], original[k])]
                for k in touched:
                    values[k].copy_(changed[k])
                assert error(network(given, y), before) > 1e-12, f"{name}: {key}"
                for k in touched:
                    values[k].copy_(original[k])
            assert torch.equal(thinned(network(given, y)), before)


def test_the_command_line_imports_samples_and_says_what_is_missing(tmp_path: Path, capsys) -> None:
    write("huggingface_deep", tmp_path / "files", read("huggingface_deep"))
    out = tmp_path / "run"
    assert cli.dispatch(["import", str(tmp_path / "files/pytorch_model.bin"), f"out={out}"]) == 0
    said = capsys.readouterr().out
    assert "has no discriminator: the run's has fresh weights" in said
    assert f"run: {out} (huggingface)" in said
    assert cli.dispatch(["sample", str(out), "count=2", "truncation=0.4", f"out={tmp_path / 'grid.png'}"]) == 0
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.getextrema() != ((255, 255),) * 3  # something is drawn
    with pytest.raises(GanlabError, match="holds a run already"):
        cli.dispatch(["import", str(tmp_path / "files/pytorch_model.bin"), f"out={out}"])


def test_options_that_tensors_do_not_tell_are_taken_from_the_command_line(tmp_path: Path) -> None:
    write("biggan_cifar", tmp_path / "files", read("biggan_cifar"))
    words = ["generator.norm_eps=1e-4", "reg.sn.eps=1e-8"]
    run = Run(importing.make_run(str(tmp_path / "files"), "biggan_pytorch", str(tmp_path / "run"), words).folder)
    assert run.config["generator"]["norm_eps"] == 1e-4
    assert run.config["reg"]["sn"]["eps"] == 1e-8
    assert run.generator.blocks[0].norm1.eps == 1e-4


def test_the_average_alone_makes_a_run(tmp_path: Path) -> None:
    write("biggan_cifar", tmp_path / "files", read("biggan_cifar"))
    result = importing.make_run(str(tmp_path / "files/G_ema.pth"), None, str(tmp_path / "run"))
    assert any("averaged generator only" in message for message in result.messages)
    about = read("biggan_cifar")
    z, _, y = inputs("biggan_cifar", about["latent_dim"], 32, 5)
    with torch.no_grad():
        assert error(Run(result.folder).generator(z, y), about["out/G_ema.pth"]) <= 1e-5


def test_safetensors_are_read_without_a_library(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(2, 3), "b": torch.randn(4).to(torch.bfloat16)}
    body, table = b"", {}
    for name, value in tensors.items():
        data = value.contiguous().view(torch.uint8).numpy().tobytes()
        kind = "BF16" if value.dtype is torch.bfloat16 else "F32"
        table[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    header = json.dumps(table).encode()
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + body)
    found = importing._read(tmp_path / "x.safetensors")
    assert all(torch.equal(found[name], value) for name, value in tensors.items())


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write("biggan_cifar", tmp_path / "files", read("biggan_cifar"))
    return tmp_path / "files"


def refused(path: Path, *words: str) -> str:
    with pytest.raises(GanlabError) as caught:
        cli.dispatch(["import", str(path), f"out={path.parent / 'run'}", *words])
    assert not (path.parent / "run").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "case", ["biggan_cifar", "biggan_deep", "mimicry_sagan_32", "mimicry_cgan_pd_32", "huggingface_deep"]
)
def test_a_tensor_too_many_or_too_few_is_named_as_in_the_file(case: str, imported) -> None:
    about, _, run = imported(case)
    for name, shapes in about["files"].items():
        role = ROLES[name]
        if role == "average":
            continue
        state = fill(f"{case}/{name}", shapes)
        keys = [key for key in shapes if not importing.COUNTERS.search(key)]
        biases = [key for key in keys if key.endswith(".bias") and len(shapes[key]) == 1]

        def refusal(tensors: dict, name: str = name, role: str = role) -> str:
            with pytest.raises(GanlabError) as caught:
                found = convert(about, role, Tensors(tensors, name))
                importing._fill(network_of(run, role), found, Path(name))
            assert "\n" not in str(caught.value)
            return str(caught.value)

        for key in keys[::7]:
            assert key in refusal({k: v for k, v in state.items() if k != key})
        assert "has no place for extra.weight" in refusal({**state, "extra.weight": torch.zeros(1)})
        for key in biases[::3]:
            assert key in refusal({**state, key: torch.zeros(len(state[key]) + 8)})


def test_the_command_line_names_what_does_not_fit(files: Path) -> None:
    state = torch.load(files / "D.pth", weights_only=True)
    torch.save({key: value for key, value in state.items() if key != "blocks.2.0.conv1.bias"}, files / "D.pth")
    assert "D.pth as a biggan lacks blocks.2.0.conv1.bias." in refused(files)


def test_a_file_of_unknown_make_is_answered_with_the_formats(tmp_path: Path) -> None:
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "x.pth")
    sentence = refused(tmp_path / "x.pth")
    assert "is of unknown make. Formats: biggan_pytorch (" in sentence
    assert "huggingface (" in sentence
    assert "mimicry (" in sentence
    torch.save([1, 2], tmp_path / "x.pth")
    assert "unknown make" in refused(tmp_path / "x.pth")


def test_what_cannot_be_imported_is_one_sentence(files: Path, tmp_path: Path) -> None:
    assert "There is no file" in refused(tmp_path / "nowhere.pth")
    assert "format=biggan is not known. Did you mean 'biggan_pytorch'" in refused(files, "format=biggan")
    assert "is no checkpoint of this format" in refused(files, "format=mimicry")
    assert "no option 'fromat'. Did you mean 'format'" in refused(files, "fromat=mimicry")
    assert "generator.widht" in refused(files, "generator.widht=3")
    assert "has a discriminator only" in refused(files / "D.pth")
    (tmp_path / "empty").mkdir()
    assert "no checkpoint in it" in refused(tmp_path / "empty")
    (tmp_path / "torn.pth").write_bytes((files / "G.pth").read_bytes()[:5000])
    assert "no plain tensors" in refused(tmp_path / "torn.pth")
    shutil.copy(files / "G.pth", files / "G_old.pth")
    assert "holds several of one network, G.pth and G_old.pth" in refused(files)
    with pytest.raises(GanlabError, match="takes one file or folder, got 0"):
        cli.dispatch(["import"])


def test_a_file_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "evil",))

    torch.save({"output_layer.0.gain": Evil()}, tmp_path / "G.pth")
    assert "no plain tensors that torch can read safely" in refused(tmp_path / "G.pth")
    assert not (tmp_path / "evil").exists()
