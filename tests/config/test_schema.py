from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Optional, Union

import pytest

from ganlab.config import schema
from ganlab.config.schema import REQUIRED


class Shape(Enum):
    ROUND = "round"
    FLAT = "flat"


@dataclass
class Everything:
    needed: int
    number: float = 1.0
    shape: Shape = Shape.ROUND
    where: Path = Path("a/b")
    many: tuple[int, ...] = (1, 2)
    table: dict[str, float] = field(default_factory=dict)


def a_function(params: Any, lr: float = 0.1, **others: Any) -> None: ...


CONVERTED = [
    (3, int, 3),
    (3.0, int, 3),
    (3, float, 3.0),
    (True, bool, True),
    ("x", str, "x"),
    (3, str, "3"),
    ("a/b", Path, Path("a/b")),
    ("round", Shape, Shape.ROUND),
    ("sum", Literal["sum", "mean"], "sum"),
    (None, Optional[int], None),  # noqa: UP045
    (3, int | None, 3),
    (3, float | int, 3),
    ([1, 2], int | tuple[int, ...], (1, 2)),
    ([0, 1], tuple[float, float], (0.0, 1.0)),
    ([1, 2], list[float], [1.0, 2.0]),
    ([1, 2], Sequence[float], (1.0, 2.0)),
    ([[1, 2], [3]], tuple[tuple[int, ...], ...], ((1, 2), (3,))),
    ({"a": 1}, dict[str, float], {"a": 1.0}),
    ({"a": [1]}, Mapping[str, tuple[int, ...]], {"a": (1,)}),
    ("anything", Any, "anything"),
    (None, None | Literal["a"], None),
]


@pytest.mark.parametrize(("value", "annotation", "expected"), CONVERTED, ids=str)
def test_values_become_what_the_annotation_says(value: Any, annotation: Any, expected: Any) -> None:
    found = schema.convert(value, annotation)
    assert found == expected
    assert type(found) is type(expected)


REFUSED = [
    ("x", int, "must be a whole number, got 'x'"),
    (1.5, int, "must be a whole number, got 1.5"),
    (float("inf"), int, "must be a whole number, got inf"),
    (float("nan"), int, "must be a whole number, got nan"),
    (True, int, "must be a whole number, got True"),
    ("x", float, "must be a number, got 'x'"),
    (False, float, "must be a number, got False"),
    (1, bool, "must be true or false, got 1"),
    ([1], str, r"must be a word, got \[1\]"),
    (None, str, "must be a word, got None"),
    (1, Path, "must be a path, got 1"),
    ("square", Shape, "must be one of round, flat, got 'square'"),
    ("men", Literal["sum", "mean"], "must be one of sum, mean, got 'men'; did you mean 'mean'"),
    ("x", int | None, "must be a whole number or null, got 'x'"),
    ("x", int | tuple[int, ...], r"must be a whole number or a list such as \[a,b\], got 'x'"),
    ("x", Union[float, bool], "must be a number or true or false, got 'x'"),  # noqa: UP007
    ("ab", tuple[str, ...], r"must be a list such as \[a,b\], got 'ab'"),
    ([1], tuple[float, float], r"must have 2 entries, got \[1\]"),
    ([1, "x"], tuple[int, ...], "must be a whole number, got 'x'"),
    (1, dict[str, int], "must be a mapping"),
]


@pytest.mark.parametrize(("value", "annotation", "message"), REFUSED, ids=str)
def test_other_values_are_refused_in_the_users_words(value: Any, annotation: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schema.convert(value, annotation)


def test_the_options_of_a_class_are_its_constructors_parameters() -> None:
    found = {o.name: o.default for o in schema.options(Everything).values()}
    assert found == {"needed": REQUIRED, "number": 1.0, "shape": "round", "where": "a/b", "many": [1, 2], "table": {}}


def test_what_the_experiment_gives_is_no_option_and_neither_is_what_has_no_name() -> None:
    assert list(schema.options(a_function, ("params",))) == ["lr"]


def test_every_wrong_value_gets_a_sentence_with_its_key() -> None:
    values = {"number": "x", "shape": "oval", "nmber": 1}
    arguments, problems = schema.check(schema.options(Everything), values, "loss")
    assert arguments == {}
    assert problems == [
        "loss.number must be a number, got 'x'.",
        "loss.shape must be one of round, flat, got 'oval'.",
        "loss.nmber is no option. Did you mean 'number'? Options: needed, number, shape, where, many, table.",
    ]


def test_an_option_that_must_be_given_is_asked_for_once() -> None:
    for values in ({"needed": REQUIRED}, {}):
        assert schema.check(schema.options(Everything), values, "loss") == ({}, [])
        assert schema.missing(schema.options(Everything), values, "loss") == [
            "loss.needed must be given: loss.needed=VALUE."
        ]


def test_a_schedule_is_allowed_only_for_a_float() -> None:
    schedule = {"from": 1, "to": 0, "end_steps": 10}
    arguments, problems = schema.check(
        schema.options(Everything), {"number": schedule, "needed": schedule}, "loss", ["number", "needed"]
    )
    assert arguments == {"number": schedule}
    assert problems == [f"loss.needed must be a whole number, got {schedule}."]


def test_a_default_that_yaml_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError, match="nothing that YAML can hold"):
        schema.plain(object())


def test_defaults_become_what_yaml_holds() -> None:
    assert schema.plain({"a": (Shape.FLAT, Path("x"), None, 1.5)}) == {"a": ["flat", "x", None, 1.5]}
