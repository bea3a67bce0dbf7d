"""A worker's runs: compiled once for trials that differ in traced values, equal to `train`'s."""

from __future__ import annotations

import logging

import jax
import pytest
from trial_runs import config_of, lines

from rl_eval.config import to_dict
from sweeps.tasks.trial import make


class Compiled(logging.Handler):
    """Names of what jax compiles."""

    def __init__(self):
        super().__init__()
        self.names = []

    def emit(self, record):
        text = record.getMessage()
        if text.startswith("Compiling"):
            self.names.append(text.split()[1])


@pytest.fixture
def compiled():
    handler = Compiled()
    logger = logging.getLogger("jax._src.interpreters.pxla")
    logger.addHandler(handler)
    with jax.log_compiles():
        yield handler.names
    logger.removeHandler(handler)


@pytest.mark.slow
def test_trials_that_differ_in_traced_values_and_seeds_compile_nothing_more(compiled, tmp_path):
    run, told = make(), []

    def go(name, rate, gamma, seed):
        config = config_of(rate, gamma, seed)
        return run(to_dict(config), tmp_path / name, lambda *what: told.append(what))

    status, reason, score = go("first", 1e-3, 0.99, 0)
    assert (status, reason) == ("completed", None)
    assert score == lines(tmp_path / "first", "eval.jsonl")[-1]["return_mean"]
    assert told[-1][0] == 1.0
    assert "jit(traced)" in compiled
    compiled.clear()
    go("second", 1e-2, 0.95, 7)
    assert compiled == []
    make()(to_dict(config_of(1e-2, 0.95, 7)), tmp_path / "fresh", lambda *what: None)
    assert "jit(traced)" in compiled
    for name in ("metrics.jsonl", "eval.jsonl"):
        assert lines(tmp_path / "second", name) == lines(tmp_path / "fresh", name)
    assert lines(tmp_path / "second") != lines(tmp_path / "first")


@pytest.mark.slow
def test_a_run_that_was_killed_before_its_first_checkpoint_starts_as_it_began(tmp_path):
    config, run = to_dict(config_of(1e-3, 0.99, 3)), make()
    run(config, tmp_path / "whole", lambda *what: None)

    def die(share, score):
        raise SystemExit

    with pytest.raises(SystemExit):
        run(config, tmp_path / "killed", die)
    assert not (tmp_path / "killed" / "checkpoints").exists()
    assert run(config, tmp_path / "killed", lambda *what: None)[0] == "completed"
    for name in ("metrics.jsonl", "eval.jsonl"):
        assert lines(tmp_path / "killed", name) == lines(tmp_path / "whole", name)
