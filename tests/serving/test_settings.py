"""The settings are read from the environment into a typed value."""

import os
import re
import shutil
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import pytest

from serving.access.rate_limit import RateLimit
from serving.cpu import usable_cores
from serving.repository.shadow_rules import ShadowRule
from serving.settings import Settings, SettingsError, misspelt, variable

SAMPLES = {
    "models": ("elsewhere", "elsewhere"),
    "host": ("0.0.0.0", "0.0.0.0"),
    "http_port": ("9000", 9000),
    "workers": ("3", 3),
    "default_grey": ("fashion-net", "fashion-net"),
    "default_colour": ("cifar-net", "cifar-net"),
    "poll_seconds": ("0.5", 0.5),
    "shadow": ("cifar-net=cifar-net:2@0.1", (ShadowRule("cifar-net", "cifar-net", "2", 0.1),)),
    "max_body": ("1000", 1000),
    "max_pixels": ("2000", 2000),
    "max_images": ("16", 16),
    "max_in_flight": ("40", 40),
    "wait_seconds": ("0.5", 0.5),
    "body_seconds": ("2.5", 2.5),
    "log_format": ("text", "text"),
    "log_requests": ("false", False),
    "allow_loading": ("true", True),
    "keys_file": ("keys.txt", "keys.txt"),
    "rate_limit": ("600/minute", RateLimit(600, 60)),
    "allowed_origins": ("https://App.example:443, http://[::1]:3000", {"https://app.example", "http://[::1]:3000"}),
    "trusted_proxies": ("10.0.0.0/8,::1", (ip_network("10.0.0.0/8"), ip_network("::1"))),
    "root_path": ("/ml/", "/ml"),
    "allow_download": ("true", True),
    "model_digests": ("digests.txt", "digests.txt"),
    "model_key": ("key.pub", "key.pub"),
}


def test_every_field_has_a_sample_here():
    assert {field.name for field in fields(Settings)} == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_field_is_read_from_the_variable_of_its_name(name):
    text, value = SAMPLES[name]

    settings = Settings.from_environment({f"THIMBLE_{name.upper()}": text})

    assert getattr(settings, name) == value
    assert settings != Settings()


@pytest.mark.parametrize("name", SAMPLES)
def test_an_empty_variable_is_unset(name):
    assert Settings.from_environment({variable(name): ""}) == Settings()


def test_other_variables_are_ignored():
    assert Settings.from_environment({"PORT": "1", "THIMBLE_PORT": "tcp://10.0.0.1:80", "HOME": "/"}) == Settings()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("host", " \t"),
        ("http_port", "http"),
        ("http_port", "65536"),
        ("http_port", "-1"),
        ("workers", "0"),
        ("workers", "8000"),
        ("max_pixels", "1099511627777"),
        ("max_body", "999999999999999999999"),
        ("workers", "two"),
        ("max_in_flight", "0"),
        ("max_in_flight", "1.5"),
        ("wait_seconds", "0"),
        ("poll_seconds", "-1"),
        ("poll_seconds", "nan"),
        ("shadow", "cifar-net"),
        ("max_body", "32MB"),
        ("max_body", "0"),
        ("max_pixels", "-5"),
        ("max_images", "0"),
        ("body_seconds", "0"),
        ("body_seconds", "nan"),
        ("body_seconds", "inf"),
        ("body_seconds", "3601"),
        ("body_seconds", "soon"),
        ("rate_limit", "600"),
        ("rate_limit", "0/minute"),
        ("rate_limit", "5/day"),
        ("allowed_origins", "app.example"),
        ("allowed_origins", "https://app.example/"),
        ("allowed_origins", "https://app.example:"),
        ("allowed_origins", "https://app.example:65536"),
        ("allowed_origins", "https://app.example:x"),
        ("allowed_origins", "https://bücher.example"),
        ("allowed_origins", "http://["),
        ("allowed_origins", "http://[::::]"),
        ("allowed_origins", "http://:8000"),
        ("trusted_proxies", "proxy"),
        ("trusted_proxies", "10.0.0.0/33"),
        ("root_path", "ml"),
        ("root_path", "//evil.example"),
        ("allow_download", "perhaps"),
        ("models", "/srv/gr\udcfcn"),
    ],
)
def test_an_invalid_value_is_refused_with_its_variable(name, text):
    with pytest.raises(SettingsError, match=f"^THIMBLE_{name.upper()}={re.escape(repr(text))}: Expected .+"):
        Settings.from_environment({variable(name): text})


def test_a_value_that_is_none_of_a_few_is_refused_with_these():
    with pytest.raises(SettingsError, match=r"^THIMBLE_LOG_FORMAT='xml': Expected json or text$"):
        Settings.from_environment({"THIMBLE_LOG_FORMAT": "xml"})


def test_the_folder_is_the_path_of_the_models():
    assert Settings(models="some/where").folder == Path("some/where")


def test_there_is_a_worker_for_each_usable_core_unless_a_number_is_set():
    assert Settings().processes == max(1, int(usable_cores()))
    assert Settings(workers=7).processes == 7


def test_the_workers_share_the_cores():
    assert Settings(workers=1).session_threads == max(1, int(usable_cores()))
    assert Settings(workers=10_000).session_threads == 1


def test_the_workers_share_the_images_in_flight():
    assert Settings(workers=4, max_in_flight=100).in_flight == 25
    assert Settings(workers=4, max_in_flight=3).in_flight == 1


@pytest.mark.parametrize("rule", ["things=fashion-mlp@0.5", "fashion-mlp=things:2@0.5"])
def test_a_shadow_rule_with_a_missing_model_is_refused_at_the_start(models, rule):
    settings = Settings.from_environment({"THIMBLE_MODELS": str(models), "THIMBLE_SHADOW": rule})

    with pytest.raises(SettingsError, match=r"^THIMBLE_SHADOW='things': there is no such model in "):
        settings.check()


