"""What a check says beside its findings: what is new, and how often was looked."""

from __future__ import annotations

from gate.examples import release_of

from rl_eval.gate.joint import joint_error
from rl_eval.gate.plan import plan_for
from sweeps.gate import ledger
from sweeps.gate.notes import notes

BUILT = {"module mine": "1", "module core": "2", "module rl_eval.ppo.update": "3"}


def said(now, then=BUILT, doubts=(), **changed):
    return notes(
        release_of(dependencies=then),
        release_of(dependencies=now, **changed),
        set(),
        doubts,
    )


def test_the_same_code_is_the_same():
    assert said(BUILT) == ["code and weights are the baseline's"]


def test_what_is_new_is_named():
    assert said({**BUILT, "module core": "9"}) == ["code or weights are new: module core"]
    more = {**BUILT, "file theta.json": "7"}
    assert said(more) == ["code or weights are new: file theta.json"]
    assert said(BUILT, weights={"sha256": "1"}) == ["code or weights are new: the weights"]


def test_new_settings_are_not_the_baselines():
    found = said(BUILT, settings={"learning_rate": 1.0})
    assert found == ["code and weights are the baseline's, settings are not"]


def test_the_suites_own_changes_are_told_apart():
    found = said({**BUILT, "module rl_eval.ppo.update": "9"})
    assert found[0] == "code and weights are the baseline's"
    assert found[1].endswith("since the baseline: module rl_eval.ppo.update")


def test_what_is_not_known_is_not_called_the_same():
    (old,) = said(BUILT, then=None)
    assert "not known" in old
    doubtful = said(BUILT, doubts=("mine starts a program",))
    assert doubtful[0] == "the code that was seen is the baseline's, but not all could be seen"
    assert doubtful[1] == "every run is made anew in each check: mine starts a program"


def test_other_plans_for_the_same_releases_are_counted(tmp_path):
    def note(out, seeds, candidate="c"):
        return ledger.note(tmp_path / out, "b", candidate, plan_for(seeds))

    assert note("first", 24) is None
    assert note("first", 24) is None  # the same again is no other chance
    assert note("other", 16, candidate="another") is None
    assert "with 1 other plans (--seeds 24)" in note("second", 20)
    assert "(--seeds 24, 20): that one of 3 checks passes" in note("third", 16)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / ledger.FILE).write_text('{"baseline": "b", "cand')
    assert "with 2 other plans" in note("third", 24)


def test_the_joint_error_adds_up_false_alarms_only():
    both = joint_error(("numerics", "probes", "benchmark"), 0.05)
    assert "at most 10%, 5% for each tier" in both
    assert "passes in at most 5%" in both
    assert "at most 5%, 5%" in joint_error(("probes",), 0.05)
    assert joint_error(("numerics",), 0.05) is None
