"""The bytes of a webhook to its JSON object."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

from libs.kernel.errors import InvalidInput
from services.deploy_normalizer.domain.fields import Json

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"


def media_type(content_type: str, accepted: tuple[str, ...]) -> str:
    """Return the media type without its parameters; raises InvalidInput when it is not among the accepted."""
    found = content_type.partition(";")[0].strip().lower()
    if found not in accepted:
        raise InvalidInput(
            "unsupported_content_type", f"send {' or '.join(accepted)}, not {found[:100] or 'nothing'!r}"
        )
    return found


def json_object(body: bytes, media: str) -> Json:
    """Return the object in a body, or in the form field `payload` as GitHub can send it; raises InvalidInput."""
    text = _payload(body) if media == FORM_TYPE else body
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise InvalidInput("malformed_json", f"the body is not valid JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise InvalidInput("malformed_json", f"the body must be a JSON object, not {type(value).__name__}")
    return value


def _payload(body: bytes) -> str:
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=10, errors="strict")
    except ValueError as exc:
        raise InvalidInput("malformed_form", f"the body is not a URL-encoded form: {exc}") from exc
    values = fields.get("payload", [])
    if len(values) != 1:
        raise InvalidInput("malformed_form", "the form must have exactly one field `payload`")
    return values[0]
