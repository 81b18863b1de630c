"""Imports point one way, so that each layer can be read, tested and reused without those above it."""

import ast
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = (  # a layer imports those below it, never one beside or above it
    {"tests"},
    {"benchmarks", "results"},
    {"demo", "video2audio"},
    {"cli"},
    {"cli_arguments", "lightning_modules", "datamodules", "callbacks"},
    {"pipelines"},
    {"networks", "metrics"},
    {"runtime"},
    {"media"},
)
LEVEL = {layer: -number for number, layers in enumerate(ORDER) for layer in layers}


def files_of(layer: str) -> list[Path]:
    return [ROOT / f"{layer}.py"] if (ROOT / f"{layer}.py").is_file() else sorted((ROOT / layer).rglob("*.py"))


def imports_of(source: str) -> set[str]:
    """Modules of the project that a file imports, wherever in the file it does so."""
    return {name for name in all_imports_of(source) if name.split(".")[0] in LEVEL}


def third_party_imports_of(source: str) -> set[str]:
    """Packages that must be installed."""
    names = {name.split(".")[0] for name in all_imports_of(source)}
    return names - LEVEL.keys() - sys.stdlib_module_names


def all_imports_of(source: str) -> set[str]:
    """Names of all modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_allowed(name: str, layer: str) -> bool:
    other = name.split(".")[0]
    return other == layer or LEVEL[other] < LEVEL[layer]


@pytest.mark.parametrize("layer", sorted(LEVEL.keys() - {"tests"}))
def test_a_layer_imports_only_what_is_below_it(layer):
    files = files_of(layer)
    assert files
    for file in files:
        upwards = sorted(name for name in imports_of(file.read_text()) if not is_allowed(name, layer))
        assert not upwards, f"{file.relative_to(ROOT)} imports {upwards}"


def test_there_are_no_circles():
    files = {file for layer in LEVEL.keys() - {"tests"} for file in files_of(layer)}
    names = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}
    graph = {name: {other for other in imports_of(file.read_text()) if other in names} for name, file in names.items()}
    for name, imported in graph.items():  # a package's __init__ may import its own files
        graph[name] = {other for other in imported if not name.startswith(f"{other}.") and other != name}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"These import each other: {' → '.join(error.args[1])}")


def test_every_folder_with_code_has_its_place():
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    files = {path.stem for path in ROOT.glob("*.py")}
    assert folders | files == set(LEVEL)


def test_the_check_sees_imports_of_every_form():
    source = "import cli\ndef f():\n    from demo.video import x\n    import numpy, tests.tiny as t\n"
    source += "    from runtime import doctor\n"
    assert imports_of(source) == {"cli", "demo.video", "demo.video.x", "tests.tiny", "runtime", "runtime.doctor"}
    assert not is_allowed("networks", "media")
    assert not is_allowed("callbacks.session", "datamodules")
    assert is_allowed("runtime.checkpoint", "datamodules")
