"""Runs that a worker trains together: equal to runs alone, and as many as are fastest."""

from __future__ import annotations

import json

import numpy as np
import pytest
from report.landscape import base
from trial_runs import config_of, lines

from rl_eval.config import RunConfig, to_dict
from rl_eval.settings import SettingsError, read
from sweeps.execution.places import cores
from sweeps.execution.work import Item
from sweeps.tasks import population
from sweeps.tasks.trial import make, make_together

CONFIGS = [
    to_dict(config_of(rate, gamma, seed, "adam"))
    for rate, gamma in ((1e-3, 0.99), (1e-2, 0.9))
    for seed in (0, 3)
]


def close(one, other):
    """Rows of records that differ by rounding only."""
    assert one.keys() == other.keys()
    for key, value in one.items():
        if isinstance(value, float | list):
            np.testing.assert_allclose(value, other[key], rtol=1e-5, atol=1e-5, err_msg=key)
        else:
            assert value == other[key], key


@pytest.mark.slow
def test_runs_together_are_the_runs_alone_each_in_its_own_record(tmp_path):
    told, single = [], make()
    orders = [(config, tmp_path / f"together-{i}") for i, config in enumerate(CONFIGS)]
    run = make_together()
    outcomes = run(orders, lambda *what: told.append(what))
    assert told[-1][0] == 1.0
    for i, (config, outcome) in enumerate(zip(CONFIGS, outcomes, strict=True)):
        alone = tmp_path / f"alone-{i}"
        status, _, score = single(config, alone, lambda *what: None)
        assert outcome[0] == status == "completed"
        assert outcome[2] == pytest.approx(score)
        for name in ("metrics.jsonl", "eval.jsonl"):
            rows = zip(lines(tmp_path / f"together-{i}", name), lines(alone, name), strict=True)
            for row, expected in rows:
                close(row, expected)
        records = [json.loads((d / "config.json").read_text()) for d in (orders[i][1], alone)]
        assert records[0]["config"] == records[1]["config"]
        assert records[0]["provenance"]["population"] == list(config["seeds"])
    # What was begun goes on alone; the others, fewer now, train together again.
    (tmp_path / "together-0" / "status.json").unlink()
    again = [
        orders[0],
        *((config, tmp_path / f"again-{i}") for i, config in enumerate(CONFIGS[1:])),
    ]
    assert [o[0] for o in run(again, lambda *what: None)] == ["completed"] * 4
    assert (tmp_path / "together-0" / "resumes.jsonl").exists()
    assert lines(tmp_path / "again-2")[-1]["loss"] == pytest.approx(
        lines(tmp_path / "together-3")[-1]["loss"], rel=1e-4
    )


@pytest.mark.parametrize(
    ("speeds", "runs", "expected"),
    [
        ({1: 100.0, 4: 95.0}, 100, 1),
        ({1: 100.0, 4: 300.0, 16: 310.0}, 100, 4),
        ({1: 100.0, 4: 300.0, 16: 900.0}, 100, 16),
        ({1: 100.0, 4: 300.0, 16: 900.0}, 8, 4),
        ({1: 100.0, 4: 300.0}, 0, 1),
    ],
)
def test_as_many_at_once_as_gain_and_can_be_filled(speeds, runs, expected):
    assert population.best(speeds, runs) == expected


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", ""])
def test_other_populations_are_refused(text):
    with pytest.raises(SettingsError, match="auto or a number"):
        population.members_of(text)


@pytest.mark.slow
def test_speeds_are_measured_until_more_at_once_gain_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(population, "SECONDS", 0.05)
    monkeypatch.setattr(population, "SIZES", (1, 2))
    assert population.make()(CONFIGS[0], tmp_path / "probe", lambda *what: None)[0] == "completed"
    speeds = json.loads((tmp_path / "probe" / population.FILE).read_text())["speeds"]
    assert set(speeds) == {"1", "2"}
    assert min(speeds.values()) > 0


@pytest.mark.slow
def test_auto_takes_what_a_worker_measured(tmp_path, monkeypatch):
    """A CPU is measured only where many runs wait for it."""
    config = read(RunConfig, CONFIGS[0], "here")
    todo = [Item(str(i), config, tmp_path / str(i), "one") for i in range(8)]
    monkeypatch.setattr(population, "WORTH", 5)
    assert population.choose(todo, cores()[0], 2, tmp_path, 300.0)[0] == 1
    assert not (tmp_path / "population").exists()

    size, why = population.choose(todo, cores()[0], 1, tmp_path, 300.0)
    speeds = json.loads((tmp_path / "population" / population.FILE).read_text())["speeds"]
    assert size == population.best({int(k): v for k, v in speeds.items()}, len(todo))
    assert all(f"{number} at once {speed:,.0f}" in why for number, speed in speeds.items())


def test_a_formula_is_never_measured(tmp_path):
    todo = [Item("0", base("probe/landscape", "adamw"), tmp_path, "one")]
    assert population.choose(todo, None, 1, tmp_path, 1.0) == (1, "a formula is not trained")


def test_a_pruned_sweep_is_not_gone_on_with_as_a_population(commands, tmp_path):
    space, out = tmp_path / "space.yaml", tmp_path / "sweep"
    space.write_text("{design: random, ppo: {gamma: {uniform: [0.9, 1.0]}}}")
    new = ["sweep", "--space", str(space), "--env", "probe/landscape", "--prune", "asha"]
    code, said = commands.run(*new, "--out", str(out), "--trials", "2", "--population", "2")
    assert code == 2, said
    assert not out.exists()
    assert commands.run(*new, "--out", str(out), "--trials", "2")[0] == 0
    again = ["sweep", "--resume", str(out), "--trials", "4", "--population", "2"]
    code, said = commands.run(*again)
    assert code == 2
    assert "--population 1" in said
