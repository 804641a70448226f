import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.distributions import install

from ganlab.config import catalog, help_pages, schema, signatures
from ganlab.config.schema import REQUIRED
from ganlab.core import kinds, registry
from ganlab.core.errors import GanlabError

HEAVY = ("torch", "lightning", "hydra", "omegaconf", "numpy", "PIL")
COMPONENTS = [(kind, name) for kind in kinds.KINDS for name in registry.names(kind)]

ODD = '''
"""Components written in every way that ganlab's own are not."""
import enum
from dataclasses import dataclass, field
from typing import ClassVar

from torch import nn

from .shapes import Shape, SIZES as sizes
from elsewhere import Unknown

LIMIT = 3.5


@dataclass
class Base:
    """The base's words.

    Over several lines.
    """

    first: int
    second: float = LIMIT


@dataclass(frozen=True)
class Fields(Base):
    second: float = 1.0
    third: list[int] = field(default_factory=list)
    fourth: "tuple[int, ...]" = sizes
    fifth: Shape = Shape.ROUND
    hidden: int = field(default=1, init=False)
    everywhere: ClassVar[int] = 3
    computed: float = 2.0 * LIMIT


class Inherits(Fields):
    pass


class Module(nn.Module):
    """A module without options."""


class OutOfSight(Unknown):
    """Its constructor is somewhere else."""


class Own(Unknown):
    def __init__(self, a, /, b: int = -1, *rest, c: str = "x", **others):
        pass


def function(params, lr: float = 1e-3):
    """A function."""


Alias = Inherits
'''


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "odd_pkg/__init__.py": "raise RuntimeError('imported')",
        "odd_pkg/parts.py": ODD,
        "odd_pkg/shapes.py": "import enum\nclass Shape(enum.Enum):\n    ROUND = 'round'\nSIZES = (1, 2)\n",
        "odd_pkg/sub/__init__.py": "from .deep import Deep\nfrom ..parts import Base\n",
        "odd_pkg/sub/deep.py": "class Deep:\n    def __init__(self, depth: int = 3): ...\n",
        "odd_pkg/front.py": "from odd_pkg.parts import Alias as Front\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    signatures._module.cache_clear()


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_the_source_says_what_the_live_component_says(kind: str, name: str) -> None:
    """The tables that are read from source text are those that training checks values against."""
    found = {o.name: o.default for o in catalog.signature(kind, name).options or ()}
    assert found == {o.name: o.default for o in schema.options(registry.load(kind, name), kinds.given(kind)).values()}


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_every_option_of_ganlabs_own_is_explained(kind: str, name: str) -> None:
    text = catalog.signature(kind, name)
    assert text.summary
    assert [o.name for o in text.options or () if not text.arguments.get(o.name)] == []


def test_options_are_read_in_every_way_that_they_can_be_written(odd: None) -> None:
    def read(name: str) -> dict[str, object] | None:
        options = signatures.read("odd_pkg.parts", name).options
        return None if options is None else {o.name: o.default for o in options}

    fields = {
        "first": REQUIRED,
        "second": 1.0,
        "third": [],
        "fourth": [1, 2],
        "fifth": "round",
        "computed": "2.0 * LIMIT",
    }
    assert read("Base") == {"first": REQUIRED, "second": 3.5}
    assert read("Fields") == read("Inherits") == read("Alias") == fields
    assert read("Module") == {}
    assert read("OutOfSight") is None
    assert read("Own") == {"a": REQUIRED, "b": -1, "c": "x"}
    assert read("function") == {"params": REQUIRED, "lr": 1e-3}
    assert signatures.read("odd_pkg.parts", "Fields").options[3].annotation == "tuple[int, ...]"  # type: ignore[index]


def test_words_are_inherited_and_names_are_followed_through_imports(odd: None) -> None:
    found = signatures.read("odd_pkg.front", "Front")
    assert found.summary == "The base's words."
    assert found.options is not None
    assert len(found.options) == 6
    assert [o.default for o in signatures.read("odd_pkg.sub", "Deep").options or ()] == [3]
    assert [o.name for o in signatures.read("odd_pkg.sub", "Base").options or ()] == ["first", "second"]


@pytest.mark.parametrize("where", ["nowhere.at:All", "ganlab.core.errors:Missing", "sys:path", "odd_pkg.parts:LIMIT"])
def test_what_has_no_source_says_nothing(where: str, odd: None) -> None:
    assert signatures.read(*where.split(":")) == signatures.Signature()


