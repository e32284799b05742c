"""python -m serving: gunicorn with this project's settings."""

import argparse
import os
import socket
import sys
from typing import NoReturn

from serving.settings import Settings, SettingsError, variable

COMMAND = (sys.executable, "-m", "gunicorn", "-c", "python:serving.gunicorn_conf", "serving.app:create_app()")
FLAGS = {  # by the setting that each one sets
    "host": ("--host", f"the address to listen on; 0.0.0.0 is every one (default {Settings.host})"),
    "http_port": ("--port", f"the port to listen on (default {Settings.http_port})"),
    "workers": ("--workers", "worker processes (default: the usable cores)"),
    "models": ("--models", f"the folder of models (default {Settings.models})"),
}


def main() -> NoReturn:
    """Become gunicorn; flags are another way to say the environment variables."""
    parser = argparse.ArgumentParser(prog="python -m serving", description="Serve the models of a folder over HTTP.")
    for setting, (flag, meaning) in FLAGS.items():
        parser.add_argument(flag, dest=setting, metavar=flag.removeprefix("--").upper(), help=meaning)
    flags = {setting: value for setting, value in vars(parser.parse_args()).items() if value is not None}
    os.environ.update({variable(setting): value for setting, value in flags.items()})
    try:
        settings = Settings.from_environment().check()
    except SettingsError as error:
        name, _, rest = str(error).partition("=")
        parser.error("=".join((next((FLAGS[flag][0] for flag in flags if variable(flag) == name), name), rest)))
    _check_address(parser, settings)
    os.execv(COMMAND[0], COMMAND)  # noqa: S606  # no shell is wanted: this process becomes gunicorn


def _check_address(parser: argparse.ArgumentParser, settings: Settings) -> None:
    """End with one line if the address cannot be listened on; gunicorn would try for five seconds."""
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.http_port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        parser.error(
            f"cannot listen on {settings.host}, port {settings.http_port}: {error.strerror}; see --port and --host"
        )


if __name__ == "__main__":
    main()
