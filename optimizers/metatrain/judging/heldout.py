"""Tasks that no theta is meta-trained on: other widths, depths, layers, letters, and a text."""

from __future__ import annotations

import string

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key, UInt8

from optimizers.metatrain.tasks import data
from optimizers.metatrain.tasks.tasks import Batch, MetaTask, Params, image_task

ALPHABET = string.ascii_lowercase + string.digits + " \n.,:;()[]'\"-_=*"  # others become a blank
CONTEXT = 32  # characters that the transformer sees
WIDTH, HEADS = 32, 2  # of the transformer


def tasks() -> tuple[MetaTask, ...]:
    """All held-out tasks, small enough for 45 runs of 1,000 steps in minutes on one core."""
    digits, letters = data.load("digits", "train"), data.load("glyphs-unseen", "train")
    cnn = MetaTask("glyph-cnn", init_cnn, cnn_loss, (letters.images, letters.labels))
    text = MetaTask("text-transformer", init_transformer, transformer_loss, text_windows(), 16)
    return (
        image_task("digits-wide", digits, hidden=(128, 128)),
        image_task("digits-deep", digits, hidden=(32, 32, 32, 32)),
        image_task("glyph-mlp", letters, hidden=(64,)),
        cnn,
        text,
    )


def _dense(key: Key[Array, ""], *shape: int) -> dict[str, Array]:
    """Kernel of variance 1 / fan_in and zero bias."""
    kernel = jax.random.normal(key, shape) * np.prod(shape[:-1]) ** -0.5
    return {"kernel": kernel, "bias": jnp.zeros(shape[-1])}


def init_cnn(key: Key[Array, ""]) -> Params:
    """Two 3x3 convolutions of 8 and 16 channels, mean over places, ten classes."""
    keys = jax.random.split(key, 3)
    return {
        "conv_0": _dense(keys[0], 3, 3, 1, 8),
        "conv_1": _dense(keys[1], 3, 3, 8, 16),
        "dense": _dense(keys[2], 16, 10),
    }


def cnn_loss(params: Params, batch: Batch) -> Float[Array, ""]:
    """Cross-entropy on (images, labels)."""
    images, labels = batch
    x = images[..., None].astype(jnp.float32) / 255
    for name in ("conv_0", "conv_1"):
        x = jax.nn.relu(_conv(x, params[name]))
    logits = x.mean((1, 2)) @ params["dense"]["kernel"] + params["dense"]["bias"]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def _conv(x: Float[Array, "image row col chan"], layer: Params) -> Float[Array, "image ..."]:
    """3x3 without padding, as a matrix product: XLA's convolution is slow in a scan on a CPU."""
    height, width = x.shape[1] - 2, x.shape[2] - 2
    spots = [x[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    kernel = layer["kernel"]
    return jnp.concatenate(spots, -1) @ kernel.reshape(-1, kernel.shape[-1]) + layer["bias"]


def text_windows() -> UInt8[np.ndarray, "window char"]:
    """Python's own help texts, as windows of `CONTEXT + 1` indices into `ALPHABET`."""
    from pydoc_data.topics import topics

    text = "\n".join(topics[name] for name in sorted(topics)).lower()[:200_000]
    index = {char: i for i, char in enumerate(ALPHABET)}
    blank = index[" "]
    codes = np.array([index.get(char, blank) for char in text], np.uint8)
    return codes[: len(codes) // (CONTEXT + 1) * (CONTEXT + 1)].reshape(-1, CONTEXT + 1)


def init_transformer(key: Key[Array, ""]) -> Params:
    """One block of attention and MLP on learned embeddings and positions."""
    keys = jax.random.split(key, 7)
    norms = {"scale": jnp.ones(WIDTH), "bias": jnp.zeros(WIDTH)}
    return {
        "embed": jax.random.normal(keys[0], (len(ALPHABET), WIDTH)) * 0.1,
        "position_embed": jax.random.normal(keys[1], (CONTEXT, WIDTH)) * 0.1,
        "attention": {"norm": norms, "qkv": _dense(keys[2], WIDTH, 3 * WIDTH)}
        | {"out": _dense(keys[3], WIDTH, WIDTH)},
        "mlp": {"norm": norms, "up": _dense(keys[4], WIDTH, 4 * WIDTH)}
        | {"down": _dense(keys[5], 4 * WIDTH, WIDTH)},
        "head": {"norm": norms, "logits": _dense(keys[6], WIDTH, len(ALPHABET))},
    }


def transformer_loss(params: Params, windows: UInt8[Array, "window char"]) -> Float[Array, ""]:
    """Cross-entropy of every next character."""
    following = windows[:, 1:].astype(jnp.int32)
    logits = transformer_logits(params, windows)
    return optax.softmax_cross_entropy_with_integer_labels(logits, following).mean()


def transformer_logits(
    params: Params, windows: UInt8[Array, "window char"]
) -> Float[Array, "window position code"]:
    """What follows each character but the last."""
    x = params["embed"][windows[:, :-1].astype(jnp.int32)] + params["position_embed"]
    x = x + _attention(params["attention"], _normed(params["attention"], x))
    hidden = jax.nn.gelu(_apply(params["mlp"]["up"], _normed(params["mlp"], x)))
    x = x + _apply(params["mlp"]["down"], hidden)
    return _apply(params["head"]["logits"], _normed(params["head"], x))


def _attention(layer: Params, x: Float[Array, "window char width"]) -> Float[Array, ...]:
    qkv = _apply(layer["qkv"], x).reshape(*x.shape[:2], 3, HEADS, -1)
    out = jax.nn.dot_product_attention(*jnp.moveaxis(qkv, 2, 0), is_causal=True)
    return _apply(layer["out"], out.reshape(x.shape))


def _normed(layer: Params, x: Float[Array, ...]) -> Float[Array, ...]:
    norm = layer["norm"]
    return jax.nn.standardize(x, axis=-1) * norm["scale"] + norm["bias"]


def _apply(layer: Params, x: Float[Array, ...]) -> Float[Array, ...]:
    return x @ layer["kernel"] + layer["bias"]
