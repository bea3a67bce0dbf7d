"""Which devices jax computes on, and what it keeps of its programs."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable

import jax

from rl_eval import caches

_PLUGINS: dict[str, tuple[str, ...]] = {
    "cuda": ("jax_cuda12_plugin", "jax_cuda13_plugin"),
    "rocm": ("jax_rocm60_plugin", "jax_rocm7_plugin"),
}
_PLUGINS["gpu"] = _PLUGINS["cuda"] + _PLUGINS["rocm"]

SHORT = "0.2"  # seconds; what compiles faster is not kept


def gpu_plugin() -> bool:
    """Whether jax could use a GPU, as far as can be told without starting it."""
    return any(importlib.util.find_spec(name) for name in _PLUGINS["gpu"])


def trouble() -> str | None:
    """Why jax cannot start as JAX_PLATFORMS asks, if it names what is not installed."""
    asked = os.environ.get("JAX_PLATFORMS", "")
    for name in asked.split(","):
        plugins = _PLUGINS.get(name.strip(), ())
        if plugins and not any(importlib.util.find_spec(plugin) for plugin in plugins):
            extra = "" if name == "rocm" else ": pip install 'rl-eval[gpu-cuda12]' or [gpu-cuda13]"
            return (
                f"JAX_PLATFORMS={asked} asks for {name}, and jax's plugin for that is not "
                f"installed{extra}; unset JAX_PLATFORMS to compute on what is there"
            )
    return None


def with_processor() -> None:
    """Let jax have the processor beside what JAX_PLATFORMS names, as the gate's numbers need it.

    What is named first stays where everything else is computed.
    """
    asked = os.environ.get("JAX_PLATFORMS", "")
    if asked and "cpu" not in asked.split(","):
        os.environ["JAX_PLATFORMS"] = f"{asked},cpu"
        jax.config.update("jax_platforms", f"{asked},cpu")


def processor_only() -> None:
    """Compute on the processor in this process alone, not in those that it starts."""
    jax.config.update("jax_platforms", "cpu")


def unrepeatable() -> str | None:
    """Why the same computation may not give the same bits here; None where it does."""
    flags = os.environ.get("XLA_FLAGS", "")
    if jax.default_backend() == "cpu" or "xla_gpu_deterministic_ops=true" in flags:
        return None
    return (
        f"on {jax.devices()[0].device_kind} a resumed run is equal to the bit only with "
        "XLA_FLAGS='--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0', from its start"
    )


def keep_compiled(notify: Callable[[str], None]) -> None:
    """Find programs that were compiled before, and keep those that are compiled now.

    `notify` is told where they are kept if that is not the user's cache.
    """
    if getattr(jax.config, "jax_compilation_cache_dir", None) is not None:
        return
    found = caches.cache()
    if found.instead is not None:
        notify(f"{found.instead}: what can be made again is kept in {found.folder}")
    jax.config.update("jax_compilation_cache_dir", str(caches.compiled()))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", float(SHORT))
