"""Environments of a branch or a pull request, which go as it goes: what is rolled out there reaches no users."""

from __future__ import annotations

import re

# `review/my-branch`, `preview/pr-4711`, `pr-12`, `shop PR #12`, `Preview - shop`, `deploy-preview-12`, `ephemeral`
_NAME = re.compile(
    r"(?:^|[^a-z])(?:previews?|reviews?|review-?apps?|ephemeral|(?:pr|mr|pull|pull-request|merge-request)[-_/ ]*#?\d+)"
    r"(?:[^a-z]|$)",
    re.IGNORECASE,
)


def is_preview(environment: str) -> bool:
    """Tell whether an environment's name says that it is a preview."""
    return _NAME.search(environment) is not None
