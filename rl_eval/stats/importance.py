"""Which hyperparameters matter: fANOVA and PED-ANOVA of optuna, on scales that make sense.

fANOVA (Hutter, Hoos, Leyton-Brown, ICML 2014) asks for shares of the variance of the objective
over the whole space; PED-ANOVA (Watanabe, Bansal, Hutter, IJCAI 2023) for what tells the best
trials from all. Optuna averages over the width of a range as given, where one decade at the low
end of a learning rate weighs almost nothing; log-scaled columns are handed over as logarithms.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from rl_eval.stats.axes import named

Method = Literal["fanova", "ped-anova"]

MIN_BEST = 5  # trials that PED-ANOVA should count as best, by its documentation


@dataclasses.dataclass(frozen=True)
class Column:
    """One hyperparameter's value in every trial.

    Anything but numbers is categorical, and so are numbers with `categorical`.
    """

    values: Sequence[Any] | np.ndarray
    log: bool = False
    categorical: bool = False


class Importances(NamedTuple):
    """Shares that add up to one, with the ends of their interval; leaves [hyperparameter]."""

    names: tuple[str, ...]
    mean: Float[np.ndarray, " hyperparameter"]
    low: Float[np.ndarray, " hyperparameter"]
    high: Float[np.ndarray, " hyperparameter"]


def importances(
    columns: Mapping[str, Column],
    objective: Float[np.ndarray, "trial run"],
    rng: np.random.Generator,
    method: Method = "fanova",
    repeats: int = 20,
    level: float = 0.95,
) -> Importances:
    """Importance of each hyperparameter, repeated over redrawn seeds.

    Each repeat draws every trial's runs anew and seeds the evaluator anew, so the interval holds
    seed noise and the evaluator's own; it does not hold what other trials would have shown.
    A hyperparameter that never varies has importance 0, as all have if the objective never does.

    Args:
        objective: higher is better; runs that diverged at their floor score (`floored`).

    Raises:
        ImportError: optuna or scikit-learn is missing.
        ValueError: a column of the wrong length, a log column with values that are not positive.
    """
    optuna = _optuna()
    returns = named(objective, "trial run", "objective")
    dimensions = {n: _dimension(optuna, n, c, len(returns)) for n, c in columns.items()}
    rows = []
    with _quiet(optuna):
        for _ in range(repeats):
            picks = rng.integers(returns.shape[1], size=returns.shape)
            drawn = np.take_along_axis(returns, picks, axis=1).mean(axis=1)
            seed = int(rng.integers(2**31))
            rows.append(_shares(optuna, dimensions, drawn, method, seed))
    low, high = np.quantile(rows, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Importances(tuple(columns), np.mean(rows, axis=0), low, high)


class _Dimension(NamedTuple):
    values: list[Any]
    distribution: Any


def _dimension(optuna: Any, name: str, column: Column, num_trials: int) -> _Dimension:
    values = np.asarray(column.values)
    if values.shape != (num_trials,):
        raise ValueError(
            f"column '{name}' has shape {values.shape}, the objective [trial, run] has "
            f"{num_trials} trials: one value per trial"
        )
    if column.categorical or not np.issubdtype(values.dtype, np.number):
        unique, index = np.unique(values, return_inverse=True)
        choices = tuple(range(len(unique)))
        return _Dimension(index.tolist(), optuna.distributions.CategoricalDistribution(choices))
    if column.log and values.min() <= 0:
        raise ValueError(f"column '{name}' is on a log scale but holds {values.min()}")
    scaled = np.log(values) if column.log else values.astype(np.float64)
    bounds = float(scaled.min()), float(scaled.max())
    return _Dimension(scaled.tolist(), optuna.distributions.FloatDistribution(*bounds))


def _shares(
    optuna: Any,
    dimensions: Mapping[str, _Dimension],
    objective: np.ndarray,
    method: Method,
    seed: int,
) -> list[float]:
    varied = {n: d for n, d in dimensions.items() if not d.distribution.single()}
    if not varied or np.ptp(objective) == 0:
        return [0.0] * len(dimensions)
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={name: d.values[i] for name, d in varied.items()},
                distributions={name: d.distribution for name, d in varied.items()},
                value=float(value),
            )
            for i, value in enumerate(objective)
        ]
    )
    evaluators = optuna.importance
    if method == "fanova":
        evaluator = evaluators.FanovaImportanceEvaluator(seed=seed)
    else:
        best = min(0.5, max(0.1, MIN_BEST / len(objective)))
        evaluator = evaluators.PedAnovaImportanceEvaluator(target_quantile=best)
    found = evaluators.get_param_importances(study, evaluator=evaluator)
    return [float(found.get(name, 0.0)) for name in dimensions]


@contextlib.contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """No word from optuna of studies made and experimental classes."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _optuna() -> Any:
    try:
        importlib.import_module("sklearn")  # of which optuna makes fANOVA's forest
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        raise ImportError(
            f"importances need {error.name}; it comes with an extra: pip install 'rl-eval[sweeps]'"
        ) from None
    return optuna
