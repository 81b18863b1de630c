"""A short name for the code that something was made with."""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType

PROJECT = Path(__file__).parents[2]


def digest_of_program(names: Iterable[str], root: Path = PROJECT) -> str:
    """Changes with the code of some modules, or of any module below `root` that they import; not with comments.

    Why not the files of a folder: a file that moves would leave the digest without a word, and so would a new one.

    Args:
        names: modules that are loaded, `media.sound.grain`.
        root: folder of the code that counts.
    """
    waiting, code = list(names), dict[str, str]()
    while waiting:
        name = waiting.pop()
        file = _file_below(sys.modules.get(name), root)
        if name in code or file is None:
            continue
        tree = ast.parse(file.read_bytes())
        waiting += _imported(tree)
        code[name] = ast.unparse(_without_docstrings(tree))
    digest = hashlib.sha256()
    for name in sorted(code):
        digest.update(f"{name}\n{code[name]}\n".encode())
    return digest.hexdigest()[:16]


def _file_below(module: ModuleType | None, root: Path) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file) if file is not None and Path(file).is_relative_to(root) else None


def _imported(tree: ast.Module) -> Iterator[str]:
    """Modules that define what is imported: `networks.prior.sampling` for `from networks import Sampling`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module in sys.modules:
            for alias in node.names:
                member = getattr(sys.modules[node.module], alias.name, None)
                if isinstance(member, ModuleType):
                    yield member.__name__
                else:
                    yield member.__module__ if isinstance(member, type | FunctionType) else node.module


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree
