"""The processes that a service starts for what may take long or crash."""

import os
import signal

import pytest

from serving.child import spawn

PROGRAM = "import sys; sys.stdout.write(sys.stdin.read())"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_a_signal_to_all_processes_of_a_service_leaves_a_child_to_finish(number):
    its_input, request = os.pipe()
    answer, its_output = os.pipe()
    process = spawn(("-c", PROGRAM), [its_input, its_output])
    os.close(its_input)
    os.close(its_output)

    os.kill(process, number)  # while Python starts
    os.write(request, b"a file")
    os.close(request)

    with os.fdopen(answer, "rb") as output:
        assert output.read() == b"a file"
    assert os.waitpid(process, 0)[1] == 0
