from __future__ import annotations

from pathlib import Path

import pytest

from ganlab.core.errors import GanlabError
from ganlab.evaluation import protocol
from ganlab.evaluation.protocol import first_difference, preset


@pytest.mark.parametrize("name", protocol.names())
def test_every_protocol_names_components_that_there_are(name: str) -> None:
    found = preset(name)
    found.make_metrics()
    if found.features:
        found.make_extractor()
    assert found.completed().metrics.keys() == found.metrics.keys()


def test_the_issues_protocols_are_there() -> None:
    issue = {"studiogan", "mimicry", "stylegan", "mmgeneration", "clean", "fast", "digits"}
    assert issue <= set(protocol.names())


def test_a_users_own_protocol_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf" / "protocol").mkdir(parents=True)
    (tmp_path / "conf" / "protocol" / "mine.yaml").write_text(
        "features: {component: classifier, dim: 8}\nmetrics: {fid: {blocks: 5}}\nsamples: 7\n"
    )
    monkeypatch.chdir(tmp_path)
    mine = preset("mine")
    assert (mine.samples, mine.completed().features["dim"], mine.metrics["fid"]["blocks"]) == (7, 8, 5)


def test_options_of_metrics_and_features_are_changed_by_key() -> None:
    changed = preset("digits").changed({"metrics": ["fid", "kid"], "kid.subsets": 7, "features.dim": 16, "samples": 20})
    assert list(changed.metrics) == ["fid", "kid"]
    assert changed.completed().metrics["kid"] == {"subsets": 7, "subset_size": 100, "limit": 50000, "seed": 2020}
    assert changed.completed().features["dim"] == 16
    # another extractor does not keep the options of the one before
    assert changed.changed({"features": "inception"}).features == {"component": "inception"}


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"metrics": ["fidd"]}, "No metric of an evaluation is called 'fidd'. Did you mean 'fid'"),
        ({"features": "inceptoin"}, "Did you mean 'inception'"),
        ({"kid.subset": 3}, "kid.subset is no option. Did you mean 'subsets'"),
        ({"kidd.subsets": 3}, "'kidd.subsets' is no option of this evaluation. Did you mean 'kid.subsets'?"),
        ({"kidd.subset": 3}, "'kidd.subset' is no option of this evaluation. Did you mean 'kid'?"),
        ({"metrics.kid.subsets": 3}, "Did you mean 'kid.subsets'?"),
        ({"features.classifier.width": 3}, "Did you mean 'features.width'?"),
        ({"samples": -1}, "samples must be at least 0"),
        ({"samples": "many"}, "samples must be a whole number"),
        ({"reference": "tset"}, "reference must be one of train, validation, test"),
        ({"truncation": 0}, "truncation must be positive"),
        ({"prdc.nearest": 0}, "prdc: nearest must be at least 1"),
    ],
)
def test_mistakes_are_one_sentence(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(GanlabError, match=sentence.replace(".", r"\.").replace("(", r"\(")) as caught:
        changed = preset("digits").changed(values)
        changed.make_metrics()
        changed.make_extractor()
    assert "\n" not in str(caught.value)


def test_the_first_difference_is_named() -> None:
    a = {"name": "x", "metrics": {"fid": {"blocks": 10}}, "samples": 5}
    assert first_difference(a, a) is None
    assert first_difference(a, {**a, "metrics": {"fid": {"blocks": 5}}}) == ("metrics.fid.blocks", 10, 5)
    assert first_difference(a, {"name": "x", "samples": 5}) == ("metrics", a["metrics"], None)
