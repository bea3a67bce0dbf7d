"""A whole PPO iteration against recordings from an independent PyTorch computation."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import GOLDEN

from rl_eval.config import NetworkConfig, PPOConfig, PPOHparams
from rl_eval.ppo.gae import compute_gae
from rl_eval.ppo.learner import Optimizer, make_learner
from rl_eval.ppo.networks import make_network
from rl_eval.ppo.state import traced
from rl_eval.ppo.update import Minibatch, Run, run_minibatches
from rl_eval.types import Transition

RECORDINGS = sorted(GOLDEN.glob("ppo_*.npz"))
LAYERS = {
    "body.0": ("torso", "Dense_0"),
    "body.2": ("torso", "Dense_1"),
    "pi": ("actor_head", "Dense_0"),
    "v": ("critic_head", "Dense_0"),
}


def params_of(npz, prefix):
    tree = {}
    for name, (module, layer) in LAYERS.items():
        leaves = {"kernel": npz[f"{prefix}/{name}.weight"].T, "bias": npz[f"{prefix}/{name}.bias"]}
        tree.setdefault(module, {})[layer] = jax.tree.map(jnp.asarray, leaves)
    return tree


def rollout_of(npz):
    done_after = np.concatenate([npz["done_before"][1:], npz["next_done"][None]]).astype(bool)
    nothing = np.zeros_like(done_after)
    fields = Transition(
        obs=npz["obs"],
        action=npz["action"].astype(np.int32),
        log_prob=npz["old_log_prob"],
        value=npz["old_value"],
        next_value=np.concatenate([npz["old_value"][1:], npz["next_value"][None]]),
        reward=npz["reward"],
        terminated=done_after,
        truncated=npz.get("truncated", nothing).astype(bool),
        valid=npz.get("valid", ~nothing).astype(bool),
    )
    return jax.tree.map(jnp.asarray, fields)


def replay(path: Path) -> SimpleNamespace:
    facts = json.loads(path.with_suffix(".json").read_text())
    npz = dict(np.load(path))
    config = PPOConfig(
        num_envs=facts["N"],
        num_steps=facts["T"],
        update_epochs=facts["update_epochs"],
        num_minibatches=facts["num_minibatches"],
        clip_vloss=facts["clip_value_loss"],
    )
    names = ("gamma", "gae_lambda", "clip_eps", "ent_coef", "vf_coef", "max_grad_norm")
    hparams = traced(PPOHparams(**{name: facts[name] for name in names}), {})
    hidden = (facts["hidden"], facts["hidden"])
    network = make_network(
        NetworkConfig("mlp", hidden, "tanh", shared=True),
        jax.ShapeDtypeStruct((facts["obs_dim"],), jnp.float32),
        facts["num_actions"],
    )
    adam = optax.with_extra_args_support(optax.adam(facts["learning_rate"], eps=facts["adam_eps"]))
    learner = make_learner(network, Optimizer(lambda steps, hparams: adam), config, 1)
    params = params_of(npz, "init")
    state = learner.init(jax.random.key(0), hparams)
    state = state.replace(params=params, opt_state=adam.init(params))
    rollout = rollout_of(npz)
    advantages = compute_gae(rollout, hparams.gamma, hparams.gae_lambda)
    flat = jax.tree.map(
        lambda x: x.reshape(-1, *x.shape[2:]),
        Minibatch(rollout, advantages, advantages + rollout.value),
    )
    order = np.stack([npz[f"permutation/{e}"] for e in range(config.update_epochs)])
    rows = jnp.asarray(order.reshape(-1, config.minibatch_size), jnp.int32)
    state, steps = jax.jit(
        lambda s: run_minibatches(
            Run(network, adam, config, frozenset(), 1), s, flat, rows, jax.random.key(0)
        )
    )(state)
    return SimpleNamespace(npz=npz, advantages=advantages, flat=flat, state=state, steps=steps)


@pytest.fixture(scope="module", params=RECORDINGS, ids=lambda p: p.stem)
def run(request):
    return replay(request.param)


def test_recordings_are_there():
    assert RECORDINGS, f"no ppo_*.npz in {GOLDEN}"


def test_advantages_and_targets_match_the_recording(run):
    np.testing.assert_allclose(run.advantages, run.npz["advantage"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run.flat.target, run.npz["return_"].ravel(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("recorded", "ours"),
    [
        ("loss", lambda s: s.losses.total),
        ("policy_loss", lambda s: s.losses.policy),
        ("value_loss", lambda s: s.losses.value),
        ("entropy", lambda s: s.losses.entropy),
        ("approx_kl", lambda s: s.losses.approx_kl),
        ("clipfrac", lambda s: s.losses.clipfrac),
        ("grad_norm", lambda s: s.grad_norm),
    ],
)
def test_every_gradient_steps_losses_match_the_recording(run, recorded, ours):
    mine = np.asarray(ours(run.steps))
    theirs = np.stack([run.npz[f"step{i:02d}/{recorded}"] for i in range(len(mine))])
    # The policy loss and KL are differences of numbers near 1: float32 leaves 1e-7 absolute.
    np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=5e-7)


def test_final_parameters_match_the_recording(run):
    expected = params_of(run.npz, "final")
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), expected, params_of(run.npz, "init"))
    assert min(jax.tree.leaves(moved)) > 1e-4
    for path, leaf in jax.tree.leaves_with_path(expected):
        mine = run.state.params
        for key in path:
            mine = mine[key.key]
        np.testing.assert_allclose(mine, leaf, atol=1e-5, rtol=0, err_msg=str(path))
