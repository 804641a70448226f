"""A choice of components is composed once; what it depends on may change, and its options differ from run to run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra._internal import config_loader_impl
from support.distributions import install

from ganlab.config import compose
from ganlab.core import registry


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def compositions(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One entry for each time that Hydra has to find what a choice of components consists of."""
    found: list[object] = []
    original = config_loader_impl.create_defaults_list

    def counted(*arguments: object, **options: object) -> object:
        found.append(options)
        return original(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(config_loader_impl, "create_defaults_list", counted)
    compose._compose.cache_clear()
    return found


def test_runs_that_differ_in_options_only_are_composed_once(compositions: list[object]) -> None:
    """It is most of what a command line takes; the refusal of doubles needs the result as well."""
    for weight in (2, 3):
        found = compose.composed(["loss=wgan_gp", "reg=sn", f"reg.gradient_penalty.weight={weight}"])
        assert found["reg"]["gradient_penalty"]["weight"] == weight
    assert len(compositions) == 1
    compose.composed(["loss=minimax"])
    assert len(compositions) == 2


def test_options_of_one_run_are_not_those_of_the_next() -> None:
    before = compose.composed(["reg=r1"])
    changed = compose.composed(["reg=r1", "reg.r1.gamma=3", "++trainer.max_steps=3", "~ema"])
    assert changed["reg"]["r1"]["gamma"] == 3
    assert compose.composed(["reg=r1"]) == before


def test_a_changed_preset_of_the_same_length_is_seen(folder: Path) -> None:
    preset = folder / "conf" / "loss" / "mine.yaml"
    preset.parent.mkdir(parents=True)
    for margin in (2.0, 3.0):
        preset.write_text(f"component: hinge\nmargin: {margin}\n")
        assert compose.composed(["loss=mine"])["loss"]["margin"] == margin


def test_presets_are_those_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for margin in (2.0, 3.0):
        preset = tmp_path / str(margin) / "conf" / "loss" / "hinge.yaml"
        preset.parent.mkdir(parents=True)
        preset.write_text(f"component: hinge\nmargin: {margin}\n")
        monkeypatch.chdir(tmp_path / str(margin))
        assert compose.composed(["loss=hinge"])["loss"]["margin"] == margin
    monkeypatch.chdir(tmp_path)
    assert compose.composed(["loss=hinge"])["loss"]["margin"] == 1.0


def test_a_component_that_is_registered_again_has_its_new_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    for name in ("first", "second"):

        def loss() -> None:
            raise NotImplementedError

        loss.__signature__ = _signature(name)  # type: ignore[attr-defined]
        registry.register("loss", "mine")(loss)
        assert compose.composed(["loss=mine"])["loss"] == {"component": "mine", name: 1.0}


def _signature(option: str) -> object:
    import inspect

    return inspect.Signature([inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=1.0, annotation=float)])


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield
    monkeypatch.undo()
    registry.forget()


@pytest.mark.usefixtures("forgotten")
def test_a_component_of_a_package_that_is_installed_later_is_seen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        files = {f"{name}.py": f"class Loss:\n    def __init__(self, {name}: float = 1.0) -> None:\n        pass\n"}
        install(folder / name, name, files, f"[ganlab.losses]\nmine = {name}:Loss\n")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder / name))
            registry.forget()
            assert compose.composed(["loss=mine"])["loss"] == {"component": "mine", name: 1.0}
