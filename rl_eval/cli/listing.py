"""`rl-eval envs` and `rl-eval optimizers`: what there is."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import tyro
from rich.table import Table

from optimizers import registry
from optimizers.spec import Choice, Domain, LogUniform, OptimizerSpec
from rl_eval.envs.registry import describe, env_ids
from rl_eval.settings import SettingsError, parse_assignment
from rl_eval.terminal import Console


@dataclasses.dataclass(frozen=True)
class Envs:
    """List the environments, a line each when piped."""

    backend: str | None = None
    """Only those of one backend."""


@dataclasses.dataclass(frozen=True)
class Optimizers:
    """List the optimizers, or show how one treats each parameter."""

    show: str | None = None
    """Optimizer (or module:attribute) to show leaf by leaf; needs --env."""
    env: str | None = None
    """Environment whose default network is shown."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """key=value: a hyperparameter of the optimizer shown, such as weights=PATH; repeatable."""


def envs(args: Envs) -> int:
    """Print every environment id, its family and backend."""
    groups = env_ids()
    if args.backend is not None and args.backend not in groups:
        raise SettingsError(f"--backend {args.backend}: known are {', '.join(groups)}")
    console = Console()
    for backend, ids in groups.items():
        if args.backend in (None, backend):
            for env_id in ids:
                line = f"{env_id:32} {describe(env_id).family:8} {backend}"
                console.print(line, highlight=False, soft_wrap=True)
    return 0


def optimizers(args: Optimizers) -> int:
    """Print the registered optimizers, or one optimizer's routing table."""
    if args.show is not None:
        return _show(args.show, args.env, dict(map(parse_assignment, args.set)))
    console = Console()
    table = Table("optimizer", "hyperparameters (default, search domain)", "source")
    for name in registry.names():
        try:
            spec = registry.get(name)
        except ValueError as error:
            table.add_row(name, str(error), "")
            continue
        lines = [_hyperparameter(h.name, h.default, h.domain) for h in spec.hyperparameters]
        table.add_row(name, "\n".join(lines), spec.citation)
    console.print(table)
    return 0


def _hyperparameter(name: str, default: Any, domain: Domain | None) -> str:
    text = f"{name} = {default}"
    if domain is None:
        return text
    if isinstance(domain, Choice):
        return f"{text}  {{{', '.join(map(str, domain.values))}}}"
    kind = "log " if isinstance(domain, LogUniform) else ""
    return f"{text}  {kind}[{domain.low:g}, {domain.high:g}]"


def _show(name: str, env_id: str | None, settings: dict[str, Any]) -> int:
    if env_id is None:
        raise SettingsError("--show needs --env: the table is made for its network")
    try:
        spec = registry.get(name)
        family = describe(env_id).family
        spec.resolve(settings)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    _routing(Console(), spec, settings, env_id, family)
    return 0


def _routing(
    console: Console, spec: OptimizerSpec, settings: dict[str, Any], env_id: str, family: str
) -> None:
    import jax

    from optimizers.routing import routing_table
    from rl_eval.defaults import defaults_for
    from rl_eval.envs.base import closed
    from rl_eval.envs.registry import make_env
    from rl_eval.ppo.networks import make_network

    config = defaults_for(family).network
    with closed(make_env(env_id, num_envs=1)) as env:
        network = make_network(config, env.observation, env.num_actions)
    params = jax.eval_shape(network.init, jax.random.key(0))
    table = Table("parameter", "shape", "rule", "state bytes", title=f"{spec.name} on {env_id}")
    for row in routing_table(spec, params, **settings):
        shape = "x".join(map(str, row.shape)) if row.shape else "-"
        table.add_row(row.path, shape, row.rule, f"{row.state_bytes:,}")
    console.print(table)
