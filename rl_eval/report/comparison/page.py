"""The page of a comparison, its figures and its table of runs, from records alone."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from rl_eval.report.comparison import figures as figures
from rl_eval.report.comparison import tables as tables
from rl_eval.report.comparison import words as words
from rl_eval.report.comparison.estimates import (
    Aggregates,
    Final,
    aggregates,
    finals,
    improvements,
    plain,
)
from rl_eval.report.comparison.panels import Drawing, images, write
from rl_eval.report.comparison.scores import Comparison, Key, write_csv
from rl_eval.report.page import Section, asset, page
from rl_eval.stats.bootstrap import Interval


class Found(NamedTuple):
    """All that is computed of a comparison."""

    aggregates: Aggregates
    above: dict[str, Interval]
    finals: dict[Key, Final]


def estimate(comparison: Comparison) -> Found:
    """Every estimate that the page shows."""
    return Found(aggregates(comparison), improvements(comparison), finals(comparison))


def render(comparison: Comparison, out_dir: Path) -> list[Path]:
    """Write report.html, runs.csv and PNG, SVG and PDF of every figure."""
    out_dir.mkdir(parents=True, exist_ok=True)
    found = estimate(comparison)
    drawn = drawings(comparison, found)
    path = out_dir / "report.html"
    path.write_text(page(title(comparison), sections(comparison, found, drawn)), encoding="utf-8")
    written = [path, write_csv(comparison, out_dir / "runs.csv")]
    return written + [file for drawing in drawn.values() for file in write(drawing, out_dir)]


def title(comparison: Comparison) -> str:
    """Who is compared, and where."""
    where = comparison.record.suite or _and(comparison.envs)
    return f"{_and(comparison.optimizers)} on {where}"


def _and(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def drawings(comparison: Comparison, found: Found) -> dict[str, Drawing]:
    """Every figure, by its name."""
    drawn = [
        figures.aggregate_scores(comparison, found.aggregates),
        figures.improvement(comparison, found.above),
        figures.profiles(comparison, found.aggregates),
        figures.final_scores(comparison, found.finals),
        figures.curves(comparison, "env_steps"),
        figures.curves(comparison, "wall_s"),
    ]
    return {drawing.name: drawing for drawing in drawn if drawing.panels}


def sections(comparison: Comparison, found: Found, drawn: dict[str, Drawing]) -> list[Section]:
    """The page from the answer to how it came about."""
    pictures = {name: images(drawing) for name, drawing in drawn.items()}

    def picture(name: str) -> str:
        return pictures.get(name, "")

    parts = [
        (
            "aggregate",
            "Aggregate scores",
            _paragraphs([words.lead(comparison)])
            + tables.aggregate_table(comparison, found.aggregates, found.above)
            + picture("aggregate-scores")
            + f'<div class="beside">{picture("probability-of-improvement")}'
            + f"{picture('performance-profile')}</div>",
        ),
        ("cautions", "What this cannot say", _list(words.cautions(comparison, found.aggregates))),
        (
            "curves",
            "Learning curves",
            _paragraphs([CURVES]) + picture("curves-env-steps") + picture("curves-wall-clock"),
        ),
        (
            "final",
            "Final scores",
            tables.final_table(comparison, found.finals) + picture("final-scores"),
        ),
        ("outcomes", "Divergence and failures", tables.outcome_table(comparison)),
        ("cost", "Cost", _cost(comparison)),
        ("tuning", "Tuning", tables.tuning_table(comparison) if comparison.tuning else ""),
        ("protocol", "Protocol", _protocol(comparison)),
    ]
    data = {"aggregate": _aggregate_data(comparison, found), "final": _final_data(found)}
    first = parts[0][0]
    return [
        Section(
            name,
            heading,
            body,
            data=data.get(name),
            style=asset("compare.css") if name == first else "",
        )
        for name, heading, body in parts
        if body
    ]


CURVES = (
    "Mean over seeds of the return at each evaluation, and its 95 % bootstrap interval; a run that "
    "diverged stays in at its stated score. Seconds are of training alone: compilation and "
    "evaluation are left out, other runs were at work beside it on the same machine."
)
COST = (
    "From a short run of each, one after another, in a process and on a core (or GPU) of its own: "
    "bytes of the optimizer's state over those of the parameters, the median time of its update "
    "alone (a dash for rules that need what only a training step has), compilation, and env steps "
    "per second of training. In brackets: over the baseline's, on the same hardware. Other work on "
    "the machine shows in the times, not in the bytes."
)


def _cost(comparison: Comparison) -> str:
    machines = sorted({c["hardware"] for c in comparison.costs.values() if c.get("hardware")})
    if not any(comparison.costs.values()):
        return _paragraphs(["Not measured."])
    said = [COST, *(f"Hardware: {name}." for name in machines)]
    return tables.cost_table(comparison) + _paragraphs(said)


def _protocol(comparison: Comparison) -> str:
    commands = html.escape("\n".join(comparison.record.commands))
    settings = "\n".join(_settings(comparison))
    return (
        _paragraphs(words.protocol(comparison))
        + f"<details><summary>Settings</summary><pre>{html.escape(settings)}</pre></details>"
        + f"<pre>{commands}</pre>"
    )


def _settings(comparison: Comparison) -> list[str]:
    """Of every optimizer in every environment, as they were before tuning."""
    lines = []
    for env in comparison.envs:
        for name in comparison.optimizers:
            base = comparison.record.base(env, name)
            given = {**base["optimizer"]["hyperparameters"], **base["ppo"], **base["hparams"]}
            tuned = comparison.row(env, name).values
            given |= {key.partition(".")[2]: value for key, value in tuned.items()}
            lines.append(f"{env} {name}: " + ", ".join(f"{k}={v}" for k, v in given.items()))
    return lines


def _aggregate_data(comparison: Comparison, found: Found) -> dict[str, object]:
    return {
        "baseline": comparison.record.baseline,
        "envs": found.aggregates.envs,
        "seeds": found.aggregates.seeds,
        "aggregates": {
            name: {kind: plain(value) for kind, value in values.items()}
            for name, values in found.aggregates.values.items()
        },
        "probability_of_improvement": {k: plain(v) for k, v in found.above.items()},
        "thresholds": found.aggregates.thresholds.tolist(),
        "profiles": {k: plain(v) for k, v in found.aggregates.profiles.items()},
    }


def _final_data(found: Found) -> list[dict[str, object]]:
    return [
        {
            "env": env,
            "optimizer": name,
            "scores": final.scores.tolist(),
            "mean": final.mean and plain(final.mean),
            "difference": final.gain and plain(final.gain),
        }
        for (env, name), final in found.finals.items()
    ]


def _paragraphs(texts: Iterable[str]) -> str:
    return "".join(f"<p>{html.escape(text)}</p>" for text in texts)


def _list(texts: Iterable[str]) -> str:
    items = "".join(f"<li>{html.escape(text)}</li>" for text in texts)
    return f'<ul class="cautions">{items}</ul>' if items else ""
