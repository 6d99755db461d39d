"""The ASGI application: Streamlit with the pages, the live channel, the fonts, and the middleware around them."""

from __future__ import annotations

import streamlit as st
from starlette.middleware import Middleware
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from map_core.core import heap
from pages.view.shell import (
    errors,
    fonts,
    garbage,
    gate,
    live_channel,
    operator,
    packed,
    preload,
    server_limits,
    settings_check,
)

# Each answer is small, and map_core splits its large sums over threads itself: the linear algebra library's own threads
# would only take cores from the browser while they wait for work.
threadpool_limits(limits=1, user_api="blas")
heap.keep_few_arenas()

settings_check.see_true_addresses()
operator.print_token()
settings_check.print_state()
server_limits.allow_large_answers()

app = st.App(
    "pages/navigation.py",
    routes=[live_channel.ROUTE, fonts.ROUTE],
    # The gate is outermost, so that limits are counted by visitor.
    middleware=[Middleware(gate.Gate), Middleware(server_limits.ServerLimits), Middleware(packed.Packed)],
    on_script_error=errors.handle_script_error,
)

preload.begin()
garbage.collect_regularly()
