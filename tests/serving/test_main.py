"""python -m serving and gunicorn's settings: a wrong environment is refused before anything starts."""

import os
import socket
import subprocess
import sys

import pytest


@pytest.fixture
def run():
    """Return a runner of a Python command with these environment variables on top."""

    def start(*arguments, **environment):
        return subprocess.run(
            [sys.executable, *arguments],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return start


def test_help_names_every_flag(run):
    done = run("-m", "serving", "--help")

    assert done.returncode == 0
    assert all(flag in done.stdout for flag in ("--host", "--port", "--workers", "--models"))


@pytest.mark.parametrize(
    ("flags", "environment", "says"),
    [
        (["--port", "http"], {}, "--port='http': Expected a whole number"),
        (["--port", "70000"], {}, "--port='70000': Expected a whole number <= 65535"),
        (["--workers", "0"], {}, "--workers='0': Expected a whole number >= 1"),
        ([], {"THIMBLE_BODY_SECONDS": "soon"}, "THIMBLE_BODY_SECONDS='soon': Expected a number"),
        (["--workers", "2"], {"WEB_CONCURRENCY": "abc"}, "WEB_CONCURRENCY='abc': Expected a whole number; unset it"),
        (["--models="], {}, "--models has an empty value; give one, or leave it out for the default"),
        (["--port", ""], {"THIMBLE_HTTP_PORT": "9000"}, "--port has an empty value"),
        (["--colour", "red"], {}, "unrecognized arguments: --colour red"),
    ],
)
def test_a_bad_flag_or_variable_is_named_and_nothing_starts(run, flags, environment, says):
    done = run("-m", "serving", *flags, **environment)

    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_flag_overrides_its_variable(run):
    done = run("-m", "serving", "--workers", "none", THIMBLE_WORKERS="2")

    assert "--workers='none'" in done.stderr


def test_an_empty_number_of_gunicorns_workers_is_unset(run, models):
    done = run("-m", "serving", "--port", "0", "--models", str(models),
               WEB_CONCURRENCY="", GUNICORN_CMD_ARGS="--check-config")  # fmt: skip

    assert done.returncode == 0, done.stderr


def test_gunicorn_refuses_a_wrong_variable_by_name(run):
    done = run("-m", "gunicorn", "--check-config", "-c", "python:serving.gunicorn_conf", "serving.app:create_app()",
               THIMBLE_MAX_IN_FLIGHT="many")  # fmt: skip

    assert done.returncode != 0
    assert "thimble: THIMBLE_MAX_IN_FLIGHT='many': Expected a whole number" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_folder_that_can_be_written_to_nothing_starts(run, models):
    no_writing = "from resource import *; setrlimit(RLIMIT_FSIZE, (0, 0))"
    limit = f"import os, sys; {no_writing}; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"

    command = ["-m", "gunicorn", "--check-config", "-c", "python:serving.gunicorn_conf", "serving.app:create_app()"]

    # Coverage could not write either, and would say so.
    done = run("-c", limit, *command, THIMBLE_MODELS=str(models), COVERAGE_PROCESS_CONFIG="")

    assert done.returncode != 0
    assert "thimble: no folder can be written to" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.trains
def test_gunicorn_is_configured_by_the_environment(run):
    done = run("-m", "gunicorn", "--print-config", "-c", "python:serving.gunicorn_conf", "serving.app:create_app()",
               THIMBLE_HTTP_PORT="8123", THIMBLE_HOST="::1", THIMBLE_WORKERS="3")  # fmt: skip
    chosen = dict(line.split("=", 1) for line in done.stdout.replace(" ", "").splitlines() if "=" in line)

    assert done.returncode == 0, done.stderr
    assert chosen["bind"] == "['[::1]:8123']"
    assert chosen["workers"] == "3"
    assert chosen["preload_app"] == "False"


@pytest.mark.parametrize("host", ["a..b", "x" * 70, "[::1]"])
def test_what_cannot_be_a_host_is_refused_in_one_line(run, models, host):
    done = run("-m", "serving", "--host", host, "--models", str(models))

    assert done.returncode == 2
    assert f"cannot listen on {host}, port 8000: " in done.stderr
    assert "Traceback" not in done.stderr


def test_localhost_is_looked_up_as_gunicorn_does(run, models):
    addresses = {address[4][0] for address in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)}
    if "::1" not in addresses:
        pytest.skip("localhost is an IPv4 address alone on this machine")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        done = run("-m", "serving", "--host", "localhost", "--port", port, "--models", str(models))

    assert f"cannot listen on localhost, port {port}: Address already in use" in done.stderr


def test_a_port_in_use_is_refused_in_one_line(run, models):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])

        done = run("-m", "serving", "--port", port, "--models", str(models))

    assert done.returncode == 2
    assert (
        f"cannot listen on 127.0.0.1, port {port}: Address already in use; choose others with --host and --port"
        in done.stderr
    )


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--models", "nowhere"], "--models='nowhere': there is no such folder"),
        (["--models", "README.md"], "--models='README.md': there is no such folder"),
    ],
)
def test_a_missing_model_folder_is_refused_before_anything_starts(run, flags, says):
    done = run("-m", "serving", *flags)

    assert done.returncode == 2
    assert says in done.stderr


def test_a_missing_default_model_is_refused_before_anything_starts(run, models):
    done = run("-m", "serving", "--models", str(models), THIMBLE_DEFAULT_GREY="fashion-nte")

    assert done.returncode == 2
    assert "THIMBLE_DEFAULT_GREY='fashion-nte': there is no such model" in done.stderr
