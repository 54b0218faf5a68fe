"""How the blocks of one stage share their attention between windows and the whole map."""

from __future__ import annotations

from dataclasses import dataclass

from uniformer_mm.arguments import COUNT, check, check_choice

STYLES = ('global', 'window', 'hybrid')


@dataclass(frozen=True)
class Style:
    """Attention style of a stage, in training and in eval mode.

    Attributes:
        name: ``'global'``, ``'window'`` or ``'hybrid'`` (three window blocks, then a global one).
        window_size: Side of the windows in tokens.
        eval_name: Style in eval mode; None means ``name``.
        eval_window_size: Window in eval mode; None means ``window_size``.

    Raises:
        ValueError: If a style is unknown, a window is not a positive integer, or an evaluation
            window is given for global attention.
    """

    name: str = 'global'
    window_size: int = 14
    eval_name: str | None = None
    eval_window_size: int | None = None

    def __post_init__(self) -> None:
        check_choice('stage3_style', self.name, STYLES)
        check_choice('eval_stage3_style', self.eval_name, (None, *STYLES))
        check(COUNT, window_size=self.window_size)
        if self.eval_window_size is not None:
            check(COUNT, eval_window_size=self.eval_window_size)
        if self.eval_window_size is not None and self.names[1] == 'global':
            raise ValueError(
                f"eval_window_size={self.eval_window_size} needs eval_stage3_style 'window' or "
                f"'hybrid'; it is 'global'"
            )

    @property
    def names(self) -> tuple[str, str]:
        """The style in training and in eval mode."""
        return self.name, self.eval_name or self.name

    def window_of(self, block: int, training: bool) -> int:
        """Window of the block with this 0-based index; 0 means the whole map."""
        name = self.names[0 if training else 1]
        if name == 'global' or (name == 'hybrid' and (block + 1) % 4 == 0):
            return 0
        return self.window_size if training else self.eval_window_size or self.window_size
