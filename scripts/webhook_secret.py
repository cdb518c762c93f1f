"""Print the secret that a tenant's webhooks are signed with where it has no plain secret and none of its own.

It is derived from WEBHOOK_ROOT_SECRET of deploy_normalizer. Enter it where the webhook is set up; it opens the paths of
that tenant and provider only.
"""

from __future__ import annotations

import argparse
import os
import sys

from services.deploy_normalizer.domain.tenant_secrets import derived

VARIABLE = "WEBHOOK_ROOT_SECRET"
PROVIDERS = ("github", "gitlab", "gitlab-signing", "argocd", "generic")


def main() -> int:
    """Print it; exit code 1 with one sentence when there is nothing to derive it from."""
    parser = argparse.ArgumentParser(prog="python -m scripts.webhook_secret", description=__doc__)
    parser.add_argument("tenant")
    parser.add_argument("provider", choices=PROVIDERS)
    asked = parser.parse_args()
    root = os.environ.get(VARIABLE, "")
    if not root:
        print(f"webhook_secret: {VARIABLE} is not set", file=sys.stderr)
        return 1
    print(derived(root, asked.provider, asked.tenant))
    return 0


if __name__ == "__main__":
    sys.exit(main())
