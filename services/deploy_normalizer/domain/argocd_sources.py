"""Where an Argo CD application comes from: one source, or several with a revision each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

from services.deploy_normalizer.domain.fields import (
    NAME_CHARS,
    URL_CHARS,
    BadField,
    Json,
    lookup,
    optional_text,
    text_of,
)

MOST = 100
SHORT_CHARS = 12  # of a revision that is one of many
_NOTHING = frozenset({"<no value>", "<nil>", "null", "None"})  # what templates write for what is not there


@dataclass(frozen=True, slots=True)
class Source:
    """A repository as `owner/name`, or a chart, and the revision of it that is synced; empty is unknown."""

    repository: str
    chart: str
    revision: str

    def __str__(self) -> str:
        """Return it for a person."""
        return "@".join(filter(None, (self.repository or self.chart or "?", self.revision)))


def read(body: Json) -> tuple[Source, ...]:
    """Return a notification's sources, at least one; raises BadField."""
    only = Source(
        repository_of(optional_text(body, "repository", limit=URL_CHARS)), "", known(optional_text(body, "revision"))
    )
    revisions = [_revision(value) for value in _list(body, "revisions")]
    sources = _list(body, "sources")
    if not any(revisions) and not sources:
        return (only,)
    pairs = zip_longest(sources, revisions, fillvalue=None)
    return tuple(_source(source, revision or "") for source, revision in pairs)


def revision_of(sources: tuple[Source, ...]) -> str:
    """Return the revisions together, shortened where there is no room for all of them."""
    revisions = [source.revision for source in sources if source.revision]
    together = ", ".join(revisions)
    return together if len(together) <= NAME_CHARS else ", ".join(r[:SHORT_CHARS] for r in revisions)[:NAME_CHARS]


def chart_of(sources: tuple[Source, ...]) -> str:
    """Return the version of the only chart among several sources; empty when it is not clear."""
    charts = [source.revision for source in sources if source.chart]
    return charts[0] if len(charts) == 1 else ""


def repository_of(address: str) -> str:
    """`owner/name` of a Git address, without host, user or password; empty when it does not look like one."""
    text = known(address).removesuffix("/").removesuffix(".git")
    path = text.partition("://")[2].partition("/")[2] if "://" in text else text.partition(":")[2]
    return path[:NAME_CHARS] if "/" in path else ""


def known(text: str) -> str:
    """Return a text, empty where it is what a template writes for a value that is not there."""
    return "" if text in _NOTHING else text


def _list(body: Json, path: str) -> list[object]:
    value = lookup(body, path)
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MOST:
        raise BadField(path, f"must be a list of at most {MOST}")
    return value


def _revision(value: object) -> str:
    return known(text_of(value, "revisions"))


def _source(value: object, revision: str) -> Source:
    if value is None:
        return Source("", "", revision)
    if not isinstance(value, Mapping):
        raise BadField("sources", "must be a list of objects")
    chart = known(text_of(value.get("chart"), "sources"))
    address = text_of(value.get("repoURL"), "sources", limit=URL_CHARS)
    return Source("" if chart else repository_of(address), chart, revision)
