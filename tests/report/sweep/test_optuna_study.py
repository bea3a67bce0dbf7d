"""Studies for Optuna's dashboard hold what the table holds, once."""

from __future__ import annotations

import dataclasses
import json

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from report.landscape import score, write

from rl_eval.records.sweep import Pruning, read_sweep, write_sweep
from rl_eval.records.table import read_table
from rl_eval.report.sweep.optuna_study import ExportError, export
from sweeps.trials import run_directory

SEEDS = (0, 1)
NAME = "mine probe/landscape celo2"


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep of 12 trials: the first pruned, the second failed, the third unfinished."""
    folder = tmp_path_factory.mktemp("sweep")
    trials = write(folder, optimizers=("celo2", "adamw"), trials=6, seeds=SEEDS)
    write_sweep(folder, dataclasses.replace(read_sweep(folder), pruning=Pruning("asha", 3, (0.5,))))
    for trial, status in zip(trials, ("pruned", "failed", "running"), strict=False):
        file = run_directory(folder, trial.id, 1) / "status.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "status": status}))
    return folder, trials


@pytest.fixture(scope="module")
def url(swept, tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('optuna')}/study.db"
    for _ in range(2):  # the second replaces the first
        found = export(read_table(swept[0]), "mine", url)
        assert found.studies == (NAME, "mine probe/landscape adamw")
        assert found.left_out == 1
    return url


@pytest.fixture
def study(url):
    storage = optuna.storages.RDBStorage(url)
    yield optuna.load_study(study_name=NAME, storage=storage)
    storage.remove_session()
    storage.engine.dispose()


def test_each_trial_is_there_once_with_its_state_and_value(swept, study):
    rows = [row for row in read_table(swept[0]).rows if row.optimizer == "celo2"]
    states = [trial.state.name for trial in study.trials]
    assert states == ["PRUNED", "FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    for row, trial in zip(rows[:2] + rows[3:], study.trials, strict=True):
        assert trial.user_attrs["trial"] == row.id
        assert trial.params == dict(row.values)
        assert trial.value == row.objective
    assert study.best_value == max(row.objective for row in rows if row.objective is not None)


def test_a_diverged_trial_is_complete_at_its_floor_and_says_so(swept, url):
    folder, _ = swept
    diverged = [row for row in read_table(folder).rows if row.count("diverged") == len(SEEDS)]
    assert diverged
    summaries = {row.optimizer for row in diverged}
    for optimizer in summaries:
        storage = optuna.storages.RDBStorage(url)
        study = optuna.load_study(study_name=f"mine probe/landscape {optimizer}", storage=storage)
        said = {t.user_attrs["trial"]: t for t in study.trials}
        for row in diverged:
            if row.optimizer == optimizer:
                assert said[row.id].user_attrs["diverged"] == len(SEEDS)
                assert (said[row.id].state.name, said[row.id].value) == ("COMPLETE", 0.0)
        storage.remove_session()
        storage.engine.dispose()


def test_axes_are_distributions(study):
    found = study.trials[-1].distributions
    assert found["optimizer.learning_rate"] == FloatDistribution(1e-5, 0.1, log=True)
    assert found["hparams.gae_lambda"] == FloatDistribution(0.8, 1.0)
    assert found["hparams.gamma"] == CategoricalDistribution((0.9, 0.95, 0.99))
    assert found["ppo.num_minibatches"] == IntDistribution(1, 2)


def test_curves_are_the_mean_over_seeds(swept, study):
    trial = study.trials[-1]
    planned = next(t for t in swept[1] if t.id == trial.user_attrs["trial"])
    assert list(trial.intermediate_values) == [10_000 * i for i in range(1, 11)]
    mean = sum(score(planned, seed) for seed in SEEDS) / len(SEEDS)
    assert trial.intermediate_values[100_000] == pytest.approx(mean)


def test_what_is_not_from_here_is_neither_written_to_nor_replaced(swept, tmp_path):
    url = f"sqlite:///{tmp_path}/theirs.db"
    storage = optuna.storages.RDBStorage(url)
    optuna.create_study(study_name=NAME, storage=storage)
    storage.remove_session()
    storage.engine.dispose()
    with pytest.raises(ExportError, match="not from rl-eval"):
        export(read_table(swept[0]), "mine", url)
    with pytest.raises(ExportError, match="no Optuna storage"):
        export(read_table(swept[0]), "mine", f"sqlite:///{tmp_path}/nowhere/study.db")


def test_the_command_writes_the_studies_and_draws_nothing(swept, tmp_path, capsys):
    from rl_eval.cli.main import main

    url = f"sqlite:///{tmp_path}/study.db"
    with pytest.raises(SystemExit) as ended:
        main(["report", str(swept[0]), "--export", "optuna", url])
    said = capsys.readouterr()
    assert ended.value.code == 0
    assert said.out.splitlines()[0] == f"{swept[0].name} probe/landscape celo2"
    assert "1 trials that have not ended" in said.err
    assert not (swept[0] / "report").exists()
