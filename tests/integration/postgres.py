"""A real PostgreSQL server in a temporary folder, for tests that stop and start it."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

USER = "faces"
#: Who runs the server when root runs the tests: PostgreSQL refuses to run as root.
_ACCOUNT = "postgres"


def _programs() -> Path:
    """The folder of `initdb` and `pg_ctl`; Debian keeps it off the path."""
    found = [Path(path).parent for path in [shutil.which("pg_ctl")] if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    for folder in found:
        if (folder / "initdb").is_file() and (folder / "pg_ctl").is_file():
            return folder
    raise RuntimeError("This test needs PostgreSQL's server: apt-get install postgresql")


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class PostgresServer:
    """A server on the loopback interface, with one user who needs a password."""

    def __init__(self) -> None:
        self._programs = _programs()
        self.port = free_port()
        self.password = secrets.token_hex(8)
        # Not pytest's temporary folder: another account cannot enter that.
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._prefix: list[str] = []
        if os.geteuid() == 0:
            account = pwd.getpwnam(_ACCOUNT)
            os.chown(self._folder, account.pw_uid, account.pw_gid)
            self._prefix = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]

    def __enter__(self) -> Self:
        secret = self._folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        options = ["--auth=scram-sha-256", f"--username={USER}", f"--pwfile={secret}", "--no-sync", "--encoding=UTF8"]
        self._run("initdb", f"--pgdata={self._folder / 'data'}", *options)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server, unless it runs, and wait until it answers."""
        if not self._runs():
            # Without -F a start after a stop takes many seconds: the machine does not crash, only the server.
            settings = f"-F -p {self.port} -h 127.0.0.1 -k {self._folder}"
            self._control("start", "-w", "-o", settings, "-l", str(self._folder / "log"))

    def stop(self) -> None:
        """Stop the server, if it runs; its clients lose their connections in the middle of what they do."""
        if self._runs():
            self._control("stop", "-w", "-m", "immediate")

    def create_database(self, options: str = "") -> str:
        """Make an empty database, with options of `CREATE DATABASE`, and give its URL."""
        import psycopg

        name = f"log_{time.time_ns()}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" {options}')  # type: ignore[arg-type]
        return self.url(name)

    def url(self, database: str) -> str:
        """The address of a database, with the password."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def _runs(self) -> bool:
        return (self._folder / "data" / "postmaster.pid").exists()

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._prefix, str(self._programs / program), *arguments]
        # Not a pipe: the server would inherit it and keep it open.
        with (self._folder / "out").open("w+") as output:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=self._folder, timeout=60
            )
            if done.returncode:
                output.seek(0)
                log = self._folder / "log"
                raise RuntimeError(f"{program} failed: {output.read()}{log.read_text() if log.exists() else ''}")
