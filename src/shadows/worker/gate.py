"""The gate: asks for what runs need before they may start, all that ask in one turn of the loop together."""

from collections.abc import Sequence

from shadows.protocol.acquire import Admission, Claim


class Gate:
    """Where runs under limits are admitted."""

    async def acquire(self, token: str, key: str, claims: Sequence[Claim]) -> Admission:  # noqa: ARG002
        """Whether the run may start; what may not is set aside or ended by the time of the answer."""
        return Admission.GRANTED
