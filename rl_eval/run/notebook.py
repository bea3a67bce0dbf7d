"""A bar in a Jupyter notebook: one line of output that changes in place."""

from __future__ import annotations

import html
from collections.abc import Callable

Bar = Callable[[float, str], None]
"""Shows the share that is done, and words beside it."""


def notebook_bar(title: str) -> Bar:
    """A bar under the cell that is running. IPython, which every notebook has, draws it."""
    from IPython.display import HTML, display

    def drawn(share: float, words: str) -> HTML:
        text = html.escape(f"{title}  {words}")
        return HTML(f'<progress max="1" value="{share:.3f}"></progress> <code>{text}</code>')

    handle = display(drawn(0.0, ""), display_id=True)

    def show(share: float, words: str) -> None:
        handle.update(drawn(share, words))

    return show
