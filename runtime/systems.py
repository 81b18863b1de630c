"""The systems, read from `configs/*.yaml`: a new system is a new file there."""

from pathlib import Path
from typing import Any

import yaml

CONFIGS = Path(__file__).parents[1] / "configs"


def list_systems(folder: Path = CONFIGS) -> list[Path]:
    """Lists the configs of all systems, each after the systems whose checkpoints it uses."""
    configs = {path: _read(path) for path in sorted(folder.glob("*.yaml"))}
    checkpoints = {
        str(Path(config["checkpoint"]["dirpath"], "best.ckpt")): path
        for path, config in configs.items()
        if "checkpoint" in config
    }
    ordered: dict[Path, None] = {}

    def add(path: Path) -> None:
        for value in _values(configs[path]):
            if value in checkpoints and checkpoints[value] not in ordered:
                add(checkpoints[value])
        ordered.setdefault(path)

    for path in sorted(configs, key=lambda path: "checkpoint" in configs[path]):  # a composite names its parts in order
        add(path)
    return list(ordered)


def fitted_systems(folder: Path = CONFIGS) -> list[Path]:
    """Lists the configs of systems with checkpoints of their own; a composite has none."""
    return [path for path in list_systems(folder) if "checkpoint" in _read(path)]


def is_system(path: Path) -> bool:
    """Whether a file is the config of a whole system, not an overlay."""
    config = _read(path) if path.is_file() else None
    return isinstance(config, dict) and "class_path" in (config.get("model") or {})


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _values(config: Any) -> list[str]:
    if isinstance(config, dict):
        return [value for item in config.values() for value in _values(item)]
    return [config] if isinstance(config, str) else []
