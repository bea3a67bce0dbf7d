"""Small baselines with known scores, without a run."""

from __future__ import annotations

from rl_eval.gate import protocol
from rl_eval.gate.baseline import FORMAT, KIND, Baseline, Release, Run, Scores, Unit
from sweeps.gate.units import plan

ENVS = ("CartPole-v1", "Acrobot-v1")


def release_of(name="adamw", **changed):
    facts = {
        "optimizer": name,
        "settings": {"learning_rate": 0.001},
        "code": "0" * 64,
        "weights": None,
        "versions": {"jax": "0.10.2", "ale-py": None},
        "hardware": {"cpu": "of the example", "cpu_count": 2},
        "git": None,
    }
    return Release(**{**facts, **changed})


def runs_of(scores, diverged=()):
    """One run for each score; `diverged`: seeds."""
    return tuple(
        Run(seed, 0.0, None, True) if seed in diverged else Run(seed, score, 100 * score, False)
        for seed, score in enumerate(scores)
    )


def scores_of(columns=((0.5, 0.6, 0.7), (0.8, 0.9, 0.8))):
    suite = ",".join(ENVS)
    units = [
        Unit(unit.name, unit.config, {}, protocol.scale(unit.name), runs_of(column))
        for unit, column in zip(plan("adamw", protocol.benchmark(suite), ()), columns, strict=True)
    ]
    return Scores(suite, tuple(range(len(columns[0]))), tuple(units))


def baseline_of():
    return Baseline(KIND, FORMAT, "rl-eval gate record", release_of(), None, None, scores_of())
