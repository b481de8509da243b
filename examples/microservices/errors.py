"""Why a call to a service has no answer to work with."""

from __future__ import annotations


class PeerError(Exception):
    """There is no answer to work with."""


class UnavailableError(PeerError):
    """The service did not answer in time, or said that it cannot."""


class SparedError(PeerError):
    """The service was not asked: it has failed too often just now."""


class RejectedError(PeerError):
    """The service is well, and the request was wrong (a status of 4xx)."""
