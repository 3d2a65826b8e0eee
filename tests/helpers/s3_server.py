"""A real S3 server on 127.0.0.1 (moto's), and a proxy before it with faults."""

import contextlib
import http.client
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BUCKET = "bucket"


@contextlib.contextmanager
def running():
    """The server; yields its port."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield server.get_host_and_port()[1]
    finally:
        server.stop()


def environment(port):
    """The variables that make botocore use a server on a port."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "2",  # botocore's default, 5, takes up to 20 s
    }


class Proxy:
    """Passes requests on, unless `fault(method, path)` names a fault:

    slow: the answer comes a second later; 503: the server is busy; 403: access is refused; cut: the
    connection is cut in the middle of the request, which the server never sees; lost: the server
    carries the request out and the answer is lost; short: half of the answer comes.

    Attributes:
        port: of the proxy.
        fault: a function, to be replaced.
        seen: (method, path) of all requests.
    """

    def __init__(self, port):
        self.fault = lambda method, path: None
        self.seen = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def answer(self):
                fault = proxy.fault(self.command, self.path)
                proxy.seen.append((self.command, self.path))
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length // 2 if fault == "cut" else length)
                if fault == "cut":
                    return self.hang_up()
                if fault in ("503", "403"):
                    code = "SlowDown" if fault == "503" else "InvalidAccessKeyId"
                    text = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
                    return self.send(int(fault), {"Content-Type": "application/xml"}, text)
                if fault == "slow":
                    time.sleep(1.0)
                server = http.client.HTTPConnection("127.0.0.1", port)
                server.request(self.command, self.path, body, dict(self.headers))
                answer = server.getresponse()
                content = answer.read()
                server.close()
                if fault == "lost":
                    return self.hang_up()
                headers = {k: v for k, v in answer.getheaders() if k.lower() not in DROPPED}
                self.send(answer.status, headers, content, answer, short=fault == "short")

            def hang_up(self):
                self.close_connection = True
                self.connection.close()

            def send(self, status, headers, content, answer=None, short=False):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                length = len(content)
                if self.command == "HEAD" and answer is not None:
                    length = answer.getheader("Content-Length") or 0
                self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if short else content)
                if short:
                    self.wfile.flush()
                    self.hang_up()

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

        DROPPED = ("content-length", "connection", "date", "server")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
