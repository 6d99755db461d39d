"""One value aligned after another, in an order that the person drags, beside all values at once."""

from __future__ import annotations

import numpy as np
import streamlit as st

from map_core.figures import design
from map_core.figures import orders as compared
from map_core.figures import sequence as drawn
from map_core.jobs import Job
from map_core.orders import Orders, compare_orders
from map_core.sequence import SequentialPath, sequence
from pages.view import background, order, state, style, summary, way_out

#: Rounds that a person can look at, and rounds that are gone through to see when the path has come to its end.
MOST_ROUNDS, SEARCHED = 10, 60
#: Orders that are compared: all of up to four values, and so many drawn ones of more.
MOST_ORDERS = 60

scene, palette = state.current()
assessment = state.assessed(scene, palette)
targets, names, solution = assessment.targets, scene.names, assessment.solution
wanted = [int(j) for j in np.flatnonzero(~np.isnan(targets))]

summary.head("Sequence", "What happens when values are aligned one after another, and what each step takes back.")
summary.palette_line(scene, assessment)
state.undo_line()
if len(wanted) < 2:
    way_out.too_few("A sequence needs two targets at least: with one value there is no other that it could undo.")
    st.stop()
way_out.out_of_reach(
    scene, assessment, "One value after another, each step takes back what the last one gave, as shown below."
)
chosen = order.order(scene, wanted)


def walk(job: Job) -> SequentialPath:
    """One round, then as many as can be looked at, then as many as it takes; each is shown once it is there."""
    for count in (1, MOST_ROUNDS, SEARCHED):
        path = sequence(scene.oracle, targets, chosen, rounds=count, grow_only=grows)
        job.report(path)
        job.check()
        settled = solution is None or grows or path.rounds_to(solution.levels, drawn.NEAR) is not None
        if count >= MOST_ROUNDS and (settled or path.rounds < count):
            break
    return path


def show(job: Job) -> None:
    """The path, in a picture, in words, in a table and as data."""
    whole: SequentialPath | None = job.result or job.partial
    if job.error:
        st.html(style.note(f"The path could not be computed: {job.error}"))
    if whole is None:
        with st.container(height=420, border=False):
            st.html(style.note("" if job.ended else "Aligning one value after another."))
        return
    shown = drawn.Shown(whole.after(rounds), solution, scene.units())
    with st.container(key="sequence_said"):
        st.subheader(drawn.undone(shown))
        for sentence in (drawn.ending(shown), drawn.stopped(shown), _needed(job, whole, shown)):
            if sentence:
                st.html(style.note(sentence))
    if not shown.path.steps:
        return
    st.plotly_chart(drawn.path(shown), key="sequence_path", config=design.CONFIG, alt=drawn.alt(shown))
    st.html(
        style.note(
            "Large dot: the value's own step. Thick line down: what a step took back. Dotted: target. "
            "Diamond: all values at once."
        )
    )
    with st.expander("In words", key="sequence_words"):
        st.html(style.note("Changes under 0.01 standard deviations are left out."))
        for sentence in drawn.summary(shown):
            st.text(sentence)
    with st.expander("Step by step", key="sequence_steps"):
        st.html(style.levels_table(*drawn.table(shown), wide=True))
    st.download_button(
        "Data (CSV)",
        drawn.sequence_csv(shown),
        "sequence.csv",
        "text/csv",
        icon=":material/download:",
        type="tertiary",
        key="sequence_csv",
    )


def _needed(job: Job, whole: SequentialPath, shown: drawn.Shown) -> str:
    if solution is None or grows:
        return ""
    found = whole.rounds_to(solution.levels, drawn.NEAR)
    if found is None and not job.ended:
        return "Counting the rounds that it takes until nothing changes any more."
    return drawn.needed(shown, found, whole.rounds)


def orders() -> None:
    """How much the order matters: of all orders, the one that undoes least and the one that undoes most."""

    def work(job: Job) -> Orders:
        return compare_orders(scene.oracle, targets, rounds=rounds, grow_only=grows, limit=MOST_ORDERS)

    def draw(job: Job) -> None:
        found: Orders | None = job.result
        if job.error:
            st.html(style.note(f"The orders could not be compared: {job.error}"))
        if found is None:
            st.html(style.note("" if job.ended else "Comparing the orders."))
            return
        if found.best is None or found.worst is None:
            return
        ends = () if compared.alike(found) else (("Least is lost", found.best), ("Most is lost", found.worst))
        for label, place in ends:
            its = found.paths[place].order
            with st.container(horizontal=True, vertical_alignment="center", key=f"sequence_{label.split()[0].lower()}"):
                st.html(f'<h4 class="vp-small-title">{label}</h4>', width="content")
                places = [(j, f"{number}. {names[j]}") for number, j in enumerate(its, start=1)]
                st.html(style.chips(places), width="content")
                st.html(style.note(compared.lost(found, place, scene.units())), width="content")
                if st.button(
                    "Use this order",
                    key=f"sequence_use_{place}",
                    type="tertiary",
                    disabled=its == chosen,
                    on_click=order.put,
                    args=(scene, its),
                ):
                    st.rerun()  # the whole page, and not this piece alone
        st.html(style.note(compared.matters(found)))

    background.follow(background.job("orders", (scene.key, targets.tobytes(), rounds, grows), work), draw)


left, right = st.columns([1, 2.1], gap="large")
with left, st.container(key="sequence_order_column"):
    st.subheader("Order")
    order.show(scene, chosen, [f"target p{scene.percentile(j, float(targets[j])):.0f}" for j in chosen])
    rounds = int(
        st.slider(
            "Rounds",
            1,
            MOST_ROUNDS,
            1,
            key="sequence_rounds",
            persist_state="session",
            help="How often the order is gone through. Each round repairs what the last one undid.",
        )
    )
    grows = bool(
        st.toggle(
            "Steps only add",
            key="sequence_grows",
            persist_state="session",
            help="Each step starts from the last model as it is, and never takes weight back from a value.",
        )
    )
with right:
    background.follow(background.job("sequence", (scene.key, targets.tobytes(), chosen, grows), walk), show)
if solution is not None:
    with st.container(key="sequence_orders"):
        st.subheader("Does the order matter?")
        orders()
