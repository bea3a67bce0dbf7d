"""Whole iterations: repeatable, independent of neighbours, compiled once, safe from divergence."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ppo.runs import PPO, adam, hparams_of, run, smaller, start
from spoiled import CODES, Spoiled

from optimizers.schedules import make_schedule
from rl_eval.envs.base import Layout
from rl_eval.envs.probes import ProbeEnv
from rl_eval.ppo.learner import shuffled
from rl_eval.ppo.state import NOT_DIVERGED


def assert_same(a, b, **tolerance):
    check = np.testing.assert_allclose if tolerance else np.testing.assert_array_equal
    jax.tree.map(lambda x, y: check(np.asarray(x), np.asarray(y), **tolerance), a, b)


def test_the_same_seed_gives_bitwise_equal_metrics_twice():
    _, first = run()
    _, second = run()
    assert_same(first, second)


def test_how_iterations_are_cut_into_chunks_changes_nothing():
    _, whole = run()
    _, cut = run(chunks=(1, 7, 12))
    assert_same(whole, cut)


def test_other_seeds_give_other_runs():
    _, first = run(seeds=(0,))
    _, second = run(seeds=(1,))
    assert not np.allclose(first.update.losses.total, second.update.losses.total)


def test_seeds_as_a_population_equal_seeds_run_alone():
    _, together = run(seeds=(0, 1, 2))
    for i, seed in enumerate((0, 1, 2)):
        _, alone = run(seeds=(seed,))
        ours = jax.tree.map(lambda x, i=i: x[:, i : i + 1], together)
        assert_same(ours.games, alone.games)
        assert_same(ours, alone, rtol=1e-5, atol=1e-5)


def test_ten_learning_rates_compile_once_and_a_second_chunk_not_at_all():
    traces = []

    def counting(num_steps, hparams):
        traces.append(num_steps)
        return adam(num_steps, hparams)

    population, _ = start(make=counting)
    finals, counts = [], []
    for rate in np.geomspace(1e-5, 1e-1, 10):
        state = population.init((0,), hparams_of({"learning_rate": rate}, (0,)))
        before_chunks = len(traces)
        state, _ = population.run(state, 3)
        state, rows = population.run(state, 2)
        counts.append(len(traces) - before_chunks)
        finals.append(float(rows.update.param_norm[1, 0]))
    assert counts[0] > 0
    assert counts[1:] == [0] * 9
    assert len(set(finals)) == 10


def test_a_static_setting_is_part_of_what_is_compiled():
    _, few = run(ppo=smaller(num_minibatches=2))
    assert few.gradient_steps[-1, 0] == 20 * 2 * 2


def explode_at(step):
    """An optimizer that is Adam until it returns NaN at one gradient step."""

    def make(num_steps, hparams):
        inner = adam(num_steps, hparams)

        def init(params):
            return inner.init(params), jnp.int32(0)

        def update(grads, state, params, **extra):
            updates, inner_state = inner.update(grads, state[0], params, **extra)
            bad = (state[1] == step) & (hparams["explodes"] > 0)
            updates = jax.tree.map(lambda u: jnp.where(bad, jnp.nan, u), updates)
            return updates, (inner_state, state[1] + 1)

        return optax.GradientTransformationExtraArgs(init, update)

    return make


def exploding_run(flags):
    seeds = tuple(range(len(flags)))
    population, _ = start(seeds=seeds, make=explode_at(37))
    hparams = hparams_of({"learning_rate": 1e-3, "explodes": flags}, seeds)
    return population.run(population.init(seeds, hparams), 20)


def test_divergence_stops_that_member_at_its_step_and_leaves_its_neighbours_bit_equal():
    state, rows = exploding_run([0.0, 1.0, 0.0])
    healthy, untouched = exploding_run([0.0, 0.0, 0.0])
    assert state.learner.diverged_at.tolist() == [NOT_DIVERGED, 37, NOT_DIVERGED]
    assert state.learner.gradient_steps.tolist() == [160, 37, 160]
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(state.learner.params))
    for i in (0, 2):
        assert_same(
            jax.tree.map(lambda x, i=i: x[:, i], rows),
            jax.tree.map(lambda x, i=i: x[:, i], untouched),
        )
    diverging = 37 // PPO.steps_per_iteration
    norms = np.asarray(rows.update.param_norm[:, 1])
    assert np.isnan(norms[diverging])
    assert set(norms[diverging + 1 :].tolist()) == {norms[diverging - 1]}
    assert healthy.learner.diverged_at[1] == NOT_DIVERGED
    mean = rows.update.update_norm[:, 1]  # over the steps taken, of which there are none any more
    assert np.isfinite(mean[: diverging + 1]).all()
    assert np.isnan(mean[diverging + 1 :]).all()


def test_rewards_and_observations_that_are_not_finite_end_that_member_alone():
    """One member each: NaN, inf and -inf rewards, NaN and inf observations, from step 20 on."""
    ppo = smaller(update_epochs=1, num_minibatches=2)
    pools = [
        Spoiled(Layout(ppo.num_envs, CODES), codes, since=20)
        for codes in (CODES, (0,) * len(CODES))
    ]
    population, _ = start(env=pools[0], ppo=ppo, iterations=3)
    hparams = hparams_of({"learning_rate": 1e-3}, CODES)
    (state, rows), (_, clean) = (
        population.run(population.init(CODES, hparams, pool), 3) for pool in pools
    )
    healthy, *others = state.learner.diverged_at.tolist()
    assert healthy == NOT_DIVERGED
    assert set(others) <= {2, 3}  # gradient steps of the second iteration, steps 16 to 31
    assert_same(*(jax.tree.map(lambda x: x[:, 0], part) for part in (rows, clean)))


def test_an_absurd_learning_rate_is_recorded_as_divergence():
    state, _ = run(learning_rate=1e8)
    assert int(state.learner.diverged_at[0]) == 0


def test_target_kl_stops_an_iteration_after_the_epoch_that_exceeds_it():
    _, free = run(learning_rate=1e-2, ppo=smaller(update_epochs=4))
    _, stopped = run(
        learning_rate=1e-2, ppo=smaller(update_epochs=4), ppo_hparams={"target_kl": 1e-9}
    )
    assert free.gradient_steps[-1, 0] == 20 * 16
    assert stopped.gradient_steps[-1, 0] == 20 * 4


def pacing(num_steps, hparams, skipped_steps):
    """Moves one parameter by the scheduled rate, so that the norm of the update is the rate."""
    rate = make_schedule(1.0, "linear", 0.0, num_steps, skipped_steps)

    def update(grads, count, params=None, **extra):
        first, *rest = jax.tree.leaves(params)
        moved = jnp.zeros_like(first).at[(0,) * first.ndim].set(rate(count))
        updates = [moved, *map(jnp.zeros_like, rest)]
        return jax.tree.unflatten(jax.tree.structure(params), updates), count + 1

    return optax.GradientTransformationExtraArgs(lambda params: jnp.int32(0), update)


@pytest.mark.parametrize("target_kl", [None, 1e-9])
def test_schedule_and_metrics_follow_the_run_where_target_kl_leaves_steps_out(target_kl):
    """Means over the steps taken, at the rates of their places in a run of 20 times 8 steps."""
    _, rows = run(make=pacing, follows_run=True, ppo_hparams={"target_kl": target_kl})
    taken = np.diff(rows.gradient_steps[:, 0], prepend=0)
    assert set(taken) == ({8} if target_kl is None else {4, 8})
    rates = [1 - (8 * i + np.arange(n).mean()) / 160 for i, n in enumerate(taken)]
    np.testing.assert_allclose(rows.update.update_norm[:, 0], rates, rtol=1e-5)


def test_minibatches_of_one_transition_with_normalised_advantages_are_refused():
    with pytest.raises(ValueError, match=r"num_minibatches=64 leaves one .* or norm_adv=false"):
        start(ppo=smaller(num_minibatches=64))
    start(ppo=smaller(num_minibatches=64, norm_adv=False))
    start(ppo=smaller(num_minibatches=32))


class MostlyInvalid(ProbeEnv):
    """Three of four environments hand over no transition."""

    def step(self, state, action):
        state, step = super().step(state, action)
        return state, step._replace(valid=jnp.arange(self.num_envs) % 4 == 0)


def test_minibatches_with_fewer_than_two_valid_transitions_are_counted():
    env = MostlyInvalid("probe/both", Layout(4, (0,)))
    _, rows = run(env=env, ppo=smaller(num_minibatches=32), iterations=4, chunks=(4,))
    two_of_64 = 64  # minibatches of an iteration: two epochs, 16 of 64 transitions valid
    assert (rows.update.starved > two_of_64 / 2).all()
    assert (rows.update.starved < two_of_64).all()


def spying(seen):
    """An optimizer that notes which extra arguments it is offered at trace time."""

    def make(num_steps, hparams):
        seen["num_steps"] = num_steps
        inner = optax.sgd(hparams["learning_rate"])

        def update(grads, state, params=None, **extra):
            seen["extra"] = extra
            seen["params"] = params
            return inner.update(grads, state, params)

        return optax.GradientTransformationExtraArgs(inner.init, update)

    return make


def test_an_optimizer_always_gets_params_value_and_horizon_and_no_more_than_it_needs():
    seen = {}
    run(make=spying(seen))
    assert seen["num_steps"] == 20 * 8
    assert set(seen["extra"]) == {"value"}
    assert seen["params"] is not None


def test_an_optimizer_gets_what_its_needs_name():
    seen = {}
    run(make=spying(seen), needs=("progress", "key", "activations"))
    assert set(seen["extra"]) == {"value", "progress", "key", "activations"}
    progress = seen["extra"]["progress"]
    assert (progress.num_iterations, progress.update_epochs, progress.num_minibatches) == (20, 2, 4)
    layers = {
        jax.tree_util.keystr(k) for k, _ in jax.tree.leaves_with_path(seen["extra"]["activations"])
    }
    assert layers == {
        "['actor_torso']['dense_0']",
        "['critic_torso']['dense_0']",
        "['actor_head']['dense_0']",
        "['critic_head']['dense_0']",
    }


@pytest.mark.parametrize("fed", ["total", "value", "policy+value"])
def test_the_loss_fed_to_the_optimizer_is_the_configured_one(fed):
    def make(num_steps, hparams):
        # Moves every parameter by the value it is told, so that the norm of the update shows it.
        def update(grads, state, params=None, *, value, **extra):
            return jax.tree.map(lambda p: jnp.zeros_like(p).at[...].set(value), params), state

        return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)

    ppo = smaller(update_epochs=1, num_minibatches=1, optimizer_value=fed)
    state, rows = run(make=make, ppo=ppo, iterations=1, chunks=(1,))
    losses = jax.tree.map(lambda x: float(x[0, 0]), rows.update.losses)
    expected = {
        "total": losses.total,
        "value": losses.value,
        "policy+value": losses.policy + 0.5 * losses.value,
    }[fed]
    size = sum(leaf[0].size for leaf in jax.tree.leaves(state.learner.params))
    told = float(rows.update.update_norm[0, 0]) / np.sqrt(size)
    np.testing.assert_allclose(told, abs(expected), rtol=1e-4)


def test_every_epoch_visits_every_row_once_in_an_order_of_its_own():
    rows = shuffled(jax.random.key(3), PPO).reshape(PPO.update_epochs, -1)
    for order in rows:
        np.testing.assert_array_equal(np.sort(order), np.arange(PPO.batch_size))
    assert (rows[0] != rows[1]).mean() > 0.9
