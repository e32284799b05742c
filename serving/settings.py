"""The environment, read once into a typed value."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta

from serving.access.cors import parse_origins
from serving.access.key_file import read_keys
from serving.access.proxies import Network, parse_networks, parse_root_path
from serving.access.rate_limit import RateLimit, parse_rate_limit
from serving.cpu import usable_cores
from serving.repository.digests import ModelDigests
from serving.repository.shadow_rules import ShadowRule, parse_shadow_rules

if TYPE_CHECKING:  # importing it loads numpy and Pillow
    from serving.repository.model_key import ModelKey

PREFIX = "THIMBLE_"
GUNICORN_WORKERS = "WEB_CONCURRENCY"  # gunicorn's own variable; THIMBLE_WORKERS counts instead
SIMILARITY = 0.8  # of a misspelt name: KEY_FILE and KEYS_FILE have 0.94, KEY and MODEL_KEY 0.5
TYPE_WORDS = {
    "`int | null`": "a whole number",
    "`int`": "a whole number",
    "`float`": "a number",
    "`bool`": "true or false",
    r"`str` matching regex '\\S'": "an address",
}  # for Python's names of types in messages

# prometheus_client reads this variable once, when it is imported; the server sets it before.
SHARED_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

MAX_COUNT = 2**40  # as good as no limit; larger ones pass the 64 bits in which decoders are told theirs
AtLeastOne = Annotated[int, Meta(ge=1, le=MAX_COUNT)]
Workers = Annotated[int, Meta(ge=1, le=1_024)]  # processes: a port's number in this place would take all memory
Address = Annotated[str, Meta(pattern=r"\S")]  # gunicorn takes a blank one for all addresses
Port = Annotated[int, Meta(ge=0, le=65_535)]
Seconds = Annotated[float, Meta(gt=0, le=3_600)]
SecondsOrNever = Annotated[float, Meta(ge=0, le=3_600)]  # 0 is never
PARSERS: Mapping[str, Callable[[str], Any]] = {  # of the fields that have a form of their own
    "shadow": parse_shadow_rules,
    "rate_limit": parse_rate_limit,
    "allowed_origins": parse_origins,
    "trusted_proxies": parse_networks,
    "root_path": parse_root_path,
}

File = TypeVar("File")
_files: dict[tuple[str, str], Any] = {}  # by field and path: read at the start alone, workers have them from the master


class SettingsError(ValueError):
    """An environment variable cannot be used: its name, its value and the reason."""

    def __init__(self, variable: str, value: str, reason: str) -> None:
        super().__init__(f"{variable}={value!r}: {reason}")
        self.variable = variable
        self.value = value
        self.reason = reason


@dataclass(frozen=True)
class Settings:
    """The operator's choices; each field is the environment variable THIMBLE_<NAME>."""

    models: str = "models"
    host: Address = "127.0.0.1"
    # Not PORT: Kubernetes sets THIMBLE_PORT to an address when a service is called thimble.
    http_port: Port = 8000
    workers: Workers | None = None
    default_grey: str | None = None
    default_colour: str | None = None
    poll_seconds: SecondsOrNever = 1.0
    shadow: tuple[ShadowRule, ...] = ()
    # A phone's photo is 3 to 12 MB; base64 makes that a third more.
    max_body: AtLeastOne = 32 * 1024 * 1024
    # The resolution of the largest phone cameras.
    max_pixels: AtLeastOne = 50_000_000
    max_images: AtLeastOne = 256
    # Of all workers together: eight large requests on each of two; two cores take a fifth of a second for them.
    max_in_flight: AtLeastOne = 1_024
    wait_seconds: Seconds = 5.0
    # For a slow start and for a stall; each second beyond it takes serving.server.deadline.MIN_BODY_RATE bytes.
    body_seconds: Seconds = 20.0
    # None: text on a terminal, otherwise JSON.
    log_format: Literal["json", "text"] | None = None
    log_requests: bool = True
    # Whoever may load models decides the answers that everybody gets.
    allow_loading: bool = False
    # Without a file of keys, anybody may ask.
    keys_file: str | None = None
    rate_limit: RateLimit | None = None
    allowed_origins: frozenset[str] = frozenset()
    trusted_proxies: tuple[Network, ...] = ()
    root_path: str = ""
    allow_download: bool = False
    model_digests: str | None = None
    model_key: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; an empty variable is unset. Raises SettingsError."""
        types = get_type_hints(cls, include_extras=True)
        given = {field.name: environment.get(variable(field.name), "") for field in fields(cls)}
        return cls(**{name: _parse(name, text, types[name]) for name, text in given.items() if text})

    def check(self) -> Self:
        """Return these settings if the folders and files that they name exist and are sound. Raises SettingsError."""
        if fault := _folder_fault(self.folder):
            raise SettingsError(variable("models"), self.models, fault)
        named = [("default_grey", self.default_grey), ("default_colour", self.default_colour)]
        named += [("shadow", name) for rule in self.shadow for name in (rule.model, rule.shadow)]
        for field, name in named:
            if name and not self._has_model(name):
                raise SettingsError(variable(field), name, f"there is no such model in {self.models}")
        if self.keys_file:
            _read("keys_file", self.keys_file, read_keys)
        self._check_trust()
        return self

    def _has_model(self, name: str) -> bool:
        """Whether the folder has a model of this name; names of other folders, such as cifar-net/2, are none."""
        path = self.folder / name
        return "/" not in name and not name.startswith(".") and os.path.isdir(path)  # noqa: PTH112  # Path's may raise

    def _check_trust(self) -> None:
        self.digests()
        self.key()

    def digests(self) -> ModelDigests | None:
        """Return the model files that alone may be served, where a list is set; raises SettingsError."""
        return _read_once("model_digests", self.model_digests, ModelDigests.read) if self.model_digests else None

    def key(self) -> "ModelKey | None":
        """Return the key that must have signed a model file, where one is set; raises SettingsError."""
        if not self.model_key:
            return None
        from serving.repository.model_key import ModelKey

        return _read_once("model_key", self.model_key, ModelKey)

    def read_again(self) -> None:
        """Read the list of digests and the key once more; raises SettingsError, and those before stay in force."""
        before = dict(_files)
        _files.clear()
        try:
            self._check_trust()
        except SettingsError:
            _files.update(before)
            raise

    @property
    def folder(self) -> Path:
        return Path(self.models)

    @property
    def processes(self) -> int:
        """One worker process for each usable core: the work is all computing."""
        return self.workers or max(1, math.floor(usable_cores()))

    @property
    def in_flight(self) -> int:
        """The images that each worker may have in flight."""
        return max(1, self.max_in_flight // self.processes)

    @property
    def session_threads(self) -> int:
        """The onnxruntime threads of each worker: its share of the usable cores."""
        return max(1, math.floor(usable_cores() / self.processes))


def variable(name: str) -> str:
    """Return the environment variable of a field."""
    return PREFIX + name.upper()


def misspelt(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables that are no setting, but nearly one, with the setting that may be meant.

    Others are not looked at: Kubernetes sets THIMBLE_PORT and the like, and the commands have variables of their own.
    gunicorn's number of workers is meant for one where that is not set.
    """
    known = {field.name.upper() for field in fields(Settings)}
    unknown = {name.removeprefix(PREFIX) for name in environment if name.startswith(PREFIX) and name.isascii()} - known
    nearest = {name: get_close_matches(name, known, 1, SIMILARITY) for name in sorted(unknown)}
    meant = {PREFIX + name: PREFIX + found[0] for name, found in nearest.items() if found}
    if environment.get(GUNICORN_WORKERS) and not environment.get(variable("workers")):
        meant[GUNICORN_WORKERS] = variable("workers")
    return meant


