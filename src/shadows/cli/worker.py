"""`shadows worker`: run a worker."""

import asyncio
import sys
from datetime import timedelta
from typing import Annotated

import typer

from shadows.cli.durations import parse_duration
from shadows.telemetry.logs import LogFormat, set_up_logging


def _duration(text: str | timedelta) -> timedelta:
    if isinstance(text, timedelta):
        return text
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def worker(
    tasks: Annotated[
        list[str] | None,
        typer.Option(
            envvar="SHADOWS_TASKS",
            metavar="MODULE:MEMBER",
            help="The tasks to run: a task or a collection of them; may be given several times. The working directory is importable.",
        ),
    ] = None,
    shadows: Annotated[
        str, typer.Option(envvar="SHADOWS_NAME", help="The shadow whose tasks are run.")
    ] = "shadows",
    url: Annotated[
        str | None,
        typer.Option(
            envvar="SHADOWS_URL",
            help="The server: redis://, rediss://, unix://, memory:// or embedded:///DIR. A password is safer in the environment.",
            show_default="redis://localhost:6379/0",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            envvar="SHADOWS_WORKER_NAME", help="What the worker is called.", show_default="host and process"
        ),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(envvar="SHADOWS_WORKER_CONCURRENCY", min=1, help="How many tasks it runs at once.")
    ] = 10,
    queues: Annotated[
        list[str] | None,
        typer.Option(
            envvar="SHADOWS_WORKER_QUEUES", help="The queues it takes from, in order.", show_default="all"
        ),
    ] = None,
    redelivery_timeout: Annotated[
        timedelta,
        typer.Option(
            envvar="SHADOWS_WORKER_REDELIVERY_TIMEOUT",
            parser=_duration,
            metavar="DURATION",
            help="Others run its tasks when it has been silent for so long.",
        ),
    ] = timedelta(seconds=30),
    reconnection_delay: Annotated[
        timedelta,
        typer.Option(
            envvar="SHADOWS_WORKER_RECONNECTION_DELAY",
            parser=_duration,
            metavar="DURATION",
            help="The longest pause between attempts to reach a server that does not answer.",
        ),
    ] = timedelta(seconds=5),
    minimum_check_interval: Annotated[
        timedelta,
        typer.Option(
            envvar="SHADOWS_WORKER_MINIMUM_CHECK_INTERVAL",
            parser=_duration,
            metavar="DURATION",
            help="The least time between two looks for work.",
        ),
    ] = timedelta(0),
    scheduling_resolution: Annotated[
        timedelta,
        typer.Option(
            envvar="SHADOWS_WORKER_SCHEDULING_RESOLUTION",
            parser=_duration,
            metavar="DURATION",
            help="The least time between two looks for what is due.",
        ),
    ] = timedelta(0),
    grace: Annotated[
        timedelta,
        typer.Option(
            envvar="SHADOWS_WORKER_GRACE",
            parser=_duration,
            metavar="DURATION",
            help="How long running tasks may go on after SIGTERM before they are handed to other workers.",
        ),
    ] = timedelta(seconds=25),
    until_finished: Annotated[
        bool,
        typer.Option(
            "--until-finished", envvar="SHADOWS_WORKER_UNTIL_FINISHED", help="End when nothing is left to do."
        ),
    ] = False,
    healthcheck_port: Annotated[
        int | None,
        typer.Option(
            envvar="SHADOWS_WORKER_HEALTHCHECK_PORT",
            min=0,
            max=65535,
            help="Answer /livez, /readyz and /depth there; may be the same as --metrics-port.",
            show_default="none",
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            envvar="SHADOWS_WORKER_METRICS_PORT",
            min=0,
            max=65535,
            help="Answer /metrics there, for Prometheus.",
            show_default="none",
        ),
    ] = None,
    bind: Annotated[
        str,
        typer.Option(
            envvar="SHADOWS_WORKER_BIND",
            help="The address of both ports: this machine alone, unless told otherwise.",
        ),
    ] = "127.0.0.1",
    logging_level: Annotated[
        str, typer.Option(envvar="SHADOWS_LOGGING_LEVEL", help="debug, info, warning, error or critical.")
    ] = "info",
    logging_format: Annotated[
        LogFormat | None,
        typer.Option(
            envvar="SHADOWS_LOGGING_FORMAT",
            help="How log lines look.",
            show_default="rich on a terminal, else plain",
        ),
    ] = None,
) -> None:
    """Run a worker until SIGTERM or SIGINT: it finishes what runs, within the grace, and takes nothing new.

    Durations are written as 50ms, 10s, 10m, 2h, 1d, mm:ss, hh:mm:ss, or a plain number of seconds.
    """
    from shadows.worker import Worker

    set_up_logging(
        logging_level, logging_format or (LogFormat.RICH if sys.stderr.isatty() else LogFormat.PLAIN)
    )
    running = Worker.run(
        shadows_name=shadows,
        url=url,
        tasks=tasks or (),
        until_finished=until_finished,
        healthcheck_port=healthcheck_port,
        metrics_port=metrics_port,
        bind=bind,
        name=name,
        concurrency=concurrency,
        queues=queues or None,
        redelivery_timeout=redelivery_timeout,
        reconnection_delay=reconnection_delay,
        minimum_check_interval=minimum_check_interval,
        scheduling_resolution=scheduling_resolution,
        grace=grace,
    )
    with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
        runner.run(running)


def _fastest_loop() -> "type[asyncio.AbstractEventLoop] | None":
    """uvloop's, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop
