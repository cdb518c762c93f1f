"""`python -m services.deploy_normalizer`."""

from __future__ import annotations

import sys

from pydantic import ValidationError
from pydantic_settings import SettingsError

from services.deploy_normalizer.app import main

if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ValidationError, SettingsError) as exc:
        sys.exit(f"deploy_normalizer: the settings cannot be used: {exc}")
