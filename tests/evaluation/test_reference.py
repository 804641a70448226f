from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ganlab.core.errors import GanlabError
from ganlab.evaluation.reference import Cache, given


def test_a_summary_is_read_as_it_was_written_and_an_altered_one_is_not(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "statistics")
    path = cache.path("data", 1, ("x",))
    assert path != cache.path("data", 2, ("x",))
    assert cache.read(path) is None
    summary = {"mean": torch.arange(5.0), "count": torch.tensor(3)}
    cache.write(path, summary)
    found = cache.read(path)
    assert found is not None
    assert found.keys() == summary.keys()
    assert torch.equal(found["mean"], summary["mean"])
    assert [p.name for p in path.parent.iterdir()] == [path.name]

    with np.load(path) as file:
        arrays = dict(file)
    arrays["mean"][2] += 1
    np.savez(path, **arrays)  # whole, with its own checksums, and not what was written
    assert cache.read(path) is None
    cache.write(path, summary)
    path.write_bytes(path.read_bytes()[:-20])
    assert cache.read(path) is None


@pytest.mark.parametrize("names", [("mu", "sigma"), ("mean", "cov")])
def test_statistics_of_the_common_formats(names: tuple[str, str], tmp_path: Path) -> None:
    sigma = np.cov(np.random.RandomState(0).randn(3, 9))
    arrays: dict[str, Any] = dict(zip(names, (np.arange(3.0), sigma), strict=True))
    np.savez(tmp_path / "s.npz", **arrays)
    moments, digest = given(str(tmp_path / "s.npz"), 3)
    assert torch.equal(moments["mean"][0], torch.arange(3.0, dtype=torch.float64))
    torch.testing.assert_close(moments["scatter"][0] / (moments["count"] - 1), torch.from_numpy(sigma))
    assert len(digest) == 32


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        (
            {"mu": np.zeros(4), "sigma": np.eye(4)},
            "4 features, and this extractor has 3: they are of another extractor",
        ),
        ({"mu": np.zeros(3)}, "holds mu, and no mu and sigma"),
        ({"mu": np.zeros(3), "sigma": np.eye(2)}, "do not match"),
        ({"mu": np.zeros(3), "sigma": np.full((3, 3), np.nan)}, "NaN or infinite"),
        ({"mu": np.zeros(3), "sigma": np.triu(np.ones((3, 3)))}, "sigma is no covariance, which is symmetric"),
        ({"mu": np.zeros(3), "sigma": -np.eye(3)}, "no negative variance"),
        ({"mu": np.zeros(3), "sigma": np.eye(3) * 1j}, "of type float64 and complex128: they must be real"),
        ({"mu": np.array(["a"] * 3), "sigma": np.eye(3)}, "of type <U1 and float64"),
        ({}, "holds nothing"),
    ],
)
def test_wrong_statistics_are_one_sentence(arrays: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(GanlabError, match=sentence) as caught:
        given(str(tmp_path / "s.npz"), 3)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_npz_is_one_sentence_and_a_count_that_is_none_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "s.npy"
    np.save(path, np.zeros(3))
    with pytest.raises(GanlabError, match=r"s\.npy cannot be read as \.npz statistics \(File is not a zip file\)"):
        given(str(path), 3)
    for count, expected in ((np.array([1, 2]), 10**6), (np.array(0), 10**6), (np.array("many"), 10**6), (50, 50)):
        np.savez(tmp_path / "s.npz", mu=np.zeros(3), sigma=np.eye(3), n=count)
        assert given(str(tmp_path / "s.npz"), 3)[0]["count"].tolist() == [expected]


def test_a_pickle_is_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", mu=np.array([print], dtype=object), sigma=np.eye(1))
    with pytest.raises(GanlabError, match=r"cannot be read as \.npz statistics"):
        given(str(tmp_path / "s.npz"), 1)
