"""From per-iteration arrays to lines of metrics, one member at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rl_eval.config import RunConfig
from rl_eval.ppo.population import IterationMetrics
from rl_eval.ppo.state import NOT_DIVERGED
from rl_eval.records.finite import finite
from rl_eval.records.run import MetricsRow, RunDirectory

FINAL_SHARE = 0.1  # of training, over whose games the final return is taken


class MemberMetrics:
    """Collects one member's iterations and writes a line every `log_every` of them.

    Lines do not depend on how the iterations were cut into chunks, their times excepted.
    """

    def __init__(self, config: RunConfig, member: int, directory: RunDirectory) -> None:
        self.config, self.member, self.directory = config, member, directory
        self.diverged_at = NOT_DIVERGED
        self.gradient_steps = 0
        self.starved = 0  # gradient steps with too few valid transitions to learn from
        self.latest_return: float | None = None
        self.latest_loss: float | None = None
        self._iteration = 0
        self._pending: list[dict[str, float]] = []
        self._written = (0, 0.0)  # env steps and wall seconds of the line before
        self._final = [0.0, 0]  # return sum and count of games in the final share

    @property
    def diverged(self) -> bool:
        return self.diverged_at != NOT_DIVERGED

    def add(self, rows: IterationMetrics, n: int, begun_s: float, ended_s: float) -> None:
        """Take the first n rows [time, member] of a chunk; times are seconds of run so far."""
        columns = _columns(rows, self.member)
        for i in range(n):
            self._iteration += 1
            row = {name: values[i].item() for name, values in columns.items()}
            before, self.gradient_steps = self.gradient_steps, int(row["gradient_steps"])
            row["steps"] = self.gradient_steps - before
            self.starved += int(row["starved"])
            self.diverged_at = int(row["diverged_at"])
            self._pending.append(row)
            if self._iteration > (1 - FINAL_SHARE) * self.config.num_iterations:
                self._final[0] += row["return_sum"]
                self._final[1] += int(row["games"])
            last = self._iteration == self.config.num_iterations
            if last or self._iteration % self.config.log_every == 0:
                self._write(begun_s + (ended_s - begun_s) * (i + 1) / n)

    def saved(self) -> dict[str, Any]:
        """What a resumed run must know, as plain data."""
        return {name: getattr(self, name) for name in (*_SAVED, "starved")}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from what `saved` returned.

        Raises:
            KeyError, TypeError: foreign data.
        """
        values = {name: saved[name] for name in _SAVED}
        numbers = [values[name] for name in _SAVED[:5] if values[name] is not None]
        for pair in (values["_written"], values["_final"]):
            first, second = pair
            numbers += [first, second]
        values["starved"] = saved.get("starved", 0)  # an older version counted neither
        for row in values["_pending"]:
            numbers += [row[name] for name in (*_MEANS, *_ITERATION, *_GAMES)]
            row.setdefault("steps", self.config.ppo.steps_per_iteration)
        numbers.append(values["starved"])
        if not all(type(number) in (int, float) for number in numbers):
            raise TypeError("numbers of its metrics")
        for name, value in values.items():
            setattr(self, name, value)

    def final_return(self) -> float | None:
        """Mean full-game return over the last tenth of training; None if no game ended in it."""
        total, games = self._final
        return finite(total / games) if games else None

    def _write(self, wall_s: float) -> None:
        rows, self._pending = self._pending, []
        env_steps = self._iteration * self.config.ppo.batch_size
        atari = self.config.env.atari
        games = int(sum(r["games"] for r in rows))

        def per_game(name: str) -> float | None:
            return sum(r[name] for r in rows) / games if games else None

        def extreme(of: Callable[..., Any], name: str) -> float | None:
            return float(of([r[name] for r in rows])) if games else None

        steps_before, wall_before = self._written
        row = MetricsRow(
            iteration=self._iteration,
            env_steps=env_steps,
            frames=env_steps * atari.frame_skip if atari else None,
            gradient_steps=self.gradient_steps,
            wall_s=round(wall_s, 3),
            sps=round((env_steps - steps_before) / max(wall_s - wall_before, 1e-9), 1),
            episode_return_mean=per_game("return_sum"),
            episode_return_min=extreme(np.min, "return_min"),
            episode_return_max=extreme(np.max, "return_max"),
            episode_length_mean=per_game("length_sum"),
            episodes=games,
            **{name: _mean_over_steps(rows, name) for name in _MEANS},
            **{name: finite(np.mean([r[name] for r in rows])) for name in _ITERATION},
        )
        self._written = (env_steps, wall_s)
        self.latest_loss = row.loss
        if games and row.episode_return_mean is not None:
            self.latest_return = finite(row.episode_return_mean)
        self.directory.append(row)


_SAVED = (
    "diverged_at",
    "gradient_steps",
    "latest_return",
    "latest_loss",
    "_iteration",
    "_pending",
    "_written",
    "_final",
)

_GAMES = ("games", "return_sum", "return_min", "return_max", "length_sum")

_MEANS = (  # over gradient steps
    "loss",
    "policy_loss",
    "value_loss",
    "entropy",
    "approx_kl",
    "clipfrac",
    "grad_norm",
    "update_norm",
)
_ITERATION = ("explained_variance", "param_norm")


def _columns(rows: IterationMetrics, member: int) -> dict[str, np.ndarray]:
    update, games = rows.update, rows.games
    arrays = {
        "loss": update.losses.total,
        "policy_loss": update.losses.policy,
        "value_loss": update.losses.value,
        "entropy": update.losses.entropy,
        "approx_kl": update.losses.approx_kl,
        "clipfrac": update.losses.clipfrac,
        "explained_variance": update.explained_variance,
        "grad_norm": update.grad_norm,
        "update_norm": update.update_norm,
        "param_norm": update.param_norm,
        "games": games.count,
        "return_sum": games.return_sum,
        "return_min": games.return_min,
        "return_max": games.return_max,
        "length_sum": games.length_sum,
        "gradient_steps": rows.gradient_steps,
        "diverged_at": rows.diverged_at,
        "starved": update.starved,
    }
    return {name: np.asarray(values)[:, member] for name, values in arrays.items()}


def _mean_over_steps(rows: Sequence[Mapping[str, float]], name: str) -> float | None:
    """Mean over the gradient steps taken; None without any."""
    taken = [row for row in rows if row["steps"]]
    if not taken:
        return None
    most = max(row["steps"] for row in taken)  # equal weights become 1 and round nothing
    weights = [row["steps"] / most for row in taken]
    return finite(np.average([row[name] for row in taken], weights=weights))
