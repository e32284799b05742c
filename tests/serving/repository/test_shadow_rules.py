"""The rules of THIMBLE_SHADOW, as an operator writes them."""

import pytest

from serving.repository.shadow_rules import ShadowRule, parse_shadow_rules


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cifar-net=cifar-net:2@0.1", [ShadowRule("cifar-net", "cifar-net", "2", 0.1)]),
        ("cifar-net=cifar-cnn@1", [ShadowRule("cifar-net", "cifar-cnn", "", 1.0)]),
        ("a=b:10@.5, c=c:1@1.0", [ShadowRule("a", "b", "10", 0.5), ShadowRule("c", "c", "1", 1.0)]),
    ],
)
def test_a_rule_is_parsed(text, expected):
    assert list(parse_shadow_rules(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "a", "a=b", "a=b:2", "a:1=b@0.1", "a=b:0@0.1", "a=b:x@0.1", "a=b/c@0.1", "a=b@-1", "a=b@1e-3", "a=b@0.1,"],
)
def test_an_invalid_rule_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"^Expected MODEL=SHADOW@SHARE, such as cifar-net=cifar-net:2@0\.1,.*found"):
        parse_shadow_rules(text)


@pytest.mark.parametrize("share", ["0", "0.0", "1.5"])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match=rf"^Expected a share above 0 and at most 1; found {share}$"):
        parse_shadow_rules(f"a=b@{share}")


def test_a_models_own_shadow_needs_a_version():
    with pytest.raises(ValueError, match=r"^Expected a version where a model is its own shadow, such as a:2$"):
        parse_shadow_rules("a=a@0.5")


def test_a_second_shadow_of_a_model_is_refused():
    with pytest.raises(ValueError, match=r"^Expected one shadow of 'a'$"):
        parse_shadow_rules("a=b@0.5,a=c@0.5")


def test_a_rule_prints_as_its_shadow_with_the_version():
    assert [str(rule) for rule in parse_shadow_rules("a=b:2@1,c=d@1")] == ["b:2", "d"]
