"""Credentials that a program provides whenever a connection is made, in place of a URL's."""

import asyncio
from urllib.parse import parse_qsl, urlsplit

from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as RedisConnectionError

from shadows import embedded

from . import nodes
from .url import mask


class Credentials(CredentialProvider):
    """A user's provider, of which every failure is one of the connection: it is tried again, as that is."""

    def __init__(self, provider: CredentialProvider) -> None:
        self._provider = provider

    @classmethod
    def checked(cls, provider: CredentialProvider | None, url: str) -> "Credentials | None":
        """The provider, if it can be used with that URL.

        Raises:
            ValueError: the URL has credentials of its own, or names an embedded server, which has none.
        """
        if provider is None:
            return None
        if embedded.is_embedded(url):
            raise ValueError(
                f"credential_provider= with url={url!r}: an embedded server has no credentials, leave it out"
            )
        parts = urlsplit(nodes.parse(url).url(("", 0)) if nodes.is_several(url) else url)
        if parts.username or parts.password or {"username", "password"} & dict(parse_qsl(parts.query)).keys():
            raise ValueError(
                f"credential_provider= with url={mask(url)!r}: the credentials come from one place, leave them out of the URL"
            )
        return cls(provider)

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        try:
            return self._provider.get_credentials()
        except Exception as error:
            raise _no_credentials(error) from error

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        if type(self._provider).get_credentials_async is CredentialProvider.get_credentials_async:
            return await asyncio.to_thread(
                self.get_credentials
            )  # it has but this one, which may take its time
        try:
            return await self._provider.get_credentials_async()
        except Exception as error:
            raise _no_credentials(error) from error


def _no_credentials(error: Exception) -> RedisConnectionError:
    return RedisConnectionError(f"its credential_provider failed with {type(error).__name__}")
