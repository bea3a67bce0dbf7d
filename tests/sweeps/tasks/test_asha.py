"""Pruning stops the runs that it should, says so, and leaves the others as they would be."""

from __future__ import annotations

import dataclasses
import json

import pytest
from report.landscape import SPACE, base

from rl_eval.config import to_dict
from rl_eval.records.sweep import PlannedTrial, Pruning, SweepRecord, read_sweep, write_sweep
from rl_eval.records.table import read_table
from rl_eval.setup.configure import resolve
from sweeps.execution.execute import items
from sweeps.space.space import make_space
from sweeps.tasks.asha import ASHA, FILE, Judge, Pruned, judge_of
from sweeps.tasks.formula import evaluate
from sweeps.tasks.trial import make
from sweeps.trials import plan, recorded_ending, remaining, sweep_record

TRIALS = 27


def swept(folder, pruning):
    """Every trial, one after another; their endings in that order."""
    space = make_space(SPACE, ("celo2",), "here")
    trials = plan(space, [base("probe/landscape", "celo2")], seed=0, trials=TRIALS)
    record = sweep_record(space, trials, seeds=(0,), design="sobol", design_seed=0)
    write_sweep(folder, dataclasses.replace(record, pruning=pruning))
    todo = items(trials, (0,), folder)
    return trials, [evaluate(item.config, item.directory, {})[0] for item in todo]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    pruned, whole = (tmp_path_factory.mktemp(name) for name in ("pruned", "whole"))
    return pruned, swept(pruned, ASHA), whole, swept(whole, None)


def by_hand(curves):
    """Halving over (curve at 10, 20, ... % of the steps, whether it diverged), in that order."""
    rungs, endings = ([], []), []
    for curve, diverged in curves:
        ending = "diverged" if diverged else "completed"
        for rung, value in zip(rungs, (curve[0], curve[2]), strict=True):  # by 11 and by 33 %
            rung.append(value)
            best = sorted(rung, reverse=True)[: max(1, len(rung) // 3)]
            if not diverged and value < best[-1]:
                ending = "pruned"
                break
        endings.append(ending)
    return endings


def test_the_runs_that_go_on_are_those_of_successive_halving(both):
    _, (_, endings), whole, _ = both
    runs = [row.seeds[0] for row in read_table(whole).rows]
    expected = by_hand([(run.curve.returns, run.status == "diverged") for run in runs])
    assert endings == expected
    assert 3 <= endings.count("completed") <= endings.count("pruned")


def test_runs_that_go_on_are_those_of_a_sweep_without_pruning(both):
    pruned, _, whole, _ = both
    best = []
    for cut, full in zip(read_table(pruned).rows, read_table(whole).rows, strict=True):
        if cut.seeds[0].status == "pruned":
            assert cut.objective is None
            assert cut.seeds[0].reason.startswith("rank ")
            steps = len(cut.seeds[0].curve.env_steps)
            assert cut.seeds[0].curve.returns == full.seeds[0].curve.returns[:steps]
        else:
            assert cut == full
        best.append((full.objective, cut.objective))
    assert max(best)[0] == max(best)[1]


def test_a_pruned_run_has_ended_and_counts_as_pruned(both):
    pruned, (trials, endings), _, _ = both
    assert remaining(trials, (0,), pruned) == []
    table = read_table(pruned)
    assert sum(row.count("pruned") for row in table.rows) == endings.count("pruned")
    file = next(pruned.glob(f"trials/{trials[endings.index('pruned')].id}/*/status.json"))
    facts = json.loads(file.read_text())
    assert facts["rung"] in (11_111, 33_333)
    assert recorded_ending(file.parent) == ("pruned", facts["reason"], None)


def test_a_run_that_is_gone_on_with_is_not_judged_again(tmp_path):
    config = base("probe/landscape", "celo2")
    mine, other = tmp_path / "mine" / "seed-0", tmp_path / "other" / "seed-0"
    half = Pruning("asha", 2, (0.5,))
    for folder, value in ((mine, 1.0), (other, 2.0)):
        folder.mkdir(parents=True)
        row = {"env_steps": 50_000, "return_mean": value}
        (folder / "eval.jsonl").write_text(json.dumps(row) + "\n")
    first = Judge(half, mine, config, [other])
    first.look(50_000)  # not past it: what happened at the rung may not be on record yet
    assert not (mine / FILE).exists()
    first.look(50_001)
    Judge(half, other, config, [mine]).look(60_000)
    Judge(half, mine, config, [other]).look(70_000)
    (mine / FILE).unlink()
    with pytest.raises(Pruned) as stopped:
        Judge(half, mine, config, [other]).look(70_000)
    assert stopped.value.facts == {"rung": 50_000, "rung_return": 1.0}
    with pytest.raises(Pruned):  # killed between the decision and its record
        Judge(half, mine, config, [other]).look(70_000)


@pytest.mark.slow
def test_training_is_stopped_at_a_rung_or_left_alone(tmp_path):
    numbers = {"learning_rate": 1e-3}
    flags = {"total_timesteps": 1024, "seeds": [0], "optimizer": {"hyperparameters": numbers}}
    small = ("num_envs=4", "num_steps=16", "hidden_sizes=[8]", "log_every=1")
    config = resolve(env="CartPole-v1", optimizer="adamw", flags=flags, assignments=small)[0]
    run, curves = make(), []
    for name, rival in (("whole", None), ("best", -1.0), ("worst", 1e6)):
        sweep = tmp_path / name
        planned = tuple(PlannedTrial(id, "CartPole-v1", "adamw", {}) for id in ("mine", "rival"))
        pruning = None if rival is None else Pruning("asha", 2, (0.5,))
        write_sweep(
            sweep, SweepRecord(1, None, "", "grid", 0, (0,), {"adamw": ()}, planned, (), pruning)
        )
        there = sweep / "trials" / "rival" / "seed-0"
        there.mkdir(parents=True)
        value = {"512": {"value": rival, "passed": True}}
        (there / FILE).write_text(json.dumps({"rungs": value}))
        mine = sweep / "trials" / "mine" / "seed-0"
        status = run(to_dict(config), mine, lambda *said: None)[0]
        assert status == {"worst": "pruned"}.get(name, "completed")
        assert recorded_ending(mine)[0] == status
        rows = [json.loads(line) for line in (mine / "metrics.jsonl").read_text().splitlines()]
        curves.append([(row["env_steps"], row["loss"], row["param_norm"]) for row in rows])
    assert curves[1] == curves[0]
    assert 8 <= len(curves[2]) < 16
    assert curves[2] == curves[0][: len(curves[2])]


def test_records_without_pruning_are_read(both, tmp_path):
    _, _, whole, _ = both
    document = json.loads((whole / "sweep.json").read_text())
    assert document.pop("pruning") is None
    (tmp_path / "sweep.json").write_text(json.dumps(document))
    assert read_sweep(tmp_path).pruning is None
    assert judge_of(tmp_path / "trials" / "x" / "seed-0", base("probe/landscape", "celo2")) is None
