"""The form of a line of evaluation.jsonl, which may come from somebody else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ganlab.core.differences import said

Record = dict[str, Any]
_NUMBER = (int, float)
_MOST = 1e300  # a whole number in JSON may be larger than any float


def problem(record: Mapping[str, Any]) -> str | None:
    """Say why a line is no record of an evaluation; None if it is one."""
    for key, is_right, what in _FORM:
        if not is_right(record.get(key)):
            return f"{key} must be {what}, got {said(record.get(key))}"
    for name, value in record["values"].items():
        if not isinstance(value, dict):
            return f"values.{name} must be a mapping, got {said(value)}"
        for key in ("value", "low", "high", "real"):
            if key not in value or not _optional_number(value[key]):
                return f"values.{name}.{key} must be a number, got {said(value.get(key))}"
        for key in ("better", "about", "meaning"):
            if not isinstance(value.get(key, ""), str):
                return f"values.{name}.{key} must be a text, got {said(value.get(key))}"
    return _problem_of_subject(record["subject"])


def _problem_of_subject(subject: Mapping[str, Any]) -> str | None:
    kind = subject.get("kind")
    if not isinstance(kind, str) or kind not in _SUBJECTS:
        return f"subject.kind must be one of {', '.join(_SUBJECTS)}, got {said(kind)}"
    for key, (is_right, what) in _SUBJECTS[kind].items():
        if not is_right(subject.get(key)):
            return f"subject.{key} must be {what}, got {said(subject.get(key))}"
    return None


def _optional_number(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBER) and not isinstance(value, bool) and abs(value) < _MOST


def _is_protocol(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("reference"), dict)
        and isinstance(value.get("features"), dict | None)
        and all(isinstance(number, int) for number in (value.get("samples"), value["reference"].get("count", 0)))
    )


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_named_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


_FORM: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("time", lambda value: isinstance(value, str), "a text"),
    ("protocol_hash", lambda value: isinstance(value, str), "a text"),
    ("protocol", _is_protocol, "a mapping with samples and reference"),
    ("subject", lambda value: isinstance(value, dict), "a mapping"),
    ("values", lambda value: isinstance(value, dict), "a mapping"),
    ("details", lambda value: isinstance(value, dict), "a mapping"),
    ("selected_on", lambda value: isinstance(value, bool), "true or false"),
    ("during_training", lambda value: isinstance(value, bool), "true or false"),
    ("warnings", _is_texts, "a list of texts"),
    ("pictures", _is_named_texts, "a mapping of names to paths"),
)
_SUBJECTS: dict[str, dict[str, tuple[Callable[[Any], bool], str]]] = {
    "run": {
        "iteration": (lambda value: isinstance(value, int) and _is_number(value), "a whole number"),
        "kimg": (_is_number, "a number"),
        "truncation": (_optional_number, "a number or null"),
    },
    "real": {"split": (lambda value: isinstance(value, str), "a text")},
    "images": {"path": (lambda value: isinstance(value, str), "a text")},
}
