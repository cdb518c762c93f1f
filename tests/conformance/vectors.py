"""Third-party test vectors, read from where they are kept: never copied here.

`INCIDENTSCOPE_SHARED` names the folder that holds `conformance/`; without it, `../shared` beside the repository.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("INCIDENTSCOPE_SHARED", ROOT.parent / "shared"))
FOLDER = SHARED / "conformance"


def cases(name: str, **wanted: Any) -> list[Any]:
    """Return the cases of a file as test parameters, those whose members equal `wanted`.

    Without the folder there is one parameter, which is skipped and says what to do.
    """
    file = FOLDER / name
    if not file.exists():
        why = f"the vectors {name} are not at hand: set INCIDENTSCOPE_SHARED to the folder that holds conformance/"
        return [pytest.param(None, marks=pytest.mark.skip(reason=why), id="vectors-missing")]
    found = [c for c in json.loads(file.read_text())["cases"] if all(c.get(k) == v for k, v in wanted.items())]
    assert found, f"{name} has no cases with {wanted}"
    return [pytest.param(case, id=case["id"]) for case in found]
