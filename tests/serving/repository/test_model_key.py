"""With a key, only what it signed is served: not one byte else, no other key's, and no older version."""

import shutil
import subprocess
import sys

import pytest
from signing import make_key, sign

from serving.app import create_app
from serving.errors import NoModel
from serving.repository.model_key import ModelKey, ModelKeyError
from serving.repository.repository import Repository
from serving.repository.shared_lines import SharedLines
from serving.repository.trust import Trust
from serving.settings import Settings, SettingsError


@pytest.fixture
def public(tmp_path):
    return make_key(tmp_path, "key")


@pytest.fixture
def serve(folder, public):
    """Return a starter of a repository that serves the folder's files, if they are signed with the key."""
    return lambda served=None: Repository(folder, trust=Trust(key=ModelKey(public), served=SharedLines(served)))


def reason(repository, name="garments"):
    with pytest.raises(NoModel):
        repository.named(name)
    return repository.find(name).reason


def poll_twice(repository):
    repository.poll()
    repository.poll()


@pytest.mark.parametrize("curve", ["prime256v1", "secp384r1", "secp521r1"])
def test_a_file_is_served_that_was_signed_by_the_commands_in_the_documentation(folder, forge, tmp_path, curve):
    path, private, public = forge("garments/1"), tmp_path / "own.pem", tmp_path / "own.pub"
    key = ["openssl", "ecparam", "-name", curve, "-genkey", "-noout", "-out", private]
    public_key = ["openssl", "ec", "-in", private, "-pubout", "-out", public]
    sign_file = ["--private_key", private, "--signature", path.with_name("model.sig")]
    for command in (key, public_key, [sys.executable, "-m", "model_signing", "sign", "key", path, *sign_file]):
        subprocess.run(command, check=True, capture_output=True)

    client = create_app(Settings(models=str(folder), model_key=str(public))).test_client()

    assert client.get("/models/garments").json["state"] == "ready"


def test_a_file_that_was_signed_in_its_folder_is_served(serve, forge, public):
    sign(forge("garments/1").parent, public)

    assert serve().named("garments").card.version == "1"


def test_a_file_without_a_signature_is_refused(serve, forge):
    forge("garments/1")

    assert "it is not signed: " in (fault := reason(serve()))
    assert "garments/1/model.sig: cannot be read: No such file or directory" in fault


@pytest.mark.parametrize("part", ["weights", "card"])
def test_a_file_with_another_byte_is_refused(serve, forge, public, part):
    path = sign(forge("garments/1"), public)
    content = path.read_bytes()
    at = content.index(b'"temperature"') + 1 if part == "card" else len(content) // 2
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])

    assert "model.sig is of another file; sign this one, sha256:" in reason(serve())


def test_a_file_that_another_key_signed_is_refused(serve, forge, tmp_path):
    sign(forge("garments/1"), make_key(tmp_path, "other"))

    assert f"the signature cannot be checked with {tmp_path / 'key.pub'}: Key mismatch" in reason(serve())


def test_another_key_that_says_it_is_the_right_one_is_refused(serve, forge, public, tmp_path):
    def hint(path):
        return path.with_name("model.sig").read_text().split('"hint":"')[1].split('"')[0]

    right = hint(sign(forge("garments/1"), public))
    path = sign(forge("garments/2"), make_key(tmp_path, "other"))
    signature = path.with_name("model.sig")
    signature.write_text(signature.read_text().replace(hint(path), right))

    assert "the signature is not made with the private key of" in serve().find("garments").files["2"].reason


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: "", id="empty"),
        pytest.param(lambda text: "[" * 100_000, id="deep"),
        pytest.param(lambda text: text.replace('"publicKey"', '"certificate"'), id="no key"),
        pytest.param(lambda text: text[: text.index('"signatures"')] + '"signatures":[]}}', id="no signature"),
        pytest.param(lambda text: text[: text.index(',"dsseEnvelope"')] + "}", id="no statement"),
        pytest.param(lambda text: text.replace("vnd.in-toto", "vnd.in-two"), id="another type"),
        pytest.param(lambda text: text + " " * 2**20, id="too long"),
    ],
)
def test_a_broken_signature_is_refused(serve, forge, public, damage):
    signature = sign(forge("garments/1"), public).with_name("model.sig")
    signature.write_text(damage(signature.read_text()))

    assert "it is not signed: " in reason(serve())


def test_an_older_version_in_a_newer_ones_folder_is_refused(serve, forge, public):
    path = sign(forge("garments/1"), public)
    shutil.copytree(path.parent, path.parent.parent / "2")

    repository = serve()

    assert repository.named("garments").card.version == "1"
    assert "its card says 'garments' version 1" in repository.find("garments").files["2"].reason


def test_an_older_version_does_not_answer_after_a_newer_one(serve, forge, public, tmp_path):
    for number in (1, 2):
        sign(forge(f"garments/{number}"), public)
    repository = serve(tmp_path / "served")
    assert repository.named("garments").card.version == "2"

    shutil.rmtree(tmp_path / "models" / "garments" / "2")
    poll_twice(repository)

    for worker in (repository, serve(tmp_path / "served")):
        assert "version 2 was served, and an older one does not answer after it" in reason(worker)
    assert repository.named("garments", "1").card.version == "1"  # a client that names it knows what it gets


def test_a_newer_version_answers_once_its_signature_is_there(serve, forge, public):
    sign(forge("garments/1"), public)
    repository = serve()
    second = forge("garments/2")
    poll_twice(repository)
    assert repository.named("garments").card.version == "1"

    sign(second, public)
    poll_twice(repository)

    assert repository.named("garments").card.version == "2"


def test_the_signed_bytes_are_those_that_are_loaded(serve, forge, public):
    signed, other = sign(forge("garments/1"), public), forge("garments/2", title="other")
    repository = serve()

    signed.write_bytes(other.read_bytes())
    poll_twice(repository)

    assert repository.named("garments").card.title != "other"
    assert "is of another file" in repository.find("garments").files["1"].reason


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read: No such file or directory"),
        ("key", "is not a public key in PEM of the curve P-256, P-384 or P-521"),
    ],
)
def test_a_key_that_cannot_be_used_is_reported(tmp_path, models, content, fault):
    file = tmp_path / "key.pub"
    if content:
        file.write_text(content)

    with pytest.raises(SettingsError, match=rf"THIMBLE_MODEL_KEY='.*key\.pub': {fault}"):
        Settings(models=str(models), model_key=str(file)).check()


@pytest.mark.parametrize("kind", ["rsa", "curve"])
def test_a_key_of_another_kind_is_refused(tmp_path, kind):
    file = tmp_path / "key.pub"
    options = {"rsa": ["-algorithm", "RSA"], "curve": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"]}
    private = subprocess.run(["openssl", "genpkey", *options[kind]], check=True, capture_output=True).stdout
    subprocess.run(["openssl", "pkey", "-pubout", "-out", file], input=private, check=True, capture_output=True)

    with pytest.raises(ModelKeyError, match="is not a public key in PEM of the curve"):
        ModelKey(file)


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "model_signing._signing.sign_ec_key", None)

    with pytest.raises(ModelKeyError, match=r"is not installed: pip install '\.\[signing\]'"):
        ModelKey(tmp_path / "key.pub")
