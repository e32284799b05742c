"""The service over a socket, with the committed models."""

import base64
import hashlib
import http.client
import io
import json
import os
import shlex
import shutil
import signal
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest
import requests
from PIL import Image
from polling import wait_until

LABELS = {
    "ankle-boot": "Ankle boot",
    "bag": "Bag",
    "pullover": "Pullover",
    "sandal": "Sandal",
    "sneaker": "Sneaker",
    "trouser": "Trouser",
}
COMMAND = (sys.executable, "-m", "serving")
SCRIPT = str(Path(sys.executable).with_name("gunicorn"))
GUNICORN_COMMAND = (
    *(sys.executable, "-m", "gunicorn"),
    *("-c", "python:serving.gunicorn_conf", "serving.app:create_app()"),
)


def classify(server, timeout=20, **request):
    return requests.post(f"{server.url}/classify", timeout=timeout, **request)


def open_request(server, headers, method=b"POST"):
    """Send the head of a request by hand and return the socket."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    lines = [method + b" /classify HTTP/1.1", b"Host: thimble", *headers, b"", b""]
    connection.sendall(b"\r\n".join(lines))
    return connection


def read_answer(connection):
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, json.loads(answer.read())


@pytest.mark.parametrize(("name", "label"), LABELS.items())
def test_a_test_image_gets_its_own_label(server, image, name, label):
    answer = classify(server, data=image(name), headers={"Content-Type": "image/png"})

    assert answer.status_code == 200
    assert answer.json()["predictions"][0]["label"] == label
    assert answer.json()["predictions"][0]["model"] == "fashion-mlp"


def test_several_files_are_answered_in_order(server, image):
    files = [("file", (f"{name}.png", image(name))) for name in LABELS]

    answer = classify(server, files=files)

    assert [prediction["label"] for prediction in answer.json()["predictions"]] == list(LABELS.values())


def test_base64_in_json_is_answered_as_bytes_are(server, image):
    text = base64.b64encode(image("bag")).decode()

    answer = classify(server, json={"images": [text, f"data:image/png;base64,{text}"]})

    direct = classify(server, data=image("bag"), headers={"Content-Type": "image/png"})
    assert answer.json()["predictions"] == direct.json()["predictions"] * 2


def test_curl_needs_no_content_type(server, image):
    headers_of_curl = {"Content-Type": "application/x-www-form-urlencoded"}

    answer = classify(server, data=image("ankle-boot"), headers=headers_of_curl)

    assert answer.json()["predictions"][0]["label"] == "Ankle boot"


def test_the_log_of_the_start_has_the_address_the_cores_and_the_models(server):
    log = server.log.read_text()

    assert f"Thimble on {server.url}" in log
    assert "usable cores" in log
    assert "models ready: cifar-cnn:2, fashion-mlp:2" in log
    assert "is not a setting" not in log


def test_the_log_of_the_start_has_all_addresses_that_gunicorn_is_told(start, tmp_path):
    local = f"unix:{tmp_path}/socket"
    binds = f"--bind 127.0.0.1:$THIMBLE_HTTP_PORT --bind {local}"
    server = start(("sh", "-c", f"exec {shlex.join(GUNICORN_COMMAND)} {binds}"), workers="1")

    assert f"Thimble on {server.url}, {local}: POST an image to /classify" in server.log.read_text()


def test_the_log_of_the_start_has_the_shadows_and_a_setting_that_is_misspelt(start):
    server = start(workers="1", key_file="keys.txt", shadow="fashion-mlp=fashion-mlp:1@0.07")

    log = server.log.read_text()
    assert "THIMBLE_KEY_FILE is not a setting, and is ignored; is THIMBLE_KEYS_FILE meant?" in log
    assert "shadow of fashion-mlp: fashion-mlp:1, on 7% of its requests" in log


def test_many_clients_at_once_are_all_answered(server, image):
    names = [name for name in LABELS for _ in range(40)]

    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda name: classify(server, data=image(name)), names))

    assert [answer.json()["predictions"][0]["label"] for answer in answers] == [LABELS[name] for name in names]


def test_a_connection_survives_a_refusal(server, image):
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)) as connection:
        connection.request("POST", "/classify", b"hello", {"Content-Type": "image/png"})
        refused = connection.getresponse()
        refused.read()
        connection.request("POST", "/classify", image("bag"), {"Content-Type": "image/png"})
        answered = connection.getresponse()
        answered.read()

    assert (refused.status, answered.status) == (422, 200)


@pytest.mark.trains
def test_the_gunicorn_command_serves_the_same(start, image):
    server = start(GUNICORN_COMMAND)

    assert classify(server, data=image("bag")).json()["predictions"][0]["label"] == "Bag"


@pytest.mark.parametrize("body", [bytes(100_001), iter([bytes(60_000)] * 4)], ids=["announced", "chunked"])
def test_a_body_over_the_limit_is_too_large(strict_server, body):
    answer = classify(strict_server, data=body, headers={"Content-Type": "image/png"})

    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")


def test_a_body_that_does_not_arrive_in_time_is_refused(strict_server):
    with open_request(strict_server, [b"Content-Type: image/png", b"Content-Length: 5000"]) as connection:
        connection.sendall(bytes(100))
        status, problem = read_answer(connection)

    assert (status, problem["code"]) == (408, "slow-body")


def test_bytes_behind_a_late_body_are_not_a_request(strict_server):
    with open_request(strict_server, [b"Content-Type: image/png", b"Content-Length: 5000"]) as connection:
        status, _ = read_answer(connection)
        following = b""
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: thimble\r\n\r\n")
        with suppress(ConnectionResetError):  # closed with that unread
            following = connection.recv(1000)

    assert status == 408
    assert following == b""


def test_heads_that_never_end_do_not_stop_the_service(strict_server):
    stalled = [socket.create_connection(("127.0.0.1", strict_server.port)) for _ in range(2)]
    for connection in stalled:
        connection.sendall(b"POST /cl")

    alive = requests.get(f"{strict_server.url}/livez", timeout=25)

    for connection in stalled:
        connection.close()
    assert alive.status_code == 200


def test_silent_connections_do_not_delay_others(strict_server):
    silent = [socket.create_connection(("127.0.0.1", strict_server.port)) for _ in range(30)]

    alive = requests.get(f"{strict_server.url}/livez", timeout=25)

    for connection in silent:
        connection.close()
    assert alive.elapsed.total_seconds() < 4


def test_slow_clients_do_not_keep_others_waiting_for_long(strict_server, image):
    head = [b"Content-Type: image/png", b"Transfer-Encoding: chunked"]
    slow = [open_request(strict_server, head) for _ in range(4)]

    answer = classify(strict_server, data=image("bag"))

    for connection in slow:
        connection.close()
    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() < 10


@pytest.mark.trains
def test_decoding_a_large_image_does_not_delay_others(start):
    server, photo = start(workers="1"), io.BytesIO()
    Image.new("RGB", (7_000, 7_000), "teal").save(photo, "PNG", compress_level=1)

    with ThreadPoolExecutor(1) as client:
        upload = client.submit(classify, server, data=photo.getvalue())
        alive = [requests.get(f"{server.url}/livez", timeout=20).ok for _ in iter(upload.done, True)]

    assert upload.result().status_code == 200
    assert len(alive) > 5
    assert all(alive)


@pytest.mark.trains
def test_images_that_take_long_hold_up_neither_probes_nor_photos(start):
    server, file = start(workers="1"), io.BytesIO()
    Image.new("L", (2_000, 2_000)).save(file, "JPEG", progressive=True)
    jpeg, last = file.getvalue(), file.getvalue().rindex(b"\xff\xda")
    slow = jpeg[:last] + jpeg[last:-2] * 4_000  # its last bits again and again

    with ThreadPoolExecutor(2) as clients:
        uploads = [clients.submit(classify, server, timeout=90, data=slow) for _ in range(2)]
        alive = [requests.get(f"{server.url}/livez", timeout=5).ok for _ in range(20)]
        photos = [classify(server, data=jpeg).status_code for _ in range(5)]

    assert all(alive)
    assert photos == [200] * 5
    assert {upload.result().status_code for upload in uploads} <= {422, 503}
    counted = requests.get(f"{server.url}/metrics", timeout=20).text
    assert 'thimble_decoding_ended_total{reason="time"}' in counted


def test_a_body_that_ends_early_is_a_bad_request(strict_server):
    with open_request(strict_server, [b"Content-Type: image/png", b"Content-Length: 5000"]) as connection:
        connection.sendall(bytes(100))
        connection.shutdown(socket.SHUT_WR)
        status, problem = read_answer(connection)

    assert (status, problem["code"]) == (400, "bad-request")


def test_a_malformed_request_is_a_bad_request(strict_server):
    with socket.create_connection(("127.0.0.1", strict_server.port), timeout=20) as connection:
        connection.sendall(b"POST /classify HTTP/1.1\r\nContent-Length: three\r\n\r\n")
        status, problem = read_answer(connection)
        after = connection.recv(1)

    assert (status, problem["code"], after) == (400, "bad-request", b"")
    assert "Not a valid HTTP/1.1 request" in problem["detail"]
    assert 'thimble_refusals_total{code="bad-request"}' in requests.get(f"{strict_server.url}/metrics", timeout=20).text


@pytest.mark.parametrize(
    ("request_line", "status", "field", "words"),
    [
        (b"POST /v2/models/a/infer HTTP/1.1", 400, "error", "Not a valid HTTP/1.1 request"),
        (b"BREW /v2 HTTP/1.1", 405, "error", "BREW is not known; use one of GET, HEAD, OPTIONS, POST"),
        (b"BREW /classify HTTP/1.1", 405, "detail", "BREW is not known; use one of GET, HEAD, OPTIONS, POST"),
        (b"\x16\x03\x01 / HTTP/1.1", 400, "detail", "Not a valid HTTP/1.1 request"),
    ],
)
def test_what_cannot_be_parsed_is_refused_in_the_form_of_its_path(strict_server, request_line, status, field, words):
    with socket.create_connection(("127.0.0.1", strict_server.port), timeout=20) as connection:
        connection.sendall(request_line + b"\r\nHost: here\r\nContent-Length: three\r\n\r\n")
        answered, problem = read_answer(connection)

    assert answered == status
    assert words in problem[field]


def test_head_has_the_headers_of_get(server):
    answers = [requests.request(method, f"{server.url}/livez", timeout=20) for method in ("GET", "HEAD")]

    got, head = answers
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(got.content))


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        (b"zz\r\nhello\r\n0\r\n\r\n", "Invalid character in chunk size"),
        (b"5;" + b"a" * 200_000, "a chunk's size and extensions, or the trailers, pass 65,536 bytes"),
    ],
    ids=["size", "endless"],
)
def test_a_malformed_chunk_is_a_bad_request_that_says_so(strict_server, chunks, reason):
    with open_request(strict_server, [b"Content-Type: image/png", b"Transfer-Encoding: chunked"]) as connection:
        connection.sendall(chunks)
        status, problem = read_answer(connection)

    assert (status, problem["code"]) == (400, "bad-request")
    assert problem["detail"].startswith(f"The chunked body is malformed: {reason}; write each chunk after its length")


@pytest.mark.trains
def test_sigterm_lets_an_accepted_request_finish(start, image):
    server = start(workers="1")
    body = image("bag")
    head = [b"Content-Type: image/png", b"Content-Length: %d" % len(body)]
    with open_request(server, head) as connection:
        connection.sendall(body[:100])
        server.process.send_signal(signal.SIGTERM)
        connection.sendall(body[100:])
        status, answer = read_answer(connection)

    assert (status, answer["predictions"][0]["label"]) == (200, "Bag")
    assert server.process.wait(20) == 0


@pytest.mark.trains
def test_sigterm_ends_a_worker_that_has_just_begun(start):
    server = start(workers="1")
    (killed,) = workers_of(server)
    os.kill(killed, signal.SIGKILL)
    while workers_of(server) in ([], [killed]):
        time.sleep(0.001)
    told = time.monotonic()

    assert server.stop() == 0
    assert time.monotonic() - told < 15  # of the 30 that requests have


@pytest.mark.trains
@pytest.mark.parametrize("command", [COMMAND, ("env", "PYTHONPATH=.", SCRIPT, *GUNICORN_COMMAND[3:])])
def test_a_second_master_on_the_same_socket_goes_on_when_the_first_ends(start, command):
    server = start(command, workers="1")
    own = workers_of(server)
    server.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: server.log.read_text().count("Booting worker") >= 2, 45, server.log.read_text)
    (second,) = set(workers_of(server)) - set(own)

    assert server.stop() == 0
    try:
        assert [requests.get(f"{server.url}/livez", timeout=20).status_code for _ in range(5)] == [200] * 5
    finally:
        os.kill(second, signal.SIGTERM)


@pytest.mark.trains
def test_a_damaged_model_is_reported_while_the_good_one_serves(start, models, image, tmp_path):
    shutil.copytree(models, tmp_path, dirs_exist_ok=True)
    (tmp_path / "cifar-cnn/2/model.onnx").write_bytes(b"not a model")
    server = start(models=str(tmp_path))

    listed = {model["name"]: model for model in requests.get(f"{server.url}/models", timeout=20).json()["models"]}

    assert classify(server, data=image("bag")).json()["predictions"][0]["label"] == "Bag"
    assert listed["cifar-cnn"]["state"] == "unavailable"
    assert "model.onnx: it is not an ONNX file" in listed["cifar-cnn"]["reason"]
    assert "cifar-cnn/2/model.onnx: it is not an ONNX file" in server.log.read_text()


@pytest.mark.trains
def test_without_models_the_service_is_alive_but_not_ready(start, tmp_path):
    server = start(models=str(tmp_path))

    ready = requests.get(f"{server.url}/readyz", timeout=20)

    assert requests.get(f"{server.url}/livez", timeout=20).status_code == 200
    assert (ready.status_code, ready.json()["code"]) == (503, "no-model")
    assert "it has no models; " in server.log.read_text()


def workers_of(server):
    """Return the process ids of the workers."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    return [int(child) for child in children.read_text().split()]


