"""The environment, read once into a typed value."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_type_hints

import msgspec
from msgspec import Meta

from serving.cpu import usable_cores
from serving.repository.shadow_rules import Shade, shades

PREFIX = "THIMBLE_"
WORDS = {
    "`int | null`": "a whole number",
    "`int`": "a whole number",
    "`float`": "a number",
    "`bool`": "true or false",
}  # for Python's own

AtLeastOne = Annotated[int, Meta(ge=1)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
Seconds = Annotated[float, Meta(gt=0, le=3_600)]
OrNever = Annotated[float, Meta(ge=0, le=3_600)]  # seconds; 0 is never


class SettingsError(ValueError):
    """An environment variable that cannot be used; the message names it and says what is wrong."""


@dataclass(frozen=True)
class Settings:
    """What an operator may choose; each field is the environment variable THIMBLE_<NAME>."""

    models: str = "models"
    host: str = "127.0.0.1"
    # Not PORT: Kubernetes sets THIMBLE_PORT to an address when a service is called thimble.
    http_port: Port = 8000
    workers: AtLeastOne | None = None
    default_grey: str | None = None
    default_colour: str | None = None
    poll_seconds: OrNever = 1.0
    shadow: tuple[Shade, ...] = ()
    # A phone's photo is 3 to 12 MB; base64 makes that a third more.
    max_body: AtLeastOne = 32 * 1024 * 1024
    # What the largest phone cameras give.
    max_pixels: AtLeastOne = 50_000_000
    max_images: AtLeastOne = 256
    # Of all workers together: eight large requests on each of two, and what two cores do in a fifth of a second.
    max_in_flight: AtLeastOne = 1_024
    wait_seconds: Seconds = 5.0
    # The largest body over a 16 Mbit/s line.
    body_seconds: Seconds = 20.0
    # None: for a person where one is watching, else for machines.
    log_format: Literal["json", "text"] | None = None
    log_requests: bool = True
    # Whoever may ask would choose what answers everybody.
    allow_loading: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; empty means unset. Raises SettingsError."""
        kinds = get_type_hints(cls, include_extras=True)
        given = {field.name: environment.get(variable(field.name), "") for field in fields(cls)}
        return cls(**{name: _parsed(name, text, kinds[name]) for name, text in given.items() if text})

    def check(self) -> Self:
        """Return these settings if the folders that they name are there. Raises SettingsError."""
        if not self.folder.is_dir():
            raise SettingsError(f"{variable('models')}={self.models!r}: there is no such folder")
        for field in ("default_grey", "default_colour"):
            name = getattr(self, field)
            if name and not (self.folder / name).is_dir():
                raise SettingsError(f"{variable(field)}={name!r}: there is no such model in {self.models}")
        for name in (name for shade in self.shadow for name in (shade.model, shade.shadow)):
            if not (self.folder / name).is_dir():
                raise SettingsError(f"{variable('shadow')}: there is no model {name!r} in {self.models}")
        return self

    @property
    def folder(self) -> Path:
        return Path(self.models)

    @property
    def processes(self) -> int:
        """One worker process a usable core: the work is all computing."""
        return self.workers or max(1, math.floor(usable_cores()))

    @property
    def in_flight(self) -> int:
        """The images that each worker takes on at once."""
        return max(1, self.max_in_flight // self.processes)

    @property
    def session_threads(self) -> int:
        """The onnxruntime threads of each worker: its share of the usable cores."""
        return max(1, math.floor(usable_cores() / self.processes))


def variable(name: str) -> str:
    """Return the environment variable of a field."""
    return PREFIX + name.upper()


def _parsed(name: str, text: str, kind: object) -> Any:
    try:
        if name == "shadow":
            return shades(text)
        return msgspec.convert(text, kind, strict=False)
    except ValueError as error:  # msgspec's are such, too
        expected = str(error).partition(", got")[0]
        for python, words in WORDS.items():
            expected = expected.replace(python, words)
        raise SettingsError(f"{variable(name)}={text!r}: {expected}") from error
