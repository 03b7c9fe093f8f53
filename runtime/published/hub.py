"""The Hugging Face hub, through its library: what a repository has, and the bytes of its files from any of them on.

The library is asked for listings, addresses, tokens and the transfer itself. Its environment variables hold:
HF_ENDPOINT names another server, HF_TOKEN or a login gives the token, HF_HUB_OFFLINE forbids all. Its own downloads to
a folder are not used: in its newest versions they begin anew whenever they were interrupted (huggingface_hub issue
4196). What they call for the bytes, `file_download.http_get`, goes on from any of them; it stands in no list of public
names, so a test looks it up. Nor is Xet needed: the hub serves every file over plain HTTP.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

from ondevice_sora.base.errors import UserError
from ondevice_sora.base.waiting import waited_for

ANSWER_S = 30.0
"""How long a listing may take."""
LARGEST_BYTES = 10**15
GOES_ON = "The same command goes on where it was."
TRANSPORTS = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3")
"""What the library's versions send requests with. Their errors mean the connection; they have no type in common."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository at a commit. Of large ones the hub tells the SHA-256, of others git's hash of a blob."""

    repository: str
    commit: str
    name: str
    num_bytes: int
    sha256: str | None
    git_sha1: str | None


class Target(Protocol):
    """What a download is written to: a file, of which the library may take back what it has written."""

    def write(self, data: bytes, /) -> int: ...
    def seek(self, position: int, /) -> int: ...
    def tell(self) -> int: ...
    def truncate(self) -> int: ...


def library() -> Any:
    """huggingface_hub, silenced: no bars and no warnings of its own. Raises ModuleNotFoundError."""
    with warnings.catch_warnings(action="ignore"):
        hub: Any = import_module("huggingface_hub")
        for name in ("errors", "file_download", "utils"):
            import_module(f"huggingface_hub.{name}")
        hub.utils.disable_progress_bars()
    hub.utils.logging.set_verbosity(logging.CRITICAL)
    return hub


def listed(repository: str, revision: str) -> dict[str, RemoteFile]:
    """The files of a repository by name, of the commit that `revision` is now. Raises UserError."""
    hub = library()
    api = hub.HfApi()
    with _told(api.endpoint, repository):
        try:
            found = waited_for(
                lambda _: api.model_info(repository, revision=revision, files_metadata=True, timeout=ANSWER_S)
            )
            return _files(repository, found)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, OSError):  # an answer of the hub, which says what is wrong
                raise
            raise UserError("the answer is not a listing of the hub's", api.endpoint, "Check HF_ENDPOINT.") from None


def _files(repository: str, found: Any) -> dict[str, RemoteFile]:
    """What a listing says. Raises ValueError for what cannot be so."""
    if not re.fullmatch(r"[0-9a-f]{40,64}", found.sha or ""):
        raise ValueError("no commit")
    files = {}
    for each in found.siblings:
        num_bytes, sha256, git_sha1 = each.size, each.lfs.sha256 if each.lfs else None, each.blob_id
        if type(num_bytes) is not int or not 0 <= num_bytes <= LARGEST_BYTES:
            continue  # a file without a size cannot be fetched safely; one that is needed is then missing
        if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise ValueError("no checksum")
        git_sha1 = git_sha1 if sha256 is None and re.fullmatch(r"[0-9a-f]{40}", git_sha1 or "") else None
        files[each.rfilename] = RemoteFile(repository, found.sha, each.rfilename, num_bytes, sha256, git_sha1)
    return files


def fetch(file: RemoteFile, target: Target, have: int) -> None:
    """Write the bytes of a file from `have` on to `target`, which stands there. Raises UserError, and as `target` does.

    The library tries again where a connection breaks off, and gives up after a few times without a byte.
    """
    hub = library()
    api = hub.HfApi()
    url = hub.hf_hub_url(file.repository, file.name, revision=file.commit, endpoint=api.endpoint)
    headers = hub.utils.build_hf_headers() | {"Accept-Encoding": "identity"}
    with _told(api.endpoint, file.repository):
        hub.file_download.http_get(url, target, resume_size=have, headers=headers, expected_size=file.num_bytes)


@contextmanager
def _told(endpoint: str, repository: str) -> Iterator[None]:
    """What the library raises, in words. Other errors pass."""
    errors = library().errors
    try:
        yield
    except errors.GatedRepoError:
        raise UserError(
            "its terms have not been accepted, or not with this token",
            repository,
            f"Accept them on {endpoint}/{repository}, and give that account's token in HF_TOKEN.",
        ) from None
    except errors.RepositoryNotFoundError:
        raise UserError(
            f"{endpoint} has no such repository, or not for everybody",
            repository,
            "Check HF_ENDPOINT; a token in HF_TOKEN opens private ones.",
        ) from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{endpoint} does not have this revision of it", repository) from None
    except errors.EntryNotFoundError as error:
        raise UserError(f"a file is not there any more ({_line(error)})", repository) from None
    except errors.OfflineModeIsEnabled:
        raise UserError("downloads are switched off", "HF_HUB_OFFLINE", "Unset it, and TRANSFORMERS_OFFLINE.") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status in (401, 403):
            what, mend = f"{endpoint} refuses access (status {status})", "Give another token in HF_TOKEN, or none."
        else:
            what, mend = f"{endpoint} answers with status {status}", f"Try again later. {GOES_ON}"
        raise UserError(what, repository, mend) from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in TRANSPORTS:
            raise
        raise UserError(
            f"{endpoint} cannot be reached, or the connection broke off ({_line(error)})",
            repository,
            f"Check the connection, or name a mirror in HF_ENDPOINT. {GOES_ON}",
        ) from None


def _line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
