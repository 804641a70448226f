"""The embedded digits are scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import labels_of

from ganlab.data.digits import Digits


def test_digits_equal_those_of_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    theirs, ours = datasets.load_digits(), Digits()
    assert len(ours) == len(theirs.images)
    assert np.array_equal(labels_of(ours), theirs.target)
    for index, image in enumerate(theirs.images):
        # 0..16 becomes 0..255: 16 is white, and each step is 15.94.
        assert np.abs(ours.image(index) - image * 255 / 16).max() <= 0.5


def test_digits_have_the_published_class_counts() -> None:
    """UCI's documentation of the test part: 178, 182, 177, 183, 181, 182, 181, 179, 174, 180."""
    digits = Digits()
    assert np.bincount(labels_of(digits)).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert labels_of(digits).dtype == np.int64
    assert digits.num_classes == 10
    assert digits.class_names[3] == "3"


def test_digits_use_the_whole_range() -> None:
    digits = Digits()
    images = np.stack([digits.image(index) for index in range(len(digits))])
    assert images.dtype == np.uint8
    assert (images.min(), images.max(), images.shape) == (0, 255, (1797, 8, 8))
    assert (digits.native_size, digits.native_channels) == ((8, 8), 1)
