"""The arguments after `python cli.py`: names of configs, the command that resumes, and mistakes in options."""

import difflib
import importlib
import inspect
import json
import re
import shlex
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import yaml

from runtime.program import PROGRAM
from runtime.systems import CONFIGS, list_systems

NAMES = re.compile(r"--(?:data|model)(?:\.init_args)?\.(?:inputs|classes)\+?(?==|$)")  # options for names
FRAME = ("Parser key ", "Does not validate", "Subtypes:", "Errors:", "Problem with", "Expected a ", "Given value")


def find_configs(args: list[str], folder: Path = CONFIGS) -> list[str]:
    """Replaces bare config names by paths.

    A name that is no file here is looked for in `folder`. An overlay that differs from system to system is a folder
    there: `--config vqvae.yaml --config demo.yaml` finds `configs/demo/vqvae.yaml`, named after the first config.

    Raises:
        FileNotFoundError: if a config is found nowhere; the message lists those that exist.
    """
    found, system, is_value = [], None, False
    for arg in args:
        prefix, name = ("--config=", arg[9:]) if arg.startswith("--config=") else ("", arg)
        if prefix or is_value:
            path = _find_config(name, system, folder)
            system = system or path.name
            found.append(f"{prefix}{path}")
        else:
            found.append(arg)
        is_value = arg in ("--config", "-c")
    return found


def quote_names(args: list[str]) -> list[str]:
    """Quotes names of files and classes that YAML would not read as text, such as `#cat.mp4`, `a: b.mp4`, `1` or `no`.

    A list stays a list, unless there is a file of that name.
    """
    parts = [part for arg in args for part in (arg.split("=", 1) if NAMES.match(arg) else [arg])]
    pairs = pairwise(["", *parts])
    return [_quote(part, before) if NAMES.match(before) and part[:2] != "--" else part for before, part in pairs]


def _quote(value: str, option: str) -> str:
    if value.startswith("[") and not Path(value).is_file():
        with suppress(yaml.YAMLError):
            names = yaml.load(value, yaml.BaseLoader)
            if all(isinstance(name, str) for name in names):
                return json.dumps(names, ensure_ascii=False)
    return value if value == "null" or ".classes" in option else json.dumps([value], ensure_ascii=False)


def _find_config(name: str, system: str | None, folder: Path) -> Path:
    candidates = [Path(name), folder / name]
    if system:
        candidates.append(folder / Path(name).stem / system)
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    if not system and (folder / Path(name).stem).is_dir():
        raise FileNotFoundError(f"{name} comes after a system's config: --config vqvae.yaml --config {name}")
    known = sorted(
        {path.name for path in folder.glob("*.yaml")}
        | {f"{path.name}.yaml" for path in folder.iterdir() if path.is_dir()}
    )
    raise FileNotFoundError(
        f"There is no config {name}: looked for {' and '.join(map(str, candidates))}. Shipped configs: "
        f"{', '.join(known)}."
    )


def fit_command(typed: list[str], options: tuple[str, ...] = ()) -> str:
    """Writes the command of a fit with the options that were typed, and with others in place of those they change.

    A fresh start is asked for once, so that `--fresh` is left out.

    Args:
        typed: subcommand and its options.
        options: names and values to add, in turn.
    """
    replaced = {"--fresh", *options[::2]}
    kept, is_value = [], False
    for arg in typed[1:]:
        if is_value and not arg.startswith("--"):
            is_value = False
            continue
        is_value = arg in replaced
        if not is_value and arg.split("=")[0] not in replaced:
            kept.append(arg)
    return f"{PROGRAM} {shlex.join(['fit', *kept, *options])}"


def with_overlays(message: str, typed: list[str], folder: Path = CONFIGS) -> str:
    """Completes a message that ends with the fit of a system by the typed options that belong to this fit as well.

    Without that, a user of the compact models would be sent to the full-size ones.

    Args:
        message: text of an error.
        typed: subcommand and its options.
        folder: folder of the shipped configs.
    """
    if not (fit := re.search(rf"{PROGRAM} fit (?:--fresh )?--config (\w+\.yaml)$", message)):
        return message
    words = [word for arg in typed for word in (arg.split("=", 1) if arg.startswith("--") else [arg])]
    options = [pair for pair in pairwise(words) if pair[0] in ("--config", "-c", "--data.root")]
    kept = [
        f"{option} {shlex.quote(value)}"
        for option, value in options
        if option == "--data.root" or (folder / Path(value).stem / fit[1]).is_file()
    ]
    return " ".join([message, *kept])


def short_error(message: str) -> str:
    """Puts the parser's explanation into one line: the option, the expected values and the found one."""
    which_system = f"Which system? Add --config with one of {', '.join(f'{s.name}.yaml' for s in list_systems())}."
    if "required: " in message and ".model" in message:
        return which_system
    if "subcommand" in message:
        return f"Expected {PROGRAM}, then fit, validate, test, predict or doctor. ({_in_one_line(message)})"
    if refused := re.findall(r"class_path '([\w.]+)':\s+Option '([\w.]+)' is not accepted", message):
        class_path, option = refused[-1]
        if class_path.startswith("lightning."):
            return which_system
        return f"{class_path} has no option {option!r}.{_did_you_mean(option, _options_of(class_path))}"
    paths = message.lower().startswith("unrecognized arguments: ") and message.split()[2:]
    if paths and all(Path(path).exists() for path in paths):
        return f'Several inputs were given, expected a folder, or a list: "[{paths[0]},…]". ({message})'
    innermost = re.search(r'.*Parser key "([^"]+)":(.*)', message, flags=re.DOTALL)
    key, inner = innermost.groups() if innermost else ("", message)
    lines = [line.strip().removeprefix("- ") for line in message.splitlines()]
    reasons = [line for line in lines if line and not line.startswith(FRAME)]
    if reasons and any(line.startswith(FRAME) for line in lines):
        return _in_one_line(": ".join(filter(None, [key, " ".join(reasons)])))
    expected = re.findall(r"Expected a (<.+>|typing.+\])", inner)
    values = re.findall(r"(?:Given|Got) value: (.+)", inner)
    if not (expected and values):
        return _in_one_line(message)
    a_list = "['…']" if values[0].startswith(("[", "{")) else f"[{values[0]}]"
    kinds = [f'a list: "{a_list}"' if kind == "list" else kind for kind in map(_readable, expected)]
    return f"{key} is {values[0]}, expected {' or '.join(kinds)}."


def _options_of(class_path: str) -> list[str]:
    """Also those that a class passes on to its base, as `**options`."""
    module, _, name = class_path.rpartition(".")
    names: dict[str, None] = {}
    for base in inspect.getmro(getattr(importlib.import_module(module), name)):
        parameters = inspect.signature(base.__init__).parameters.values()
        names |= dict.fromkeys(p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name != "self")
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return list(names)


def _did_you_mean(option: str, known: list[str]) -> str:
    near = difflib.get_close_matches(option, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else f" It has: {', '.join(known)}."


def _readable(expected: str) -> str:
    if literal := re.fullmatch(r"typing\.Literal\[(.+)\]", expected):
        return literal[1].replace("'", "")
    return expected.split("'")[1].rpartition(".")[2].replace("NoneType", "null")


def _in_one_line(message: str) -> str:
    return " ".join(message.split())
