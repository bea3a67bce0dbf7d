"""The gate's report says what was found, in every form, whatever the names hold."""

from __future__ import annotations

import dataclasses
from xml.etree import ElementTree

import numpy as np
import pytest
from gate.examples import ENVS, release_of, runs_of

from rl_eval.gate.finding import TIERS, Finding, verdict
from rl_eval.gate.plan import plan_for
from rl_eval.gate.result import Result, compare, load_result
from rl_eval.records.run import RecordError
from rl_eval.report.gate import files
from rl_eval.report.gate.junit import junit
from rl_eval.report.gate.text import markdown, reasons

BASELINE = np.array([[0.50, 0.55, 0.45, 0.52, 0.48, 0.5], [0.8, 0.85, 0.75, 0.82, 0.78, 0.8]])
SCALES = [(22.2, 500.0), (-500.0, -80.0)]


def result_of(change=(0.0, 0.0), diverged=()):
    ours = [runs_of(tuple(row), diverged) for row in BASELINE + np.array(change)[:, None]]
    theirs = [runs_of(tuple(row)) for row in BASELINE]
    _, comparison, scored = compare(
        "benchmark", "two", ENVS, ours, theirs, plan_for(6, 0.5), SCALES
    )
    findings = (Finding("numerics", "state | tree <b>", "pass", "same\x00 leaves"), *scored)
    return Result(
        kind="rl-eval gate result",
        verdict=verdict(findings),
        findings=findings,
        comparisons=(comparison,),
        baseline=release_of(),
        candidate=release_of("mine:make", code="1" * 64),
        notes=("code or weights are new",),
        recorded_by="rl-eval gate record",
        command="rl-eval gate check",
    )


def test_equal_scores_pass_and_a_loss_on_one_environment_does_not():
    assert result_of().verdict == "pass"
    lost = result_of(change=(0.0, -0.7))
    assert lost.verdict == "regression"
    verdicts = {f.check: f.verdict for f in lost.findings if f.tier == "benchmark"}
    assert verdicts["CartPole-v1"] == "pass"
    assert verdicts["Acrobot-v1"] == "regression"


def test_the_rows_are_the_scores():
    (comparison,) = result_of(change=(0.0, -0.7)).comparisons
    cartpole, acrobot, overall = comparison.rows
    assert (cartpole.baseline, cartpole.change, cartpole.improves) == (0.5, 0.0, 0.5)
    assert acrobot.candidate == pytest.approx(0.1)
    assert acrobot.improves == 0.0
    assert overall.improves == 0.25
    assert (overall.baseline, overall.change) == pytest.approx((1.0, -0.7 / 0.8 / 2))
    assert acrobot.margin_return == pytest.approx(0.4 * 420)


def test_diverged_runs_are_counted():
    (comparison,) = result_of(diverged=(0, 1)).comparisons
    assert [row.diverged for row in comparison.rows] == [2, 2, 4]
    assert [row.baseline_diverged for row in comparison.rows] == [0, 0, 0]


def test_reasons_begin_with_the_verdict_and_the_worst():
    lines = reasons(result_of(change=(0.0, -0.7)))
    assert lines[0] == "mine:make: regression (it must not ship)"
    assert lines[1] == "numerics: pass"
    where = lines.index("benchmark: regression")
    assert lines[where + 1].split()[:2] == ["regression", "Acrobot-v1:"]


def test_a_report_is_read_back_as_it_was(tmp_path):
    result = result_of()
    names = {path.name for path in files.render(result, tmp_path)}
    assert names == {"report.md", "report.json", "junit.xml", "report.png"}
    assert load_result(tmp_path / "report.json") == result
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


def test_equal_results_give_equal_bytes(tmp_path):
    for name in ("first", "second"):
        files.render(result_of(), tmp_path / name)
    for file in (tmp_path / "first").iterdir():
        assert file.read_bytes() == (tmp_path / "second" / file.name).read_bytes()


def test_nothing_in_a_name_breaks_a_table_or_the_xml():
    result = result_of(change=(0.0, -0.7))
    text = markdown(result, None)
    assert "| pass | state \\| tree &lt;b> | same" in text
    assert "report.png" not in text
    suites = ElementTree.fromstring(junit(result).encode())
    cases = {case.get("name"): case for case in suites.iter("testcase")}
    assert set(cases) == {"state | tree <b>", *ENVS, "overall"}
    failures = [name for name, case in cases.items() if case.find("failure") is not None]
    assert failures == [f.check for f in result.findings if f.verdict != "pass"]
    assert [suite.get("failures") for suite in suites] == ["0", str(len(failures))]


def test_inconclusive_is_no_pass_for_a_ci():
    text = junit(
        dataclasses.replace(result_of(), findings=(Finding("probes", "x", "inconclusive", "y"),))
    )
    failure = ElementTree.fromstring(text.encode()).find(".//failure")
    assert failure.get("type") == "inconclusive"


@pytest.mark.parametrize("text", ["", "[]", '{"kind": "x"}', '{"kind": "rl-eval gate result"}'])
def test_other_files_are_no_reports(tmp_path, text):
    file = tmp_path / "report.json"
    file.write_text(text)
    with pytest.raises(RecordError, match=r"report\.json"):
        load_result(file)


def test_a_pass_of_some_tiers_never_says_that_it_may_ship():
    numerics = (Finding("numerics", "state", "pass", "same"),)
    (said, *_) = reasons(dataclasses.replace(result_of(), findings=numerics))
    assert "may ship" in said
    assert "does not say that it may ship" in said
    assert "probes and benchmark did not run" in said
    everything = tuple(Finding(tier, "all", "pass", "") for tier in TIERS)
    assert "(it may ship)" in reasons(dataclasses.replace(result_of(), findings=everything))[0]


def test_what_was_skipped_is_told_as_skipped_and_is_no_pass():
    skipped = Finding("probes", "resume", "skipped", "not compared")
    assert verdict([skipped]) == "inconclusive"
    passed = Finding("probes", "probe/both", "pass", "learned")
    assert verdict([skipped, passed]) == "pass"
    text = junit(dataclasses.replace(result_of(), findings=(skipped, passed)))
    suite = ElementTree.fromstring(text.encode()).find("testsuite")
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")
    assert suite.find(".//skipped").get("message") == "not compared"


def test_an_accepted_change_is_no_failure_and_its_reason_is_told():
    moved = Finding("numerics", "trajectory", "regression", "moved", accepted="new weights")
    assert verdict([moved]) == "pass"
    result = dataclasses.replace(result_of(), findings=(moved,), verdict="pass")
    assert "accepted: new weights" in markdown(result, None)
    assert ElementTree.fromstring(junit(result).encode()).find(".//failure") is None
