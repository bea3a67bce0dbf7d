"""Whether two programs are the same to the last constant, found without compiling them."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr


def digest(traced: ClosedJaxpr) -> str:
    """sha256 of a traced program and of the constants in it."""
    text = re.sub(r" at 0x[0-9a-f]+", "", str(traced))
    total = hashlib.sha256(text.encode())
    for constant in _constants(traced):
        total.update(_bytes(constant))
    return total.hexdigest()


def _constants(traced: ClosedJaxpr) -> list[Any]:
    """Of a program and all programs within it."""
    found = list(traced.consts)
    for equation in traced.jaxpr.eqns:
        inner = jax.tree.leaves(equation.params, is_leaf=lambda x: isinstance(x, ClosedJaxpr))
        for program in inner:
            if isinstance(program, ClosedJaxpr):
                found += _constants(program)
    return found


def _bytes(constant: Any) -> bytes:
    if jnp.issubdtype(getattr(constant, "dtype", np.float32), jax.dtypes.prng_key):
        constant = jax.random.key_data(constant)
    return np.asarray(constant).tobytes()
