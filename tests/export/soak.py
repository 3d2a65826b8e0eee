"""Clients under load for minutes, while their server is killed, cut off and slowed down.

python -m tests.export.soak SAVED_MODEL --shape=64,64,3 --minutes=10

The server is the stand-in for TF Serving (gRPC) or KServe (REST). Between it and the clients
stands a proxy. Every 20 s one fault, in turn: the server is killed with SIGKILL and started again;
all connections are cut; all bytes wait for 2 s. A request is lost if its client gives it up.
"""

import argparse
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from export import load
from export.servers import Grpc, Rest
from tests.paths import ROOT

EVERY = 20.0  # seconds between faults
SLOW = 2.0
PATIENCE = 120.0
MODULES = {"grpc": "tests.export.grpc_server", "rest": "tests.export.rest_server"}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Proxy:
    """Forwards connections to a port of this machine, until told to cut or delay them."""

    def __init__(self, target):
        self.target, self.delay, self.open = target, 0.0, []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            self.open.append((client, server))
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(2**16):
                time.sleep(self.delay)
                sink.sendall(data)
        self._close(source, sink)

    def cut(self):
        for ends in self.open:
            self._close(*ends)
        self.open.clear()

    @staticmethod
    def _close(*ends):
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Server:
    """The server as a process of its own, on a port that stays."""

    def __init__(self, protocol, saved_model):
        self.port = free_port()
        module = MODULES[protocol]
        self.command = [sys.executable, "-m", module, str(saved_model), str(self.port)]
        self.start()

    def start(self):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(self.command, cwd=ROOT, env=environment, **quiet)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def soak(saved_model, protocol, shape, clients, seconds, every=EVERY):
    """The load's outcome, and how often each fault was made."""
    server = Server(protocol, saved_model)
    proxy = Proxy(server.port)
    kind, scheme = (Grpc, "grpc") if protocol == "grpc" else (Rest, "http")
    connect = lambda: kind(f"{scheme}://127.0.0.1:{proxy.port}", "alae", 60.0, PATIENCE)  # noqa: E731
    done, faults = threading.Event(), {"killed": 0, "cut": 0, "slowed": 0}

    def trouble():
        for fault in itertools.cycle(faults):
            if done.wait(every):
                return
            faults[fault] += 1
            if fault == "killed":
                server.kill()
                server.start()
            elif fault == "cut":
                proxy.cut()
            else:
                proxy.delay = SLOW
                done.wait(SLOW)
                proxy.delay = 0.0

    try:
        load.encode(connect(), load.np.zeros([1, *shape], "float32"))  # until it has started
        thread = threading.Thread(target=trouble)
        thread.start()
        found = load.measure(clients, seconds, shape, connect)
        done.set()
        thread.join()
    finally:
        server.kill()
    return found, faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("saved_model", help="the directory of a version")
    parser.add_argument("--shape", default="64,64,3")
    parser.add_argument("--protocol", choices=sorted(MODULES), default="grpc")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=10)
    args = parser.parse_args()
    shape = tuple(map(int, args.shape.split(",")))
    found, faults = soak(args.saved_model, args.protocol, shape, args.clients, 60 * args.minutes)
    print(found, faults)
    sys.exit(bool(found.lost or found.wrong))
