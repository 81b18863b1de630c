"""Objects that describe as plain data how they were made, so that a checkpoint is self-contained."""

import functools
import importlib
import inspect
from collections.abc import Collection
from dataclasses import asdict, fields, is_dataclass
from typing import Any, ClassVar


class Described:
    """Records the arguments of its constructor, so that `build` can make it again from plain data.

    A checkpoint that is loaded from its file alone needs the class and the arguments that its weights belong to, in a
    form that `torch.load(weights_only=True)` and people can read.

    Class attributes:
        changeable: constructor arguments that leave the meaning of the weights alone, such as dropout.
    """

    changeable: ClassVar[frozenset[str]] = frozenset()
    _init_arguments: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = _recording(cls.__init__)  # type: ignore[method-assign]  # records the arguments

    def describe(self) -> dict[str, Any]:
        """Returns `{"class_path": …, "init_args": {…}}`, nested, of dicts, lists, strings and numbers only.

        Raises:
            TypeError: if an argument is neither plain data, nor a dataclass, nor itself `Described`.
        """
        init_args = {}
        for name, value in self._init_arguments.items():
            try:
                init_args[name] = _plain(value)
            except TypeError as error:
                raise TypeError(f"argument {name} of {type(self).__name__}: {error}") from error
        return {"class_path": _public_path(type(self)), "init_args": init_args}

    def arguments(self, left_out: Collection[str] = ()) -> dict[str, Any]:
        """Returns the constructor's arguments as plain data, without class paths; raises as `describe` does."""
        return {
            name: asdict(value) if is_dataclass(value) and not isinstance(value, type) else _plain(value)
            for name, value in self._init_arguments.items()
            if name not in left_out
        }


def build(description: dict[str, Any]) -> Any:
    """Makes an object from its description; raises as `find_class` does."""
    cls = find_class(description["class_path"])
    return cls(**{name: _build_nested(value) for name, value in description["init_args"].items()})


def find_class(class_path: str) -> type:
    """Finds the class of a description.

    Raises:
        ValueError: if the class cannot be found, or does not describe itself: a file must not name just any class.
    """
    module_name, _, class_name = class_path.rpartition(".")
    try:
        cls = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"The class {class_path!r} named in the checkpoint cannot be found.") from error
    if not (isinstance(cls, type) and (issubclass(cls, Described) or is_dataclass(cls))):
        raise ValueError(f"{class_path!r}, named in the checkpoint, is no network of this project.")
    return cls


def is_description(value: Any) -> bool:
    """Whether a value is the result of `describe`."""
    return isinstance(value, dict) and set(value) == {"class_path", "init_args"}


def _recording(init: Any) -> Any:
    signature = inspect.signature(init)

    @functools.wraps(init)
    def recording_init(self: Any, *args: Any, **kwargs: Any) -> None:
        if "_init_arguments" not in self.__dict__:  # only the outermost constructor records
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            _, *arguments = bound.arguments.items()
            object.__setattr__(self, "_init_arguments", dict(arguments))
        init(self, *args, **kwargs)

    return recording_init


def _public_path(cls: type) -> str:
    """Returns `networks.VQVAE2` for `networks.codec.vqvae2.VQVAE2` if the package exports the class."""
    package = cls.__module__.partition(".")[0]
    exported = getattr(importlib.import_module(package), cls.__name__, None)
    return f"{package if exported is cls else cls.__module__}.{cls.__qualname__}"


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value)  # np.float64 is one, too
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Described):
        return value.describe()
    if is_dataclass(value) and not isinstance(value, type):
        arguments = {field.name: getattr(value, field.name) for field in fields(value)}
        return {"class_path": _public_path(type(value)), "init_args": _plain(arguments)}
    raise TypeError(
        f"found a {type(value).__name__}, expected plain data, a dataclass, or an object of a class that inherits from "
        "runtime.described.Described"
    )


def _build_nested(value: Any) -> Any:
    if is_description(value):
        return build(value)
    return [_build_nested(item) for item in value] if isinstance(value, list) else value
