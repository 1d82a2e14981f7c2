"""Command lines of jobs, for messages that name the next step."""

from __future__ import annotations

import shlex

from mlopsproject.core.shipped import from_repository


def job_command(job: str, *overrides: str) -> str:
    """The command line of a job: with `invoke` in the project's repository, of the installed package elsewhere.

    Args:
        job: its name, such as `import-data`.
        overrides: `key=value` each.

    Returns:
        `uv run invoke JOB -o key=value …` or `mlopsproject JOB key=value …`, quoted for a shell.
    """
    name = job.replace("_", "-")
    if from_repository():
        return shlex.join(["uv", "run", "invoke", name, *(word for text in overrides for word in ("-o", text))])
    return shlex.join(["mlopsproject", name, *overrides])
