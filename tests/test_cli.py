import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ganlab
from ganlab import cli
from ganlab.commands import complete
from ganlab.commands.completion import SCRIPTS
from ganlab.config import catalog, help_pages
from ganlab.core.errors import GanlabError

pytestmark = pytest.mark.usefixtures("tables")


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.dispatch(words) == 0
    return capsys.readouterr().out


def completed(*words: str) -> list[str]:
    return list(dict.fromkeys(c for c in complete.candidates(words) if c.startswith(words[-1])))


def exit_of(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, str]:
    with pytest.raises(SystemExit) as error:
        cli.main(words)
    return error.value.code, capsys.readouterr().err


REFUSED = {
    ("trian",): "There is no command 'trian'. Did you mean 'train'?",
    ("--hepl",): "There is no command '--hepl'.",
    ("train", "--cgf"): "`ganlab train` has no flag --cgf. Did you mean '--cfg'?",
    ("list", "--all"): "`ganlab list` has no flag --all. It takes no flags",
    ("train", "loss=hindge"): "Did you mean 'hinge'?",
    (
        "train",
        "loss",
    ): "'loss' is neither an option (key=value) nor a folder with a config.yaml. Did you mean loss=...?",
    ("list", "lss"): "There is no kind 'lss'. Did you mean 'loss'?",
    ("list", "loss=hinge"): "`ganlab list` takes kinds alone",
    ("show",): "`ganlab show` wants a name",
    ("show", "hindge"): "Nothing is called 'hindge'. Did you mean `ganlab show loss hinge`",
    ("show", "ADAM"): "Did you mean `ganlab show optimizer adam`",
    (
        "show",
        "spectral",
    ): "Did you mean `ganlab show watch spectra` or `ganlab show metric spectrum` or `ganlab show reg sn`?",
    ("show", "nothere"): "Did you mean 'encoder'?",
    ("train", "--loss=hindge"): "Did you mean 'hinge'?",
    ("sample", "nowhere", "--count=3"): "There is no run folder nowhere.",
    ("list", "--loss=hinge"): "`ganlab list` takes kinds alone, got 'loss=hinge'.",
    ("train", "--help", "rge"): "There is no group 'rge'. Did you mean 'reg",
    ("show", "loss"): "Which loss? `ganlab show loss NAME` with one of ct_gan,",
    ("show", "loss", "sn"): "No loss is called 'sn'. There is reg=sn.",
    ("show", "r1"): "'r1' is the name of several things: `ganlab show loss r1` or `ganlab show reg r1`.",
    ("completion",): "`ganlab completion` takes one shell, got 0: ganlab completion bash|zsh|fish.",
    ("completion", "zhs"): "shell must be one of bash, zsh, fish, got 'zhs'; did you mean 'zsh'.",
    ("resume",): "`ganlab resume` takes one run folder",
    ("sample", "nowhere"): "There is no run folder nowhere.",
}


@pytest.mark.parametrize("words", REFUSED, ids=" ".join)
def test_refused_with_one_line_and_exit_code_2(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, message = exit_of(capsys, *words)
    assert code == 2
    assert message.startswith("ganlab: ")
    assert REFUSED[words] in message
    assert message.count("\n") == 1


def test_only_the_first_rank_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.delenv("RANK", raising=False)
    assert exit_of(capsys, "trian") == (2, "")


def test_a_traceback_may_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANLAB_TRACEBACK", "1")
    with pytest.raises(GanlabError):
        cli.main(["trian"])


def test_ganlab_and_python_m_ganlab_are_the_same() -> None:
    script = Path(sys.executable).with_name("ganlab")
    ways = [[sys.executable, "-m", "ganlab"], [str(script)]]
    for words in (["--version"], ["show", "hinge"], ["trian"]):
        found = [subprocess.run([*way, *words], capture_output=True, text=True, timeout=60) for way in ways]
        assert len({(done.returncode, done.stdout, done.stderr) for done in found}) == 1
        assert "Traceback" not in found[0].stderr


def test_a_closed_pipe_is_no_error() -> None:
    line = f"{sys.executable} -m ganlab train --help | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys)
    assert page == printed(capsys, "--help") == printed(capsys, "help")
    for command in cli.COMMANDS:
        assert f"\n  {command} " in page
        assert printed(capsys, command, "--help").startswith(f"ganlab {command}")
        assert printed(capsys, command, "-h", "whatever=1").startswith(f"ganlab {command}")


def test_help_of_a_group_is_its_part_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "train", "--help")
    for words, first, others in (
        (("reg",), "reg=  regularizer; default: none", ("loss=  ", "data.mirror")),
        (("checkpoint",), "Keys of every run", ("reg=  ", "data.mirror", "trainer.")),
        (("trainer",), "Options of Lightning's Trainer", ("reg=  ", "data.mirror")),
    ):
        part = printed(capsys, "train", *words, "--help")
        assert part.startswith(first)
        assert part.splitlines()[2].strip().split("  ")[0] in page
        assert not [other for other in others if other in part]
    assert "data.mirror=false" in (part := printed(capsys, "train", "--help", "data", "loss"))
    assert "folder" in part
    assert "loss=  adversarial loss" in part