def answered(server):
    """Return the number of answered images, of all workers since the start."""
    lines = requests.get(f"{server.url}/metrics", timeout=5).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("thimble_predictions_total"))


@pytest.mark.trains
def test_all_workers_count_together_through_restarts_and_leave_no_files(start, image):
    server = start(workers="2")
    folders = list(Path("/dev/shm").glob(f"thimble-shared-{server.process.pid}-*"))

    for images in (20, 40):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: classify(server, data=image("bag")).status_code, range(20)))
        wait_until(lambda images=images: answered(server) == images)  # each worker counts about once a second
        for worker in workers_of(server):
            os.kill(worker, signal.SIGKILL)
        wait_until(server.answers)

    assert answered(server) == 40
    assert server.stop() == 0
    assert len(folders) == 1
    assert not folders[0].exists()


@pytest.mark.trains
def test_the_list_of_digests_is_read_at_the_start_and_at_sighup_alone(start, models, tmp_path, image):
    file = tmp_path / "digests.txt"
    digests = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in models.glob("fashion-mlp/*/model.onnx")}
    file.write_text("".join(f"sha256:{digest}  fashion-mlp/{path.parent.name}\n" for path, digest in digests.items()))
    server = start(model_digests=str(file), workers="1")
    file.write_text("broken")
    (worker,) = workers_of(server)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: worker not in workers_of(server) and server.answers())
    in_place_of_the_killed_one = classify(server, data=image("bag")).status_code
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "'sha256:' and 64 digits" in server.log.read_text())
    with_a_broken_list = classify(server, data=image("bag")).status_code
    file.write_text("")
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: server.answers() and classify(server, data=image("bag")).status_code == 503)

    assert (in_place_of_the_killed_one, with_a_broken_list) == (200, 200)


