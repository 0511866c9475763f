"""A short run of the chaos suite: real workers killed and stopped under load, on a real server."""

from pathlib import Path

from chaos.checker import check
from chaos.plan import Fault
from chaos.report import lines
from chaos.run import Settings, run


async def test_nothing_is_lost_when_workers_are_killed_and_stopped(tmp_path: Path) -> None:
    settings = Settings(
        seed=1, faults=(Fault.KILL9, Fault.SIGSTOP), tasks=200, workers=3, lease=2.0, seconds=5.0
    )
    evidence = await run(settings, tmp_path)
    verdict = check(evidence)
    assert not verdict.failed, "\n".join(lines(settings, verdict, evidence.events, 0))
    assert verdict.accepted == verdict.completed == 200
    assert {event.fault for event in evidence.events} >= set(settings.faults)