def test_options_may_be_written_with_dashes(capsys: pytest.CaptureFixture[str]) -> None:
    plain = printed(capsys, "train", "--cfg", "model=biggan", "optimizer.generator.lr=0.1")
    assert printed(capsys, "train", "--cfg", "--model=biggan", "--optimizer.generator.lr=0.1") == plain
    assert printed(capsys, "show", "--loss=hinge") == printed(capsys, "show", "loss=hinge")


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--version") == f"ganlab {ganlab.__version__}\n"


def test_list_names_everything_in_100_columns(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "list")
    for group in catalog.groups():
        for choice in catalog.choices(group):
            assert group == "trainer" or f"\n  {choice.name} " in page
    assert max(map(len, page.splitlines())) <= help_pages.WIDTH + 8  # a heading may be longer
    assert "\n  hinge                 Hinge adversarial loss.\n" in page
    assert page.count("[ganlab]") == 0


def test_list_of_some_kinds_names_these_alone(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "list", "reg", "prior")
    assert [line.split(":")[0] for line in page.splitlines() if line and not line.startswith(" ")] == ["reg", "prior"]


def test_show_has_formula_paper_and_the_keys_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "show", "loss", "hinge")
    assert page == printed(capsys, "show", "hinge") == printed(capsys, "show", "loss=hinge")
    for text in ("E[max(0, m - D(x))]", "arXiv:1705.02894", "  loss.margin=1.0  float  m above, in logits; positive."):
        assert text in page
    assert "reg.ortho.weight=0.0001" in printed(capsys, "show", "ortho")
    metric = printed(capsys, "show", "metric", "fid")  # as `ganlab evaluate` takes it
    assert metric.startswith("metrics=fid ")
    assert "\n  fid.blocks=" in metric
    assert "(metrics=NAME, metrics=[NAME,...])" in printed(capsys, "list", "metric")
    assert "optimizer.generator.lr=0.0002" in printed(capsys, "show", "optimizer", "adam")
    assert "\n  data.path=  " in printed(capsys, "show", "data", "folder")
    assert "image_size" not in printed(capsys, "show", "generator", "biggan").partition("Options")[2]


def test_show_of_a_preset_has_its_yaml_and_what_it_composes(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "show", "loss", "wgan_gp")
    for text in ("    - /reg/gradient_penalty", "\n  loss=wasserstein", "reg.gradient_penalty.weight=10.0"):
        assert text in page
    assert "optimizer.discriminator.lr=0.0004" in printed(capsys, "show", "model", "biggan")


def test_show_takes_several_names(capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "show", "loss", "hinge", "r1", "reg", "r1")
    assert [page.index(text) for text in ("loss=hinge", "loss=r1", "reg=r1    (")] == sorted(
        page.index(text) for text in ("loss=hinge", "loss=r1", "reg=r1    (")
    )


def test_hydras_users_may_ask_for_the_configuration_in_their_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "train", "--cfg", "job", "loss=wasserstein") == printed(
        capsys, "train", "--cfg", "loss=wasserstein"
    )


