"""Certificates for tests, made afresh for each run by the `openssl` command."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Whatever the system's openssl.cnf says, it is not read.
CONFIGURATION = """\
[req]
prompt = no
distinguished_name = name
[name]
CN = {name}
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:{name}, IP:127.0.0.1
"""


@dataclass(frozen=True)
class Certificates:
    """A directory with an authority and what it has signed, a day long."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        made = cls(folder)
        made._request("authority", "authority")
        for name in ("localhost", "elsewhere", "client"):
            signer = ["-CA", str(made.file("authority.pem")), "-CAkey", made.key("authority")]
            made._request(name, "leaf", *signer)
        return made

    def _request(self, name: str, extensions: str, *options: str) -> None:
        configuration = self.file(f"{name}.cnf")
        configuration.write_text(CONFIGURATION.format(name=name))
        command = ["openssl", "req", "-x509", "-config", str(configuration), "-days", "1", "-nodes"]
        command += ["-extensions", extensions, "-newkey", "ec"]
        command += ["-pkeyopt", "ec_paramgen_curve:prime256v1"]
        command += ["-keyout", self.key(name), "-out", str(self.file(f"{name}.pem")), *options]
        subprocess.run(command, check=True, capture_output=True)

    def file(self, name: str) -> Path:
        return self.folder / name

    def key(self, name: str) -> str:
        return str(self.file(f"{name}.key"))

    def server(self, name: str = "localhost") -> ssl.SSLContext:
        """A context for a server called `name`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file(f"{name}.pem"), self.key(name))
        return context

    def client(self) -> ssl.SSLContext:
        """A context that trusts the authority and no other."""
        return ssl.create_default_context(cafile=str(self.file("authority.pem")))
