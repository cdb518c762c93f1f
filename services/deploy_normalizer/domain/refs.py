"""What a Git ref says of a version: a tag may be one, a branch is none."""

from __future__ import annotations

import re

TAGS, HEADS = "refs/tags/", "refs/heads/"
_NUMBERS = r"\d+(?:[-_.]\d+)*"
_STAGE = r"(?:[-+._]?(?:a|b|rc|alpha|beta|pre|dev|snapshot|final|ga|post|hotfix|build|p)[-_.]?\d*){0,3}(?:\+[\w.-]+)?"
# `v2`, `1.4.2-rc.1`, `release-77`, `checkout@1.4.2`, `checkout-v1.4.2`, `services/checkout/v1.4.2`
_VERSION = re.compile(rf"(?:.*@v?|.*[-/_]v|v|r|rel(?:ease)?[-_.]?v?|build[-_.]?|){_NUMBERS}{_STAGE}", re.IGNORECASE)
_BRANCH = re.compile(r"(?:releases?|hotfix|feature|bugfix|fix|chore|support|stable|maint|users?)/", re.IGNORECASE)


def version_of(ref: str) -> str:
    """Return the version that a ref names, empty for a branch, a commit, or what may be either."""
    if ref.startswith(TAGS):
        return ref.removeprefix(TAGS)
    if ref.startswith("refs/") or _BRANCH.match(ref):
        return ""
    return ref if _VERSION.fullmatch(ref) and not _is_commit(ref) else ""


def _is_commit(ref: str) -> bool:
    return len(ref) in (40, 64) and ref.isalnum()
