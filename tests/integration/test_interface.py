"""A running service and its OpenAPI document: generated requests, the commands in it, and the pages."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests
from unmeasured import unmeasured

from serving.api.openapi import document
from serving.settings import Settings

IMAGES = Path(__file__).parent.parent / "images"
INTERFACE = document(Settings())
CALLS = [operation for path in INTERFACE["paths"].values() for operation in path.values()]
SAMPLES = [
    (sample["source"], call["responses"]["200"]["content"])
    for call in CALLS
    for sample in call.get("x-codeSamples", [])
]


@pytest.mark.trains
def test_generated_requests_get_documented_answers(server, tmp_path):
    """Requests that the document allows, and many that it forbids, get documented answers and never a fault."""
    command = [
        *(Path(sys.executable).with_name("schemathesis"), "run", f"{server.url}/openapi.json", "--no-color"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--request-timeout", "20"),
        *("--seed", "1", "--generation-deterministic"),
        # A text that is not an image is refused, which a schema cannot say.
        *("--checks", "all", "--exclude-checks", "positive_data_acceptance"),
    ]
    hooks = unmeasured() | {"SCHEMATHESIS_HOOKS": "uploads", "PYTHONPATH": str(Path(__file__).parent)}

    done = subprocess.run(command, cwd=tmp_path, env=hooks, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    tested = len(CALLS) - 1  # the document's own path is not among them
    assert f"Tested: {tested}\n" in done.stdout


def run(source, server):
    """Run a command of the document against a server, in the folder of the test images."""
    command = source.replace("http://127.0.0.1:8000", server.url).replace("curl ", "curl --silent --fail-with-body ")
    done = subprocess.run(["bash", "-c", command], cwd=IMAGES, capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize(("source", "content"), SAMPLES, ids=[source for source, _ in SAMPLES])
def test_each_command_of_the_document_is_answered(strong_server, source, content):
    returned, answer = run(source, strong_server)

    assert returned == 0, answer
    assert answer
    if "application/json" in content:
        json.loads(answer)


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
@pytest.mark.parametrize("path", ["/classify", "/v2/models/{name}/infer"])
def test_a_first_command_gets_the_answer_in_the_document(strong_server, path):
    call = INTERFACE["paths"][path]["post"]
    shown = json.dumps(call["responses"]["200"]["content"]["application/json"]["example"])

    _, answer = run(call["x-codeSamples"][0]["source"], strong_server)

    assert json.loads(rounded(answer.decode())) == json.loads(rounded(shown))


def rounded(text):
    """Return a text with its fractions to four digits: another processor adds up in another order."""
    return re.sub(r"\d\.\d+(e-\d+)?", lambda digits: f"{float(digits[0]):.4f}", text)


def test_the_pages_load_only_files_of_this_service(server):
    """Each URL in them and in the files that they load is a path here, answered with the policy."""
    seen: dict[str, requests.Response] = {}
    wanted = {"/", "/docs"}
    while wanted:
        address = wanted.pop()
        assert address.startswith("/")
        seen[address] = requests.get(f"{server.url}{address}", timeout=20)
        if address.endswith((".js", ".css")) or seen[address].headers["Content-Type"].startswith("text/html"):
            wanted |= loads(seen[address].text, address) - seen.keys()

    assert {answer.status_code for answer in seen.values()} == {200}
    assert {"copy.js", "thimble.css", "ship.png"} <= {address.rpartition("/")[2] for address in seen}
    policies = {answer.headers.get("Content-Security-Policy") for answer in seen.values()}
    assert len(policies) == 1
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policies.pop()


def loads(text, address):
    """Return the URLs in a page, a script or a style sheet of this address."""
    found = set(re.findall(r'(?:href|src)="([^"#][^"]*)"|@import "([^"]+)"|\burl\(([^)]+)\)', text))
    imported = {urljoin(address, name) for name in re.findall(r'from "(\./[^"]+)"', text)}
    return imported | {part for parts in found for part in parts if part} - {"/models", "/openapi.json"}
