"""Whole games in environments and with keys of their own: what a policy is worth.

Every environment plays the same number of games. Taking the first n games to finish instead would
favour short ones: an environment that loses quickly hands in many while a good game still runs.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

from rl_eval.config import Policy, RunConfig
from rl_eval.envs import episode_stats, protocols
from rl_eval.envs.base import closed
from rl_eval.envs.described import Described
from rl_eval.envs.episode_stats import EpisodeStats
from rl_eval.envs.registry import describe, make_env
from rl_eval.errors import ExplainedError
from rl_eval.ppo.networks import Network, Params, make_network
from rl_eval.prng import Purpose, stream
from rl_eval.types import Environment, EnvState, Leaf, Step

# Every listed environment has a time limit below this; it is for others, which could go on for
# ever. 108,000 frames, the longest limit in use, are as many agent steps without frame skip.
MAX_GAME_STEPS = 200_000

# Environments per member, at most. Many cost little inside jit. A simulator stepped from the host
# goes on stepping those that are done, so few waste less when one game lasts to its time limit.
_JAX_ENVS, _HOST_ENVS = 128, 8


class Evaluation(NamedTuple):
    """Unclipped returns and lengths (agent steps) of full games, those of one environment adjacent.

    They follow from (seed, index, parameters) alone, not from evaluations or games before. The
    return of a game is NaN where the policy acted on an observation that is not finite, and not
    finite where a reward was not.
    """

    returns: Float[np.ndarray, "member episode"]
    lengths: Int[np.ndarray, "member episode"]


Evaluator = Callable[..., Evaluation]


class EndlessGameError(ExplainedError):
    """A game that did not end within the cap on its length.

    games: what the other members played; `endless` says whose games count for nothing. [member]
    """

    def __init__(
        self,
        message: str,
        games: Evaluation | None = None,
        endless: Bool[np.ndarray, " member"] | None = None,
    ) -> None:
        super().__init__(message)
        self.games, self.endless = games, endless


class _Ledger(NamedTuple):
    """Games so far; a column fills when an environment's game of that number is over."""

    stats: EpisodeStats
    returns: Float[Leaf, "env game"]
    lengths: Int[Leaf, "env game"]


