"""Open the file system of a URI: a local folder, S3 or Google Cloud Storage; credentials never come from the URI."""

from __future__ import annotations

import os
from urllib.parse import parse_qsl, urlsplit

import pyarrow.fs as pafs

ATTEMPTS = 8  # of one request to S3, with waits that double from about 1 s to 20 s
REQUEST_SECONDS = 60.0  # without an answer, after which a request is sent again
CONNECT_SECONDS = 10.0
RETRY_SECONDS = 120  # Google Cloud Storage limits the time of all attempts instead
S3_SETTINGS = ("endpoint_override", "region", "scheme")  # allowed after the ? of an s3:// URI


def open_file_system(location: str) -> tuple[pafs.FileSystem, str]:
    """Return the file system of a URI and the path in it; requests to object stores are repeated with increasing waits.

    Every setting of `s3://bucket/path?endpoint_override=HOST:PORT&scheme=http&region=NAME` is optional. The endpoint
    defaults to `AWS_ENDPOINT_URL_S3`, then `AWS_ENDPOINT_URL`, then Amazon's. Credentials come from the environment, a
    profile or the machine's role.

    Raises:
        ValueError: an unknown setting.
    """
    parts = urlsplit(location)
    if parts.scheme in ("gs", "gcs"):
        joint = "&" if parts.query else "?"
        limit = "" if "retry_limit_seconds" in parts.query else f"{joint}retry_limit_seconds={RETRY_SECONDS}"
        return pafs.FileSystem.from_uri(location + limit)  # type: ignore[no-any-return]
    if parts.scheme != "s3":
        return pafs.FileSystem.from_uri(location)  # type: ignore[no-any-return]
    settings = dict(parse_qsl(parts.query))
    if unknown := set(settings) - set(S3_SETTINGS):
        raise ValueError(
            f"Unknown setting in an s3:// URI: {', '.join(sorted(unknown))}. Choose from: {', '.join(S3_SETTINGS)}"
        )
    named = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if named and "endpoint_override" not in settings:
        endpoint = urlsplit(named)
        settings = {"scheme": endpoint.scheme, "endpoint_override": endpoint.netloc, **settings}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if "region" not in settings and not region and "endpoint_override" not in settings:
        region = pafs.resolve_s3_region(parts.netloc)
    system = pafs.S3FileSystem(
        **{"region": region, **settings},
        retry_strategy=pafs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        request_timeout=REQUEST_SECONDS,
        connect_timeout=CONNECT_SECONDS,
        allow_delayed_open=True,  # a small file is one upload
    )
    return system, f"{parts.netloc}{parts.path}".rstrip("/")


def refuse_credentials(location: str) -> None:
    """Refuse a URI with a user, a password or a key: it would be in every log, and in what Ray sends to workers.

    Raises:
        ValueError: the URI contains credentials; the message does not repeat them.
    """
    parts = urlsplit(location)
    user = parts.netloc.rpartition("@")[0]
    if user not in ("", "anonymous") or any("key" in name or "token" in name for name, _ in parse_qsl(parts.query)):
        raise ValueError(
            f"A URI must not contain credentials; got one for {parts.scheme}://{parts.netloc.rpartition('@')[2]}. "
            "Use AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, a profile or the role of "
            "the machine"
        )
