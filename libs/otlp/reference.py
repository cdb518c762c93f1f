"""Decoding through opentelemetry-proto: the complete path, and the oracle of any faster one."""

from __future__ import annotations

from functools import partial
from typing import Final

from libs.otlp.batch import Decode
from libs.otlp.logs import LOGS
from libs.otlp.metrics import METRICS
from libs.otlp.spans import SPANS
from libs.otlp.walk import decode

decode_logs: Final[Decode] = partial(decode, LOGS)
decode_spans: Final[Decode] = partial(decode, SPANS)
decode_metrics: Final[Decode] = partial(decode, METRICS)