def make_evaluator(
    config: RunConfig, network: Network, max_game_steps: int | None = None
) -> Evaluator:
    """`evaluate(params, index, seeds)` plays `config.evaluation.episodes` games of each member.

    Parameters have a leading axis [member], one for each of `seeds`, by default `config.seeds`;
    `index` is how many iterations they were trained for. JAX environments are played inside jit,
    compiled once for all calls and seeds; others from the host, each call in a pool of its own.
    Atari games are played as in training, lives and FIRE included, and counted whole and by the
    raw reward (`rl_eval.envs.protocols.evaluation`).

    Raises:
        EndlessGameError: by `evaluate`; a game was not over after `max_game_steps` agent steps
            (by default MAX_GAME_STEPS).
    """
    longest = MAX_GAME_STEPS if max_game_steps is None else max_game_steps
    members, episodes = len(config.seeds), config.evaluation.episodes
    described = describe(config.env.id)
    inside_jit = described.inside_jit(config.env.kwargs)
    num_envs = envs_per_member(inside_jit, episodes)
    match = _Match(config, described, network, num_envs, episodes // num_envs, longest)
    play = jax.jit(match.traced) if inside_jit else match.hosted

    def evaluate(params: Params, index: int, seeds: Sequence[int] = config.seeds) -> Evaluation:
        ledger = play(params, np.int32(index), np.array(seeds, np.int32))
        returns, lengths = np.asarray(ledger.returns), np.asarray(ledger.lengths)
        games = Evaluation(returns.reshape(members, episodes), lengths.reshape(members, episodes))
        too_long = np.asarray(_too_long(ledger, longest))
        endless = np.asarray(too_long.reshape(members, -1).any(1))
        if endless.any():
            raise EndlessGameError(
                f"{config.env.id}: games do not end; one was not over after {longest:,} "
                "agent steps. Give it a time limit",
                games,
                endless,
            )
        return games

    return evaluate


def network_of(config: RunConfig) -> Network:
    """The network that a configuration describes, for parameters that were trained elsewhere."""
    with closed(_open(config, describe(config.env.id), 1, 0, config.seeds)) as env:
        return make_network(config.network, env.observation, env.num_actions)


def roots_of(seeds: Sequence[int] | Int[Leaf, " member"]) -> Key[Array, " member"]:
    """The key from which each member acts in evaluations."""
    return jnp.stack([stream(seed, Purpose.EVAL_ACT) for seed in seeds])


def envs_per_member(inside_jit: bool, episodes: int) -> int:
    """The most environments, up to a limit, that share `episodes` games evenly."""
    most = _JAX_ENVS if inside_jit else _HOST_ENVS
    return max(n for n in range(1, min(most, episodes) + 1) if episodes % n == 0)


def _open(
    config: RunConfig,
    described: Described,
    num_envs: int,
    index: int | Int[Array, ""],
    seeds: Sequence[int | Int[Array, ""]],
) -> Environment:
    atari = described.family == "atari"
    return make_env(
        described,
        num_envs=num_envs,
        seeds=seeds,
        purpose=Purpose.EVAL_ENV,
        index=index,
        # A fresh envpool would be compiled anew on its XLA path.
        path="host" if atari else "auto",
        atari=protocols.evaluation(config.env.atari or protocols.CLASSIC) if atari else None,
        kwargs=config.env.kwargs,
    )


@functools.partial(jax.jit, static_argnums=(0, 1))
def act(
    network: Network,
    policy: Policy,
    params: Params,
    roots: Key[Array, " member"],
    index: Int[Array, ""],
    time: Int[Array, ""],
    obs: Shaped[Array, "total ..."],
) -> Int[Array, " total"]:
    """One action for each environment of every member.

    Compiled once for all evaluators of a network, on however many flavours of a game.
    """
    prepared = network.prepare(obs)
    prepared = prepared.reshape(roots.size, -1, *prepared.shape[1:])
    logits = jax.vmap(lambda p, x: network.apply(p, x)[0])(params, prepared)
    if policy == "greedy":
        return jnp.argmax(logits, -1).reshape(-1)
    fold = jax.vmap(jax.random.fold_in, in_axes=(0, None))
    keys = fold(fold(roots, index), time)
    return jax.vmap(jax.random.categorical)(keys, logits).reshape(-1)


class _Match(NamedTuple):
    """`games` games in each of `num_envs` environments of every member.

    An environment whose game is longer than `max_game_steps` is not waited for any more.
    """

    config: RunConfig
    described: Described
    network: Network
    num_envs: int
    games: int
    max_game_steps: int

    def act(
        self, params: Params, roots: Leaf, index: Leaf, time: Leaf, obs: Leaf
    ) -> Int[Array, " total"]:
        """One action for each environment of every member."""
        policy = self.config.evaluation.policy
        return act(self.network, policy, params, roots, index, time, obs)

    def traced(
        self, params: Params, index: Int[Array, ""], seeds: Int[Array, " member"]
    ) -> _Ledger:
        """From making the environments to the last game, inside jit."""
        env = _open(self.config, self.described, self.num_envs, index, tuple(seeds))
        state, obs = env.reset()
        roots = roots_of(seeds)

        def unfinished(carry: tuple[Array, EnvState, Array, _Ledger]) -> Bool[Array, ""]:
            return self.waited_for(carry[-1]).any()

        def body(
            carry: tuple[Array, EnvState, Array, _Ledger],
        ) -> tuple[Array, EnvState, Array, _Ledger]:
            time, state, obs, ledger = carry
            state, step = env.step(state, self.act(params, roots, index, time, obs))
            return time + 1, state, step.obs, _record(ledger, _seen(step, obs))

        ledger = jax.tree.map(jnp.asarray, _blank(env.num_envs, self.games))
        return jax.lax.while_loop(unfinished, body, (jnp.int32(0), state, obs, ledger))[-1]

    def hosted(
        self, params: Params, index: Int[np.generic, ""], seeds: Int[np.ndarray, " member"]
    ) -> _Ledger:
        """Stepped from the host."""
        chosen = tuple(map(int, seeds))
        with closed(_open(self.config, self.described, self.num_envs, int(index), chosen)) as env:
            state, obs = env.reset()
            roots = roots_of(seeds)
            ledger = _blank(env.num_envs, self.games)
            for time in itertools.count():
                if not self.waited_for(ledger).any():
                    break
                action = self.act(params, roots, index, np.int32(time), obs)
                state, step = env.step(state, np.asarray(action))
                obs, ledger = step.obs, _record(ledger, _seen(step, obs))
        return ledger

    def waited_for(self, ledger: _Ledger) -> Bool[Leaf, " env"]:
        """Whose games are not all over, but may be."""
        return _playing(ledger) & ~_too_long(ledger, self.max_game_steps)


def _blank(num_envs: int, games: int) -> _Ledger:
    shape = (num_envs, games)
    return _Ledger(
        episode_stats.init(num_envs), np.zeros(shape, np.float32), np.zeros(shape, np.int32)
    )


def _playing(ledger: _Ledger) -> Bool[Leaf, " env"]:
    return ledger.stats.finished < ledger.returns.shape[1]


def _too_long(ledger: _Ledger, max_game_steps: int) -> Bool[Leaf, " env"]:
    return _playing(ledger) & (ledger.stats.current_length >= max_game_steps)


def _seen(step: Step, obs: Shaped[Leaf, "env ..."]) -> Step:
    """The step after acting on `obs`: what was earned on one that is not finite is no score."""
    if not jnp.issubdtype(obs.dtype, jnp.floating):
        return step
    xp = step.episode.reward.__array_namespace__()
    sound = xp.isfinite(obs).reshape(obs.shape[0], -1).all(axis=1)
    reward = xp.where(sound, step.episode.reward, xp.float32(float("nan")))
    return step._replace(episode=step.episode._replace(reward=reward))


def _record(ledger: _Ledger, step: Step) -> _Ledger:
    """Add one step; games beyond the number asked for are not written down."""
    xp = step.episode.reward.__array_namespace__()
    stats = episode_stats.update(ledger.stats, step)
    games = xp.arange(ledger.returns.shape[1])
    ended = step.episode.over[:, None] & (ledger.stats.finished[:, None] == games)
    return _Ledger(
        stats,
        xp.where(ended, stats.latest_return[:, None], ledger.returns),
        xp.where(ended, stats.latest_length[:, None], ledger.lengths),
    )
