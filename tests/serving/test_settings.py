"""The environment as a typed value."""

from dataclasses import fields
from pathlib import Path

import pytest

from serving.cpu import usable_cores
from serving.settings import Settings, SettingsError, variable
from serving.repository.shadow_rules import Shade

SAMPLES = {
    "models": ("elsewhere", "elsewhere"),
    "host": ("0.0.0.0", "0.0.0.0"),
    "http_port": ("9000", 9000),
    "workers": ("3", 3),
    "default_grey": ("fashion-net", "fashion-net"),
    "default_colour": ("cifar-net", "cifar-net"),
    "poll_seconds": ("0.5", 0.5),
    "shadow": ("cifar-net=cifar-net:2@0.1", (Shade("cifar-net", "cifar-net", "2", 0.1),)),
    "max_body": ("1000", 1000),
    "max_pixels": ("2000", 2000),
    "max_images": ("16", 16),
    "max_in_flight": ("40", 40),
    "wait_seconds": ("0.5", 0.5),
    "body_seconds": ("2.5", 2.5),
    "log_format": ("text", "text"),
    "log_requests": ("false", False),
    "allow_loading": ("true", True),
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
def test_an_empty_variable_is_as_good_as_none(name):
    assert Settings.from_environment({variable(name): ""}) == Settings()


def test_variables_of_others_are_passed_over():
    assert Settings.from_environment({"PORT": "1", "THIMBLE_PORT": "tcp://10.0.0.1:80", "HOME": "/"}) == Settings()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("http_port", "http"),
        ("http_port", "65536"),
        ("http_port", "-1"),
        ("workers", "0"),
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
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_its_variable(name, text):
    with pytest.raises(SettingsError, match=f"^THIMBLE_{name.upper()}='{text}': Expected .+"):
        Settings.from_environment({variable(name): text})


def test_the_folder_is_the_path_of_the_models():
    assert Settings(models="some/where").folder == Path("some/where")


def test_there_is_a_worker_a_usable_core_unless_a_number_is_given():
    assert Settings().processes == max(1, int(usable_cores()))
    assert Settings(workers=7).processes == 7


def test_workers_share_the_cores_between_their_sessions():
    assert Settings(workers=1).session_threads == max(1, int(usable_cores()))
    assert Settings(workers=10_000).session_threads == 1


def test_the_workers_share_the_images_in_flight():
    assert Settings(workers=4, max_in_flight=100).in_flight == 25
    assert Settings(workers=4, max_in_flight=3).in_flight == 1


@pytest.mark.parametrize("rule", ["things=fashion-mlp@0.5", "fashion-mlp=things:2@0.5"])
def test_a_shadow_of_or_by_a_model_that_is_not_there_is_refused_at_the_start(models, rule):
    settings = Settings.from_environment({"THIMBLE_MODELS": str(models), "THIMBLE_SHADOW": rule})

    with pytest.raises(SettingsError, match=r"^THIMBLE_SHADOW: there is no model 'things' in "):
        settings.check()


def test_a_shadows_version_may_come_later(models):
    settings = Settings.from_environment(
        {"THIMBLE_MODELS": str(models), "THIMBLE_SHADOW": "fashion-mlp=fashion-mlp:9@1"}
    )

    assert settings.check() is settings
