"""What tests name as `module:member`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from shadows import CurrentExecution, Depends, Execution

seen: list[Any] = []


@asynccontextmanager
async def around() -> AsyncGenerator[None]:
    seen.append("enter")
    yield
    seen.append("leave")


dependencies = {"around": Depends(around)}


async def fallback(*args: Any, execution: Execution[Any] = CurrentExecution(), **kwargs: Any) -> str:
    seen.append((execution.function_name, execution.key, args, kwargs))
    return "stood in"