COMPLETED = {
    ("tr",): ["train"],
    ("train", "los"): ["loss=", "loss.margin="],
    ("train", "loss=was"): ["loss=wasserstein"],
    ("train", "reg=[sn,or"): ["reg=[sn,ortho"],
    ("train", "reg=[sn"): ["reg=[sn", "reg=[sn]"],
    ("train", "reg=[sn,s"): ["reg=[sn,singular_value"],
    ("train", "reg=no"): ["reg=none"],
    ("train", "loss=wgan_gp", "reg.gradient_penalty.c"): ["reg.gradient_penalty.center="],
    ("train", "loss=wasserstein", "loss.m"): [],
    ("train", "model=biggan", "generator=dcgan", "generator.h"): [],
    ("train", "model=biggan", "generator.hier"): ["generator.hierarchical="],
    ("train", "optimizer/generator=sgd", "optimizer.generator.mo"): ["optimizer.generator.momentum="],
    ("train", "trainer.prec"): ["trainer.precision="],
    ("train", "trainer.strat"): [],
    ("train", "compile="): ["compile=true", "compile=false", "compile=max-autotune-no-cudagraphs"],
    ("train", "--c"): ["--cfg"],
    ("train", "loss=nothing", "loss."): [],
    ("show", "reg", "vi"): ["vib"],
    ("list", "opt"): ["optimizer"],
    ("completion", "b"): ["bash"],
    ("sample", "trunc"): ["truncation="],
    ("nothing", "x"): [],
    ("train", "sweep.f"): [],
    ("train", "-m", "sweep.f"): ["sweep.fail="],
    ("train", "-m", "sweep.fail=s"): ["sweep.fail=stop"],
}


@pytest.mark.parametrize("words", COMPLETED, ids=" ".join)
def test_completed(words: tuple[str, ...]) -> None:
    assert completed(*words) == COMPLETED[words]


def test_run_folders_and_paths_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("runs/one", "sweeps/day/0_seed=1", "mine", "else/where"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "config.yaml").touch()
    (tmp_path / "runs/torn").mkdir()
    monkeypatch.chdir(tmp_path)
    runs = [word for word in completed("resume", "") if not word.endswith("=")]
    assert sorted(runs) == ["mine", "runs/one", "sweeps/day/0_seed=1"]
    (tmp_path / "sweeps/day/sweep.yaml").touch()
    assert "sweeps/day" in completed("resume", "sw")
    assert completed("resume", "else/") == ["else/where"]
    assert completed("sample", "runs/o") == ["runs/one"]
    assert completed("train", "data=folder", "data.path=run") == ["data.path=runs/"]
    assert completed("train", "data=folder", f"data.path={tmp_path}/mi") == [f"data.path={tmp_path}/mine/"]


def test_the_completion_of_a_broken_line_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.dispatch(["complete", "--", "train", "loss/x=y", "a=[", "=", "reg=[sn,"]) == 0
    assert capsys.readouterr().err == ""


def test_bash_completes_words_that_it_splits_itself() -> None:
    """The function is called as readline does: with the line, and at = only what follows is replaced."""
    lines = {
        "ganlab tr": "train ",
        "ganlab train loss=wass": "wasserstein ",
        "ganlab train loss.mar": "loss.margin=",
        "ganlab train reg=[sn,orth": "[sn,ortho",
        "ganlab train reg='[sn,orth": "[sn,ortho",
        "ganlab show reg vi": "vib ",
        "ganlab train nothing.at": "",
    }
    calls = "\n".join(
        f"COMP_LINE={bash_quoted(line)}; COMP_POINT=${{#COMP_LINE}}; _ganlab; printf '%s\\n' \"${{COMPREPLY[*]}}\""
        for line in lines
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", f"{SCRIPTS['bash']}\n{calls}"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == list(lines.values())


def bash_quoted(line: str) -> str:
    return "'" + line.replace("'", "'\\''") + "'"


@pytest.mark.parametrize(("shell", "flag"), [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")])
def test_the_script_is_one_of_its_shell(
    shell: str, flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(printed(capsys, "completion", shell))
    done = subprocess.run([shell, flag, str(script)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
