"""What the documentation tells people to type works: the blocks of each page, in order, in one session of bash.

Blocks that are not run say why in their title. Other tests check that these are few kinds of reasons.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

import pytest
from tests.docs_blocks import OWN_TERMINAL, PAGES, Block, blocks, page_id
from tests.e2e.docs_world import copy_world, environment, make_world
from tests.integration.postgres import USER, PostgresServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1000)]

SESSION = Path(__file__).with_name("docs_session.sh")
RUN = [page for page in PAGES if any(block.reason is None for block in blocks(page))]
PAGE_SECONDS = 900
#: Where programs listen that are not told otherwise.
PORTS = {
    "invoke api": 8000,
    "mlopsproject.api": 8000,
    "invoke frontend": 8501,
    "prometheus": 9090,
    "locust": 8089,
    "serve-docs": 8080,
}


@pytest.fixture(scope="module", autouse=True)
def _reasons(request: pytest.FixtureRequest) -> Iterator[None]:
    """At the end, say what was not run and why."""
    yield
    terminal = request.config.pluginmanager.getplugin("terminalreporter")
    terminal.section("Commands of the documentation that are not run")
    for block in (block for page in PAGES for block in blocks(page) if block.reason):
        terminal.line(f"{block.place}: {block.reason}")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh clone with sample faces, a reader's pictures and an earlier run."""
    folder = tmp_path_factory.mktemp("docs") / "clone"
    make_world(folder)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def postgres_for(page: Path) -> Iterator[dict[str, str]]:
    """A PostgreSQL server that programs find by themselves, as on the machine of a reader; only for pages with one."""
    if not any("psql" in block.text for block in blocks(page)):
        yield {}
        return
    with PostgresServer() as server:
        yield {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.port),
            "PGUSER": USER,
            "PGPASSWORD": server.password,
            "PGDATABASE": "postgres",
        }


def port_of(block: Block) -> int:
    """Where the server of a block listens."""
    if given := re.search(r"(?:--port |PORT=|listen-address=:)(\d+)", block.text):
        return int(given[1])
    return next(port for command, port in PORTS.items() if command in block.text)


def script_of(page: Path, folder: Path) -> str:
    """The page as one script.

    Args:
        page: whose blocks are run.
        folder: for the scripts of the servers.
    """
    parts = [f"source {SESSION}"]
    for block in blocks(page):
        if block.reason is not None:
            parts.append(f"echo {quote(f'=== {block.place} not run: {block.reason}')}")
            continue
        parts.append(f"echo {quote(f'=== {block.place}')}")
        if block.language == "python":
            parts.append(f"python - <<'END OF PYTHON'\n{block.text}END OF PYTHON")
        elif block.title == OWN_TERMINAL:
            server = folder / f"server-{block.line}.sh"
            server.write_text(block.text, encoding="utf-8")
            parts.append(f"in_own_terminal {server} {port_of(block)}")
        else:
            # In a list only the last command's failure counts.
            parts.append(block.text.replace(" && ", "\n"))
    return "\n".join([*parts, ""])


def run_script(script: Path, folder: Path, more: dict[str, str], output: Path) -> int:
    """Run a script in a folder until it ends or takes too long, and give its exit code.

    Args:
        script: for bash.
        folder: the clone.
        more: variables of the environment.
        output: file for all that is printed.
    """
    with output.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            ["bash", str(script)],
            cwd=folder,
            env=environment(folder) | more,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(PAGE_SECONDS)
        except subprocess.TimeoutExpired:
            stream.write(f"FAILED: not done after {PAGE_SECONDS} seconds")
            # Bash runs its exit trap then, which ends the servers.
            os.killpg(process.pid, signal.SIGTERM)
            return process.wait() or 1


@pytest.mark.parametrize("page", RUN, ids=page_id)
def test_every_command_of_the_page_works(page: Path, world: Path, tmp_path: Path) -> None:
    clone, script, output = tmp_path / "clone", tmp_path / "page.sh", tmp_path / "output.txt"
    copy_world(world, clone, page_id(page))
    script.write_text(script_of(page, tmp_path), encoding="utf-8")
    with postgres_for(page) as more:
        code = run_script(script, clone, more, output)
    shutil.rmtree(clone)
    said = output.read_text(encoding="utf-8", errors="replace")
    assert code == 0, f"{page_id(page)}: {said[-6000:]}"
