"""The door for third parties, with packages that are put on the path as pip would."""

import configparser
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from support.distributions import install
from support.runs import Train

from ganlab import cli
from ganlab.assembly import run_data
from ganlab.config import compose
from ganlab.core import kinds, registry
from ganlab.evaluation import protocol, sources
from ganlab.evaluation.engine import Evaluator
from ganlab.evaluation.result import Result
from ganlab.reports import page
from ganlab.runs import scoring

EXAMPLE = Path(__file__).parents[2] / "examples/plugin"
BROKEN = {"broken_pkg.py": "raise RuntimeError('this package wants a GPU')"}


def ganlab(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    line = [sys.executable, "-m", "ganlab", *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, env=environment, cwd=site)


def entry_points_of_the_example() -> str:
    """The tables of its pyproject.toml, in the form in which pip leaves them behind."""
    text = (EXAMPLE / "pyproject.toml").read_text()
    found: dict[str, list[str]] = {}
    group = ""
    for line in text.splitlines():
        if line.startswith("["):
            group = line.partition('entry-points."')[2].rstrip('"]')
        elif group and "=" in line and not line.startswith("#"):
            found.setdefault(group, []).append(line.replace('"', ""))
    used = {"losses", "regularizers", "metrics", "callbacks", "loggers", "conf"}
    assert set(found) == {f"ganlab.{group}" for group in used}
    return "\n".join("\n".join([f"[{name}]", *lines]) for name, lines in found.items())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, a package that does not import, and two that claim one name."""
    site = tmp_path_factory.mktemp("site")
    source = EXAMPLE / "src"
    files = {str(f.relative_to(source)): f.read_text() for f in source.rglob("*") if f.suffix in (".py", ".yaml")}
    install(site, "ganlab-example-plugin", files, entry_points_of_the_example())
    install(site, "broken-dist", BROKEN, "[ganlab.losses]\nbroken = broken_pkg:Broken\n")
    for number in (1, 2):
        files = {f"claim{number}.py": "class Regularizer:\n    pass\n"}
        install(site, f"claim-{number}", files, f"[ganlab.regularizers]\nclaimed = claim{number}:Regularizer\n")
    ganlab(site, "show", "smoothed_digits")  # fills the cache, and says so
    return site


def test_the_entry_points_read_here_are_those_that_pip_would_write() -> None:
    parser = configparser.ConfigParser()
    parser.read_string(entry_points_of_the_example())
    assert parser["ganlab.losses"]["smoothed_logistic"] == "ganlab_example_plugin.smoothed_logistic:SmoothedLogistic"


def test_list_names_plug_ins_with_their_packages(site: Path) -> None:
    done = ganlab(site, "list")
    assert (done.returncode, done.stderr) == (0, "")
    pairs = (line.split(None, 1) for line in done.stdout.splitlines() if line.startswith("  "))
    lines = {name: text[0] for name, *text in pairs if text}
    assert lines["smoothed_logistic"].startswith("[ganlab-example-plugin] Non-saturating logistic loss")
    assert lines["smoothed_digits"].startswith("[ganlab-example-plugin] The digits with smoothed labels")
    assert lines["broken"].startswith("[broken-dist] The adversarial loss 'broken' of broken-dist cannot")
    assert lines["claimed"] == "CLAIMED BY claim-1 AND claim-2: uninstall all but one"


def test_show_prints_a_plug_ins_formula_and_options(site: Path) -> None:
    done = ganlab(site, "show", "smoothed_logistic", "smoothed_digits")
    assert (done.returncode, done.stderr) == (0, "")
    for text in (
        "E[softplus(-D(x))]",
        "arXiv:1606.03498",
        "loss.smoothing=0.1",
        "loss.smoothing=0.2",
        "reg=logit_squeezing",
    ):
        assert text in done.stdout


@pytest.fixture
def on_the_path(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The packages are installed for this process too, which need not import torch anew."""
    monkeypatch.syspath_prepend(str(site))
    for name in loaded():  # from where the example may be installed as well
        monkeypatch.delitem(sys.modules, name)
    registry.forget()
    yield
    for name in loaded():
        del sys.modules[name]
    monkeypatch.undo()
    registry.forget()


def loaded() -> list[str]:
    """The modules of the example that this process has imported."""
    return [name for name in sys.modules if name.partition(".")[0] == "ganlab_example_plugin"]


@pytest.mark.usefixtures("on_the_path")
def test_a_plug_in_is_composed_by_its_names_and_by_its_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.dispatch(["train", "--cfg", "experiment=smoothed_digits", "reg.logit_squeezing.weight=0.5"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    for text in ("component: smoothed_logistic\n  smoothing: 0.2\n", "weight: 0.5\n", "max_steps: 300\n"):
        assert text in said.out


@pytest.mark.usefixtures("on_the_path")
@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("reg=claimed", "claim-1 and claim-2"),
        (
            "loss=broken",
            "of broken-dist cannot be imported from 'broken_pkg:Broken': RuntimeError: this package wants a GPU",
        ),
        ("loss=smoothed_logisti", "Did you mean 'smoothed_logistic'?"),
        ("loss.smoothing=2", "'loss.smoothing' is no option."),
    ],
)
def test_a_faulty_plug_in_ends_in_one_line(word: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["train", "--cfg", word])
    said = capsys.readouterr()
    assert (left.value.code, said.out) == (2, "")
    assert sentence in said.err
    assert said.err.count("\n") == 1


@pytest.mark.usefixtures("on_the_path")
def test_a_plug_ins_metric_has_its_sentence_and_its_figure_on_the_page(tmp_path: Path) -> None:
    real = run_data.open_data(compose.read(["data=digits"]))
    evaluator = Evaluator(protocol.preset("digits").changed({"metrics": ["brightness"]}), real, cache=tmp_path)
    rows = sources.of_images(real.images, torch.arange(100))
    scoring.keep(tmp_path, *recorded(evaluator.score(rows)))
    html = page.write(tmp_path).read_text(encoding="utf-8")
    assert "How far the brightness of generated images is from that of real ones. Lower is better." in html
    assert "<figcaption>Brightness of images</figcaption>" in html
    assert html.count('<path class="line s') == 2


@pytest.mark.usefixtures("on_the_path")
def test_a_plug_ins_callback_and_logger_act_around_a_run(train: Train) -> None:
    words = ("callback=film", "callback.film.seconds=0.1", "logger=[csv,markdown_table]", "sample.every_steps=2")
    folder = train(*words, steps=4)
    with Image.open(folder / "film.gif") as film:
        assert (film.n_frames, film.info["duration"]) == (2, 100)  # type: ignore[attr-defined]
    header, _, *rows = (folder / "metrics.md").read_text().splitlines()
    assert header == "| kimg | discriminator/adversarial | generator/adversarial |"
    assert [row.split(" | ")[0] for row in rows] == ["| 0.008", "| 0.016", "| 0.024", "| 0.032"]
    assert len((folder / "metrics.csv").read_text().splitlines()) == 1 + 4


def test_the_readme_lists_every_entry_point_group() -> None:
    readme = (EXAMPLE / "README.md").read_text()
    groups = [kind.group for kind in kinds.KINDS.values()] + ["ganlab.conf"]
    assert [group for group in groups if f"`{group}`" not in readme] == []


def recorded(result: Result) -> tuple[dict[str, Any], Result]:
    return result.record({"kind": "images", "path": "digits"}), result


@pytest.mark.slow  # a pytest of its own
def test_the_examples_own_tests_pass(site: Path) -> None:
    line = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        str(EXAMPLE / "pyproject.toml"),
        str(EXAMPLE),
    ]
    environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stdout
