"""Which hyperparameters matter: fANOVA and PED-ANOVA, on scales that make sense.

fANOVA (Hutter, Hoos, Leyton-Brown, ICML 2014) asks for shares of the variance of the objective
over the whole space; PED-ANOVA (Watanabe, Bansal, Hutter, IJCAI 2023) for what tells the best
trials from all. The first is `rl_eval.stats.fanova`, because optuna's forest takes 26 seconds a
repeat for 1,000 trials; the second is optuna's. Both see log-scaled columns as logarithms: over
the width of a range as given, one decade at the low end of a learning rate weighs almost nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from rl_eval.stats.axes import named
from rl_eval.stats.fanova import Dimension, main_effects
from rl_eval.stats.values import Column, codes

Method = Literal["fanova", "ped-anova"]

MIN_BEST = 5  # trials that PED-ANOVA should count as best, by its documentation
MANY = 512  # trials, above which each forest has fewer trees
TREES, FEW_TREES = 64, 16


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
    dimensions = {n: _dimension(n, c, len(returns)) for n, c in columns.items()}
    varied = [name for name, dimension in dimensions.items() if np.ptp(dimension.places) > 0]
    chosen = [dimensions[name] for name in varied]
    with _quiet(optuna):
        study = _study(optuna, chosen, len(returns)) if method == "ped-anova" else None
        rows = np.zeros((repeats, len(columns)))
        at = [list(columns).index(name) for name in varied]
        for row in rows:
            picks = rng.integers(returns.shape[1], size=returns.shape)
            drawn = np.take_along_axis(returns, picks, axis=1).mean(axis=1)
            seed = int(rng.integers(2**31))
            if not chosen or np.ptp(drawn) == 0:
                continue
            unit = _unit(drawn)
            row[at] = _fanova(chosen, unit, seed) if study is None else _ped(optuna, study, unit)
    low, high = np.quantile(rows, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Importances(tuple(columns), np.mean(rows, axis=0), low, high)


def _dimension(name: str, column: Column, num_trials: int) -> Dimension:
    if len(column.values) != num_trials:
        raise ValueError(
            f"column '{name}' has shape {np.shape(column.values)}, the objective [trial, run] has "
            f"{num_trials} trials: one value per trial"
        )
    places = column.scaled(name)
    if places is not None:
        return Dimension(places)
    index, values = codes(column.values)
    return Dimension(index, len(values))


def _unit(values: Float[np.ndarray, " trial"]) -> Float[np.ndarray, " trial"]:
    """Between 0 and 1: shares do not change, and squares of huge scores stay finite."""
    return (values - values.min()) / np.ptp(values)


def _fanova(chosen: list[Dimension], objective: np.ndarray, seed: int) -> np.ndarray:
    trees = TREES if len(objective) <= MANY else FEW_TREES
    found = main_effects(chosen, objective, trees=trees, seed=seed)
    return found / total if (total := found.sum()) > 0 else found


def _study(optuna: Any, chosen: list[Dimension], num_trials: int) -> Any:
    """All trials without their values, which `_ped` gives: making one takes the most time."""
    make = optuna.distributions
    kinds = {
        str(i): make.CategoricalDistribution(tuple(range(d.choices)))
        if d.choices
        else make.FloatDistribution(0.0, 1.0)
        for i, d in enumerate(chosen)
    }
    values = [d.places.tolist() for d in chosen]
    study = optuna.create_study()
    study.add_trials(
        [
            optuna.trial.create_trial(
                params={str(j): column[i] for j, column in enumerate(values)},
                distributions=kinds,
                value=0.0,
            )
            for i in range(num_trials if chosen else 0)
        ]
    )
    return study


def _ped(optuna: Any, study: Any, objective: np.ndarray) -> list[float]:
    best = min(0.5, max(0.1, MIN_BEST / len(objective)))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=best)
    found = optuna.importance.get_param_importances(
        study,
        evaluator=evaluator,
        target=lambda trial: -float(objective[trial.number]),  # it takes low values for good ones
    )
    return [float(found[name]) for name in sorted(found, key=int)]


@contextlib.contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """No word from optuna of studies made, experimental classes and the sign of a target."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.filterwarnings("ignore", "PedAnovaImportanceEvaluator computes", UserWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _optuna() -> Any:
    try:
        importlib.import_module("sklearn")  # of which fANOVA's forest is
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        raise ImportError(
            f"importances need {error.name}; it comes with an extra: pip install 'rl-eval[sweeps]'"
        ) from None
    return optuna
