"""What a page leaves out of a palette is said."""

from __future__ import annotations

from map_core.text.uncounted_targets import uncounted_targets


def test_one_and_several():
    assert uncounted_targets({"humor@Stories": "p60"}) == (
        "This palette also asks for humor@Stories: p60; it is kept, and only the command line counts it."
    )
    both = uncounted_targets({"humor>=p20": 0.95, "humor@Stories": "p60"})
    assert both.endswith("humor>=p20: 0.95, humor@Stories: p60; they are kept, and only the command line counts them.")
