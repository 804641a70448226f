"""A generator leaves ganlab, makes the same images elsewhere, and is written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import unfinished
from safetensors.torch import load_file
from support import exports
from support.forked import Forked

import ganlab
from ganlab import cli, exporters
from ganlab.commands.command import choices, load
from ganlab.core import registry
from ganlab.core.errors import GanlabError
from ganlab.exporters import hub, output, portable, safetensors
from ganlab.exporters.portable import Fixed
from ganlab.pictures import projection
from ganlab.runs.exported import CONFIG, Exported
from ganlab.runs.run import Run

PAIRS = [
    (family, classes)
    for family in registry.names("generator")
    for classes in (0, 4)
    if not (classes and family in unfinished.UNLABELLED)
]


def exported(made: portable.Made, folder: Path) -> Exported:
    safetensors.write(made, folder / "made.safetensors")
    return Exported(folder / "made.safetensors")


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


def test_the_command_offers_the_formats_that_there_are() -> None:
    assert sorted(choices(load("export").annotations()["format"])) == sorted(exporters.formats())


@pytest.mark.parametrize(("family", "classes"), [("biggan", 4), ("stylegan", 0)])
def test_weights_that_are_read_again_make_the_images_of_the_run(family: str, classes: int, tmp_path: Path) -> None:
    run = unfinished.run(tmp_path, family, classes, "reg=sn")
    expected = run.sample(7)
    again = exported(portable.make(run, Fixed()), tmp_path)
    assert difference(again.sample(7), expected) < 1e-4
    assert difference(again.sample(1, start=6), expected[6:]) < 1e-4
    assert torch.equal(run.sample(7), expected)  # the run is as it was: copies share classes of parametrizations
    assert not any("parametrizations" in name for name in load_file(tmp_path / "made.safetensors"))


def test_truncation_and_the_statistics_that_belong_to_it_are_fixed_together(tmp_path: Path) -> None:
    run = unfinished.run(tmp_path, "biggan", 4)
    made = portable.make(run, Fixed(truncation=0.4, standing_statistics=2))
    again = exported(made, tmp_path)
    from ganlab.runs.standing import standing

    with standing(run, 2, 0.4):
        expected = run.sample(5, truncation=0.4)
    assert difference(again.sample(5), expected) < 1e-4
    assert difference(expected, run.sample(5, truncation=0.4)) > 1e-3  # running statistics make others
    assert torch.equal(again.sample(5, truncation=0.4), again.sample(5))
    with pytest.raises(GanlabError, match=r"^truncation=1.0: .* was exported with truncation=0.4 fixed: leave"):
        again.sample(5, truncation=1.0)
    far = torch.full((1, made.about.latent_dim), 3.0)
    assert torch.equal(made.portable(far, torch.zeros(1, dtype=torch.int64)),
                       made.portable(far.clamp(max=0.4), torch.zeros(1, dtype=torch.int64)))  # fmt: skip


def test_psi_and_noise_are_inputs_or_fixed(tmp_path: Path) -> None:
    run = unfinished.run(tmp_path, "stylegan", 0)
    run.generator.w_avg.fill_(0.5)
    free, fixed = (portable.make(run, each) for each in (Fixed(), Fixed(psi=0.5, cutoff=3, noise="fixed")))
    assert list(free.about.inputs) == ["z", "psi", "noise"]
    assert list(fixed.about.inputs) == ["z"]
    z = fixed.inputs(2)["z"]
    expected = run.sample(2, psi=0.5, cutoff=3, noise="fixed")
    assert difference(fixed.portable(z), expected) < 1e-4
    again = exported(fixed, tmp_path)
    assert difference(again.sample(2), expected) < 1e-4
    with pytest.raises(GanlabError, match=r"psi=1.0: .* psi=0.5 fixed"):
        again.sample(2, psi=1.0)
    assert projection.noise_of(again, None) == "fixed"
    with pytest.raises(GanlabError, match=r"noise=optimized: .* noise=fixed fixed"):
        projection.noise_of(again, "optimized")
    made = free.portable(**{**free.inputs(2), "psi": torch.tensor(0.3)})
    assert difference(made, run.sample(2, psi=0.3)) < 1e-4


def test_a_folder_for_the_hub_is_read_as_a_run_is_and_replaced_by_the_next(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made"
    for _ in range(2):
        assert cli.dispatch(["export", str(finished), "format=hub", f"out={out}", "license=apache-2.0"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"made"}
    assert {path.name for path in out.iterdir()} == set(hub.FILES)
    run = ganlab.load(finished)
    assert difference(ganlab.load(out).sample(7), run.sample(7)) < 1e-4
    assert cli.dispatch(["sample", str(out), "count=10", f"out={tmp_path / 'a.png'}"]) == 0
    assert cli.dispatch(["sample", str(finished), "count=10", f"out={tmp_path / 'b.png'}"]) == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    card = (out / "README.md").read_text()
    for text in (
        "license: apache-2.0",
        "ganlab.load(",
        "(batch, 8)",
        "dcgan",
        "1797",
        "not scored",
        "Data: cc-by-4.0",
    ):
        assert text in card
    assert str(tmp_path) not in card
    (out / "mine.txt").write_text("mine")
    with pytest.raises(GanlabError, match=r"exists and is no export of format=hub: give another folder"):
        cli.dispatch(["export", str(finished), "format=hub", f"out={out}"])
    assert (out / "mine.txt").read_text() == "mine"


def test_what_fails_leaves_the_export_from_before_and_nothing_else(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "g.safetensors"
    assert cli.dispatch(["export", str(finished), f"out={out}"]) == 0
    before = out.read_bytes()

    def fail(made: portable.Made, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors, "write", fail)
    with pytest.raises(GanlabError, match=r"g\.safetensors cannot be written: No space left on device\.$"):
        cli.dispatch(["export", str(finished), f"out={out}"])
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["g.safetensors"]


def small_files() -> None:
    """Let this process write files of 4,000 bytes at most, as on a full disk."""
    import resource  # not on Windows

    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
@pytest.mark.parametrize("form", sorted(exporters.formats()))
def test_a_disk_that_fills_leaves_one_sentence_and_nothing_else(form: str, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    out = tmp_path / "exports" / f"g{exporters.formats()[form].SUFFIX}"
    words = ["export", str(finished), f"format={form}", f"out={out}"]
    code, _, said = Forked(words, tmp_path, small_files).end()
    assert code == 2, said
    assert f"{out} cannot be written: File too large." in " ".join(said.split())
    assert list((tmp_path / "exports").iterdir()) == []


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(KeyError), output.whole(path) as temporary:
        temporary.mkdir()
        raise KeyError
    assert [entry.name for entry in tmp_path.rglob("*")] == ["out", "old"]
    with output.whole(path) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert [entry.name for entry in tmp_path.rglob("*")] == ["out", "new"]


WRONG = {
    "{run} format=jpg": "format must be one of",
    "{run} out={tmp}/g.onnx": "out must end in .safetensors for format=safetensors",
    "{run} format=hub out={tmp}/g.onnx": "out is a folder for format=hub",
    "{run} out={tmp}/foreign.safetensors": "exists and is no export of format=safetensors: give another",
    "{run} psi=0.7": "psi=0.7 needs a generator with a w space, and dcgan has none: truncation=1.0 truncates",
    "{run} noise=fixed": "noise=fixed needs a generator with a w space, and dcgan has none",
    "{run} truncation=-1": "truncation must be a positive number, got -1.0",
    "{run} license=apache-2.0": "license goes with format=hub or demo",
    "{run} format=hub license=MINE out={tmp}/h": "license must be a name as the Hub writes it",
    "{run} format=hub push=mine": "push=mine is no name on the Hub: it is OWNER/NAME",
    "{run} format=hub push=me/../you": "is no name on the Hub",
    "{run} format=hub push=me/you.git": "is no name on the Hub",
    "{run} format=hub push=.me/you": "is no name on the Hub",
    "{run} format=hub push=me/mine": "push=me/mine needs a login: run `hf auth login` first, or set HF_TOKEN",
    "{run} format=hub private=true": "private=true goes with push=OWNER/NAME",
    "{run} checkpoint=7": "has no checkpoint '7'",
    "{run} out=a\0.safetensors": "out is the name of a file or a folder, and none has a NUL",
    "{tmp}/nothing": "There is no run folder",
    "{tmp}/foreign.safetensors": "is an export already: give the run that it is from",
}


@pytest.mark.parametrize("line", WRONG)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    line: str, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    (tmp_path / "foreign.safetensors").write_bytes(b"something else")
    before = {path.name for path in finished.iterdir()}
    words = line.format(run=finished, tmp=tmp_path).split()
    with pytest.raises(GanlabError) as caught:
        cli.dispatch(["export", *words])
    assert WRONG[line] in str(caught.value)
    assert str(caught.value).endswith((".", "?"))
    assert [path.name for path in tmp_path.iterdir()] == ["foreign.safetensors"]
    assert {path.name for path in finished.iterdir()} == before


def test_a_package_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporters.importlib.util, "find_spec", lambda name: None if name == "onnx" else object())
    with pytest.raises(GanlabError, match=r'^format=onnx needs onnx: pip install "ganlab\[export\]"\.$'):
        exporters.chosen("onnx")


DAMAGED: dict[str, tuple[Callable[[str], str], str]] = {
    "no json": (lambda text: text[:-9], r"config.json is no export of ganlab: it is no JSON"),
    "another format": (lambda text: text.replace("ganlab-generator", "x"), r"it has no format 'ganlab-generator'"),
    "another version": (
        lambda text: text.replace('"version": 1', '"version": 9'),
        r"of another version of ganlab \(9\)",
    ),
    "an import path": (lambda text: text.replace('"component": "dcgan"', '"component": "os.system"'), r"os\.system"),
    "a wrong size": (lambda text: text.replace('"latent_dim": 8', '"latent_dim": "x"'), r"latent_dim must be"),
    "other weights": (
        lambda text: text.replace('"width": 4', '"width": 5'),
        r"are not of its generator: \S+ is \(.*\) and must be \(.*\)\.$",
    ),
    "a width that no memory holds": (  # 4e18 bytes: they are never asked for
        lambda text: text.replace('"width": 4', '"width": 1000000000'),
        r"are not of its generator: \S+ is \(.*\) and must be \(.*\d{10}.*\)\.$",
    ),
    "names of classes that are no texts": (
        lambda text: json.dumps({**json.loads(text), "class_names": 3}),
        r"class_names must be a list of texts, got 3",
    ),
    "noise that is no text": (
        lambda text: json.dumps({**json.loads(text), "noise": ["input"]}),
        r"noise must be one of input, fixed, off, or null, got",
    ),
    "names of other classes": (
        lambda text: json.dumps({**json.loads(text), "class_names": ["a"]}),
        r"names 1 classes of 10",
    ),
    "a strange entry": (lambda text: text.replace('"name"', '"nome"'), r"unknown entry 'nome'"),
}


@pytest.fixture(scope="module")
def folder(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a description and weights."""
    made = portable.make(Run(finished), Fixed())
    path = tmp_path_factory.mktemp("folder")
    (path / CONFIG).write_text(made.about.json())
    safetensors.write_weights(made, path / "model.safetensors", {})
    return path


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_export_is_refused_in_one_sentence(damage: str, folder: Path, tmp_path: Path) -> None:
    change, sentence = DAMAGED[damage]
    copied = Path(shutil.copytree(folder, tmp_path / "copied"))
    text = (copied / CONFIG).read_text()
    (copied / CONFIG).write_text(change(text))
    assert change(text) != text
    with pytest.raises(GanlabError, match=sentence):
        ganlab.load(copied)


