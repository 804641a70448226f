"""Classes of dataset.json: what is wrong with their numbers is said, or refused."""

import json

import pytest

from ganlab.core.errors import GanlabError
from ganlab.data.labels import find_labels


def labelled(*numbers: int) -> tuple[list[int], tuple[str, ...]]:
    names = [f"{index}.png" for index in range(len(numbers))]
    contents = json.dumps({"labels": list(zip(names, numbers, strict=True))}).encode()
    labels, classes = find_labels("it", names, "auto", ("dataset.json", contents))
    assert labels is not None
    return labels.tolist(), classes


@pytest.mark.parametrize(
    ("numbers", "labels", "said"),
    [
        ((1, 2, 2, 3), [0, 1, 1, 2], "numbers its classes from 1 on: they are taken as 0 to 2."),
        ((0, 2, 2, 0), [0, 2, 2, 0], "has 1 of 3 classes without images (1)."),
        ((9, 0, 0, 9), [9, 0, 0, 9], "has 8 of 10 classes without images (1, 2, 3, 4, 5, ...)."),
        ((0, 1, 1, 2), [0, 1, 1, 2], ""),
    ],
)
def test_classes_from_1_on_and_classes_without_images_are_said(
    numbers: tuple[int, ...], labels: list[int], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, classes = labelled(*numbers)
    assert found == labels
    assert classes == tuple(map(str, range(max(labels) + 1)))
    err = capsys.readouterr().err
    assert err == (f"dataset.json of it {said}\n" if said else "")


def test_a_class_of_a_number_that_no_set_has_is_refused_at_once() -> None:
    with pytest.raises(GanlabError, match=r"has a class 2000000000 and 2 images: number the classes from 0 on"):
        labelled(0, 2_000_000_000)
