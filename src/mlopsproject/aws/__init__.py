"""The AWS Lambda function: `mlopsproject.aws.lambda_handler` answers pictures with the bundle of its image."""

from __future__ import annotations

import os
from typing import Any

from mlopsproject.aws.function import Function
from mlopsproject.aws.settings import LambdaSettings

__all__ = ["lambda_handler"]

_function: Function | None = None


def lambda_handler(event: Any, context: Any = None) -> dict[str, Any]:
    """Answer one event; see `Function.answer`. The model is loaded once per execution environment.

    Args:
        event: `{"url": …}`, `{"image": base64}`, or a request that an API Gateway or a function URL passes on.
        context: of the invocation, as Lambda gives it.

    Raises:
        UserError: if a setting is impossible, or the model cannot be loaded.
    """
    global _function
    if _function is None:
        _function = Function(LambdaSettings.read())
    return _function.answer(event, context)


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    # While Lambda prepares the environment it gives a full core.
    _function = Function(LambdaSettings.read())