def shared_folder() -> Path | None:
    """Return the folder that the workers of this server share; None where this process is alone."""
    folder = os.environ.get(SHARED_FOLDER_VARIABLE)
    return Path(folder) if folder else None


def _folder_fault(folder: Path) -> str | None:
    """Return why a folder cannot be listed; None where it can."""
    try:
        os.scandir(folder).close()
    except (FileNotFoundError, NotADirectoryError):
        return "there is no such folder"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None


def _read(field: str, file: str, read: Callable[[Path], File]) -> File:
    """Return the content of the file that a field names; raises SettingsError."""
    try:
        return read(Path(file))
    except ValueError as error:  # KeyFileError, DigestsError and ModelKeyError are such
        raise SettingsError(variable(field), file, str(error)) from error


def _read_once(field: str, file: str, read: Callable[[Path], File]) -> File:
    """Return that content as it was at the first reading: a worker that starts later must trust what the others do."""
    if (field, file) not in _files:
        _files[field, file] = _read(field, file, read)
    found: File = _files[field, file]
    return found


def _parse(name: str, text: str, kind: object) -> Any:
    if any("\ud800" <= character <= "\udfff" for character in text):  # no answer and no log could name it
        raise SettingsError(variable(name), text, "Expected text in UTF-8; rename what it names")
    try:
        return PARSERS[name](text) if name in PARSERS else msgspec.convert(text, kind, strict=False)
    except ValueError as error:  # msgspec.ValidationError is one
        choices = [value for option in get_args(kind) for value in get_args(option) if isinstance(value, str)]
        expected = f"Expected {' or '.join(choices)}" if choices else str(error).partition(", got")[0]
        for python, words in TYPE_WORDS.items():
            expected = expected.replace(python, words)
        raise SettingsError(variable(name), text, expected) from error
