"""Which points of a space are tried: seeded, deterministic, in the unit cube.

Random and Sobol designs can be extended: the first 32 of 64 trials are the 32 trials.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy.stats import qmc

from rl_eval.settings import SettingsError
from sweeps.space.domains import LATEST, Rules, SearchDomain, levels, value_at

Design = Literal["sobol", "random", "latin-hypercube", "grid"]

# A design is drawn with this many columns and each axis takes the next one: a trial's coordinates
# do not depend on how many axes come after it, nor on which other optimizers are in the sweep.
COLUMNS = 64
MAX_TRIALS = 2**16


def draw(
    design: Design,
    domains: Sequence[SearchDomain],
    *,
    trials: int | None,
    seed: int,
    points: int,
    rules: Rules = LATEST,
) -> list[tuple[Any, ...]]:
    """The trials of a design: one value per domain.

    Args:
        design: its kind.
        domains: what each axis ranges over.
        trials: how many; None for a grid, which has its own number.
        seed: of the design, 0 or more; a grid has none.
        points: of each continuous domain in a grid.
        rules: by which values are rounded.

    Raises:
        SettingsError: a number of trials that the design cannot have, too many axes.
    """
    cube: Sequence[Sequence[float]]
    if design == "grid":
        cube = _grid(domains, points)
        if trials is not None and trials != len(cube):
            raise SettingsError(f"trials={trials}: this grid has {len(cube)} points; leave it out")
    else:
        if trials is None:
            raise SettingsError(f"a {design} design needs a number of trials")
        cube = unit_cube(design, trials, len(domains), seed).tolist()
    return [
        tuple(value_at(domain, u, rules) for domain, u in zip(domains, point, strict=True))
        for point in cube
    ]


def unit_cube(
    design: Literal["sobol", "random", "latin-hypercube"], trials: int, axes: int, seed: int
) -> Float[np.ndarray, "trial axis"]:
    """Points in [0, 1).

    Source of the Sobol numbers and of their scrambling: scipy.stats.qmc.Sobol (Joe and Kuo 2008;
    Matousek 1998).

    Raises:
        SettingsError: too many trials or axes, a negative seed.
    """
    if seed < 0:
        raise SettingsError(f"the seed of a design must be 0 or more, got {seed}")
    if not 1 <= trials <= MAX_TRIALS:
        raise SettingsError(f"trials must lie in 1 .. {MAX_TRIALS}, got {trials}")
    if axes > COLUMNS:
        raise SettingsError(f"at most {COLUMNS} hyperparameters can vary, got {axes}")
    rng = np.random.default_rng(seed)
    if design == "random":
        points = rng.random((trials, COLUMNS))
    elif design == "latin-hypercube":
        points = qmc.LatinHypercube(COLUMNS, rng=rng).random(trials)
    else:
        points = qmc.Sobol(COLUMNS, rng=rng).random_base2(math.ceil(math.log2(trials)))
    return points[:trials, :axes]


def _grid(domains: Sequence[SearchDomain], points: int) -> list[tuple[float, ...]]:
    """Every combination, the last axis running fastest."""
    columns = [levels(domain, points) for domain in domains]
    size = math.prod(map(len, columns))
    if size > MAX_TRIALS:
        raise SettingsError(f"this grid has {size} points; at most {MAX_TRIALS} are possible")
    return list(itertools.product(*columns))
