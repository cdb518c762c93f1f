"""Print the secret that a tenant's webhooks are signed with where the tenant has none of its own.

It is derived from the plain secret of deploy_normalizer, which is read from its variable (GITHUB_WEBHOOK_SECRET and so
on). Enter it where the webhook is set up; it opens the paths of that tenant only.
"""

from __future__ import annotations

import argparse
import os
import sys

from services.deploy_normalizer.domain.tenant_secrets import derived

VARIABLES = {
    "github": "GITHUB_WEBHOOK_SECRET",
    "gitlab": "GITLAB_WEBHOOK_TOKEN",
    "gitlab-signing": "GITLAB_SIGNING_SECRET",
    "argocd": "ARGOCD_WEBHOOK_TOKEN",
    "generic": "GENERIC_WEBHOOK_SECRET",
}


def main() -> int:
    """Print it; exit code 1 with one sentence when there is nothing to derive it from."""
    parser = argparse.ArgumentParser(prog="python -m scripts.webhook_secret", description=__doc__)
    parser.add_argument("tenant")
    parser.add_argument("provider", choices=VARIABLES)
    asked = parser.parse_args()
    variable = VARIABLES[asked.provider]
    plain = os.environ.get(variable, "")
    if not plain:
        print(f"webhook_secret: {variable} is not set", file=sys.stderr)
        return 1
    try:
        print(derived(plain, asked.tenant))
    except ValueError as exc:
        print(f"webhook_secret: {variable}: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
