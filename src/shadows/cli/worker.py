"""`shadows worker`: run a worker, or several worker processes under a supervisor."""

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .durations import parse_size
from .options import Name, Tasks, Url, UrlFile, duration, server_url

if TYPE_CHECKING:
    from shadows.worker.orders import Orders

_WORK, _TIMES, _PROCESSES, _SEEING = "What it runs", "Times", "Processes", "Seeing it"


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def worker(
    tasks: Tasks = None,
    shadows: Name = "shadows",
    url: Url = None,
    url_file: UrlFile = None,
    name: Annotated[
        str | None,
        typer.Option(
            envvar="SHADOWS_WORKER_NAME",
            metavar="NAME",
            help="What the worker is called; of several processes each has its number behind it.",
            show_default="host and process",
        ),
    ] = None,
    concurrency: Annotated[
        int,
        typer.Option(
            envvar="SHADOWS_WORKER_CONCURRENCY",
            metavar="N",
            min=1,
            help="How many tasks it (each process) runs at once.",
            rich_help_panel=_WORK,
        ),
    ] = 10,
    queues: Annotated[
        list[str] | None,
        typer.Option(
            envvar="SHADOWS_WORKER_QUEUES",
            metavar="QUEUE[=WEIGHT]",
            help="The queues it takes from, in order; may be given several times. A weight is a share: 3 takes three times "
            "as often as 1.",
            show_default="all",
            rich_help_panel=_WORK,
        ),
    ] = None,
    dependencies: Annotated[
        str | None,
        typer.Option(
            envvar="SHADOWS_WORKER_DEPENDENCIES",
            metavar="MODULE:MEMBER",
            help="Dependencies that stand around every task.",
            rich_help_panel=_WORK,
        ),
    ] = None,
    fallback_task: Annotated[
        str | None,
        typer.Option(
            envvar="SHADOWS_WORKER_FALLBACK_TASK",
            metavar="MODULE:MEMBER",
            help="A task that runs in place of those that are not known here.",
            rich_help_panel=_WORK,
        ),
    ] = None,
    schedule_automatic_tasks: Annotated[
        bool,
        typer.Option(
            "--schedule-automatic-tasks/--no-schedule-automatic-tasks",
            envvar="SHADOWS_WORKER_SCHEDULE_AUTOMATIC_TASKS",
            metavar="",
            show_default="they are",
            help="Whether it starts automatic perpetual tasks and crons.",
            rich_help_panel=_WORK,
        ),
    ] = True,
    until_finished: Annotated[
        bool,
        typer.Option(
            "--until-finished",
            "--drain",
            envvar="SHADOWS_WORKER_UNTIL_FINISHED",
            metavar="",
            help="End when nothing is scheduled, ready or running any more, on other workers either.",
            rich_help_panel=_WORK,
        ),
    ] = False,
    redelivery_timeout: Annotated[
        timedelta,
        typer.Option(
            envvar="SHADOWS_WORKER_REDELIVERY_TIMEOUT",
            show_default="30s",
            parser=duration,
            metavar="DURATION",
            help="Others run its tasks when it has been silent for so long.",
            rich_help_panel=_TIMES,
        ),
    ] = timedelta(seconds=30),
    grace: Annotated[
        timedelta,
        typer.Option(
            envvar="SHADOWS_WORKER_GRACE",
            show_default="25s",
            parser=duration,
            metavar="DURATION",
            help="How long running tasks may go on after SIGTERM before they are handed to other workers.",
            rich_help_panel=_TIMES,
        ),
    ] = timedelta(seconds=25),
    reconnection_delay: Annotated[
        timedelta,
        typer.Option(
            envvar="SHADOWS_WORKER_RECONNECTION_DELAY",
            show_default="5s",
            parser=duration,
            metavar="DURATION",
            help="The longest pause between attempts to reach a server that does not answer.",
            rich_help_panel=_TIMES,
        ),
    ] = timedelta(seconds=5),
    minimum_check_interval: Annotated[
        timedelta,
        typer.Option(
            envvar="SHADOWS_WORKER_MINIMUM_CHECK_INTERVAL",
            show_default="none",
            parser=duration,
            metavar="DURATION",
            help="The least time between two looks for work.",
            rich_help_panel=_TIMES,
        ),
    ] = timedelta(0),
    scheduling_resolution: Annotated[
        timedelta,
        typer.Option(
            envvar="SHADOWS_WORKER_SCHEDULING_RESOLUTION",
            show_default="none",
            parser=duration,
            metavar="DURATION",
            help="The least time between two looks for what is due.",
            rich_help_panel=_TIMES,
        ),
    ] = timedelta(0),
    processes: Annotated[
        int | None,
        typer.Option(
            envvar="SHADOWS_WORKER_PROCESSES",
            metavar="N",
            min=1,
            max=1024,
            help="How many worker processes to keep running, under one supervisor; the dead are replaced.",
            show_default="one, without a supervisor",
            rich_help_panel=_PROCESSES,
        ),
    ] = None,
    max_tasks: Annotated[
        int | None,
        typer.Option(
            envvar="SHADOWS_WORKER_MAX_TASKS",
            metavar="N",
            min=1,
            help="Replace a worker process when it has started that many runs; it finishes them.",
            show_default="never",
            rich_help_panel=_PROCESSES,
        ),
    ] = None,
    max_memory: Annotated[
        int | None,
        typer.Option(
            envvar="SHADOWS_WORKER_MAX_MEMORY",
            parser=_size,
            metavar="SIZE",
            help="Replace a worker process when it takes more memory, as 512m or 2g; it finishes what it runs.",
            show_default="never",
            rich_help_panel=_PROCESSES,
        ),
    ] = None,
    healthcheck_port: Annotated[
        int | None,
        typer.Option(
            envvar="SHADOWS_WORKER_HEALTHCHECK_PORT",
            metavar="PORT",
            min=0,
            max=65535,
            help="Answer /livez, /readyz and /depth there; may be the same as --metrics-port.",
            show_default="none",
            rich_help_panel=_SEEING,
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            envvar="SHADOWS_WORKER_METRICS_PORT",
            metavar="PORT",
            min=0,
            max=65535,
            help="Answer /metrics there, for Prometheus.",
            show_default="none",
            rich_help_panel=_SEEING,
        ),
    ] = None,
    bind: Annotated[
        str,
        typer.Option(
            envvar="SHADOWS_WORKER_BIND",
            metavar="ADDRESS",
            help="The address of both ports: this machine alone, unless told otherwise.",
            rich_help_panel=_SEEING,
        ),
    ] = "127.0.0.1",
    logging_level: Annotated[
        str,
        typer.Option(
            envvar="SHADOWS_LOGGING_LEVEL",
            metavar="LEVEL",
            help="debug, info, warning, error or critical.",
            rich_help_panel=_SEEING,
        ),
    ] = "info",
    logging_format: Annotated[
        str | None,
        typer.Option(
            envvar="SHADOWS_LOGGING_FORMAT",
            metavar="rich|plain|json",
            help="How log lines look.",
            show_default="rich on a terminal, else plain",
            rich_help_panel=_SEEING,
        ),
    ] = None,
) -> None:
    """Run a worker until SIGTERM or SIGINT: it finishes what runs, within the grace, and takes nothing new.

    A second signal hands what still runs to other workers at once. Durations are written as 50ms, 10s, 10m, 2h, 1d,
    mm:ss, hh:mm:ss, or a plain number of seconds.
    """
    from shadows.telemetry.logs import LogFormat, set_up_logging
    from shadows.worker.orders import Orders

    formats = [known.value for known in LogFormat]
    if logging_format is not None and logging_format not in formats:
        raise typer.BadParameter(f"--logging-format {logging_format!r}: one of {', '.join(formats)}")
    chosen = LogFormat(logging_format or ("rich" if sys.stderr.isatty() else "plain"))
    set_up_logging(logging_level, chosen)
    options: dict[str, Any] = {
        "shadows_name": shadows,
        "url": server_url(url, url_file),
        "tasks": tasks or [],
        "until_finished": until_finished,
        "concurrency": concurrency,
        "queues": _queues(queues),
    }
    said: dict[str, Any] = {"dependencies": dependencies, "fallback_task": fallback_task}
    said |= {"healthcheck_port": healthcheck_port, "metrics_port": metrics_port}
    options |= {option: value for option, value in said.items() if value is not None}
    if not schedule_automatic_tasks:
        options["schedule_automatic_tasks"] = False
    if healthcheck_port is not None or metrics_port is not None:
        options["bind"] = bind
    durations = {
        "redelivery_timeout": redelivery_timeout,
        "grace": grace,
        "reconnection_delay": reconnection_delay,
        "minimum_check_interval": minimum_check_interval,
        "scheduling_resolution": scheduling_resolution,
    }
    orders = Orders(options, durations, logging_level, chosen, max_tasks, max_memory)
    if processes is None and max_tasks is None and max_memory is None:
        from shadows.worker.process import run_worker

        run_worker({**options, **durations, "name": name})
    else:
        _supervise(orders, processes or 1, name)


def _queues(given: list[str] | None) -> list[str] | dict[str, int] | None:
    """The queues by name, or with their weights where one has any."""
    if not given:
        return None
    weights: dict[str, int] = {}
    for text in given:
        queue, equals, weight = text.partition("=")
        if equals and not (weight.isdecimal() and int(weight) > 0):
            raise typer.BadParameter(
                f"--queues {text!r}: a weight is a whole number, at least 1, as in critical=3"
            )
        weights[queue] = int(weight) if equals else 1
    return weights if any("=" in text for text in given) else list(weights)


def _supervise(orders: "Orders", processes: int, name: str | None) -> None:
    import asyncio

    from shadows.worker.supervisor import Supervisor

    code, message = asyncio.run(Supervisor(orders, processes, name).run())
    if message:
        typer.echo(f"shadows: {message}", err=True)
    raise typer.Exit(code)
