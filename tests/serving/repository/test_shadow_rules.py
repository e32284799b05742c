"""Shadows as an operator writes them."""

import pytest

from serving.repository.shadow_rules import Shade, shades


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cifar-net=cifar-net:2@0.1", [Shade("cifar-net", "cifar-net", "2", 0.1)]),
        ("cifar-net=cifar-cnn@1", [Shade("cifar-net", "cifar-cnn", "", 1.0)]),
        ("a=b:10@.5, c=c:1@1.0", [Shade("a", "b", "10", 0.5), Shade("c", "c", "1", 1.0)]),
    ],
)
def test_a_shadow_is_read(text, expected):
    assert list(shades(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "a", "a=b", "a=b:2", "a:1=b@0.1", "a=b:0@0.1", "a=b:x@0.1", "a=b/c@0.1", "a=b@-1", "a=b@1e-3", "a=b@0.1,"],
)
def test_what_is_no_shadow_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"^Expected MODEL=SHADOW@SHARE, such as cifar-net=cifar-net:2@0\.1,.*found"):
        shades(text)


@pytest.mark.parametrize("share", ["0", "0.0", "1.5"])
def test_a_share_is_above_0_and_at_most_1(share):
    with pytest.raises(ValueError, match=rf"^Expected a share above 0 and at most 1; found {share}$"):
        shades(f"a=b@{share}")


def test_a_model_is_no_shadow_of_itself():
    with pytest.raises(ValueError, match=r"^Expected a version where a model is its own shadow, such as a:2$"):
        shades("a=a@0.5")


def test_a_model_has_one_shadow():
    with pytest.raises(ValueError, match=r"^Expected one shadow of 'a'$"):
        shades("a=b@0.5,a=c@0.5")


def test_a_shadow_is_spelled_as_a_request_would_name_it():
    assert [str(shade) for shade in shades("a=b:2@1,c=d@1")] == ["b:2", "d"]
