"""The words of a comparison: how it was made, and what its numbers cannot say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rl_eval.envs.scores import DEFAULT_TABLE, human_normalised, random_score, reference
from rl_eval.records.scored import OBJECTIVES
from rl_eval.report.comparison.estimates import Aggregates
from rl_eval.report.comparison.scores import Comparison, normalised
from rl_eval.report.comparison.tables import at_the_end
from rl_eval.stats.aggregate import iqm_note, trimmed
from rl_eval.stats.compare import MIN_RUNS

# Of the mean of one env, nominal 95 %: measured in `rl_eval.stats.bootstrap`.
COVERAGE = "in 74, 83, 89 and 93 % of simulated sets of 3, 5, 10 and 20 runs"
MANY_RUNS = 10


def cautions(comparison: Comparison, found: Aggregates) -> list[str]:
    """What a reader might take from the page and should not."""
    return [
        *_unfinished(comparison),
        *_few_seeds(comparison, found),
        *_left_out(comparison, found),
        *_settings(comparison),
        *_machines(comparison),
    ]


def _unfinished(comparison: Comparison) -> list[str]:
    rows = comparison.table.rows
    runs = sum(len(row.seeds) for row in rows)
    waiting = sum(row.count("running") + row.count("missing") for row in rows)
    failed = sum(row.count("failed") for row in rows)
    words = []
    if waiting:
        words.append(f"{waiting} of {runs} runs have not ended; this is of what there is.")
    if failed:
        words.append(f"{failed} of {runs} runs failed for reasons that are not divergence.")
    return words


def _few_seeds(comparison: Comparison, found: Aggregates) -> list[str]:
    seeds = len(comparison.record.seeds)
    words = []
    if seeds < 2:
        words.append("One seed has no interval: noise cannot be told from an effect.")
    elif seeds < MANY_RUNS:
        rough = "rough: read them as a hint" if seeds < 5 else "too narrow"
        words.append(
            f"Intervals from {seeds} seeds are {rough}. Bootstrap intervals of the mean in one "
            f"environment that should hold the truth in 95 % of cases held it {COVERAGE}."
        )
    if seeds < MIN_RUNS:
        words.append(f"Below {MIN_RUNS} seeds no difference to the baseline can be tested.")
    fewest = min(map(len, found.seeds.values()), default=0)
    if fewest:
        note = iqm_note(fewest, len(found.envs))
        few = " With more runs it would leave outliers out." if not trimmed(fewest) else ""
        words.append(f"The interquartile mean here: {note}.{few}")
    if len(comparison.envs) == 1:
        words.append("One environment says nothing of others; mean and median are the same.")
    if len(comparison.others) > 1:
        words.append(
            f"{len(comparison.others)} optimizers are held against {comparison.record.baseline}; "
            "intervals are of each by itself, so that some exclude a difference by chance."
        )
    return words


def _left_out(comparison: Comparison, found: Aggregates) -> list[str]:
    words = []
    if lacking := [env for env in comparison.envs if env not in found.envs]:
        where = ", ".join(lacking)
        words.append(f"Not in the aggregates, for want of published references: {where}.")
    odd = [name for name in comparison.optimizers if found.envs and name not in found.seeds]
    if odd:
        words.append(
            "Not in the aggregates, for want of a seed with a score in every environment: "
            f"{', '.join(odd)}."
        )
    for name, used in found.seeds.items():
        if lost := sorted(set(comparison.record.seeds) - set(used)):
            seeds = ", ".join(map(str, lost))
            words.append(f"Aggregates of {name} leave out its seeds {seeds}, which lack a score.")
    return words


def _settings(comparison: Comparison) -> list[str]:
    tuning = comparison.record.tuning
    if tuning is None:
        return [
            "Nothing was tuned: this compares settings as they were given, defaults where none "
            "were, and the defaults of one optimizer may suit the task better than another's."
        ]
    words = []
    if fixed := [name for name in comparison.optimizers if name not in tuning.optimizers]:
        words.append(f"There was nothing to tune of {', '.join(fixed)}.")
    if ends := at_the_end(comparison):
        words.append(
            f"Best at an end of what was tried, so more may be possible: {'; '.join(ends)}."
        )
    return words


def _machines(comparison: Comparison) -> list[str]:
    if len(comparison.machines) < 2:
        return []
    return [
        "Runs were made on different machines, which curves against time compare as well: "
        f"{'; '.join(comparison.machines)}."
    ]


def lead(comparison: Comparison) -> str:
    """What the first table shows."""
    return (
        "Scores between random play (0) and a published level (1), over all environments: "
        "estimates with their 95 % intervals. The last column is the chance that a run scores "
        f"above one of {comparison.record.baseline} in the same environment."
    )


def protocol(comparison: Comparison) -> list[str]:
    """How the scores came about."""
    record = comparison.record
    seeds = ", ".join(map(str, record.seeds))
    words = [
        f"PPO was trained with every optimizer in every environment on the seeds {seeds}. A seed "
        "gives all optimizers the same initial parameters, first games and evaluation games.",
        *_by_environment(comparison),
        f"The score of a run is its {OBJECTIVES[comparison.table.objective]}, by whole games, "
        "unclipped, apart from training.",
    ]
    if tuning := record.tuning:
        words.append(
            f"Tuned per environment: {', '.join(tuning.hyperparameters)} of "
            f"{', '.join(tuning.optimizers)}, {tuning.points} values over the optimizer's whole "
            f"domain, the best by mean final score on the seeds "
            f"{', '.join(map(str, tuning.seeds))}, which are not reported."
        )
    words += [
        f"A diverged run counts at its stated score: {_floors(comparison)}. A run that failed has "
        "no score.",
        f"Normalised scores: {_references(comparison.envs)}.",
        "Intervals: 95 %, percentile bootstrap that redraws runs within each environment "
        "(Agarwal et al., NeurIPS 2021). Differences to the baseline: t intervals of the "
        "differences on the same seed, which few runs do not make too narrow.",
    ]
    return words


def _by_environment(comparison: Comparison) -> list[str]:
    """A sentence for all environments of the same budget and evaluation."""
    by_words: dict[str, list[str]] = {}
    for env in comparison.envs:
        base = comparison.record.base(env, comparison.record.baseline)
        by_words.setdefault(_budget(base), []).append(env)
    return [f"{', '.join(envs)}: {words}." for words, envs in by_words.items()]


def _budget(base: Mapping[str, Any]) -> str:
    evaluation, atari = base["evaluation"], base["env"]["atari"]
    frames = f" ({base['total_timesteps'] * atari['frame_skip']:,} frames)" if atari else ""
    return (
        f"{base['total_timesteps']:,} env steps{frames} per run, evaluated every "
        f"{evaluation['every']:,} env steps and at the end on {evaluation['episodes']} whole "
        f"games by the {evaluation['policy']} policy"
    )


def _floors(comparison: Comparison) -> str:
    parts = []
    for env in comparison.envs:
        floor = comparison.record.base(env, comparison.record.baseline)["diverged_score"]
        source = "given"
        if floor is None:
            floor, source = random_score(env), "random play"
        parts.append(f"{env} none" if floor is None else f"{env} {floor:g} ({source})")
    return ", ".join(parts)


def _references(envs: Sequence[str]) -> str:
    """Between which scores those of each environment are placed."""
    atari, listed = False, []
    for env in envs:
        try:
            human_normalised(env, 0.0)
            atari = True
        except ValueError:
            if normalised(env, 0.0) is not None:
                low, high = reference(env)
                listed.append(f"{env} {low:g} to {high:g}")
    parts = ["0 is random play, 1 a published level"]
    if atari:
        parts.append(f"on Atari the human tester of table {DEFAULT_TABLE}")
    if listed:
        parts.append(
            f"{', '.join(listed)} (MinAtar: PPO of Goldie et al., NeurIPS 2024; classic control: "
            "PPO of gymnax)"
        )
    return "; ".join(parts)