@pytest.mark.parametrize("name", ["fashion-mlp/", "fashion-mlp/2", "fashion-net", "..", ".draft", "x" * 300])
def test_a_default_model_that_the_folder_has_not_is_refused_at_the_start(models, tmp_path, name):
    shutil.copytree(models, tmp_path, dirs_exist_ok=True)
    (tmp_path / ".draft").mkdir()
    settings = Settings.from_environment({"THIMBLE_MODELS": str(tmp_path), "THIMBLE_DEFAULT_GREY": name})

    with pytest.raises(SettingsError, match=f"^THIMBLE_DEFAULT_GREY='{name}': there is no such model in "):
        settings.check()


def test_a_shadows_version_may_be_added_later(models):
    settings = Settings.from_environment(
        {"THIMBLE_MODELS": str(models), "THIMBLE_SHADOW": "fashion-mlp=fashion-mlp:9@1"}
    )

    assert settings.check() is settings


@pytest.mark.parametrize(
    ("folder", "reason"),
    [
        ("nowhere", "there is no such folder"),
        ("x" * 300, "cannot be read: File name too long"),
        ("link", "cannot be read: Too many levels of symbolic links"),
    ],
)
def test_a_folder_that_cannot_be_listed_is_refused_at_the_start(tmp_path, folder, reason):
    (tmp_path / "link").symlink_to("link")
    settings = Settings.from_environment({"THIMBLE_MODELS": str(tmp_path / folder)})

    with pytest.raises(SettingsError, match=f"^THIMBLE_MODELS='.*': {reason}$"):
        settings.check()


@pytest.mark.parametrize("name", ["keys_file", "model_digests", "model_key"])
def test_a_pipe_in_the_place_of_a_file_is_refused_at_the_start(models, tmp_path, name):
    os.mkfifo(tmp_path / "pipe")  # as the shell's <(…), which would be empty when it is read again
    settings = Settings.from_environment({"THIMBLE_MODELS": str(models), variable(name): str(tmp_path / "pipe")})

    with pytest.raises(SettingsError, match=f"^{variable(name)}='{tmp_path}/pipe': not a regular file$"):
        settings.check()


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("keys_file", "ann 12ab", "line 1: the second word is not the SHA-256 of a key"),
        ("model_digests", "\n12ab fashion-mlp/1", "line 2: '12ab fashion-mlp/1' is not 'sha256:' and 64 digits"),
        ("keys_file", None, "cannot be read: No such file"),
        ("model_digests", None, "cannot be read: No such file"),
    ],
)
def test_a_broken_file_is_refused_at_the_start(models, tmp_path, name, text, reason):
    file = tmp_path / "file"
    if text is not None:
        file.write_text(text)
    settings = Settings.from_environment({"THIMBLE_MODELS": str(models), variable(name): str(file)})

    with pytest.raises(SettingsError, match=f"^{variable(name)}='{file}': {reason}"):
        settings.check()


def test_a_list_of_digests_is_read_once_and_again_only_when_asked_where_a_broken_one_changes_nothing(tmp_path):
    file = tmp_path / "digests"
    file.write_text(f"sha256:{'0' * 64}  garments/1\n")
    settings = Settings(model_digests=str(file))
    before = settings.digests()

    file.write_text("broken")
    with pytest.raises(SettingsError, match="64 digits"):
        settings.read_again()
    assert settings.digests() is before

    file.write_text(f"sha256:{'0' * 64}  garments/2\n")
    assert settings.digests() is before
    settings.read_again()
    assert settings.digests() is not before


def test_a_list_of_digests_is_not_taken_for_a_key(models, tmp_path):
    file = tmp_path / "digests"
    file.write_text("# none yet\n")
    named = {"THIMBLE_MODEL_DIGESTS": str(file), "THIMBLE_MODEL_KEY": str(file)}

    with pytest.raises(SettingsError, match=r"^THIMBLE_MODEL_KEY="):
        Settings.from_environment({"THIMBLE_MODELS": str(models)} | named).check()


def test_a_variable_that_is_nearly_a_setting_is_told_with_the_setting():
    environment = {"THIMBLE_KEY_FILE": "/keys", "THIMBLE_RATE_LIMT": "1/minute", "THIMBLE_MODEL": "models"}

    assert misspelt(environment) == {
        "THIMBLE_KEY_FILE": "THIMBLE_KEYS_FILE",
        "THIMBLE_MODEL": "THIMBLE_MODELS",
        "THIMBLE_RATE_LIMT": "THIMBLE_RATE_LIMIT",
    }


def test_the_workers_of_gunicorn_are_told_with_ours_unless_these_are_set():
    assert misspelt({"WEB_CONCURRENCY": "2"}) == {"WEB_CONCURRENCY": "THIMBLE_WORKERS"}
    assert misspelt({"WEB_CONCURRENCY": "2", "THIMBLE_WORKERS": "2"}) == {}
    assert misspelt({"WEB_CONCURRENCY": ""}) == {}


def test_the_variables_of_others_are_not_taken_for_misspelt_settings():
    kubernetes = ("PORT", "SERVICE_HOST", "SERVICE_PORT", "PORT_8000_TCP", "PORT_8000_TCP_ADDR", "SERVICE_PORT_HTTP")
    commands = ("URL", "KEY", "DATA")  # of serving.client and of training
    names = [f"THIMBLE_{name}" for name in (*kubernetes, *commands)]

    assert misspelt(dict.fromkeys([*names, *map(variable, SAMPLES), "KEYS_FIL"], "x")) == {}
