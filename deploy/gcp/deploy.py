"""Deploy to Google Cloud: `python -m deploy.gcp.deploy --project P --region R --tag T [--only NAMES] [--dry-run]`.

Every step may be run any number of times: it makes what is not there and brings the rest to what the files say.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import TimeoutError as TooSlow
from typing import Final

from deploy.gcp.messages import ROOT, variables
from deploy.gcp.requests import Request
from deploy.gcp.steps import STEPS, TRAININGS, Action, Command, Step
from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError
from rich.console import Console

from mlopsproject.core.errors import ConfigError, UserError, first_line, nearest

_EVERY: Final[dict[str, Step]] = STEPS | TRAININGS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the steps that the command line names.

    Args:
        arguments: of the command line.

    Returns:
        0 if every step was done, or shown; 1 after the first one that failed.
    """
    options = _parser().parse_args(arguments)
    try:
        known = variables(_given(options), os.environ)
        chosen = choose(options.only)
        # All of it before anything is done: a missing variable or a wrong field ends no deployment in its middle.
        plan = {name: _plan(name, known) for name in chosen}
        if options.dry_run:
            for name, actions in plan.items():
                _say(f"# {name}", *(action.shown() for action in actions))
            return 0
        _check_programs(plan)
        for name in chosen:
            _carry_out(name, known)
    except UserError as error:
        Console(stderr=True).print(f"error: {error}", style="bold red", soft_wrap=True, markup=False, highlight=False)
        return 1
    _say(f"Done: {', '.join(chosen)}")
    return 0


def choose(only: str) -> list[str]:
    """The steps to run, in their order.

    Args:
        only: names, separated by commas; empty for all but trainings.

    Raises:
        ConfigError: for a name that is no step.
    """
    wanted = [name.strip() for name in only.split(",") if name.strip()] or list(STEPS)
    for name in wanted:
        if name not in _EVERY:
            hint = nearest(name, _EVERY)
            raise ConfigError(f"{name!r} is no step{f'; {hint}' if hint else '.'}", f"Steps: {', '.join(_EVERY)}.")
    return [name for name in _EVERY if name in wanted]


def _plan(name: str, known: Mapping[str, str]) -> list[Action]:
    """Everything that a step will do; a variable that it asks for stands for itself."""
    planned, actions = dict(known), []
    for action in _EVERY[name](planned):
        actions.append(action)
        if isinstance(action, Request) and action.sets:
            planned[action.sets] = f"${{{action.sets}}}"
    return actions


def _check_programs(plan: Mapping[str, Sequence[Action]]) -> None:
    uses = [action.words[0] for actions in plan.values() for action in actions if isinstance(action, Command)]
    if "gcloud" in uses and shutil.which("gcloud") is None:
        raise UserError(
            "gcloud is not on the PATH.", "Install the Google Cloud CLI and run: gcloud auth login, or use --dry-run."
        )


def _carry_out(name: str, known: dict[str, str]) -> None:
    """Run a step.

    Raises:
        UserError: for the first of its commands and requests that fails.
    """
    _say(f"# {name}")
    for action in _EVERY[name](known):
        _say(action.shown())
        if isinstance(action, Command):
            _run(name, action)
        else:
            answer = _send(name, action)
            if action.sets:
                known[action.sets] = str(answer)


def _run(name: str, command: Command) -> None:
    if command.unless and _exit_code(command.unless, quiet=True) == 0:
        return
    if code := _exit_code(command.words):
        raise UserError(f"The step {name} failed: {command.words[0]} ended with exit code {code}.", command.hint)


def _exit_code(words: Sequence[str], *, quiet: bool = False) -> int:
    output = subprocess.DEVNULL if quiet else None
    program = sys.executable if words[0] == "python" else words[0]
    command = [program, *words[1:]]
    done = subprocess.run(command, cwd=ROOT, stdout=output, stderr=output, check=False)  # noqa: S603  # words of our own
    return done.returncode


def _send(name: str, request: Request) -> str | None:
    try:
        return request.send()
    except GoogleAuthError as error:
        fix = "Sign in with: gcloud auth application-default login"
        raise UserError(f"The step {name} failed: {first_line(error)}", fix) from error
    except (GoogleAPICallError, TooSlow) as error:
        raise UserError(f"The step {name} failed: {first_line(error)}") from error


def _given(options: argparse.Namespace) -> dict[str, str]:
    """The variables of the command line.

    Raises:
        ConfigError: for `--set` without a name or a value.
    """
    given = {"PROJECT": options.project, "REGION": options.region, "TAG": options.tag}
    for text in options.set:
        name, _, value = text.partition("=")
        if not name or not value:
            raise ConfigError(f"--set {text} names no variable with a value.", "Write it as --set NAME=VALUE.")
        given[name] = value
    return {name: value for name, value in given.items() if value}


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, _EVERY))
    about = "\n".join(f"  {name:<{width}}  {step.__doc__}" for name, step in _EVERY.items())
    parser = argparse.ArgumentParser(
        prog="python -m deploy.gcp.deploy",
        description="Deploy to Google Cloud. What is not given here comes from the environment.",
        epilog=f"steps, in their order; trainings only where --only names them:\n{about}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--project", default="", help="id of the Google Cloud project (PROJECT)")
    parser.add_argument("--region", default="", help="such as europe-west1 (REGION)")
    parser.add_argument("--tag", default="", help="of the images, such as the first digits of a commit (TAG)")
    parser.add_argument("--only", default="", help="steps, separated by commas")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="another variable of the files, such as BUCKET"
    )
    parser.add_argument("--dry-run", action="store_true", help="print every command and request, and do none")
    return parser


if __name__ == "__main__":
    sys.exit(main())
