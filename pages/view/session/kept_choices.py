"""The choices between replies that this viewer has made, as they survive a reload: by prompt and candidate."""

from __future__ import annotations

from typing import Any

from pages.view.shell.kept_keys import KeptKey

RECORDS: KeptKey[list[dict[str, Any]]] = KeptKey("choices", [], list, lambda kept: [dict(record) for record in kept])