@pytest.mark.trains
def test_a_removed_shared_folder_is_made_again_and_a_worker_can_be_replaced(start, image):
    server = start(workers="2", allow_loading="true", rate_limit="600/minute")
    (folder,) = Path("/dev/shm").glob(f"thimble-shared-{server.process.pid}-*")
    shutil.rmtree(folder)
    wait_until(folder.is_dir)
    answers = [classify(server, data=image("bag")).status_code for _ in range(4)]
    loaded = requests.post(f"{server.url}/v2/repository/models/fashion-mlp/load", timeout=20).status_code
    killed = workers_of(server)[0]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in workers_of(server) and server.log.read_text().count("models ready") == 3)

    assert (answers, loaded) == ([200] * 4, 200)
    assert requests.get(f"{server.url}/metrics", timeout=20).status_code == 200
    assert "the folder that the workers share was removed" in server.log.read_text()
    replaced = set(workers_of(server))
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not replaced & set(workers_of(server)) and server.answers())
    before = answered(server)
    classify(server, data=image("bag"))
    wait_until(lambda: answered(server) == before + 1)


@pytest.mark.trains
def test_a_worker_that_finds_no_shared_folder_counts_alone(start, image):
    server = start(workers="1")
    (folder,) = Path("/dev/shm").glob(f"thimble-shared-{server.process.pid}-*")
    (killed,) = workers_of(server)
    shutil.rmtree(folder)
    folder.touch()  # which cannot be made a folder
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in workers_of(server) and server.answers())

    assert classify(server, data=image("bag")).status_code == 200
    wait_until(lambda: answered(server) == 1)
    assert "each worker counts alone" in server.log.read_text()
    folder.unlink()


