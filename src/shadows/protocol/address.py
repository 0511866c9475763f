"""Where a shadow's server is."""

from redis.credentials import CredentialProvider
from redis.exceptions import MovedError, ResponseError

from shadows import embedded
from shadows.errors import ServerUnsupported

from . import nodes
from .cluster import Cluster
from .credentials import Credentials
from .seeking import Seeker, Turn
from .sentinel import Sentinels
from .url import check_url, mask


class Address:
    """Where a shadow's server is: of several, the one that has the shadow of that name."""

    __slots__ = ("_seeker", "_url", "credentials", "shown")

    def __init__(
        self, url: str, credential_provider: CredentialProvider | None = None, *, name: str = ""
    ) -> None:
        self._url = check_url(url)
        self.shown = mask(self._url)
        """The URL without its password."""
        self.credentials = Credentials.checked(credential_provider, self._url)
        self._seeker = _seeker(self._url, name, self.credentials)

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    def locate(self) -> str:
        """The URL to connect to; blocks where `looks`: an embedded server is started first, one of several sought."""
        if self._seeker is not None:
            return self._seeker.locate()
        if embedded.is_embedded(self._url):
            return f"unix://{embedded.enter(self._url)}"
        return self._url

    @property
    def looks(self) -> bool:
        """Whether `locate` has to look, or to do more than that."""
        return self._seeker is not None or embedded.is_embedded(self._url)

    @property
    def mode(self) -> str:
        """What the URL names: cluster, sentinel, or standalone."""
        return "standalone" if self._seeker is None else self._seeker.mode

    def turn(self, error: ResponseError, host: str) -> Turn | None:
        """What to do about a request that the server on `host` refused; None where it is the request's own matter.

        Raises:
            ServerUnsupported: a cluster, and the URL names one server.
        """
        if self._seeker is not None:
            return self._seeker.turn(error, host)
        if isinstance(error, MovedError):
            raise ServerUnsupported(
                f"{self.shown} is a node of a cluster, and another has this shadow: write redis+cluster:// (or rediss+cluster://)"
            ) from error
        return None

    def beside(self, url: str) -> "Address":
        """Another server that takes the same credentials."""
        other = Address(url)
        other.credentials = self.credentials
        return other


def _seeker(url: str, name: str, credentials: CredentialProvider | None) -> Seeker | None:
    if not nodes.is_several(url):
        return None
    several = nodes.parse(url)
    return Sentinels(several, credentials) if several.primary else Cluster(several, name, credentials)
