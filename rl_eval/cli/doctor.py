"""`rl-eval doctor`: what works on this machine, and what is missing for what."""

from __future__ import annotations

import dataclasses
import importlib.util
import os

from rich.table import Table

from rl_eval.terminal import Console

# Optional packages by the extra that brings them, and what they are for.
EXTRAS = {
    "huggingface_hub": ("hub", "weights by hf:owner/repo"),
    "sklearn": ("metatrain", "meta-training"),
    "skimage": ("metatrain", "meta-training"),
    "matplotlib": ("metatrain", "meta-training"),
}


@dataclasses.dataclass(frozen=True)
class Doctor:
    """Check versions, devices, the envpool XLA path, caches and optional parts."""

    fresh: bool = False
    """Try the envpool XLA path again, whatever was found before."""


def run(args: Doctor) -> int:
    """Print the findings; 0 also where something optional is missing."""
    import jax

    from rl_eval.caches import cache
    from rl_eval.envs.xla_check import verdict
    from rl_eval.records.provenance import cpu_name, versions

    console = Console()
    table = Table("what", "found", show_header=False)
    for name, version in versions().items():
        table.add_row(name, version or "missing")
    devices = ", ".join(f"{d.platform}: {d.device_kind}" for d in jax.devices())
    table.add_row("devices", devices)
    table.add_row("processor", f"{cpu_name()}, {os.cpu_count()} cores")
    xla = verdict(fresh=args.fresh)
    words = "works inside jit" if xla.works else f"falls back to the host path: {xla.reason}"
    table.add_row("envpool XLA", words)
    kept = cache()
    table.add_row("cache", f"{kept.folder}{f' ({kept.instead})' if kept.instead else ''}")
    for module, (extra, purpose) in EXTRAS.items():
        if importlib.util.find_spec(module) is None:
            install = f"pip install 'rl-eval[{extra}]'"
            table.add_row(module, f"missing, for {purpose}: {install}")
        else:
            table.add_row(module, f"installed, for {purpose}")
    console.print(table)
    return 0
