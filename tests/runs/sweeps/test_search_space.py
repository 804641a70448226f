"""Options with several values as Optuna's distributions, and suggested values as one types them."""

import pytest

pytest.importorskip("optuna")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from ganlab.config import command_line
from ganlab.core.errors import GanlabError
from ganlab.runs.sweeps import search_space
from ganlab.runs.sweeps.search_space import Axis


def axis(word: str) -> Axis:
    (found,) = search_space.axes([command_line.read(word)])
    return found


@pytest.mark.parametrize(
    ("word", "distribution"),
    [
        ("lr=interval(0,4)", FloatDistribution(0.0, 4.0)),
        ("lr=tag(log,interval(1e-5,1e-3))", FloatDistribution(1e-5, 1e-3, log=True)),
        ("width=int(interval(4,64))", IntDistribution(4, 64)),
        ("width=tag(log,int(interval(4,64)))", IntDistribution(4, 64, log=True)),
        ("width=range(4,13,4)", IntDistribution(4, 12, step=4)),
        ("width=range(12,3,-4)", IntDistribution(4, 12, step=4)),
        ("share=range(0,1,0.25)", FloatDistribution(0.0, 0.75, step=0.25)),
        ("reg=none,[sn,ortho]", CategoricalDistribution(("none", "[sn,ortho]"))),
        ("reg=choice(none,sn)", CategoricalDistribution(("none", "sn"))),
    ],
)
def test_hydras_syntax_of_sweeps_is_searched(word: str, distribution: object) -> None:
    assert axis(word).distribution == distribution


@pytest.mark.parametrize(
    ("word", "value", "typed"),
    [
        ("lr=interval(0,4)", 1.23456789, "1.23457"),
        ("lr=interval(0,1.2345678)", 1.2345678, "1.2345678"),  # six digits would be above the interval
        ("lr=tag(log,interval(1e-5,1e-3))", 2.0000001e-5, "2e-05"),
        ("width=int(interval(4,64))", 7, "7"),
        ("share=range(0,1,0.1)", 0.30000000000000004, "0.3"),
        ("reg=none,[sn,ortho]", "[sn,ortho]", "[sn,ortho]"),
        ("name='a b','1'", "'1'", "'1'"),
    ],
)
def test_a_value_is_typed_as_hydra_reads_it(word: str, value: object, typed: str) -> None:
    assert axis(word).word(value) == typed


def test_the_key_has_no_sign_before_it() -> None:
    assert axis("+trainer.x=1,2").key == "trainer.x"


def test_a_grid_has_all_values_of_whole_numbers_and_none_of_an_interval() -> None:
    assert axis("width=int(interval(2,4))").values == [2, 3, 4]
    assert axis("share=range(0,1,0.5)").values == [0.0, 0.5]
    assert axis("reg=none,sn").values == ["none", "sn"]
    with pytest.raises(GanlabError, match=r"lr=interval\(...\) has no end of them: name the values"):
        _ = axis("lr=interval(0,1)").values