def test_what_is_no_export_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copyfile(folder / "model.safetensors", tmp_path / "x.safetensors")
    (tmp_path / "torn.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:999])
    for path, sentence in (
        ("x.safetensors", r"is no export of ganlab: `ganlab import"),
        ("torn.safetensors", r"is damaged, or no safetensors file"),
        ("none.safetensors", r"There is no file"),
        ("g.onnx", r"is a graph for other programs"),
    ):
        with pytest.raises(GanlabError, match=sentence):
            ganlab.load(tmp_path / path)
    with pytest.raises(GanlabError, match=r"^hf://nobody is no name on the Hub: it is OWNER/NAME"):
        ganlab.load("hf://nobody")
    with pytest.raises(GanlabError, match=r"is an export, which has the weights of one checkpoint"):
        ganlab.load(folder, checkpoint="best")
    with pytest.raises(GanlabError, match=r"is an export, which has no encoder"):
        cli.dispatch(["sample", str(folder), "kind=reconstruction", f"images={tmp_path}", f"out={tmp_path / 'a.png'}"])


def test_a_game_without_a_generator_is_not_exported(monkeypatch: pytest.MonkeyPatch, finished: Path) -> None:
    run = Run(finished)
    del run.module.average["generator"]
    with pytest.raises(GanlabError, match=r"its game=standard has no generator"):
        portable.make(run, Fixed())


def test_a_generator_whose_images_float32_leaves_open_is_exported_within_its_rounding(tmp_path: Path) -> None:
    """Pixel norm of two channels turns the order of a sum into pixels: by more than 1e-4 between batches of the run."""
    run = unfinished.run(tmp_path, "pggan", 0, "generator.width=32", "generator.max_width=16")
    one_by_one = torch.cat([run.sample(1, start=i) for i in range(7)])
    assert difference(one_by_one, run.sample(7)) > portable.TOLERANCE
    made = portable.make(run, Fixed())
    allowed = made.allowed(made.inputs(7))
    assert portable.TOLERANCE < allowed < 3e-3
    assert difference(exported(made, tmp_path).sample(7), run.sample(7)) < allowed
    hub.write(made, tmp_path / "hub")


def test_a_generator_that_differs_from_its_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = unfinished.run(tmp_path, "biggan", 0)
    expected = run.sample(2)
    monkeypatch.setattr(run, "sample", lambda *args, **options: expected + 2e-4)
    with pytest.raises(GanlabError, match=r"its portable generator differs by 0\.0002, where 0\.0001 is allowed\.$"):
        portable.make(run, Fixed())


@pytest.mark.slow
@pytest.mark.parametrize(("family", "classes"), PAIRS)
def test_every_format_of_every_family_makes_the_images_of_the_run(family: str, classes: int, tmp_path: Path) -> None:
    run = unfinished.run(tmp_path, family, classes, "reg=sn")
    for name, count, largest in exports.differences(run, tmp_path, tuple(exporters.formats())):
        assert largest < 1e-4, (name, count)


def test_a_length_is_no_constant_of_the_graph_of_stylegan2(tmp_path: Path) -> None:
    """The length of a tensor is a number to torch.export, which then refuses a batch of any size."""
    made = portable.make(unfinished.run(tmp_path, "stylegan2", 0, "data.image_size=8"), Fixed())
    given = made.inputs(5)
    assert difference(made.program.module()(**given), made.portable(**given)) < 1e-4