@pytest.mark.trains
def test_the_next_service_removes_the_files_of_a_killed_one(start):
    killed = start(workers="1")
    (folder,) = Path("/dev/shm").glob(f"thimble-shared-{killed.process.pid}-*")  # tests beside this may remove it, too
    workers = workers_of(killed)
    killed.process.kill()
    killed.process.wait()
    for worker in workers:
        os.kill(worker, signal.SIGKILL)

    start(workers="1")

    assert not folder.exists()


@pytest.mark.trains
@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_connection_does_not_delay_the_end(start, image, way):
    server = start(workers="1")
    with requests.Session() as session:
        session.post(f"{server.url}/classify", image("bag"), headers={"Content-Type": "image/png"}, timeout=20)
        started = time.monotonic()
        for process in (server.process.pid, *workers_of(server)) if way == signal.SIGINT else (server.process.pid,):
            os.kill(process, way)  # Ctrl-C goes to all

        assert server.process.wait(20) == 0
    assert time.monotonic() - started < 8
    assert "Traceback" not in server.log.read_text()


def test_a_connection_is_kept_open_from_request_to_request(server, image):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    with closing(connection):
        for name, label in LABELS.items():
            connection.request("POST", "/classify", image(name), {"Content-Type": "image/png"})
            answer = connection.getresponse()
            assert answer.getheader("Connection") == "keep-alive"
            assert json.loads(answer.read())["predictions"][0]["label"] == label


def test_pipelined_requests_are_answered_in_order(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: t\r\n\r\nGET /nothing HTTP/1.1\r\nHost: t\r\n\r\n")
        received = b""
        while b"not-found" not in received:
            received += connection.recv(10_000)

    assert received.index(b'{"live":true}') < received.index(b"not-found")
