"""What an export is answered with, in the encoding it came in."""

from __future__ import annotations

import json

from libs.otlp.native import encode_string, varint
from services.otlp_receiver.domain import Encoding


def response_body(warning: str, encoding: Encoding) -> bytes:
    """Return an Export*ServiceResponse: partial_success = 1 with error_message = 2 if there is a warning.

    Nothing counts as rejected then: what was not known to us were no records.
    """
    if encoding is Encoding.JSON:
        return json.dumps({"partialSuccess": {"errorMessage": warning}} if warning else {}).encode()
    return b"\x0a" + encode_string(b"\x12" + encode_string(warning)) if warning else b""


def status_body(code: int, message: str, encoding: Encoding) -> bytes:
    """Return a google.rpc.Status (code = 1, message = 2) in the sender's encoding."""
    if encoding is Encoding.JSON:
        return json.dumps({"code": code, "message": message}).encode()
    return b"\x08" + varint(code) + b"\x12" + encode_string(message)
