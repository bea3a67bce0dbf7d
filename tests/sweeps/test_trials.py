"""Trials: identity, what is shared between optimizers, what is left to run."""

from __future__ import annotations

import dataclasses
import json

import pytest
from report.landscape import SPACE, base

from optimizers import registry
from rl_eval.config import RunConfig, to_dict
from rl_eval.records.run import RunDirectory
from rl_eval.records.sweep import read_sweep, write_sweep
from rl_eval.settings import SettingsError, read
from rl_eval.setup.trust import Trust
from sweeps.plan import Plan, extended, repeated, trials_of, write
from sweeps.presets import names, path
from sweeps.space.domains import parse_domain, value_at
from sweeps.space.space import make_space, read_space
from sweeps.trials import (
    ENDED,
    plan,
    remaining,
    run_directory,
    static_signature,
    sweep_record,
    trial_id,
)

ENV = "Breakout-MinAtar"


def planned(values, optimizers=("adamw",), **options):
    space = make_space(values, optimizers, "here")
    return plan(space, [base(ENV, name) for name in optimizers], seed=0, **options)


@pytest.fixture(scope="module")
def both():
    return planned(SPACE, ("celo2", "adamw", "velo"), trials=8)


def test_a_trial_has_its_id_whatever_its_seeds_and_after_a_round_trip(both):
    for trial in both:
        more = dataclasses.replace(trial.config, seeds=(3, 4))
        recorded = read(RunConfig, json.loads(json.dumps(to_dict(more))), "config.json")
        assert trial_id(recorded, trial.digits) == trial.id


def test_every_other_setting_changes_the_id():
    config = base(ENV, "adamw")
    others = [
        dataclasses.replace(config, total_timesteps=config.total_timesteps + 1),
        dataclasses.replace(config, hparams=dataclasses.replace(config.hparams, gamma=0.98)),
        dataclasses.replace(config, ppo=dataclasses.replace(config.ppo, num_envs=16)),
        base(ENV, "adam"),
        base("Asterix-MinAtar", "adamw"),
    ]
    assert len({trial_id(c) for c in (config, *others)}) == 6


def test_all_optimizers_face_the_same_ppo_points(both):
    columns = {}
    for trial in both:
        faced = (trial.config.hparams, trial.config.ppo)
        columns.setdefault(trial.config.optimizer.name, []).append(faced)
    assert columns["celo2"] == columns["adamw"] == columns["velo"]
    assert len(set(columns["adamw"])) == 8


def test_an_optimizer_has_its_trials_whoever_else_is_in_the_sweep(both):
    alone = planned(SPACE, ("adamw",), trials=8)
    assert [t.id for t in alone] == [t.id for t in both if t.config.optimizer.name == "adamw"]


def test_values_are_those_of_the_configuration(both):
    trial = next(t for t in both if t.config.optimizer.name == "celo2")
    settings = trial.config.optimizer.hyperparameters
    assert trial.values == {
        "hparams.gamma": trial.config.hparams.gamma,
        "hparams.gae_lambda": trial.config.hparams.gae_lambda,
        "hparams.ent_coef": trial.config.hparams.ent_coef,
        "ppo.num_minibatches": trial.config.ppo.num_minibatches,
        "optimizer.learning_rate": settings["learning_rate"],
        "optimizer.weight_decay": settings["weight_decay"],
        "optimizer.mult_1d": settings["mult_1d"],
    }


def test_equal_configurations_are_one_trial():
    values = {"design": "random", "ppo": {"gamma": {"choice": [0.9, 0.99]}}}
    assert len(planned(values, trials=64)) == 2


def test_static_values_that_do_not_fit_are_refused_even_if_not_drawn():
    values = {"ppo": {"num_minibatches": {"int": [1, 8]}, "gamma": {"uniform": [0.9, 1]}}}
    words = "the space allows num_minibatches=3: num_minibatches=3 does not divide"
    with pytest.raises(SettingsError, match=words):
        planned(values, trials=1)


def test_too_short_a_training_for_a_rollout_is_refused():
    values = {"ppo": {"num_steps": {"choice": [32, 2**20]}}}
    with pytest.raises(SettingsError, match="num_steps=1048576: total_timesteps=100000 is less"):
        planned(values, trials=1)


def test_trials_that_differ_in_traced_values_share_a_signature(both):
    signatures = {}
    for trial in both:
        key = (trial.config.optimizer.name, trial.config.ppo.num_minibatches)
        signatures.setdefault(key, set()).add(static_signature(trial.config))
    assert {len(found) for found in signatures.values()} == {1}
    assert len(set.union(*signatures.values())) == len(signatures) == 6


def test_a_static_setting_of_the_optimizer_or_the_budget_has_its_own_signature():
    config = base(ENV, "adamw")
    constant = registry.get("adamw").resolve({"schedule": "constant"})
    others = [
        dataclasses.replace(config, total_timesteps=200_000),
        dataclasses.replace(
            config, optimizer=dataclasses.replace(config.optimizer, hyperparameters=constant)
        ),
    ]
    assert len({static_signature(c) for c in (config, *others)}) == 3
    no_limit = dataclasses.replace(config.hparams, max_grad_norm=None)
    unlimited = dataclasses.replace(config, hparams=no_limit, seeds=(1, 2))
    assert static_signature(unlimited) == static_signature(config)


