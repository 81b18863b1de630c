"""The pages are read here as they are written: commands, options, files, links, messages and figures must be true."""

import ast
import functools
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from jsonargparse import Namespace

import cli
from media.sound.sound_files import write_wav
from networks import build
from runtime import doctor
from runtime.precision import Device
from runtime.systems import CONFIGS
from tests.conftest import working_folder
from tests.test_layers import LEVEL, ORDER, files_of

ROOT = Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [*(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")), *ROOT.glob("docs/*.md")]
}
PROSE = {page: re.sub(r"```.*?```", "", text, flags=re.DOTALL) for page, text in PAGES.items()}
SPANS = [span.replace("\n", " ") for prose in PROSE.values() for span in re.findall(r"`([^`]+)`", prose)]
LINKS = [(page, link) for page, prose in PROSE.items() for link in re.findall(r"\]\((?!https?:)([^)]+)\)", prose)]
OF_A_SUBCOMMAND = {"config", "ckpt_path"}
OF_OTHER_PROGRAMS = {"help", "quick", "version"}
STORED = ROOT / "tests" / "data" / "checkpoints_0_1"
MADE = ("outputs/", "checkpoints/", "cache/", "logs/", "data/", "path/")  # by the commands, or the user's own
FIGURES = ("train/", "val/", "test/", "trainer/")
MODULES = {
    *("venv", "pip", "demo", "pytest", "benchmarks", "mypy"),
    *(
        f"{room}.{path.stem}"
        for room in ("benchmarks", "demo", "results")
        for path in (ROOT / room).glob("*.py")
        if "__main__" in path.read_text()
    ),
}


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language, of all pages."""
    text = "\n".join(PAGES.values())
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Every shell command of the pages once, those of notebook cells too."""
    shell = [line for language in ("bash", "powershell") for block in blocks(language) for line in block.splitlines()]
    cells = [line[1:] for block in blocks("ipython") for line in block.splitlines() if line.startswith("!")]
    return list(dict.fromkeys(map(as_script, [*shell, *cells])))


def as_script(command: str) -> str:
    """The command of an installation, as `python cli.py`."""
    return re.sub(r"^video2audio ", "python cli.py ", command)


DOCTOR_COMMANDS = [command for command in commands() if command.startswith("python cli.py doctor")]
CLI_COMMANDS = [c for c in commands() if c.startswith("python cli.py") and c not in DOCTOR_COMMANDS]
OTHER_COMMANDS = [command for command in commands() if not command.startswith("python cli.py")]


@functools.cache
def parsed(*args: str) -> Namespace:
    """The configuration that the command line gives, types checked; no object is made, nothing runs or is written."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "find_device", lambda accelerator: Device("cpu", "CPU", True))
        patch.setattr(cli.Video2AudioCLI, "instantiate_classes", lambda self: None)
        patch.chdir(folder)
        config = cli.main(list(args), run=False).config
        assert list(Path(folder).iterdir()) == []
        return config


def anchors(page: str) -> set[str]:
    """The anchors that a page's headings get."""
    headings = re.findall(r"^#+ (.+)$", PROSE[page], flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_pages_and_commands_to_check() -> None:
    assert len(PAGES) >= 13
    assert len(CLI_COMMANDS) > 40
    assert {"make demo", "make test"} <= set(OTHER_COMMANDS)


def test_the_readme_is_short() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 250


@pytest.mark.parametrize("command", CLI_COMMANDS)
def test_a_command_of_the_project_is_parsed(command: str) -> None:
    subcommand, *args = shlex.split(command)[2:]
    if subcommand == "--version":
        with pytest.raises(SystemExit, match="0"):
            parsed(subcommand)
        return
    assert subcommand in cli.Video2AudioCLI.subcommands()
    if "--ckpt_path" in args:
        place = args.index("--ckpt_path")
        del args[place : place + 2]
    if args[-1] == "--print_config":
        with pytest.raises(SystemExit, match="0"):
            parsed(*args)
    else:
        assert parsed(*args).model


@pytest.mark.parametrize("command", DOCTOR_COMMANDS)
def test_the_doctor_knows_the_options_that_it_is_asked_with(command: str) -> None:
    with pytest.raises(SystemExit, match="0"):
        doctor.main([*shlex.split(command)[3:], "--help"], build=None)


def test_every_option_in_the_text_exists() -> None:
    known = OF_A_SUBCOMMAND | OF_OTHER_PROGRAMS | {"print_config"}
    for path in CONFIGS.glob("*.yaml"):
        args = ("--data.inputs", "clip.mp4") if path.stem == "video2audio" else ()
        known |= {name.replace("init_args.", "") for name in parsed("--config", path.name, *args).keys(branches=True)}
    logger = {"trainer.logger.save_dir", "trainer.logger.name"}  # of the logger's own class
    spans = [span for span in SPANS if span.startswith(("--", "python cli.py", "video2audio"))]
    options = {option for span in spans for option in re.findall(r"--([\w.]+)", span)}
    assert len(options) > 40
    assert options <= known | logger, options - known - logger


@pytest.mark.parametrize("command", OTHER_COMMANDS)
def test_any_other_command_names_what_exists(command: str) -> None:
    program, *args = shlex.split(command.replace("\\", "/"))
    if program == "make":
        assert args
        assert all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE) for target in args)
    elif program in ("git", "cp"):
        assert "YOUR_" in command
    elif program in ("pip", "wandb"):
        assert program == "pip" or re.search(r"^wandb", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    else:
        name = Path(program).name
        assert name in ("python", "python3", "ruff", "mypy")
        assert name != "ruff" or args in (["check", "."], ["format", "--check", "."], ["format", "."])
        assert name in ("ruff", "mypy") or (args[0] == "-m" and args[1] in MODULES)
    for name in args:
        if name.startswith(("requirements", "tests/")):
            assert (ROOT / name).exists(), name


def test_the_plain_commands_are_those_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("$(BIN)", ".venv/bin").replace("$(PYTHON)", "python3")
    recipes = {line.strip() for line in makefile.splitlines() if line.startswith("\t")} - {"touch $@"}
    assert recipes <= set(OTHER_COMMANDS)


def test_files_and_folders_in_the_text_exist() -> None:
    pattern = r"[\w.-]+(?:/[\w.-]*)+|LICENSE|[\w-]+\.(?:txt|py|toml)"
    names = [span for span in SPANS if re.fullmatch(pattern, span)]
    names = [name for name in names if not name.startswith((*MADE, *FIGURES)) and name != "wandb_id.txt"]
    assert len(names) > 40
    missing = [name for name in names if not (ROOT / name).exists()]
    assert not missing


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_a_link_leads_to_a_file_and_a_heading(page: str, link: str) -> None:
    file, _, anchor = link.partition("#")
    target = ((ROOT / page).parent / file).resolve() if file else ROOT / page
    assert target.exists(), f"{page} links to {file}"
    name = target.relative_to(ROOT).as_posix()
    assert not anchor or anchor in anchors(name), f"{page} links to {link}; {name} has {sorted(anchors(name))}"


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {link.partition("#")[0] for page, link in LINKS if page == "README.md"}
    assert PAGES.keys() - {"README.md"} <= linked


def test_the_tree_shows_the_rooms_that_there_are() -> None:
    (tree,) = [block for block in blocks("text") if block.startswith("cli.py") and "configs/" in block]
    shown, above = set(), ""
    for indent, name in re.findall(r"^( *)([\w.]+/?) ", tree, flags=re.MULTILINE):
        above = above if indent else name
        path = f"{above}{name}" if indent else name
        assert (ROOT / path).exists(), path
        shown.add(path.rstrip("/"))
    rooms = {path.parent.relative_to(ROOT).as_posix() for layer in LEVEL for path in files_of(layer)} - {"."}
    mirrored = {room for room in rooms if room.startswith("tests/") and room != "tests/helpers"}
    assert rooms - mirrored <= shown, rooms - mirrored - shown


def test_the_order_of_imports_is_the_one_that_is_tested() -> None:
    rows = re.findall(r"^\| (\d) \| (.+) \|$", PROSE["docs/architecture.md"], flags=re.MULTILINE)
    told = [set(re.findall(r"`(\w+)`", rooms)) for _, rooms in rows]
    assert told == list(ORDER)
    drawn = (ROOT / "docs" / "pictures" / "layers.svg").read_text(encoding="utf-8")
    assert set(re.findall(r'class="name"[^>]*>(\w+)<', drawn)) == LEVEL.keys() - {"tests", "video2audio"}


def test_messages_in_troubleshooting_are_those_of_the_code() -> None:
    texts = [
        node.value
        for layer in LEVEL.keys() - {"tests"}
        for path in files_of(layer)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    rows = re.findall(r"^\| `([^`]+)`", PROSE["docs/troubleshooting.md"], flags=re.MULTILINE)
    assert len(rows) > 20
    parts = [part.strip() for message in rows for part in re.split(r"…|<root>", message)]
    unknown = [part for part in parts if part and not any(part in text for text in texts)]
    assert unknown == ["CUDA out of memory"]  # torch's own


@pytest.mark.parametrize("snippet", blocks("python"))
def test_python_is_python_and_imports_what_exists(snippet: str) -> None:
    tree = ast.parse(snippet)
    if "kaggle_secrets" in snippet or "import" not in snippet:
        return
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            exec(ast.unparse(node), {})


@pytest.mark.parametrize(("word", "made"), [("again.wav", "again.wav"), ("SoundGenerator", "new_1.wav")])
def test_the_examples_in_python_run(word: str, made: str, tmp_path: Path) -> None:
    (snippet,) = [snippet for snippet in blocks("python") if word in snippet]
    for system in ("vqvae", "top", "bottom"):
        (tmp_path / "checkpoints" / system).mkdir(parents=True)
        shutil.copy(STORED / f"{system}.ckpt", tmp_path / "checkpoints" / system / "best.ckpt")
    write_wav(tmp_path / "meow.wav", 0.1 * np.random.default_rng(1).standard_normal(48_000, np.float32), 16_000)
    with working_folder(tmp_path):
        exec(snippet, {})
    assert (tmp_path / made).stat().st_size > 1000


def test_the_weights_are_those_of_the_configs() -> None:
    names = {"VQ-VAE-2": "vqvae", "Top prior": "top", "Bottom prior": "bottom", "ResNet-50, two classes": "classifier"}
    for name, system in names.items():
        description = yaml.safe_load((CONFIGS / f"{system}.yaml").read_text())["model"]["init_args"]["network"]
        with torch.device("meta"):
            network = build(description)
        count = f"{sum(parameter.numel() for parameter in network.parameters()):,}"
        models, systems = PROSE["docs/architecture.md"], PROSE["README.md"]
        assert re.findall(rf"^\| {name} \|.*\| ([\d,]+) \| [\d,]+ \|$", models, flags=re.MULTILINE) == [count]
        assert re.findall(rf"^\| `{system}.yaml`.*\| ([\d,]+) \|$", systems, flags=re.MULTILINE) == [count]


def test_the_defaults_in_the_tables_are_those_of_the_config() -> None:
    config = parsed("--config", "video2audio.yaml", "--data.inputs", "clip.mp4")
    rows = re.findall(r"^\| `--([\w.]+)` \| ([^ |]+) \|", PROSE["docs/options.md"], flags=re.MULTILINE)
    assert len(rows) > 25
    for option, default in rows:
        value = config[re.sub(r"^(model|data)\.", r"\1.init_args.", option)]
        shown = str(value).replace("'", "").lower() if isinstance(value, bool | list) else str(value)
        assert default in (
            {"null"} if value is None else {shown, f"{value:g}" if isinstance(value, float) else shown}
        ), option


@pytest.mark.slow
def test_a_fresh_clone_installs_itself_and_runs_the_demo(tmp_path: Path) -> None:
    clone = tmp_path / "video2audio"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    subprocess.run(["make", "demo", f"PYTHON={sys.executable}"], cwd=clone, check=True)
    (table,) = re.findall(r"^\| file \|.*?\n\n", PAGES["README.md"], flags=re.DOTALL | re.MULTILINE)
    results = re.findall(r"^\| `([^`]+)`", table, flags=re.MULTILINE)
    assert "outputs/demo.mp4" in results
    assert all((clone / result).exists() for result in results)
