"""The choices between replies that this viewer has made, by prompt and candidate; they survive a reload."""

from __future__ import annotations

from typing import Any

from pages.view.shell.kept_keys import KeptKey

RECORDS: KeptKey[list[dict[str, Any]]] = KeptKey("choices", [], list, lambda kept: [dict(record) for record in kept])