def test_what_has_not_ended_remains(both, tmp_path):
    trials = both[:3]
    written = {(0, 0): "completed", (0, 1): "diverged", (1, 0): "failed", (1, 1): "running"}
    for (i, seed), status in written.items():
        directory = RunDirectory(run_directory(tmp_path, trials[i].id, seed))
        directory.create({}, {})
        directory.set_status(status)
    torn = run_directory(tmp_path, trials[2].id, 0)
    torn.mkdir(parents=True)
    (torn / "status.json").write_text('{"status": "comp')

    def left(**options):
        found = remaining(trials, (0, 1), tmp_path, **options)
        return [(trials.index(trial), seed) for trial, seed in found]

    assert left() == [(1, 1), (2, 0), (2, 1)]
    assert left(ended=ENDED) == [(1, 0), (1, 1), (2, 0), (2, 1)]


def test_the_record_of_a_sweep_is_read_as_written(both, tmp_path):
    space = make_space(SPACE, ("celo2", "adamw", "velo"), "here")
    record = sweep_record(space, both, seeds=(0, 1), design="sobol", design_seed=0, preset="x")
    write_sweep(tmp_path, record)
    assert read_sweep(tmp_path) == record
    scales = {axis.name: axis.scale for axis in record.axes["celo2"]}
    assert scales["learning_rate"] == "log"
    assert scales["num_minibatches"] == "integer"
    assert scales["gae_lambda"] == "linear"
    assert scales["weight_decay"] == "choice"


@pytest.mark.parametrize("preset", names())
def test_a_preset_makes_trials_for_every_optimizer(preset):
    optimizers = ("adamw", "celo2", "celo2-base", "muon", "sgd")
    space = read_space(path(preset), optimizers)
    trials = plan(space, [base(ENV, name) for name in optimizers], seed=0)
    each = {"celo2-paper": 14, "learning-rate": 7, "sensitivity": 64}[preset]
    found = [t.config.optimizer.name for t in trials]
    assert found == [name for name in optimizers for _ in range(found.count(name))]
    assert found.count("adamw") == found.count("celo2") == each


def test_the_learning_rates_of_the_paper():
    space = read_space(path("celo2-paper"), ("celo2-base",))
    trials = plan(space, [base(ENV, "celo2-base")], seed=0)
    settings = [trial.config.optimizer.hyperparameters for trial in trials]
    rates = [1e-5, 2.1544e-5, 4.6416e-5, 1e-4, 2.1544e-4, 4.6416e-4, 1e-3]
    assert sorted({s["learning_rate"] for s in settings}) == rates
    assert {(s["schedule"], s["warmup_share"]) for s in settings} == {("cosine", 0.05)}


def test_an_unknown_preset_is_named_with_those_there_are():
    with pytest.raises(SettingsError, match="unknown preset sensitivty; did you mean sensitivity"):
        path("sensitivty")


# ---- identity -----------------------------------------------------------------------------


def test_a_sweep_has_long_ids_and_one_of_before_keeps_its_own():
    long, short = planned(SPACE, trials=4), planned(SPACE, trials=4, rules=1)
    assert {len(trial.id) for trial in long} == {16}
    assert {len(trial.id) for trial in short} == {8}
    assert [a.id[:8] for a in long] == [b.id for b in short]


def test_close_ends_leave_as_many_values_as_others():
    """With five digits 0.9999 to 0.99999 has ten values."""
    for domain in ("uniform", "log_uniform"):
        space = {"optimizer": {"b2": {domain: [0.9999, 0.99999]}}}
        found = planned(space, trials=64)
        assert len({trial.values["optimizer.b2"] for trial in found}) == 64
        assert len(planned(space, trials=64, rules=1)) <= 10


def test_points_that_repeat_are_said_and_not_silently_fewer():
    values = {"ppo": {"gamma": {"choice": [0.9, 0.99]}, "num_minibatches": {"choice": [1, 2, 4]}}}
    options = {"preset": None, "source": "here", "space": values, "optimizers": ("adamw",)}
    described = Plan(
        schema=1,
        bases=(base(ENV, "adamw"),),
        design="sobol",
        design_seed=0,
        trials=64,
        seeds=(0,),
        commands=(),
        **options,
    )
    trials = trials_of(described)
    assert len(trials) == 6
    assert "64 points of the design are 6 different settings" in repeated(described, trials)
    few = dataclasses.replace(described, trials=1)
    assert repeated(few, trials_of(few)) is None


def test_a_plan_of_before_is_planned_as_it_was(tmp_path):
    values = {"optimizer": {"b2": {"uniform": [0.9999, 0.99999]}}}
    described = Plan(
        schema=1,
        preset=None,
        source="here",
        space=values,
        optimizers=("adamw",),
        bases=(base(ENV, "adamw"),),
        design="sobol",
        design_seed=0,
        trials=8,
        seeds=(0,),
        commands=("first",),
        rules=1,
    )
    write(tmp_path, described, trials_of(described))
    file = tmp_path / "plan.json"
    document = json.loads(file.read_text())
    del document["rules"]
    file.write_text(json.dumps(document))
    again, trials = extended(tmp_path, (0, 1), None, "second", Trust())
    assert again.rules == 1
    assert {trial.id for trial in trials} == {trial.id for trial in read_sweep(tmp_path).planned}
    assert {len(trial.id) for trial in trials} == {8}
    assert extended(tmp_path, None, None, "third", Trust())[0].rules == 1


@pytest.mark.parametrize("kind", ["uniform", "log_uniform"])
def test_the_widest_ranges_have_values_throughout(kind):
    low = -1.7e308 if kind == "uniform" else 1e-300
    domain = parse_domain({kind: [low, 1.7e308]})
    found = [value_at(domain, u) for u in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert len(set(found)) == 5
    assert found == sorted(found)
