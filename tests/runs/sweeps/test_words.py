"""Words of a sweep: of its runs, of itself, of Hydra's parts, and those that a stored sweep is not trusted with."""

from __future__ import annotations

import pytest

from ganlab.core.errors import GanlabError
from ganlab.runs.sweeps import words


def test_a_command_line_is_taken_apart() -> None:
    found = words.split(["reg=none,sn", "seed=1", "sweep.jobs=2", "hydra/launcher=basic", "run.dir=a b"])
    assert [o.input_line for o in found.runs] == ["reg=none,sn", "seed=1"]
    assert [words.plain_key(o) for o in found.swept] == ["reg"]
    assert (found.options.jobs, found.options.fail, found.folder) == (2, "continue", "a b")
    assert (found.launcher, found.sweeper, found.needs_objective) == ("basic", "basic", False)
    assert words.split(["sweep.objective=fid"]).needs_objective


def test_the_words_of_a_job_have_its_values_in_place_of_those_of_the_sweep() -> None:
    parsed = words.split(["+optimizer/encoder=adam,sgd", "game=bigan", "seed=0,1", "trainer.max_steps=2"])
    typed = parsed.of_job({"optimizer/encoder": "sgd", "seed": "1"})
    assert typed == ["game=bigan", "trainer.max_steps=2", "+optimizer/encoder=sgd", "seed=1"]


WRONG = {
    "sweep.job=2": r"sweep\.job is no option\. Did you mean 'jobs'",
    "sweep.jobs=0": "sweep.jobs must be",
    "sweep.fail=end": "sweep.fail must be one of continue, stop",
    "sweep.jobs=1,2": r"a sweep has one sweep\.jobs",
    "run.dir=a,b": r"a sweep has one run\.dir",
    "hydra.run.dir=x": r"hydra\.run\.dir cannot be set",
    "hydra/job_logging=default": "cannot be set",
    "hydra.launcher._target_=os.system": "cannot be set",
    "hydra.sweeper.params.seed=1": "type what varies as options of the run",
    "hydra/launcher=submitit": "No launcher is called 'submitit'. Did you mean 'submitit_",
    "hydra/sweeper=optun": "No sweeper is called 'optun'. Did you mean 'optuna'",
}


@pytest.mark.parametrize("word", WRONG)
def test_a_wrong_word_has_a_sentence(word: str) -> None:
    with pytest.raises(GanlabError, match=WRONG[word]):
        words.split([word])


def test_a_launcher_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words.plugins.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(GanlabError, match=r"hydra/launcher=ray is not installed: pip install 'ganlab\[ray\]'"):
        words.split(["hydra/launcher=ray"])


def test_an_option_with_several_values_is_given_once() -> None:
    with pytest.raises(GanlabError, match="seed is given twice"):
        words.split(["seed=0,1", "seed=2"])


STORED = ["reg=none,sn", "sweep.jobs=2", "hydra/launcher=basic", "hydra.launcher.n_jobs=2"]


def test_a_sweep_goes_on_with_its_words_and_how_it_runs_may_change() -> None:
    assert words.with_changes(STORED, []) == STORED
    assert words.with_changes(STORED, ["sweep.jobs=3"]) == ["reg=none,sn", *STORED[2:], "sweep.jobs=3"]
    changed = words.with_changes(STORED, ["hydra/launcher=ganlab"])
    assert changed == ["reg=none,sn", "sweep.jobs=2", "hydra/launcher=ganlab"], "options are of one launcher"


@pytest.mark.parametrize(
    "word", ["seed=1", "reg=none,sn,vib", "sweep.objective=fid", "run.dir=x", "hydra/sweeper=basic"]
)
def test_what_a_sweep_runs_cannot_change(word: str) -> None:
    with pytest.raises(GanlabError, match="cannot change in a sweep that has begun"):
        words.with_changes(STORED, [word])


@pytest.mark.parametrize(
    "word", ["hydra.launcher.setup=[reboot]", "hydra.sweeper.storage=x", "seed=${oc.env:HOME}", "hydra.launcher.x=[1]"]
)
def test_a_stored_word_that_may_start_anything_is_not_trusted(word: str) -> None:
    with pytest.raises(GanlabError, match="is not taken from it: if it is yours, name it again"):
        words.with_changes([*STORED, word], [])
    if word.startswith("hydra.launcher"):
        assert words.with_changes([*STORED, word], [word]) == [*STORED, word]


def test_words_that_only_a_sweep_has_are_found() -> None:
    typed = ["seed=1", "sweep.jobs=2", "hydra/launcher=ray", "hydra.x=1", "data.sweep=1"]
    assert words.of_sweep(typed) == ["sweep.jobs", "hydra/launcher", "hydra.x"]
