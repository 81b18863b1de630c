"""The table of systems, read from `configs/*.yaml`: a new system is a new file there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CONFIGS = Path(__file__).parents[1] / "configs"


@dataclass(frozen=True)
class SystemConfig:
    """A system by its shipped config.

    Attributes:
        name: stem of the file.
        path: path of the file.
        summary: comment in the first line.
        class_path: class of the model.
        init_args: arguments of the model that the file sets.
        is_fitted: whether the system has checkpoints of its own; a composite has none.
        needs: systems whose checkpoints it uses, in the order of the file.
    """

    name: str
    path: Path
    summary: str
    class_path: str
    init_args: dict[str, Any]
    is_fitted: bool
    needs: tuple[str, ...]


def list_systems(folder: Path = CONFIGS) -> list[SystemConfig]:
    """Lists all systems, each after the systems that it needs."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yaml"))}
    configs = {path: yaml.safe_load(text) for path, text in texts.items()}
    owners = {
        str(Path(config["checkpoint"]["dirpath"], "best.ckpt")): path.stem
        for path, config in configs.items()
        if "checkpoint" in config
    }
    found = {
        path.stem: SystemConfig(
            path.stem,
            path,
            texts[path].partition("\n")[0].lstrip("# "),
            config["model"]["class_path"],
            config["model"].get("init_args", {}),
            "checkpoint" in config,
            tuple(owners[value] for value in _values(config) if value in owners),
        )
        for path, config in configs.items()
    }
    ordered: dict[str, SystemConfig] = {}

    def add(system: SystemConfig) -> None:
        for name in system.needs:
            if name not in ordered:
                add(found[name])
        ordered.setdefault(system.name, system)

    for system in sorted(found.values(), key=lambda system: system.is_fitted):  # a composite names its systems in order
        add(system)
    return list(ordered.values())


def fitted_systems(folder: Path = CONFIGS) -> list[SystemConfig]:
    """Lists the systems that have checkpoints of their own."""
    return [system for system in list_systems(folder) if system.is_fitted]


def is_system(path: Path) -> bool:
    """Whether a file is the config of a whole system, not an overlay."""
    config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    return isinstance(config, dict) and "class_path" in (config.get("model") or {})


def _values(config: Any) -> list[str]:
    if isinstance(config, dict):
        return [value for item in config.values() for value in _values(item)]
    return [config] if isinstance(config, str) else []
