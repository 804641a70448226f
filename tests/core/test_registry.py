from dataclasses import dataclass
from pathlib import Path

import pytest
from support.distributions import install

from ganlab import cli
from ganlab.config import compose
from ganlab.core import kinds, registry
from ganlab.core.errors import GanlabError


def test_every_kind_has_a_component() -> None:
    assert [kind for kind in kinds.KINDS if not registry.names(kind)] == []


def test_every_component_of_ganlab_imports() -> None:
    for kind in kinds.KINDS:
        for name in registry.names(kind):
            assert callable(registry.load(kind, name))


def test_an_unknown_name_comes_with_the_nearest() -> None:
    with pytest.raises(
        GanlabError, match=r"No adversarial loss is called 'hindge'. Did you mean 'hinge'\? Installed: "
    ):
        registry.load("loss", "hindge")


def test_an_unknown_kind_comes_with_the_kinds() -> None:
    with pytest.raises(GanlabError, match=r"No kind of component is called 'los'. Did you mean 'loss'"):
        registry.names("los")


def test_a_package_that_does_not_import_is_named_and_breaks_nothing_else(site: Path) -> None:
    install(
        site,
        "broken-dist",
        {"broken_pkg/__init__.py": "raise RuntimeError('no\\nGPU here')"},
        "[ganlab.losses]\nbroken = broken_pkg.loss:Broken\n",
    )
    assert "broken" in registry.names("loss")
    assert registry.load("loss", "hinge").__name__ == "Hinge"
    expected = (
        r"loss 'broken' of broken-dist cannot be imported from 'broken_pkg.loss:Broken': RuntimeError: no GPU here"
    )
    with pytest.raises(GanlabError, match=expected):
        registry.load("loss", "broken")
    assert compose.composed(["loss=wasserstein"])["loss"] == {"component": "wasserstein"}
    with pytest.raises(GanlabError, match="broken-dist cannot be imported"):
        compose.read(["loss=broken"])


def test_a_module_without_the_class_is_reported_as_one_that_does_not_import(site: Path) -> None:
    install(site, "hollow", {"hollow.py": ""}, "[ganlab.losses]\nhollow = hollow:Hollow\n")
    with pytest.raises(GanlabError, match=r"'hollow' of hollow cannot be imported .*has no attribute 'Hollow'"):
        registry.load("loss", "hollow")


def test_two_packages_that_claim_one_name_are_both_named(site: Path) -> None:
    for number in (1, 2):
        files = {f"claim{number}.py": "class Loss:\n    pass\n"}
        install(site, f"claim-{number}", files, f"[ganlab.losses]\nclaimed = claim{number}:Loss\n")
    for ask in (lambda: registry.load("loss", "claimed"), lambda: compose.read(["loss=claimed"])):
        with pytest.raises(GanlabError, match="claim-1 and claim-2"):
            ask()


def test_a_package_that_claims_the_name_of_ganlabs_own_preset_is_named(site: Path) -> None:
    install(site, "greedy", {"greedy.py": "class Loss:\n    pass\n"}, "[ganlab.losses]\nwgan_gp = greedy:Loss\n")
    with pytest.raises(GanlabError, match="loss=wgan_gp is claimed by ganlab and greedy"):
        compose.read(["loss=wgan_gp"])


def test_a_component_that_was_registered_in_this_process_is_used_like_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "_registered", {})

    @registry.register("loss", "at_hand")
    @dataclass
    class AtHand:
        strength: float = 2.0

    assert registry.load("loss", "at_hand") is AtHand
    assert compose.composed(["loss=at_hand", "loss.strength=3"])["loss"] == {"component": "at_hand", "strength": 3}


def test_a_package_that_leaves_python_while_it_is_imported_is_named(site: Path) -> None:
    install(site, "leaver", {"leaver.py": "import sys\nsys.exit(7)\n"}, "[ganlab.losses]\nleaver = leaver:Loss\n")
    with pytest.raises(GanlabError, match=r"'leaver' of leaver cannot be imported .*SystemExit: 7"):
        registry.load("loss", "leaver")


@pytest.mark.parametrize("text", ["NUMBER = 5\n", ""])
def test_what_is_no_class_is_no_component(site: Path, text: str) -> None:
    value = "constant:NUMBER" if text else "constant"
    install(site, "constant", {"constant.py": text}, f"[ganlab.losses]\nconstant = {value}\n")
    for ask in (lambda: registry.load("loss", "constant"), lambda: cli.dispatch(["show", "loss", "constant"])):
        with pytest.raises(GanlabError, match="'constant' of constant is no component: "):
            ask()


def test_a_class_without_a_signature_is_refused(site: Path) -> None:
    install(site, "bare", {"bare.py": "Loss = dict\n"}, "[ganlab.losses]\nbare = bare:Loss\n")
    with pytest.raises(GanlabError, match="has no signature to read options off"):
        cli.dispatch(["show", "loss", "bare"])


@pytest.mark.parametrize("text", ["[ganlab.losses]\nnothing\n", "[ganlab.losses]\nstrange = a b c!\n"])
def test_entry_points_that_are_malformed_break_nothing_else(
    site: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    install(site, "malformed", {}, text)
    assert cli.dispatch(["list"]) == 0
    captured = capsys.readouterr()
    assert "hinge" in captured.out
    if "nothing" in text:
        assert "The entry points of malformed (" in captured.err
        for ask in (lambda: registry.load("loss", "mine"), lambda: compose.read(["loss=mine"])):
            with pytest.raises(GanlabError, match=r"The entry points of malformed \(.*\) cannot be read"):
                ask()
    else:
        with pytest.raises(GanlabError, match="'strange' of malformed cannot be imported from 'a b c!'"):
            cli.dispatch(["show", "loss", "strange"])
