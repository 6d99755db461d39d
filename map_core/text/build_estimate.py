"""Describe what the rest of a build will take."""

from __future__ import annotations

from map_core.building import BuildEstimate
from map_core.core import amounts


def estimate_sentence(estimate: BuildEstimate) -> str:
    """Describe what remains of a build: replies, tokens, time at the measured rate, disk space.

    Args:
        estimate: measured on the build's first prompts.
    """
    seconds = estimate.sampling_seconds + estimate.scoring_seconds
    parts = [f"about {amounts.rough_duration(seconds)}"]
    if estimate.replies:
        drawn = f"{amounts.counted(estimate.replies, 'reply', 'replies', grouped=True)} to draw"
        if estimate.tokens is not None:
            drawn += (
                f" of some {amounts.rounded_up(estimate.tokens)} tokens at "
                f"{amounts.fixed(estimate.tokens_per_second, grouped=True)} a second"
            )
        parts.append(f"{drawn} ({amounts.rough_duration(estimate.sampling_seconds)})")
    parts.append(f"scoring ({amounts.rough_duration(estimate.scoring_seconds)})")
    return (
        f"Left to do, judged by {amounts.counted(estimate.measured, 'prompt')}: {', '.join(parts)}. "
        f"Disk space: {amounts.byte_size(estimate.checkpoint_bytes)} while it is built, "
        f"{amounts.byte_size(estimate.table_bytes)} for the table."
    )
