"""Faults that show on one axis only are found there; a rule without one passes on all of them."""

from __future__ import annotations

import dataclasses
import json

import pytest
from gate.faulty import FAULTS, PLAIN, with_fault

from rl_eval.gate.finding import verdict
from rl_eval.gate.numerics.axes.alone import CHECKS, look_alone
from rl_eval.gate.numerics.axes.checked import check_axes, compare, scratch
from rl_eval.gate.numerics.axes.recorded import Axes, Stage, record_axes
from rl_eval.gate.numerics.trajectory import cpu
from rl_eval.settings import read
from sweeps.gate.numerics import subject

ALL = [(check, fault) for check, faults in FAULTS.items() for fault in faults]


@pytest.fixture(scope="module")
def recorded():
    with cpu():
        return record_axes(subject(PLAIN, {}))


def found(check, fault, recorded, alone=True):
    """What that check says of the fault; of `CHECKS`, without a record if `alone`."""
    with cpu():
        stage = Stage(subject(with_fault(FAULTS[check][fault]), {}))
        if check in CHECKS:
            return look_alone(check, stage, None if alone else recorded)
        return (
            scratch(stage, recorded)
            if check == "scratch memory"
            else compare(stage, recorded, check)
        )


@pytest.mark.parametrize(("check", "fault"), ALL)
def test_a_fault_is_found_on_its_axis(recorded, check, fault):
    told = found(check, fault, recorded)
    assert (told.check, told.verdict) == (check, "regression"), told.detail


@pytest.mark.parametrize("check", ["names and order", "effect of dtypes"])
def test_what_a_candidate_shows_by_itself_is_compared_with_a_record_too(recorded, check):
    told = found(check, next(iter(FAULTS[check])), recorded, alone=False)
    assert (told.check, told.verdict) == (check, "regression")


def test_the_same_rule_passes_on_every_axis(recorded):
    with cpu():
        findings = check_axes(subject(PLAIN, {}), recorded)
    assert verdict(findings) == "pass", [f for f in findings if f.verdict != "pass"]
    assert {f.check for f in findings} >= set(FAULTS)


def test_a_record_of_the_axes_survives_json_and_is_small(recorded):
    text = json.dumps(dataclasses.asdict(recorded), allow_nan=False)
    assert len(text) < 200_000
    assert read(Axes, json.loads(text), "test") == recorded
