"""Other codes' checkpoints become runs that make the same outputs; what does not fit is refused by name."""

from __future__ import annotations

import copy
import json
import shutil
import struct
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import torch
from native import FIXTURES, fill, inputs, kept, moves, read, thinned, write
from PIL import Image

from ganlab import cli, importers
from ganlab.core.errors import GanlabError
from ganlab.importers import conversion, huggingface, reading
from ganlab.importers.network import Network, Tensors
from ganlab.layers import spectral_norm
from ganlab.layers.style_generator import StyleGenerator
from ganlab.models import sagan
from ganlab.priors import Truncated
from ganlab.runs.run import Run

About = dict[str, Any]
Imported = Callable[[str], tuple[About, Path, Run]]

CASES = sorted(file.stem for file in FIXTURES.glob("*.npz"))
ROLES = {"G.pth": "generator", "D.pth": "discriminator", "G_ema.pth": "average", "netG_7_steps.pth": "generator",
         "netD_7_steps.pth": "discriminator", "pytorch_model.bin": "generator"}  # fmt: skip


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Imported:
    """``imported(case)``: what the fixture says, the folder of files, and the run made of it."""
    made: dict[str, tuple[About, Path, Run]] = {}

    def make(case: str) -> tuple[About, Path, Run]:
        if case not in made:
            folder = tmp_path_factory.mktemp(case)
            about = read(case)
            write(case, folder / "files", about)
            result = conversion.make_run(str(folder / "files"), None, str(folder / "run"), about.get("words", ()))
            assert result.format == about["format"]
            made[case] = about, folder / "files", Run(result.folder)
        return made[case]

    return make


def ask(network: torch.nn.Module, case: str, about: About, step: int | None = None) -> torch.Tensor:
    """Return the output of a network of ours for the inputs of ``case``, in the precision of its weights."""
    z, x, y = inputs(case, about["latent_dim"], about["size"], about["classes"], step)
    with torch.no_grad():
        given = (z if hasattr(network, "latent_dim") else x).to(next(network.parameters()).dtype)
        return thinned(network(given, y, **fixed_noise(network)))


def fixed_noise(network: torch.nn.Module) -> dict[str, str]:
    return {"noise": "fixed"} if isinstance(network, StyleGenerator) else {}


def moved(network: torch.nn.Module, theirs: Callable[[str], str]) -> list[torch.Tensor]:
    """The tensors that move in training mode, by their names in the file, as the fixture holds them."""
    state = {theirs(key): value for key, value in network.state_dict().items()}
    return [kept(value) for name, value in sorted(state.items()) if moves(name)]


DEEP = ("huggingface_deep", "biggan_deep", "biggan_deep_32", "biggan_mybn")  # a gradient for each of many tensors


@pytest.mark.parametrize("case", [pytest.param(c, marks=pytest.mark.slow) if c in DEEP else c for c in CASES])
def test_outputs_and_state_equal_those_of_the_official_network(case: str, imported: Imported) -> None:
    """Every parameter and buffer is random. In evaluation and in training mode: ‖a − b‖ ≤ 1e-5 ‖b‖ in single
    precision; in channels-last maps torch sums batch statistics plainly, see `importing`. Fixtures and converted
    weights are rounded to single, so 5e-7 in double, also for each tensor of the state after three passes.
    """
    about, _, run = imported(case)
    assert run.generator.latent_dim == about["latent_dim"]
    assert run.num_classes == about["classes"]
    assert run.config.state_updates == "every_forward"
    for name, shapes in about["files"].items():
        role = ROLES[name]
        theirs = convert(about, role, Tensors(fill(f"{case}/{name}", shapes), name)).theirs
        for precision, layout, tolerance in (
            (torch.float32, torch.contiguous_format, 1e-5),
            (torch.float32, torch.channels_last, 5e-5),
            (torch.float64, torch.contiguous_format, 5e-7),
        ):
            network = copy.deepcopy(network_of(run, role)).to(precision).to(memory_format=layout)
            assert error(ask(network, case, about), about[f"{name}/eval"]) <= tolerance
            if f"{name}/train" not in about:
                continue
            network.train()
            for step in range(3 if precision is torch.float64 else 1):
                assert error(ask(network, case, about, step), about[f"{name}/train"][step]) <= tolerance
            if precision is torch.float32:
                continue
            found = moved(network, theirs)
            expected = about.get(f"{name}/state", torch.empty(0)).split([len(value) for value in found])
            for value, want in zip(found, expected, strict=True):
                assert error(value, want) <= tolerance
    if "G_ema.pth" not in about["files"]:  # the average is then the generator
        assert torch.equal(ask(run.generator, case, about), ask(network_of(run, "generator"), case, about))


