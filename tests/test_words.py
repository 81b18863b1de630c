"""Plain words in docstrings, comments, messages, configs and pages; CONTRIBUTING.md has the rules.

`python -m tests.test_words` lists every fault with its file and line, and their number in each room.
"""

import ast
import io
import json
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_layers import LEVEL, files_of

ROOT = Path(__file__).parent.parent
FAULTS = {
    "forbidden": re.compile(r"\b(anew|(?:is|are) told of|begin of|passed over|goe?s? on from)\b", re.IGNORECASE),
    "what": re.compile(r"(?:^|[.:!?]\s+|\n\s*\n\s*)What\b(?![^.?!]*\?)"),  # unless it starts a question
    "where": re.compile(r"\bwhere\b", re.IGNORECASE),
}
WORDS_PER_WHERE = 1000  # "if" for a condition, "in which" for a place; some are right
ROOMS = sorted(LEVEL.keys() - {"tests"})


def texts_of(source: str) -> Iterator[tuple[int, str, bool]]:
    """Line, text, and whether it is a docstring, of each docstring, comment, and string of several words."""
    tree = ast.parse(source)
    documented = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if text := ast.get_docstring(node):
                documented.add(node.body[0].value)
                yield node.body[0].lineno, text, True
        elif isinstance(node, ast.Constant) and node not in documented and len(str(node.value).split()) > 2:
            yield node.lineno, str(node.value), False
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string, False


def faults_of(source: str) -> list[tuple[int, str, str]]:
    """Line, kind and words of each fault; only docstrings are searched for `what` and `where`."""
    return [
        (line + text[: found.end()].count("\n"), kind, " ".join(text[found.start() : found.end() + 40].split()))
        for line, text, is_docstring in texts_of(source)
        for kind, pattern in FAULTS.items()
        if is_docstring or kind == "forbidden"
        for found in pattern.finditer(text)
    ]


def look_at(room: str) -> tuple[list[str], Counter, int]:
    """All faults of a room with their places, their number by kind, and the number of words in docstrings."""
    sources = {path: path.read_text(encoding="utf-8") for path in files_of(room)}
    found = [(path, *fault) for path, source in sources.items() for fault in faults_of(source)]
    num_words = sum(len(text.split()) for source in sources.values() for _, text, is_doc in texts_of(source) if is_doc)
    places = [f"{path.relative_to(ROOT)}:{line}: {kind}: {words}" for path, line, kind, words in found]
    return places, Counter(kind for _, _, kind, _ in found), num_words


def pages() -> dict[str, str]:
    """Prose of README and docs, text of the notebook, comments of the YAML files."""
    texts = {path: path.read_text(encoding="utf-8") for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]}
    texts = {path: re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", " ", text, flags=re.DOTALL) for path, text in texts.items()}
    for path in ROOT.glob("notebooks/*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts[path] = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    for path in ROOT.glob("configs/**/*.yaml"):
        texts[path] = "\n".join(re.findall(r"# (.*)", path.read_text(encoding="utf-8")))
    return {path.relative_to(ROOT).as_posix(): text for path, text in texts.items() if path.name != "CONTRIBUTING.md"}


@pytest.mark.parametrize(("page", "text"), pages().items())
def test_pages_and_configs_are_in_plain_words(page: str, text: str) -> None:
    assert not FAULTS["forbidden"].findall(text)
    assert not FAULTS["what"].findall(text)
    assert len(FAULTS["where"].findall(text)) <= 1 + len(text.split()) // WORDS_PER_WHERE


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_in_plain_words(room: str) -> None:
    places, counts, num_words = look_at(room)
    allowed = (0, 0, num_words // WORDS_PER_WHERE)
    assert all(counts[kind] <= most for kind, most in zip(FAULTS, allowed, strict=True)), "\n".join(places)


def test_each_kind_of_fault_is_found() -> None:
    source = '"""What is it? Run anew.\n\nWhat it finds is kept where asked."""\n'
    source += '# goes on from here\nx = f"{1} passed over now"\n'
    found = {(line, kind) for line, kind, _ in faults_of(source)}
    assert found == {(1, "forbidden"), (3, "what"), (3, "where"), (4, "forbidden"), (5, "forbidden")}
    assert not faults_of("def f():\n    '''Asks. What else?'''\n    return 'What is this where'")


if __name__ == "__main__":
    found = {room: look_at(room) for room in ROOMS}
    print(*(place for places, _, _ in found.values() for place in places), sep="\n")
    for room, (_, counts, num_words) in found.items():
        print(f'    "{room}": ({", ".join(str(counts[kind]) for kind in FAULTS)}),  # {num_words} words')
