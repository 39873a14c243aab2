"""Which commit a checkpoint of the Hugging Face hub has, and whether its files are in the cache or can be fetched."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from backbones.weight_files import CONFIG, SHARDS, WHOLE, require_sound_settings, require_sound_weights

COMMIT = re.compile("[0-9a-f]{40}")
ANSWER_SECONDS = 10
UNREACHABLE: list[str] = []  # why the hub could not be reached; it is not queried again in this process


def cached_commit(checkpoint: str, revision: str) -> str | None:
    """The commit that the local cache has of a revision, with its settings; None where it has none."""
    config = cached_file(checkpoint, CONFIG, revision)
    return config.parent.name if config else None


def cached_file(checkpoint: str, name: str, revision: str) -> Path | None:
    """A file of a checkpoint in the local cache."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(checkpoint, name, revision=revision)
    except HFValidationError:  # what cannot be a hub id
        return None
    return Path(found) if isinstance(found, str) else None


def has_sound_weights(checkpoint: str, commit: str) -> bool:
    """Whether the local cache has all weights of a commit.

    Raises:
        DamagedWeights: it has, and a file cannot be read.
    """
    files = [cached_file(checkpoint, WHOLE, commit)]
    if files[0] is None:
        index = cached_file(checkpoint, SHARDS, commit)
        shards = sorted(set(json.loads(index.read_text())["weight_map"].values())) if index else []
        files = [cached_file(checkpoint, name, commit) for name in shards]
    if not files or None in files:
        return False
    for file in (file for file in files if file):
        require_sound_weights(file)
    if config := cached_file(checkpoint, CONFIG, commit):
        require_sound_settings(config)
    return True


@cache
def hub_commit(checkpoint: str, revision: str) -> str:
    """The commit of a revision, from the cache if its weights are there, or else from the hub, which must have them.

    Raises:
        FileNotFoundError: neither has them; says in one line why.
    """
    from huggingface_hub import constants

    commit = revision if COMMIT.fullmatch(revision) else cached_commit(checkpoint, revision)
    if commit and has_sound_weights(checkpoint, commit):
        return commit
    if constants.HF_HUB_OFFLINE:
        raise FileNotFoundError("it is not in the cache, and HF_HUB_OFFLINE=1 prevents querying the hub")
    if UNREACHABLE:
        raise FileNotFoundError(UNREACHABLE[0])
    from huggingface_hub import HfApi  # here, because importing it takes longer than all else of an offline plan
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().model_info(checkpoint, revision=revision, timeout=ANSWER_SECONDS)
    except HFValidationError:
        raise FileNotFoundError("there is no such folder, and it cannot be a hub id") from None
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise FileNotFoundError("the hub has no such model, or wants a login for it (HF_TOKEN)") from None
    except HfHubHTTPError as error:
        raise FileNotFoundError(f"the hub answers with an error ({_first_line(error)})") from None
    except Exception as error:  # of whichever HTTP library the hub's client uses
        UNREACHABLE.append(f"it is not in the cache, and the hub cannot be reached ({_first_line(error)})")
        raise FileNotFoundError(UNREACHABLE[0]) from None
    names = {file.rfilename for file in info.siblings or []}
    if CONFIG not in names or not {WHOLE, SHARDS} & names:
        raise FileNotFoundError(f"the hub has it without {CONFIG} or {WHOLE}")
    return info.sha or revision


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__
