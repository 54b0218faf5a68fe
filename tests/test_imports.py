"""The order of the package: every import goes down, and none goes round."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import uniformer_mm
from uniformer_mm import models, registry

ROOT = Path(uniformer_mm.__file__).parent
# From low to high. A module imports from its own layer and those below it.
LAYERS = (
    {'version', 'errors', 'arguments', 'files', 'home', 'architectures', 'compat', 'registry'},
    {'checkpoints'},
    {'models'},
    {'datasets', 'engine', 'analysis', 'visualization'},
    {'deploy'},
    {'cli', '__main__'},
)
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}
TOP = len(LAYERS)  # the package itself, which imports the others


def level_of(module: str) -> int:
    return LEVELS[module.split('.')[1]] if '.' in module else TOP


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT.parent).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


FILES = {module_name(file): file for file in sorted(ROOT.rglob('*.py'))}


def imports_of(module: str) -> set[str]:
    """Modules of this package that a module names in its imports, those in functions included."""
    package = module.split('.') if FILES[module].name == '__init__.py' else module.split('.')[:-1]
    names = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            base = '.'.join([*parents, *filter(None, [node.module])])
            # `from package import x` reads a module x, or a name of the package itself.
            names |= {
                f'{base}.{alias.name}' if f'{base}.{alias.name}' in FILES else base
                for alias in node.names
            }
    return names & FILES.keys() - {module}


@pytest.mark.parametrize('module', [name for name in FILES if name != 'uniformer_mm'])
def test_imports_go_down(module: str) -> None:
    upwards = {name for name in imports_of(module) if level_of(name) > level_of(module)}
    assert not upwards


def test_imports_do_not_go_round() -> None:
    TopologicalSorter({module: imports_of(module) for module in FILES}).prepare()


def test_package_offers_the_models() -> None:
    assert {*uniformer_mm.__all__} == {*models.__all__, '__version__', 'find_config'}
    for name in models.__all__:
        assert getattr(uniformer_mm, name) is getattr(models, name)
        assert registry.MODELS.module_dict[name] is getattr(models, name)
    with pytest.raises(AttributeError, match='UniFromer'):
        uniformer_mm.UniFromer  # noqa: B018
