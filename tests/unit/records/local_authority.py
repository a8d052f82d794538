"""A time stamp authority of OpenSSL's on the loopback, for tests."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[root]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[stamping]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256, sha512
ess_cert_id_chain = no
"""


def openssl(*arguments: str, folder: Path) -> bytes:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class Authority:
    """A root and a time stamp certificate below it."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.root = folder / "root.pem"
        (folder / "serial").write_text("01\n")
        (folder / "conf").write_text(CONFIG.format(folder=folder, name=name))
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "conf")
        openssl(
            "req",
            "-x509",
            *key,
            "-keyout",
            "root.key",
            "-out",
            "root.pem",
            "-extensions",
            "root",
            folder=folder,
        )
        openssl(
            "req", "-new", *key, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=tsa", folder=folder
        )
        signed = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-out", "tsa.pem")
        openssl(
            *("x509", "-req", "-in", "tsa.csr", *signed, "-extfile", "conf", "-extensions", "stamping"),
            folder=folder,
        )

    def reply(self, query: bytes) -> bytes:
        (self.folder / "query").write_bytes(query)
        return openssl("ts", "-reply", "-queryfile", "query", "-config", "conf", folder=self.folder)


@contextmanager
def served(answer) -> Iterator[str]:
    """An HTTP server whose POST gives ``answer(query)``."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            data = answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/tsr"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