def test_an_args_section_is_read_by_option() -> None:
    arguments = "Args:\n    a: One,\n        over two lines.\n    b, c: Both: these."
    doc = f"What.\n\n{arguments}\n\nRaises:\n    ValueError: Never."
    text = signatures.Signature(doc)
    assert text.arguments == {"a": "One, over two lines.", "b": "Both: these.", "c": "Both: these."}
    assert text.body == "What.\n\nRaises:\n    ValueError: Never."


def test_a_preset_is_read_with_what_it_composes_and_sets() -> None:
    parts, values = catalog.compose("loss", "wgan_gp")
    assert [(part.kind, part.name, part.key) for part in parts] == [
        ("loss", "wasserstein", "loss"),
        ("reg", "gradient_penalty", "reg.gradient_penalty"),
    ]
    assert values == {}
    rates = {key.key: key.option.default for key in catalog.keys("model", "biggan") if key.key.endswith(".lr")}
    assert rates == {"optimizer.generator.lr": 1e-4, "optimizer.discriminator.lr": 4e-4}


def test_an_experiment_in_the_users_conf_is_read_through_its_overrides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "conf/experiment/mine.yaml"
    file.parent.mkdir(parents=True)
    lines = ["# @package _global_", "# My recipe", "defaults:", "  - override /loss: r1", "  - override /reg: [sn]"]
    file.write_text("\n".join([*lines, "seed: 3"]))
    (tmp_path / "conf/experiment/torn.yaml").write_text("{")
    monkeypatch.chdir(tmp_path)
    mine, torn = (catalog.find("experiment", name) for name in ("mine", "torn"))
    assert (mine.provider, catalog.summary(mine)) == ("./conf", "My recipe")
    assert "cannot be read" in catalog.summary(torn)
    parts, values = catalog.compose("experiment", "mine")
    assert [part.name for part in parts] == ["non_saturating", "r1", "sn"]
    assert values["seed"] == 3


def test_a_wrong_kind_or_name_is_told_apart() -> None:
    with pytest.raises(GanlabError, match=r"There is no kind 'los'. Did you mean 'loss'"):
        catalog.find("los", "hinge")
    with pytest.raises(GanlabError, match=r"No loss is called 'sn'. There is reg=sn."):
        catalog.find("loss", "sn")
    with pytest.raises(GanlabError, match=r"No loss is called 'hindge'. Did you mean 'hinge'"):
        catalog.find("loss", "hindge")


def test_two_that_claim_one_name_are_marked_and_shown_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (1, 2):
        install(tmp_path, f"claim-{number}", {}, f"[ganlab.losses]\nclaimed = claim{number}:Loss\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.forget()
    try:
        line = next(text for text in help_pages.summary_lines(catalog.choices("loss")) if "claimed" in text)
        assert line.split(None, 1)[1] == "CLAIMED BY claim-1 AND claim-2: uninstall all but one"
    finally:
        monkeypatch.undo()
        registry.forget()


def test_the_page_of_train_names_every_group_choice_option_and_common_key() -> None:
    page = help_pages.train()
    for group in catalog.run_groups():
        for choice in catalog.choices(group):
            assert group == "trainer" or f"\n  {choice.name} " in page or f"\n  {choice.name}\n" in page
    content = yaml.safe_load((catalog.conf_dir() / "train.yaml").read_text())
    for top, node in content.items():
        for key in node if isinstance(node, dict) else ():
            assert top == "hydra" or f"\n  {top}.{key}=" in page
    assert "\n  hinge                 margin=1.0\n" in page
    assert "trainer.precision" in page
    assert "trainer.strategy" not in page  # ganlab's own
    assert max(map(len, page.splitlines())) <= help_pages.WIDTH


def test_common_keys_carry_their_comments() -> None:
    about = {key.key: key.about for key in catalog.run_keys()}
    assert about["accumulate"] == "Micro-batches of one step: the batch may be larger than memory."
    assert about["ema.half_life_kimg"] == "Half-life of the average; 0: no averaging."


def test_help_list_show_and_completion_import_nothing_heavy() -> None:
    lines = [[], ["list"], ["show", "hinge"], ["show", "model", "biggan"], ["completion", "bash"]]
    lines += [[command, "--help"] for command in ("train", "resume", "sample", "list", "show")]
    lines += [["complete", "--", "train", word] for word in ("", "loss=", "loss.", "trainer.")]
    program = (
        "import sys\nfrom ganlab import cli\n"
        f"for words in {lines}:\n    assert cli.dispatch(words) == 0\n"
        f"sys.exit(' '.join(m for m in {HEAVY} if m in sys.modules) or None)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
