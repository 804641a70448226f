"""``ganlab watch``: the numbers of training, made afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.runs import Train, metrics

from ganlab import cli
from ganlab.core import json_lines
from ganlab.core.errors import GanlabError

FIVE = "[spectra,gradients,memorization,diversity,lipschitz]"


def test_stored_checkpoints_have_the_numbers_of_training(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    """Checkpoints of 2, 4 and 6; the iterations that follow the first two are shown to `gradients`: it logs 4 and 6."""
    folder = train(
        f"watch={FIVE}", "watch.every_steps=2", "watch.diversity.samples=8", "watch.memorization.samples=8",
        "watch.lipschitz.samples=4", "checkpoint.every_steps=2", "reg=sn", "clip.generator=0.1", steps=6,
    )  # fmt: skip
    logged = {line["iteration"]: line for line in metrics(folder)}
    before = sorted(path.name for path in folder.rglob("*"))
    assert cli.dispatch(["watch", str(folder), "checkpoint=all"]) == 0
    lines = [line for _, line in json_lines.read(folder / "watch.jsonl")]
    assert [(line["iteration"], line["checkpoint"]) for line in lines] == [
        (2, "step_000000002.ckpt"), (4, "step_000000002.ckpt"), (4, "step_000000004.ckpt"),
        (6, "step_000000004.ckpt"), (6, "last.ckpt"), (8, "last.ckpt"),
    ]  # fmt: skip
    for line in lines:
        numbers = {name: value for name, value in line.items() if "/" in name}
        assert len(numbers) > 10
        if line["iteration"] <= 6:
            theirs = {name: logged[line["iteration"]][name] for name in numbers}
            exact = {name: value for name, value in theirs.items() if "sigma" not in name}
            assert {name: numbers[name] for name in exact} == exact
            assert numbers == pytest.approx(theirs, rel=1e-3)
    assert [line["kimg"] for line in lines[:2]] == [0.016, 0.032]
    printed = next(line for line in capsys.readouterr().out.splitlines() if "step_000000002.ckpt" in line)
    assert printed.startswith("iteration 2 (step_000000002.ckpt): ")
    assert "memorization/d_train 0" in printed
    assert sorted(path.name for path in folder.rglob("*")) == sorted([*before, "watch.jsonl"])


def test_any_instrument_may_look_at_any_run_and_wrong_words_are_refused(finished: Path, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(finished, tmp_path / "run"))
    words = ["what=spectra", "spectra.players=[generator]"]
    assert cli.dispatch(["watch", str(folder / "checkpoints/step_000000002.ckpt"), *words]) == 0
    [(_, line)] = json_lines.read(folder / "watch.jsonl")
    assert (line["iteration"], line["checkpoint"]) == (2, "step_000000002.ckpt")
    assert {name.split("/")[1] for name in line if "/" in name} == {"generator"}
    for options, sentence in {
        "": "was trained without instruments: name some, as what=spectra",
        "what=spectre": r"No instrument is called 'spectre'\. Did you mean 'spectra'",
        "what=spectra spectra.player=x": r"watch\.spectra\.player is no option",
        "what=spectra lipschitz.samples=3": r"lipschitz\.samples has no effect without the instrument",
    }.items():
        with pytest.raises(GanlabError, match=sentence):
            cli.dispatch(["watch", str(folder), *options.split()])


def test_equilibria_are_of_checkpoints_alone_and_the_same_each_time(
    finished: Path, train: Train, tmp_path: Path
) -> None:
    import shutil

    folder = Path(shutil.copytree(finished, tmp_path / "copy"))
    few = ["equilibrium.depth=6", "equilibrium.values=2"]
    for words in (["what=diversity"], ["what=[equilibrium,diversity]", *few], ["what=equilibrium", *few]):
        assert cli.dispatch(["watch", str(folder), *words]) == 0
    plain, both, again = (line for _, line in json_lines.read(folder / "watch.jsonl"))
    assert {name: value for name, value in both.items() if name.startswith("equilibrium/")}.items() <= again.items()
    assert both["equilibrium/error0"] < 0.1 * abs(complex(both["equilibrium/real0"], both["equilibrium/imaginary0"]))
    assert {name: plain[name] for name in plain if "/" in name} == {n: v for n, v in both.items() if "diversity/" in n}
    with pytest.raises(GanlabError, match=r"^watch=equilibrium: it costs as much as 80 iterations, so it measures"):
        train("watch=equilibrium")
    assert not (tmp_path / "run").exists()
