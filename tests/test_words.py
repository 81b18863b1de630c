"""Plain words in docstrings, comments, messages, configs and pages; CONTRIBUTING.md has the rules."""

import ast
import io
import json
import re
import tokenize
from collections import Counter
from pathlib import Path

import pytest

from tests.test_layers import LEVEL, files_of

ROOT = Path(__file__).parent.parent
FORBIDDEN = re.compile(r"\b(anew|(?:is|are) told of|begin of|passed over|goe?s? on from)\b", re.IGNORECASE)
STARTS_WITH_WHAT = re.compile(r"(?:^|[.:!?]\s+|\n\s*\n\s*)What\b(?![^.?!]*\?)")
WHERE = re.compile(r"\bwhere\b", re.IGNORECASE)
WHERE_PER_1000_WORDS = 1.0  # places included, which need the word seldom: "the folder where …" is "in which"
ROOMS = sorted(LEVEL.keys() - {"tests"})


def docstrings(tree: ast.AST) -> list[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [text for node in ast.walk(tree) if isinstance(node, kinds) and (text := ast.get_docstring(node))]


def comments(source: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


def messages(tree: ast.AST) -> list[str]:
    """String literals with several words, those of f-strings too; docstrings are among them."""
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    return [text for text in strings if len(text.split()) > 2]


def count_faults(source: str) -> Counter:
    """Faults of a Python file by kind, and the words of its docstrings."""
    tree = ast.parse(source)
    documented = docstrings(tree)
    texts = [*messages(tree), *comments(source)]
    return Counter(
        forbidden=sum(len(FORBIDDEN.findall(text)) for text in texts),
        what=sum(len(STARTS_WITH_WHAT.findall(text)) for text in documented),
        where=sum(len(WHERE.findall(text)) for text in documented),
        words=sum(len(text.split()) for text in documented),
    )


def faults_of(room: str) -> Counter:
    return sum((count_faults(path.read_text(encoding="utf-8")) for path in files_of(room)), Counter())


def prose_of_pages() -> dict[str, str]:
    """README, docs, the notebook's text, and the comments of all YAML files."""
    pages = {path: path.read_text(encoding="utf-8") for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]}
    pages = {path: re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)", " ", text, flags=re.DOTALL) for path, text in pages.items()}
    for path in ROOT.glob("notebooks/*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        pages[path] = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    for path in ROOT.glob("configs/**/*.yaml"):
        pages[path] = "\n".join(re.findall(r"# (.*)", path.read_text(encoding="utf-8")))
    return {path.relative_to(ROOT).as_posix(): text for path, text in pages.items()}


@pytest.mark.parametrize(("page", "text"), prose_of_pages().items())
def test_pages_and_configs_are_in_plain_words(page: str, text: str) -> None:
    if page == "CONTRIBUTING.md":  # it names the words that it advises against
        return
    assert not FORBIDDEN.findall(text)
    assert not STARTS_WITH_WHAT.findall(text)
    assert len(WHERE.findall(text)) <= 1 + WHERE_PER_1000_WORDS * len(text.split()) / 1000


# Faults that are left in each room, to be lowered when files are cleaned; the table goes when all are 0.
CEILING = {
    "benchmarks": (1, 10, 8),  # 2354 words
    "callbacks": (4, 2, 18),  # 1212 words
    "cli": (2, 0, 2),  # 232 words
    "cli_arguments": (0, 1, 1),  # 194 words
    "datamodules": (6, 7, 35),  # 3406 words
    "demo": (1, 0, 10),  # 1002 words
    "lightning_modules": (1, 2, 15),  # 1679 words
    "media": (4, 11, 93),  # 6676 words
    "metrics": (0, 4, 25),  # 2671 words
    "networks": (4, 4, 13),  # 2894 words
    "pipelines": (7, 10, 25),  # 2175 words
    "results": (0, 1, 17),  # 1165 words
    "runtime": (8, 5, 34),  # 1869 words
}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_in_plain_words(room: str) -> None:
    found = faults_of(room)
    forbidden, what, where = CEILING.get(room, (0, 0, int(WHERE_PER_1000_WORDS * found["words"] / 1000)))
    assert found["forbidden"] <= forbidden, "forbidden words: see FORBIDDEN"
    assert found["what"] <= what, "sentences that start with What"
    assert found["where"] <= where, "where: write if for a condition, in which for a place"


def test_each_kind_of_fault_is_found() -> None:
    source = '"""What is it? Run anew.\n\nWhat it finds is kept where asked."""\n'
    source += '# goes on from here\nx = f"{1} passed over now"\n'
    found = count_faults(source)
    assert (found["forbidden"], found["what"], found["where"], found["words"]) == (3, 1, 1, 12)
    assert count_faults("def f():\n    '''Asks. What else?'''\n    return 'What is this'")["what"] == 0


if __name__ == "__main__":  # the table above, as it stands now
    for name in ROOMS:
        faults = faults_of(name)
        print(f'    "{name}": ({faults["forbidden"]}, {faults["what"]}, {faults["where"]}),  # {faults["words"]} words')
