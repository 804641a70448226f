"""Comparisons from run folders: rows, paired differences, and one sentence for what cannot be compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support import compared
from support.records import value

from ganlab.comparisons import compare, tables
from ganlab.comparisons.groups import Wanted
from ganlab.core.errors import GanlabError

SCORES = {"none": [10.0, 12.0, 14.0], "sn": [8.1, 9.9, 12.2], "ortho": [10.4, 11.2, 14.3]}


def refusal(*folders: Path, by: tuple[str, ...] = (), **wanted: Any) -> str:
    with pytest.raises(GanlabError) as error:
        compare.compare(folders, by, Wanted(**wanted))
    return str(error.value)


def test_a_sweep_is_a_row_for_each_configuration_the_best_first(tmp_path: Path) -> None:
    answer = compare.compare([compared.sweep(tmp_path / "sweep", SCORES)])
    assert answer.by == ["reg"]
    assert [row.name for row in answer.rows] == ["reg=sn", "reg=ortho", "reg=none"]
    assert [row.seeds for row in answer.rows] == [[0, 1, 2]] * 3
    assert answer.rows[0].scores["fid", "last"].mean == pytest.approx(30.2 / 3)
    assert answer.rows[0].seconds == pytest.approx(64 / 0.32)
    assert answer.common["loss"] == "hinge"
    assert "seed" not in answer.common


def test_pairs_that_a_test_tells_apart_are_differences(tmp_path: Path) -> None:
    """The seeds of sn are 1.9, 2.1 and 1.8 below those of none, whose own spread is larger than that."""
    answer = compare.compare([compared.sweep(tmp_path / "sweep", SCORES)])
    found = answer.between("reg=sn", "reg=none", "fid", "last")
    assert found is not None
    assert (found.first, found.seeds, found.is_real) == ("reg=sn", 3, True)
    assert found.mean == pytest.approx(5.8 / 3)
    assert found.p is not None
    assert found.p_holm == pytest.approx(3 * found.p)
    assert "reg=none" in answer.headline[1]


def test_a_difference_without_a_spread_is_not_certain_after_two_seeds(tmp_path: Path) -> None:
    """Both differences have one sign, which has a probability of 1/2 without a difference: 2 / 2^6 is below 5 %."""
    answer = compare.compare([compared.sweep(tmp_path / "sweep", {"none": [8, 9], "sn": [7, 8]})])
    (found,) = answer.differences
    assert not found.is_real
    assert (found.p, found.needed) == (0.5, 6)
    assert found.verdict == (
        "reg=sn is ahead of reg=none by 1 with each of 2 seeds, without any spread: 6 such seeds would tell."
    )


def test_a_difference_that_is_not_seen_says_how_many_seeds_would_see_it(tmp_path: Path) -> None:
    answer = compare.compare([compared.sweep(tmp_path / "sweep", {"none": [10, 12, 14], "sn": [11, 10, 13.5]})])
    found = answer.differences[0]
    assert not found.is_real
    assert found.needed is not None
    assert f"not distinguishable with 3 seeds; {found.needed} would tell a difference of 0.5" in answer.headline[-1]
    assert answer.headline[0].startswith(
        f"No configuration is distinguishable from {answer.rows[0].name}, which has the"
    )


def test_what_no_test_tells_apart_is_one_short_list(tmp_path: Path) -> None:
    """Nearest to a difference first; the sentences of the pairs are in the differences."""
    scores = {
        "none": [10.0, 12.0, 14.0],
        "sn": [10.5, 12.4, 14.9],
        "ortho": [10.1, 12.3, 13.8],
        "r1": [9.9, 12.1, 14.01],
    }
    answer = compare.compare([compared.sweep(tmp_path / "sweep", scores)])
    needed = {d.second: d.needed for d in answer.differences if d.first == "reg=none"}
    assert answer.headline[1:] == [
        "3 seeds are too few for the differences that were seen. Enough would be "
        f"{needed['reg=sn']} for reg=sn (0.60); {needed['reg=ortho']} for reg=ortho (0.07). "
        "More than 1,000 would be needed for reg=r1."
    ]


def test_warnings_of_other_numbers_are_not_in_the_terminal(tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = compared.run(tmp_path / name, 5.0, reg=[] if name == "one" else ["sn"], per_class_fid=value(9.0))
        lines = (folder / "evaluation.jsonl").read_text()
        (folder / "evaluation.jsonl").write_text(
            lines.replace('"warnings": []', '"warnings": ["per_class: few.", "few."]')
        )
    answer = compare.compare([tmp_path])
    assert (answer.notes, answer.further_notes) == (["few."], ["per_class: few."])
    assert "per_class" not in tables.terminal(answer)
    assert "- per_class: few." in tables.markdown(answer)
    assert "per_class: few." in compare.compare([tmp_path], wanted=Wanted(["per_class_fid"])).notes


def test_an_option_that_follows_from_another_is_said(tmp_path: Path) -> None:
    for name, margin in (("hinge", 1.0), ("wide", 2.0)):
        compared.run(tmp_path / name, 5.0, options={"loss": {"component": name}, "ema": margin})
    answer = compare.compare([tmp_path])
    assert answer.by == ["loss"]
    assert "With loss these varied too: ema (1, 2)." in answer.notes


def test_a_metric_of_which_more_is_better_has_the_highest_first(tmp_path: Path) -> None:
    for seed in (0, 1):
        compared.run(tmp_path / f"none_{seed}", 5.0, seed=seed, recall=value(0.5 + 0.1 * seed, better="higher"))
        compared.run(
            tmp_path / f"sn_{seed}", 9.0, seed=seed, reg=["sn"], recall=value(0.7 + 0.1 * seed, better="higher")
        )
    answer = compare.compare([tmp_path], wanted=Wanted(["recall"]))
    assert [row.name for row in answer.rows] == ["reg=sn", "reg=none"]
    assert answer.differences[0].mean == pytest.approx(0.2)


def test_a_metric_near_the_real_images_own_has_the_nearest_first(tmp_path: Path) -> None:
    for name, number in (("low", 0.1), ("near", 0.52), ("high", 0.8)):
        options = {"loss": {"component": name}}
        compared.run(tmp_path / name, 5.0, options=options, ms_ssim=value(number, better="real", real=0.5))
    answer = compare.compare([tmp_path], wanted=Wanted(["ms_ssim"]))
    assert [row.name for row in answer.rows] == ["loss=near", "loss=high", "loss=low"]


def test_best_checkpoints_are_a_column_also_if_a_run_kept_none(tmp_path: Path) -> None:
    for seed in (0, 1):
        compared.run(tmp_path / str(seed), 9.0 + seed, 7.0, seed, during={500: 6.0, 1000: 8.0})
    compared.run(tmp_path / "without", 8.0, seed=2)
    answer = compare.compare([tmp_path])
    assert answer.whiches == ["last", "best"]
    assert {which: score.n for (_, which), score in answer.rows[0].scores.items()} == {"last": 3, "best": 2}
    assert any(note.startswith("without kept no best checkpoint") for note in answer.notes)
    assert "7 [7, 7] (n=2)" in tables.terminal(answer)


def test_best_and_last_checkpoints_are_columns(tmp_path: Path) -> None:
    for seed in (0, 1):
        compared.run(tmp_path / str(seed), 9.0, 7.0 + seed, seed, during={500: 6.0, 750: 5.0, 1000: 8.0})
    answer = compare.compare([tmp_path])
    assert answer.whiches == ["best", "last"]
    assert {column: score.mean for column, score in answer.rows[0].scores.items()} == {
        ("fid", "best"): 7.5, ("fid", "last"): 9.0
    }  # fmt: skip
    assert answer.rows[0].seconds == pytest.approx(48 / 0.32)  # to the best one


def test_one_seed_has_no_interval_and_says_so(tmp_path: Path) -> None:
    answer = compare.compare([compared.sweep(tmp_path / "sweep", {"none": [10.0], "sn": [9.0]})])
    score = answer.rows[0].scores["fid", "last"]
    assert (score.low, score.high, score.n) == (None, None, 1)
    assert answer.differences[0].p is None
    assert "One seed only: there is no interval" in answer.headline[-1]


def test_unfinished_runs_are_compared_at_the_largest_kimg_that_all_share(tmp_path: Path) -> None:
    scored = {250: 9.0, 500: 8.0, 750: 7.0, 1000: 6.0}
    compared.run(tmp_path / "done", 5.0, 5.0, during=scored)
    compared.run(tmp_path / "half", reg=["sn"], during={250: 8.0, 500: 6.5}, iterations=650)
    answer = compare.compare([tmp_path])
    assert answer.whiches == ["32 kimg"]
    assert [(row.name, row.scores["fid", "32 kimg"].mean) for row in answer.rows] == [
        ("reg=sn", 6.5),
        ("reg=none", 8.0),
    ]
    assert "Not finished: half. All runs are compared at 32 kimg, the largest that they share." in answer.notes
    assert "validation" in answer.protocol


def test_a_point_of_training_takes_the_last_scores_before_it(tmp_path: Path) -> None:
    compared.run(tmp_path / "one", 5.0, during={250: 9.0, 500: 8.0, 1000: 6.0})
    answer = compare.compare([tmp_path], wanted=Wanted(kimg=50))
    assert answer.whiches == ["32 kimg"]
    assert "Compared at 32 kimg, the last scores up to 50 kimg that all runs have." in answer.notes


def test_a_failed_run_is_counted_and_not_compared(tmp_path: Path) -> None:
    folder = compared.sweep(tmp_path / "sweep", {"none": [10.0, 11.0], "sn": [8.0, 9.5]})
    jobs = (folder / "sweep.jsonl").read_text().splitlines()
    jobs[3] = jobs[3].replace('"done"', '"failed"').replace('"error": null', '"error": "The loss is NaN."')
    (folder / "sweep.jsonl").write_text("\n".join(jobs) + "\n")
    row = compare.compare([folder]).rows[0]
    assert (row.name, row.seeds, len(row.runs)) == ("reg=sn", [0], 2)
    assert row.failures == ["3_reg-sn_seed-1: The loss is NaN."]


def test_scores_of_two_protocols_never_meet_in_a_column(tmp_path: Path) -> None:
    """Two of three runs were also scored by another protocol; the one that all have is compared."""
    for number, name in enumerate(("one", "two", "three")):
        folder = compared.run(tmp_path / name, 5.0 + number, seed=number)
        if number:
            other = compared.run(tmp_path / "other" / name / name, 50.0, protocol="studiogan")
            both = (folder / "evaluation.jsonl").read_text() + (other / "evaluation.jsonl").read_text()
            (folder / "evaluation.jsonl").write_text(both)
    answer = compare.compare([tmp_path])
    assert answer.rows[0].scores["fid", "last"].mean == 6.0
    assert "digits" in answer.protocol


def test_several_data_sets_are_columns_and_strata_of_the_improvement(tmp_path: Path) -> None:
    for data, shift in (("digits", 0.0), ("zip", 20.0)):
        for reg, fid in (("none", 5.0), ("sn", 4.0)):
            for seed in range(3):
                compared.run(
                    tmp_path / f"{data}_{reg}_{seed}", shift + fid + seed, seed=seed, protocol=data,
                    reg=[] if reg == "none" else [reg], options={"data": {"component": data, "num_classes": 10}},
                )  # fmt: skip
    answer = compare.compare([tmp_path])
    assert answer.by == ["reg"]
    assert [metric.name for metric in answer.metrics] == ["fid on digits", "fid on zip"]
    assert answer.rows[0].scores["fid on zip", "last"].mean == 25.0
    found = answer.improvements[0]
    assert (found.first, found.second) == ("reg=sn", "reg=none")
    # of the nine pairs of runs six are won and two are equal: 4 against 5, 6, 7; 5 against 5, 6, 7; 6 against 5, 6, 7
    assert found.probability == pytest.approx((6 + 2 / 2) / 9)
    assert 0 <= found.low < found.probability < found.high <= 1


def test_an_option_beside_by_pairs_runs_as_a_seed_does(tmp_path: Path) -> None:
    for reg in ("none", "sn"):
        for margin in (1.0, 2.0):
            for seed in (0, 1):
                compared.run(
                    tmp_path / f"{reg}_{margin}_{seed}", 5.0 + margin + seed - (reg == "sn"), seed=seed,
                    reg=[] if reg == "none" else [reg], options={"loss": {"component": "hinge", "margin": margin}},
                )  # fmt: skip
    assert compare.compare([tmp_path]).by == ["reg", "loss.margin"]
    answer = compare.compare([tmp_path], ["reg"])
    assert answer.rows[0].scores["fid", "last"].n == 4
    assert answer.differences[0].seeds == 4
    assert any("loss.margin varied too (1, 2)" in note for note in answer.notes)


def test_seeds_that_are_rows_are_paired_over_what_else_varied(tmp_path: Path) -> None:
    answer = compare.compare([compared.sweep(tmp_path / "sweep", SCORES)], ["seed"])
    assert [row.name for row in answer.rows] == ["seed=0", "seed=1", "seed=2"]
    assert [difference.seeds for difference in answer.differences] == [3, 3, 3]
    assert not any(note.startswith("With seed") for note in answer.notes)


def test_the_options_of_a_regularizer_are_a_key_where_they_vary(tmp_path: Path) -> None:
    for weight in (0.1, 1.0):
        compared.run(tmp_path / f"sn_{weight}", 5.0, options={"reg": {"sn": {"component": "sn", "weight": weight}}})
    compared.run(tmp_path / "both", 5.0, reg=["sn", "ortho"])
    assert compare.compare([tmp_path]).by == ["reg", "reg.sn.weight"]


def test_what_is_bad_input_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    one = compared.run(tmp_path / "one", 5.0)
    two = compared.run(tmp_path / "two", 5.0, reg=["sn"])
    assert "holds no run and no sweep" in refusal(tmp_path / "empty")
    assert "There is no folder" in refusal(tmp_path / "nowhere")
    assert "by=loss: all runs have loss=hinge, so it did not vary. Varied are: reg" in refusal(one, two, by=("loss",))
    assert "by=regs: no run has this option. Did you mean 'reg'" in refusal(one, two, by=("regs",))
    assert "metric=fdi: no run has this number" in refusal(one, two, metrics=["fdi"])
    assert "at=kimg:50: no run has scores during training" in refusal(one, two, kimg=50)


def test_runs_of_other_data_are_refused(tmp_path: Path) -> None:
    one = compared.run(tmp_path / "one", 5.0)
    other = compared.run(tmp_path / "other", 5.0, reg=["sn"], options={"data": {"component": "zip", "path": "a.zip"}})
    assert "one and other are of other data (digits, zip)" in refusal(one, other)


@pytest.mark.parametrize("scores", [{"none": [10.0, 11.0], "sn": [8.0, 9.5]}, {"sn": [8.0, 9.5]}])
def test_a_run_that_ended_before_it_read_its_data_is_with_the_others(tmp_path: Path, scores: dict[str, Any]) -> None:
    folder = compared.sweep(tmp_path / "sweep", scores)
    *others, early = sorted(folder.glob("*_*"))
    (early / "config.yaml").write_text((early / "config.yaml").read_text().replace("image_size: 8", "image_size: null"))
    (early / "evaluation.jsonl").unlink()
    for other in others:
        (other / "environment.json").write_text('{"data": {"contents": {"images": "5f2c"}}}')
    *jobs, last = (folder / "sweep.jsonl").read_text().splitlines()
    (folder / "sweep.jsonl").write_text("\n".join([*jobs, last.replace('"done"', '"failed"')]) + "\n")
    rows = compare.compare([folder]).rows
    assert [len(row.runs) for row in rows] == [2] * len(scores)
    assert sum(len(row.failures) for row in rows) == 1


def test_a_run_that_ended_before_it_read_other_data_is_refused(tmp_path: Path) -> None:
    """The options of its data, as far as they are filled in, are those of another data set."""
    one = compared.run(tmp_path / "one", 5.0)
    (one / "environment.json").write_text('{"data": {"contents": {"images": "5f2c"}}}')
    data = {"component": "zip", "path": "a.zip", "image_size": None, "num_classes": None, "held_out": 0.25}
    early = compared.run(tmp_path / "early", reg=["sn"], iterations=0, options={"data": data})
    assert "one and early are of other data" in refusal(one, early)


def test_runs_that_share_no_number_are_refused(tmp_path: Path) -> None:
    one = compared.run(tmp_path / "one", during={500: 5.0, 1000: 4.0})
    other = compared.run(tmp_path / "other", during={500: 5.0, 1000: 4.0}, reg=["sn"])
    lines = (other / "evaluation.jsonl").read_text().replace('"fid"', '"kid"')
    (other / "evaluation.jsonl").write_text(lines.replace("digits in training", "others in training"))
    assert "The runs share no number: one has fid, other has kid" in refusal(one, other, kimg=50)


def test_a_run_of_the_same_configuration_and_seed_is_left_out(tmp_path: Path) -> None:
    compared.run(tmp_path / "one", 5.0)
    compared.run(tmp_path / "two", 9.0)
    answer = compare.compare([tmp_path])
    assert answer.rows[0].scores["fid", "last"].n == 1
    assert "two repeats one, and is left out." in answer.notes


def test_runs_from_before_the_guard_make_no_rows_of_their_own(tmp_path: Path) -> None:
    compared.run(tmp_path / "old", 5.0)
    compared.run(tmp_path / "new", 6.0, seed=1, options={"guard": {"action": "warn", "every_steps": 50}})
    answer = compare.compare([tmp_path])
    assert (answer.by, answer.rows[0].scores["fid", "last"].n) == ([], 2)
    assert "These differ and change nothing of what is trained: guard.action, guard.every_steps." in answer.notes


def test_links_out_of_a_sweep_are_refused(tmp_path: Path) -> None:
    folder = compared.sweep(tmp_path / "sweep", {"none": [5.0]})
    (folder / "1_reg-sn_seed-0").symlink_to(compared.run(tmp_path / "elsewhere", 5.0))
    assert "is a link" in refusal(folder)
