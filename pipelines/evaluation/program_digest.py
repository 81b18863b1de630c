"""A fingerprint of code."""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType

PROJECT = Path(__file__).parents[2]


def digest_of_program(names: Iterable[str], root: Path = PROJECT) -> str:
    """Digest of the code of loaded modules and of all modules below `root` that they import, without comments.

    Imports are followed instead of listing files, so that no file can be forgotten when code moves.
    """
    waiting, code = list(names), dict[str, str]()
    while waiting:
        name = waiting.pop()
        file = getattr(sys.modules.get(name), "__file__", None)
        if name in code or file is None or not _is_own(Path(file), root):
            continue
        tree = ast.parse(Path(file).read_bytes())
        waiting += _imported_modules(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        code[name] = ast.unparse(tree)
    digest = hashlib.sha256()
    for name in sorted(code):
        digest.update(f"{name}\n{code[name]}\n".encode())
    return digest.hexdigest()[:16]


def _is_own(file: Path, root: Path) -> bool:
    """Whether a module is the project's own: installed packages can lie below `root`, in a virtual environment."""
    return file.is_relative_to(root) and "site-packages" not in file.relative_to(root).parts


def _imported_modules(tree: ast.Module) -> Iterator[str]:
    """Modules that define the imported names: `networks.prior.sampling` for `from networks import Sampling`."""
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
