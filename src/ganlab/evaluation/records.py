"""The form of a line of evaluation.jsonl, which may come from somebody else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ganlab.core.differences import said
from ganlab.core.json_lines import is_number
from ganlab.evaluation import figures

Record = dict[str, Any]


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
    return _problem_of_subject(record["subject"]) or _problem_of_figures(record.get("figures", {}))


def _problem_of_subject(subject: Mapping[str, Any]) -> str | None:
    kind = subject.get("kind")
    if not isinstance(kind, str) or kind not in _SUBJECTS:
        return f"subject.kind must be one of {', '.join(_SUBJECTS)}, got {said(kind)}"
    for key, (is_right, what) in _SUBJECTS[kind].items():
        if not is_right(subject.get(key)):
            return f"subject.{key} must be {what}, got {said(subject.get(key))}"
    return None


def _problem_of_figures(found: Any) -> str | None:
    if not isinstance(found, dict) or not all(isinstance(nodes, list) for nodes in found.values()):
        return f"figures must be a mapping of names to lists, got {said(found)}"
    for name, nodes in found.items():
        for place, node in enumerate(nodes):
            try:
                figures.parsed(node)
            except ValueError as error:
                return f"figures.{name}[{place}]{error}"
    return None


def _optional_number(value: Any) -> bool:
    return value is None or is_number(value)


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
        "iteration": (lambda value: isinstance(value, int) and is_number(value), "a whole number"),
        "kimg": (is_number, "a number"),
        "truncation": (_optional_number, "a number or null"),
    },
    "real": {"split": (lambda value: isinstance(value, str), "a text")},
    "images": {"path": (lambda value: isinstance(value, str), "a text")},
}
