"""A page as a browser takes it in: its links, and its forms with what each field holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

NOT_SENT = frozenset({"submit", "button"})


@dataclass
class Field:
    """One field of a form: `value` is None for a box that is not ticked; `longest` is 0 without a limit."""

    name: str
    kind: str
    value: str | None
    longest: int = 0
    options: list[str] = field(default_factory=list)


@dataclass
class Form:
    """A form: its method, every address that one of its buttons sends it to, and its fields by name."""

    method: str = "get"
    action: str = ""
    fields: dict[str, Field] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    @property
    def actions(self) -> list[str]:
        """Return its address and those of its buttons."""
        return [self.action, *self.others]

    @property
    def values(self) -> dict[str, str]:
        """Return what is sent."""
        return {f.name: f.value for f in self.fields.values() if f.value is not None}


class Markup(HTMLParser):
    """Reads a page. `forms` are in order, `open` the ids of details that are open, `live` those of parts read again.

    `listens` are the addresses that its script asks.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.forms: list[Form] = []
        self.open: list[str] = []
        self.live: list[str] = []
        self.listens: list[str] = []
        self._by_id: dict[str, Form] = {}
        self._inside: Form | None = None
        self._filled: Field | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in one element."""
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "details" and "open" in given:
            self.open.append(given.get("id", ""))
        self.listens += [given[name] for name in ("data-listen", "data-page") if name in given]
        if "data-live" in given:
            self.live.append(given["id"])
        if tag == "form":
            self._inside = self._named(given["id"]) if "id" in given else Form()
            self._inside.method, self._inside.action = given.get("method", "get"), given.get("action", "")
            self.forms.append(self._inside)
        if tag in ("input", "textarea", "select", "button"):
            self._control(tag, given)
        if tag == "option" and self._filled:
            self._filled.options.append(given["value"])
            if "selected" in given or len(self._filled.options) == 1:
                self._filled.value = given["value"]

    def _named(self, name: str) -> Form:
        return self._by_id.setdefault(name, Form())  # its buttons may come before it

    def _control(self, tag: str, given: dict[str, str]) -> None:
        form = self._named(given["form"]) if "form" in given else self._inside
        assert form is not None, given
        if "formaction" in given:
            form.others.append(given["formaction"])
        kind = given.get("type", "submit" if tag == "button" else tag)
        if kind in NOT_SENT or not given.get("name"):
            return
        ticked = kind != "checkbox" or "checked" in given
        value = given.get("value", "") if ticked else None
        found = form.fields[given["name"]] = Field(given["name"], kind, value, int(given.get("maxlength", 0)))
        self._filled = found if tag in ("select", "textarea") else None

    def handle_data(self, data: str) -> None:
        """Take in the text of a text area."""
        if self._filled and self._filled.kind == "textarea":
            self._filled.value = (self._filled.value or "") + data

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        if tag == "form":
            self._inside = None
        if tag in ("select", "textarea"):
            self._filled = None
