"""Everything the command line does has a call in Python, with the same records and errors."""

from __future__ import annotations

import threading

import numpy as np
import optax
import pytest

import rl_eval
import sweeps
from rl_eval.reading import read_run
from rl_eval.settings import SettingsError

SMALL = {"num_envs": 4, "num_steps": 16, "hidden_sizes": [8], "num_minibatches": 2}
ENVS = ("probe/landscape", "probe/landscape-shifted")


def adamw(num_steps, learning_rate=3e-4):
    return optax.adamw(optax.linear_schedule(learning_rate, 0.0, num_steps))


tuned = lambda num_steps, learning_rate=1e-3: adamw(num_steps, learning_rate)  # noqa: E731


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return rl_eval.train(
        "CartPole-v1",
        optimizer=tuned,
        hyperparameters={"learning_rate": 2e-3},
        settings=SMALL,
        seeds=2,
        total_timesteps=512,
        cost=False,
        progress=False,
        out=tmp_path_factory.mktemp("run") / "run",
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return sweeps.sweep(
        ENVS,
        optimizers=["adamw", "celo2-base"],
        trials=8,
        seeds=2,
        workers="here",
        progress=False,
        out=tmp_path_factory.mktemp("study") / "study",
    )


def test_a_run_is_numbers_and_frames_of_what_is_on_disk(run):
    assert run.statuses == ["completed"] * 2
    assert run.final_returns.shape == (2,)
    assert np.isfinite(run.final_returns).all()
    assert run.metrics["seed"].unique().sort().to_list() == [0, 1]
    assert run.metrics["env_steps"].max() == 512
    assert run.cost.height == 0  # not measured
    assert run.config.optimizer.hyperparameters == {"learning_rate": 2e-3}
    assert rl_eval.load(run.path) == run


def test_a_lambda_is_recorded_under_a_name_that_no_other_process_takes_for_its_own(run):
    assert read_run(run.path / "seed-0").config.optimizer.name == "@lambda"
    with pytest.raises(SettingsError, match="define it in a file"):
        sweeps.sweep(ENVS[0], optimizers=lambda num_steps: optax.sgd(1e-3), trials=2, workers=1)


def test_resuming_takes_what_agrees_and_refuses_what_does_not(run):
    same = {"optimizer": tuned, "resume": run.path, "progress": False}
    assert rl_eval.train("CartPole-v1", seeds=2, **same) == run
    for odd in ({"optimizer": "celo2"}, {"seeds": 3}, {"settings": {"gamma": 0.5}}):
        with pytest.raises(SettingsError, match="a run keeps its configuration"):
            rl_eval.train(**{**same, **odd})
    with pytest.raises(SettingsError, match="give it again as optimizer="):
        rl_eval.train(resume=run.path)


def test_a_wrong_argument_raises_and_writes_nothing(tmp_path):
    with pytest.raises(SettingsError, match="did you mean celo"):
        rl_eval.train("CartPole-v1", optimizer="celo3", out=tmp_path / "x")
    with pytest.raises(SettingsError, match="unknown key gama"):
        rl_eval.train("CartPole-v1", settings={"gama": 1.0}, out=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_run_trains_in_a_thread(tmp_path):
    done = []

    def work():
        small = {"settings": SMALL, "total_timesteps": 128, "cost": False, "progress": False}
        done.append(rl_eval.train("CartPole-v1", optimizer="sgd", out=tmp_path / "run", **small))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done[0].statuses == ["completed"]


def test_a_study_is_a_table_its_best_trial_a_figure_and_a_page(study, tmp_path):
    table = study.table
    assert table.height == 2 * 2 * 8
    assert table["completed"].sum() + table["diverged"].sum() == 2 * 2 * 8 * 2
    best = study.best("adamw", ENVS[0])
    rows = table.filter(
        (table["optimizer"] == "adamw") & (table["env"] == ENVS[0]) & (table["diverged"] == 0)
    )
    assert best.objective == rows["objective"].max()
    drawing = study.parallel_coordinates("adamw", ENVS[0])
    assert drawing._repr_png_().startswith(b"\x89PNG")
    assert drawing.save(tmp_path / "figure.svg").read_text().startswith("<?xml")
    assert study.report(tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")


def test_what_a_study_does_not_have_is_named(study):
    with pytest.raises(SettingsError, match="there are adamw, celo2-base"):
        study.best("sgd", ENVS[0])
    with pytest.raises(SettingsError, match="name the environment: there are"):
        study.best("adamw")


def test_a_sweep_goes_on_with_more_trials_and_keeps_its_configuration(study):
    again = sweeps.sweep(
        ENVS, optimizers=["adamw", "celo2-base"], resume=study.path, progress=False
    )
    assert again.table.height == study.table.height
    with pytest.raises(SettingsError, match="--env cannot go with --resume"):
        sweeps.sweep(ENVS[0], resume=study.path, progress=False)


def test_objects_are_compared_in_this_process(tmp_path):
    comparison = sweeps.compare(
        ENVS,
        optimizers=["adamw", optax.sgd(1e-2), adamw],
        seeds=2,
        cost=False,
        progress=False,
        out=tmp_path / "comparison",
    )
    names = comparison.scores.record.optimizers
    assert names == ("adamw", "@optimizer", f"{__name__}:adamw")
    assert comparison.report().name == "report.html"
    assert sweeps.load_comparison(comparison.path) == comparison


def test_two_objects_of_one_name_are_told_apart_or_refused():
    two = [lambda num_steps: optax.sgd(1e-2), lambda num_steps: optax.sgd(1e-3)]
    with pytest.raises(SettingsError, match="two optimizers are called @lambda"):
        sweeps.compare(ENVS, optimizers=two)


def test_the_gate_refuses_what_its_processes_cannot_import(tmp_path):
    with pytest.raises(SettingsError, match="define it in a file"):
        sweeps.check(tmp_path / "baseline.json", lambda num_steps: optax.sgd(1e-2))
    with pytest.raises(SettingsError, match="No such file"):
        sweeps.check(tmp_path / "baseline.json", "adamw")
