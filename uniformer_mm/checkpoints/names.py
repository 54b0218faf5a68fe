"""Entry names, and how they are listed in messages."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from torch import Tensor


class Differences(NamedTuple):
    """How a state dict differs from a model's.

    Attributes:
        missing: Model entries that the file lacks, with their shapes.
        unexpected: File entries that the model lacks, with their shapes.
        misshapen: Entries of both, with the model's and the file's shape.
    """

    missing: dict[str, tuple[int, ...]]
    unexpected: dict[str, tuple[int, ...]]
    misshapen: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]

    @classmethod
    def between(cls, model: Mapping[str, Tensor], file: Mapping[str, Tensor]) -> Differences:
        """Compare names and shapes of a model's entries with a file's."""
        return cls(
            missing={k: tuple(v.shape) for k, v in model.items() if k not in file},
            unexpected={k: tuple(v.shape) for k, v in file.items() if k not in model},
            misshapen={
                k: (tuple(v.shape), tuple(file[k].shape))
                for k, v in model.items()
                if k in file and v.shape != file[k].shape
            },
        )

    def __bool__(self) -> bool:
        return any(self)

    def describe(self) -> str:
        """One line a kind and name, with the blocks of a stage folded into ``[0-7]``."""
        lines = []
        for title, entries in (
            ('Missing from the file', self.missing),
            ('Not in the model', self.unexpected),
        ):
            if entries:
                lines.append(f'{title} ({len(entries)}):')
                lines += [f'    {name} {shape}' for name, shape in fold_blocks(entries)]
        if self.misshapen:
            lines.append(f'Of another shape ({len(self.misshapen)}):')
            lines += [
                f'    {name}: the model has {model}, the file {file}'
                for name, (model, file) in fold_blocks(self.misshapen)
            ]
        return '\n'.join(lines)


def fold_blocks(entries: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Merge entries that differ only in the block index; no entry is left out."""
    groups: dict[tuple[str, Any], list[int]] = {}
    for key, value in entries.items():
        match = re.search(r'\bblocks\.?\d\.(\d+)\.', key)
        template = f'{key[: match.start(1)]}*{key[match.end(1) :]}' if match else key
        groups.setdefault((template, value), []).extend([int(match[1])] if match else [])
    return [
        (template.replace('*', _ranges(indices), 1) if indices else template, value)
        for (template, value), indices in groups.items()
    ]


def _ranges(indices: Iterable[int]) -> str:
    """``[0, 1, 2, 5]`` as ``'[0-2,5]'``, a single index as itself."""
    runs: list[list[int]] = []
    for index in sorted(indices):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    text = ','.join(str(run[0]) if len(run) == 1 else f'{run[0]}-{run[-1]}' for run in runs)
    return text if text.isdigit() else f'[{text}]'


def replace_prefix(key: str, prefixes: Mapping[str, str]) -> str | None:
    """The name with the other one of its prefix; None if it starts with none of them."""
    for prefix, other in prefixes.items():
        if key.startswith(prefix):
            return other + key.removeprefix(prefix)
    return None


def shorten(names: Iterable[Any], limit: int = 12) -> str:
    names = [str(name) for name in names]
    rest = f' and {len(names) - limit} more' if len(names) > limit else ''
    return ', '.join(names[:limit]) + rest


def top_level_names(state: Iterable[str]) -> str:
    return shorten(dict.fromkeys(key.split('.')[0] for key in state))


def join_modules(keys: Iterable[str]) -> str:
    """Entry names, those of one module together: ``norm.{weight,bias}``."""
    modules: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        module, _, leaf = key.rpartition('.')
        modules[module].append(leaf)
    return ', '.join(
        f'{module}.{leaves[0] if len(leaves) == 1 else "{" + ",".join(leaves) + "}"}'
        for module, leaves in modules.items()
    )