def network_of(run: Run, role: str) -> torch.nn.Module:
    return run.generator if role == "average" else getattr(run.module.game, role)


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("stylegan2")])
def test_styles_are_truncated_and_noise_left_out_as_in_the_official_network(case: str, imported: Imported) -> None:
    about, _, run = imported(case)
    z, _, y = inputs(case, about["latent_dim"], about["size"], about["classes"])
    asked: dict[str, dict[str, Any]] = {
        "none": {"noise": "off"}, "psi": {"psi": 0.7}, "cutoff": {"psi": 0.7, "cutoff": 2}
    }  # fmt: skip
    for name, options in asked.items():
        with torch.no_grad():
            found = thinned(network_of(run, "generator").eval()(z, y, **{"noise": "fixed", **options}))
        assert error(found, about[f"G.pth/{name}"]) <= 1e-5, name


def convert(about: About, role: str, tensors: Tensors) -> Network:
    chosen = importers.formats()[about["format"]]
    return (
        chosen.discriminator(tensors, (about["size"], 3, about["classes"]))
        if role == "discriminator"
        else chosen.generator(tensors)
    )


def test_sagan_is_the_network_of_biggans_authors_script(imported: Imported) -> None:
    """Their script makes it of BigGAN's classes, and so does the import: `sagan` takes that state and does the same."""
    about, _, run = imported("biggan_thin")
    theirs = network_of(run, "generator")
    ours = sagan.Generator(128, 3, about["classes"], latent_dim=9, width=2, attention=16)
    spectral_norm.attach(ours, eps=1e-6)
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(ask(ours.eval(), "biggan_thin", about), ask(theirs, "biggan_thin", about))


def parts_of(network: torch.nn.Module) -> dict[str, torch.nn.Module]:
    """The modules with weights that a pass goes through one after the other, each once, by name."""
    found: dict[str, torch.nn.Module] = {}
    for name, module in network.named_children():
        several = isinstance(module, torch.nn.ModuleList | torch.nn.ModuleDict)
        found.update({f"{name}.{n}": m for n, m in module.named_children()} if several else {name: module})
    return {name: module for name, module in found.items() if any(True for _ in module.parameters())}


def passed(
    network: torch.nn.Module, parts: dict[str, torch.nn.Module], x: torch.Tensor, y: torch.Tensor | None
) -> tuple[dict[str, tuple[Any, ...]], dict[str, torch.Tensor], dict[str, torch.Tensor], torch.Tensor]:
    """Return the input of each part, its output, the slope of r·output there, and the output's length."""
    given: dict[str, tuple[Any, ...]] = {}
    made: dict[str, torch.Tensor] = {}

    def note(module: torch.nn.Module, inputs: tuple[Any, ...], out: torch.Tensor) -> torch.Tensor:
        part = next(name for name, each in parts.items() if each is module)
        given[part], made[part] = inputs, out
        return out.clone()  # what comes next changes some outputs in place

    hooks = [module.register_forward_hook(note) for module in parts.values()]
    out = network(x, y, **fixed_noise(network))
    for hook in hooks:
        hook.remove()
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(0), dtype=out.dtype)
    slopes = torch.autograd.grad((weights * out).sum(), list(made.values()))
    return given, made, dict(zip(made, slopes, strict=True)), out.norm()


def matters_not(name: str, value: torch.Tensor) -> bool:
    """Counters; filters, which become options; the mean of w; and vectors of one number that the other code
    normalizes before use."""
    option = name.endswith((".Kernel", ".kernel", "resample_filter", "w_avg", "latent_avg"))
    return bool(conversion.COUNTERS.search(name)) or option or (value.numel() == 1 and name.endswith(("u0", "sn_u")))


