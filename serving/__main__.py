"""python -m serving: gunicorn with this project's settings."""

import argparse
import os
import socket
import sys
from typing import NoReturn

from serving.settings import GUNICORN_WORKERS, Settings, SettingsError, variable

COMMAND = (sys.executable, "-m", "gunicorn", "-c", "python:serving.gunicorn_conf", "serving.app:create_app()")
FLAGS = {  # by setting
    "host": ("--host", f"the address to listen on; 0.0.0.0 is all of them (default {Settings.host})"),
    "http_port": ("--port", f"the port to listen on (default {Settings.http_port})"),
    "workers": ("--workers", "worker processes (default: the usable cores)"),
    "models": ("--models", f"the model folder (default {Settings.models})"),
}
SETTINGS = "All other settings are environment variables, THIMBLE_...: README.md and docs/operations.md list them."


def main() -> NoReturn:
    """Become gunicorn; each flag sets an environment variable."""
    parser = argparse.ArgumentParser(
        prog="python -m serving", description="Serve the models of a folder over HTTP.", epilog=SETTINGS
    )
    for setting, (flag, meaning) in FLAGS.items():
        parser.add_argument(flag, dest=setting, metavar=flag.removeprefix("--").upper(), help=meaning)
    flags = {setting: value for setting, value in vars(parser.parse_args()).items() if value is not None}
    for setting, value in flags.items():
        if not value:  # as in --models "$UNSET": an empty variable would mean the default
            parser.error(f"{FLAGS[setting][0]} has an empty value; give one, or leave it out for the default")
    os.environ.update({variable(setting): value for setting, value in flags.items()})
    try:
        settings = Settings.from_environment().check()
    except SettingsError as error:
        given = {variable(setting): FLAGS[setting][0] for setting in flags}
        parser.error(f"{given.get(error.variable, error.variable)}={error.value!r}: {error.reason}")
    _check_gunicorn_workers(parser)
    _check_address(parser, settings)
    os.execv(COMMAND[0], COMMAND)  # noqa: S606  # without a shell: this process becomes gunicorn


def _check_gunicorn_workers(parser: argparse.ArgumentParser) -> None:
    """Exit with one line if gunicorn cannot read its own variable, which would end in a traceback; empty is unset."""
    given = os.environ.get(GUNICORN_WORKERS)
    if given and not given.isdecimal():
        counts = variable("workers")
        parser.error(f"{GUNICORN_WORKERS}={given!r}: Expected a whole number; unset it, since {counts} counts instead")
    if not given:
        os.environ.pop(GUNICORN_WORKERS, None)


def _check_address(parser: argparse.ArgumentParser, settings: Settings) -> None:
    """Exit with one line if the address cannot be used; gunicorn would try for five seconds."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET  # as gunicorn: localhost may be ::1 too
    try:
        address = socket.getaddrinfo(settings.host, settings.http_port, family, socket.SOCK_STREAM)[0][4]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, UnicodeError) as error:  # UnicodeError: a part of the name is empty or too long
        reason = error.strerror if isinstance(error, OSError) else "not a valid name"
        parser.error(
            f"cannot listen on {settings.host}, port {settings.http_port}: {reason}; choose others with --host and "
            "--port"
        )


if __name__ == "__main__":
    main()
