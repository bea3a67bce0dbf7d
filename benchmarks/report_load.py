"""What a report of many runs costs: seconds, memory, size of the page, frames while brushing.

    python -m benchmarks.report_load                     # 9,996 runs: 2 x 2 x 833 trials x 3 seeds
    python -m benchmarks.report_load --envs 1 --optimizers 1 --trials 10000 --seeds 1 --axes 32

The runs are made up: scores of a smooth function of the first two hyperparameters and noise. With
--frames, chromium opens the page without a screen and drags a brush along an axis, with playwright
(--chromium says which; default the one on the PATH).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ENVS = ("Breakout-MinAtar", "SpaceInvaders-MinAtar", "Asterix-MinAtar", "Freeway-MinAtar")
POINTS = 20  # evaluations of a run
GAMES = 32
MEGABYTE = 1 << 20


def main() -> None:
    """Write the runs, report on them, print one line of JSON."""
    flags = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, default in (("envs", 2), ("optimizers", 2), ("trials", 833), ("seeds", 3)):
        flags.add_argument(f"--{name}", type=int, default=default)
    flags.add_argument("--axes", type=int, default=8, help="hyperparameters")
    flags.add_argument("--frames", action="store_true", help="measure brushing in chromium")
    flags.add_argument("--chromium", default=shutil.which("chromium"))
    flags.add_argument("--keep", type=Path, help="write the sweep here and leave it")
    args = flags.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        sweep = args.keep or Path(scratch) / "sweep"
        if not (sweep / "sweep.json").is_file():
            write(sweep, args.envs, args.optimizers, args.trials, args.seeds, args.axes)
        found = measured(sweep)
        found["runs"] = args.envs * args.optimizers * args.trials * args.seeds
        if args.frames:
            found["frames"] = brushed(sweep / "report" / "report.html", args.chromium)
        print(json.dumps(found))


def measured(sweep: Path) -> dict[str, Any]:
    """One `rl-eval report` on one core."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "rl_eval.cli.main", "report", str(sweep)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env={**os.environ, **threads}, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    del done
    files = list((sweep / "report").iterdir())
    return {
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_mb": round(after.ru_maxrss / 1024),
        "page_mb": round((sweep / "report" / "report.html").stat().st_size / MEGABYTE, 2),
        "files_mb": round(sum(file.stat().st_size for file in files) / MEGABYTE, 1),
    }


def brushed(page: Path, chromium: str | None) -> dict[str, dict[str, float]]:
    """Milliseconds between frames while a brush is dragged over the first axis and back.

    And, to tell what the machine is busy with, while the pointer only moves outside the lines.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1400, "height": 1000}, offline=True)
        tab.goto(page.resolve().as_uri())
        scale = tab.locator(".pc-axis .pc-scale").first.bounding_box()
        assert scale is not None
        tab.evaluate(
            "() => { window.gaps = []; let last = performance.now();"
            " const tick = (now) => { gaps.push(now - last); last = now;"
            " requestAnimationFrame(tick); }; requestAnimationFrame(tick); }"
        )
        found = {}
        for way in ("moving", "brushing"):
            x = scale["x"] if way == "brushing" else 2
            tab.mouse.move(x, scale["y"] + scale["height"])
            tab.wait_for_timeout(1000)
            if way == "brushing":
                tab.mouse.down()
            tab.evaluate("() => { gaps.length = 0; }")
            for i in range(120):
                share = 1 - abs(i / 60 - 1)
                tab.mouse.move(x, scale["y"] + (1 - share) * scale["height"])
            found[way] = _frames(tab.evaluate("gaps"))
        browser.close()
    return found


def _frames(gaps: list[float]) -> dict[str, float]:
    ordered = sorted(gaps)
    return {
        "count": len(gaps),
        "median_ms": round(statistics.median(gaps), 1),
        "p95_ms": round(ordered[int(0.95 * (len(ordered) - 1))], 1),
        "worst_ms": round(ordered[-1], 1),
    }


def write(out: Path, envs: int, optimizers: int, trials: int, seeds: int, axes: int) -> None:
    """A sweep directory as `rl-eval sweep` leaves it."""
    rng = random.Random(0)
    names = [f"rule{i}" for i in range(optimizers)]
    recorded = [_axis(i) for i in range(axes)]
    planned = []
    settings = [[_drawn(rng, axis) for axis in recorded] for _ in range(trials)]
    for e, env in enumerate(ENVS[:envs]):
        for o, name in enumerate(names):
            for i, drawn in enumerate(settings):
                values = {axis["key"]: v for axis, v in zip(recorded, drawn, strict=True)}
                trial = {"id": f"{e}{o}{i:08x}", "env": env, "optimizer": name, "values": values}
                planned.append(trial)
                for seed in range(seeds):
                    _run(out / "trials" / trial["id"] / f"seed-{seed}", trial, seed, rng)
    record = {
        "schema": 1,
        "preset": None,
        "description": "made up",
        "design": "sobol",
        "design_seed": 0,
        "seeds": list(range(seeds)),
        "axes": dict.fromkeys(names, recorded),
        "planned": planned,
    }
    (out / "sweep.json").write_text(json.dumps(record))


def _axis(i: int) -> dict[str, Any]:
    if i == 0:
        rate = {"key": "optimizer.learning_rate", "name": "learning_rate", "scale": "log"}
        return {**rate, "low": 1e-5, "high": 1e-1}
    if i % 4 == 3:
        return {"key": f"hparams.h{i}", "name": f"h{i}", "scale": "choice", "values": [1, 2, 3]}
    return {"key": f"hparams.h{i}", "name": f"h{i}", "scale": "linear", "low": 0.0, "high": 1.0}


def _drawn(rng: random.Random, axis: dict[str, Any]) -> float:
    if axis["scale"] == "choice":
        return rng.choice(axis["values"])
    u = rng.random()
    return float(f"{10 ** (4 * u - 5) if axis['scale'] == 'log' else u:.5g}")


def _run(folder: Path, trial: dict[str, Any], seed: int, rng: random.Random) -> None:
    values = trial["values"]
    rate, *others = values.values()
    height = math.exp(-0.5 * (math.log10(rate / 1e-3) / 0.6) ** 2)
    height *= 1 - 0.5 * (others[0] if others else 0.0)
    final = max(0.0, 40 * height + rng.gauss(0, 2))
    own = {k.removeprefix("optimizer."): v for k, v in values.items() if k.startswith("optimizer")}
    shared = {k.removeprefix("hparams."): v for k, v in values.items() if k.startswith("hparams")}
    config = {
        "env": {"id": trial["env"], "path": "auto", "atari": None},
        "optimizer": {"name": trial["optimizer"], "hyperparameters": own},
        "total_timesteps": 1_000_000,
        "hparams": shared,
        "ppo": {"num_envs": 64, "num_steps": 128, "update_epochs": 4, "num_minibatches": 8},
        "evaluation": {"every": 50_000, "episodes": GAMES, "policy": "stochastic"},
        "seeds": [seed],
        "diverged_score": None,
    }
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"schema": 1, "config": config}))
    status = {"schema": 1, "status": "completed", "final_return": final, "eval_return": final}
    (folder / "status.json").write_text(json.dumps(status))
    lines = []
    for k in range(1, POINTS + 1):
        mean = final * k / POINTS
        games = [round(rng.gauss(mean, 3), 1) for _ in range(GAMES)]
        facts = {"env_steps": 50_000 * k, "wall_s": 1.5 * k, "policy": "stochastic"}
        lines.append(json.dumps({**facts, "return_mean": mean, "returns": games}))
    (folder / "eval.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