@pytest.mark.parametrize("case", [pytest.param(c, marks=pytest.mark.slow) if c in DEEP else c for c in CASES])
def test_changing_any_tensor_of_a_file_changes_the_imported_output(case: str, imported: Imported) -> None:
    """To first order: ⟨∂(r·out)/∂part, Δpart⟩ ≠ 0, r random, Δpart by asking again only the part that has the tensor.

    In double precision, where some tensors of a saturated picture show as well. One tensor of each part is changed
    at a time.
    """
    about, _, run = imported(case)
    z, x, y = inputs(case, about["latent_dim"], about["size"], about["classes"])
    if case == "huggingface_deep":  # one image of it takes as long as three of the others
        assert y is not None
        z, y = z[:1], y[:1]
    for name, shapes in about["files"].items():
        role = ROLES[name]
        if role == "average":
            continue
        state = fill(f"{case}/{name}", shapes)
        network = copy.deepcopy(network_of(run, role)).double()
        network.load_state_dict(convert(about, role, Tensors(state, name)).state, strict=False)
        parts = parts_of(network)
        given, before, slopes, size = passed(network, parts, (x if role == "discriminator" else z).double(), y)
        ours = convert(about, role, Tensors(state, name))
        columns: dict[str, list[str]] = {part: [] for part in parts}
        for key, theirs in ours.sources.items():
            if not matters_not(theirs, state[theirs]):
                part = next(part for part in parts if key.startswith(f"{part}."))
                columns[part] += [theirs] * (theirs not in columns[part])
        assert {n for column in columns.values() for n in column} == {n for n in state if not matters_not(n, state[n])}
        for row in zip_longest(*columns.values()):
            noise = {n: torch.rand(state[n].shape, generator=torch.Generator().manual_seed(1)) for n in row if n}
            changed = convert(about, role, Tensors({**state, **{n: state[n] * (1.2 + noise[n]) for n in noise}}, name))
            network.load_state_dict(changed.state, strict=False)
            for part, theirs in zip(columns, row, strict=True):
                if theirs is not None:
                    with torch.no_grad():
                        influence = (slopes[part] * (parts[part](*given[part]) - before[part])).sum()
                    assert abs(influence) > 1e-12 * size, f"{name}: {theirs}"


def test_the_command_line_imports_samples_and_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
    about = read("biggan_cifar")
    write("biggan_cifar", tmp_path / "files", about)
    words = ["format=biggan_pytorch", "generator.norm_eps=1e-4", "reg.sn.eps=1e-8"]
    assert cli.dispatch(["import", str(tmp_path / "files/G_ema.pth"), f"out={tmp_path / 'run'}", *words]) == 0
    run = Run(tmp_path / "run")
    assert run.config["reg.sn"].options["eps"] == 1e-8
    assert run.generator.blocks[0].norm1.eps == 1e-4
    assert error(ask(run.generator, "biggan_cifar", about), about["G_ema.pth/eval"]) > 1e-5


def test_the_average_alone_makes_a_run(tmp_path: Path) -> None:
    about = read("biggan_cifar")
    write("biggan_cifar", tmp_path / "files", about)
    result = conversion.make_run(str(tmp_path / "files/G_ema.pth"), None, str(tmp_path / "run"))
    assert any("averaged generator only" in message for message in result.messages)
    assert error(ask(Run(result.folder).generator, "biggan_cifar", about), about["G_ema.pth/eval"]) <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("truncation", [0.25, 0.5])
def test_hugging_faces_statistics_are_those_of_the_truncation_asked_for(truncation: float, tmp_path: Path) -> None:
    """Between two rows, and on one; latents are truncation times a normal number within ±2."""
    about = read("huggingface_deep")
    write("huggingface_deep", tmp_path / "files", about)
    out = tmp_path / "run"
    assert cli.dispatch(["import", str(tmp_path / "files"), f"out={out}", f"truncation={truncation}"]) == 0
    run = Run(out)
    assert error(ask(run.generator, "huggingface_deep", about), about[f"pytorch_model.bin/eval {truncation}"]) <= 1e-5
    assert run.module.setting.prior == Truncated(threshold=2.0, scale=truncation)


