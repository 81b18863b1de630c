"""Imports point one way, so that each layer can be read, tested and reused without those above it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "media": set(),
    "networks": {"media"},
    "metrics": {"media"},
    "lightning_modules": {"networks", "metrics", "media"},
    "datamodules": {"media", "networks", "runtime.checkpoint"},
    "callbacks": {"media", "networks", "metrics", "lightning_modules"},
    "cli_arguments": set(),
    "process_end": set(),
    "cli": {
        *("cli_arguments", "process_end", "doctor"),
        *("callbacks", "datamodules", "lightning_modules", "networks", "metrics", "media"),
    },
}
ABOVE = {"demo", "doctor", "benchmarks", "results", "tests"}
OWN = MAY_IMPORT.keys() | ABOVE


def files_of(layer: str) -> list[Path]:
    return [ROOT / f"{layer}.py"] if (ROOT / f"{layer}.py").is_file() else sorted((ROOT / layer).rglob("*.py"))


def imports_of(source: str) -> set[str]:
    """Modules of the project that a file imports, wherever in the file it does so."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.add(node.module)
    return {name for name in found if name.split(".")[0] in OWN}


def is_allowed(name: str, layer: str) -> bool:
    return any(name == allowed or name.startswith(f"{allowed}.") for allowed in {layer} | MAY_IMPORT[layer])


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_a_layer_imports_only_what_lies_below_it(layer):
    files = files_of(layer)
    assert files
    for file in files:
        upwards = sorted(name for name in imports_of(file.read_text()) if not is_allowed(name, layer))
        assert not upwards, f"{file.relative_to(ROOT)} imports {upwards}"


def test_every_folder_with_code_has_its_place():
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    files = {path.stem for path in ROOT.glob("*.py")}
    assert folders | files <= OWN


def test_the_check_sees_imports_of_every_form():
    source = "import cli\ndef f():\n    from demo.video import x\n    import numpy, tests.tiny as t\n"
    assert imports_of(source) == {"cli", "demo.video", "tests.tiny"}
    assert not is_allowed("networks", "media")
    assert not is_allowed("lightning_modules.system", "datamodules")
    assert is_allowed("runtime.checkpoint", "datamodules")
