"""gunicorn's threaded worker, with a limit on how long the head of a request may take to arrive."""

from typing import Any

from gunicorn.workers.gthread import _DEFER, TConn, ThreadWorker

from serving.deadline import Deadline

HEAD_SECONDS = 10.0  # for a line and a few headers; the body has its own time


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no annotations
    """A thread that reads a head which never ends would else be lost for good."""

    def init_process(self) -> None:
        self.heads = Deadline(HEAD_SECONDS)
        super().init_process()

    def handle(self, conn: TConn) -> Any:
        if not conn.initialized and not conn.data_ready and not conn.wait_for_data(0):
            return _DEFER  # nothing has been sent yet: wait for it in the poller, not in this thread
        conn.head = self.heads.start(conn.sock)
        try:
            return super().handle(conn)
        finally:
            self.heads.stop(conn.head)

    def handle_request(self, req: Any, conn: TConn) -> Any:
        self.heads.stop(conn.head)
        return super().handle_request(req, conn)