def test_the_nearer_of_two_rows_of_statistics_counts_more() -> None:
    """Row i of 51 belongs to truncation i/50. Theirs is row 8 at .14 and 1 - c for c elsewhere between rows."""
    table = torch.arange(51, dtype=torch.float64).expand(2, -1).t()
    for truncation in (0.02, 0.14, 0.28, 0.33, 0.56, 0.58, 0.61, 0.94, 0.995, 1.0, 0.001):
        expected = torch.full((2,), 50 * truncation, dtype=torch.float64)
        torch.testing.assert_close(huggingface._row(table, truncation), expected, atol=1e-7, rtol=0)
    assert torch.equal(huggingface._row(table[:1], 0.5), table[0])


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
    found = reading.read(tmp_path / "x.safetensors")
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
def test_a_tensor_too_many_or_too_few_is_named_as_in_the_file(case: str, imported: Imported) -> None:
    about, _, run = imported(case)
    for name, shapes in about["files"].items():
        role = ROLES[name]
        if role == "average":
            continue
        state = fill(f"{case}/{name}", shapes)
        keys = [key for key in shapes if not conversion.COUNTERS.search(key)]
        biases = [key for key in keys if key.endswith(".bias") and len(shapes[key]) == 1]

        def refusal(tensors: dict, name: str = name, role: str = role) -> str:
            with pytest.raises(GanlabError) as caught:
                found = convert(about, role, Tensors(tensors, name))
                conversion._fill(network_of(run, role), found, Path(name))
            assert "\n" not in str(caught.value)
            return str(caught.value)

        for key in keys[:: len(keys) // 6 + 1]:
            assert key in refusal({k: v for k, v in state.items() if k != key})
        assert "extra.weight is unknown here" in refusal({**state, "extra.weight": torch.zeros(1)})
        for key in biases[:: len(biases) // 3 + 1]:
            assert key in refusal({**state, key: torch.zeros(len(state[key]) + 8)})


def test_the_command_line_names_what_does_not_fit(files: Path) -> None:
    state = torch.load(files / "D.pth", weights_only=True)
    torch.save({key: value for key, value in state.items() if key != "blocks.2.0.conv1.bias"}, files / "D.pth")
    assert "D.pth is no biggan: blocks.2.0.conv1.bias is missing." in refused(files)


def test_a_file_of_unknown_make_is_answered_with_the_formats(tmp_path: Path) -> None:
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "x.pth")
    sentence = refused(tmp_path / "x.pth")
    assert "is of unknown make. Formats: biggan_pytorch, gan_stability, gan_zoo, " in sentence
    assert sentence.endswith("stylegan_tensorflow; docs/import.md says what they are.")
    torch.save([1, 2], tmp_path / "x.pth")
    assert "unknown make" in refused(tmp_path / "x.pth")


def test_what_cannot_be_imported_is_one_sentence(files: Path, tmp_path: Path) -> None:
    assert "There is no file" in refused(tmp_path / "nowhere.pth")
    assert "format=biggan is not known. Did you mean 'biggan_pytorch'" in refused(files, "format=biggan")
    assert "of format=biggan_pytorch, not of format=mimicry: leave format=mimicry out" in refused(
        files, "format=mimicry"
    )
    assert "'x\\x00.pth' holds a null character" in refused(Path("x\0.pth"))
    assert "no option 'fromat'. Did you mean 'format'" in refused(files, "fromat=mimicry")
    assert "generator.widht" in refused(files, "generator.widht=3")
    assert "has a discriminator only" in refused(files / "D.pth")
    (tmp_path / "empty").mkdir()
    assert "no checkpoint in it" in refused(tmp_path / "empty")
    whole = (files / "G.pth").read_bytes()
    for name, content in {
        "half.pth": whole[: len(whole) // 2],
        "half.safetensors": struct.pack("<Q", 1000) + b'{"a": ',
        "text.pth": b"these are no weights\n",
        "text.safetensors": b"these are no weights\n",
        "empty.pth": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
        sentence = refused(tmp_path / name)
        assert "no plain tensors" in sentence
        assert ": if it is cut short, copy it again; " in sentence
    for words, sentence in {
        "truncation=0.5": "format=biggan_pytorch, which has no option truncation: leave it out",
        "truncation=half": "truncation must be a number, got 'half'",
        "generator.latent_dim=0": "latent_dim",
    }.items():
        assert sentence in refused(files, *words.split())
    shutil.copy(files / "G.pth", files / "G_old.pth")
    assert "holds several of one network, G.pth and G_old.pth" in refused(files)
    with pytest.raises(GanlabError, match="takes one file or folder, got 0"):
        cli.dispatch(["import"])


def test_a_checkpoint_of_ganlab_is_named_with_its_run(imported: Imported, tmp_path: Path) -> None:
    folder = imported("biggan_cifar")[2].folder
    last = folder / "checkpoints/last.ckpt"
    for given in (folder, last.parent, last):
        with pytest.raises(GanlabError) as caught:
            cli.dispatch(["import", str(given), f"out={tmp_path / 'run'}"])
        assert str(caught.value).startswith(f"{given} is a checkpoint of ganlab: use its run {folder} itself, ")
    shutil.copy(last, tmp_path / "copy.ckpt")
    assert "use its run folder itself" in refused(tmp_path / "copy.ckpt")


def test_a_file_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "evil",))

    torch.save({"output_layer.0.gain": Evil()}, tmp_path / "G.pth")
    assert "no plain tensors that torch can read safely" in refused(tmp_path / "G.pth")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("other", [
    torch.zeros(2), torch.zeros(()), torch.zeros(1, 128, 7), torch.zeros(0, 3, 3, 3),
    torch.zeros(3, 3, dtype=torch.complex64), torch.zeros(2, 2, device="meta"), None,
])  # fmt: skip
def test_tensors_of_a_known_name_and_a_strange_form_are_refused(tmp_path: Path, other: torch.Tensor | None) -> None:
    """None: whole numbers in the place of weights."""
    case = "biggan_cifar"
    write(case, tmp_path / "files", read(case))
    path = tmp_path / "files" / "G.pth"
    content = torch.load(path, weights_only=True)
    content["linear.weight"] = content["linear.weight"].long() if other is None else other
    torch.save(content, path)
    with pytest.raises(GanlabError, match=r"their shapes are not that format's|no plain tensors|is no biggan"):
        conversion.make_run(str(tmp_path / "files"), None, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
