// The desk: a fader a value, in one component with one state. Data are numbers and names; names are set as text only.
// What the hand does is sent as changes since the page heard last, so that nothing is lost when answers come late: by
// the channel (channel.js) while it moves, and to the page when it rests. On the server live_channel.py takes a message
// in, drag_session.py answers it, faders.py reads the changes and live_answer.py computes what comes back to take().
const desks = new WeakMap();
const PACE = 22; // milliseconds between two messages while a fader moves: about 45 a second
const PATIENCE = 120; // after so long another message goes out even if the last one is unanswered
const LATE = 50; // milliseconds without an answer after which a guess stands in for it
const MODES = [
  ["at_least", "at least"],
  ["keep", "keep as it is"],
  ["may_drop", "may drop to"],
  ["free", "no preference"],
];
const NONE = "–"; // in place of the number where nothing is asked
const clamp = (p) => Math.min(100, Math.max(0, p));
const shown = (p, decimals) => String(Math.round(p * 10 ** decimals) / 10 ** decimals);
const count = (fader) => (fader.share ? "of 100 replies" : "");

export default function (component) {
  const { parentElement, data, setStateValue } = component;
  const root = parentElement.querySelector(".vp-desk");
  if (!root || !data) return;
  let desk = desks.get(root);
  const first = !desk;
  if (first) {
    desk = { root, rows: new Map(), pending: new Map(), seq: data.ack, sent: 0, gesture: 0, timer: 0 };
    desk.id = Math.random().toString(36).slice(2, 8);
    desks.set(root, desk);
  }
  desk.send = (told) => setStateValue("moved", told);
  const last = desk;
  pieces.desk = (brought) => take(last, brought);
  pieces.lost = () => last.pending.size && settle(last, `${last.id}${last.gesture}`, false);
  pieces.leave = () => keepMoves([...last.pending].map(([name, { told }]) => [name, told]));
  connect(data.channel);
  take(desk, data);
  if (first) for (const [name, told] of takeMoves()) if (desk.rows.has(name)) change(desk, name, told, ++desk.gesture, true);
}

// An answer: what the page has heard of is no longer pending, what is still pending stays as the hand set it.
function take(desk, data) {
  if (overtaken(desk.data, data)) return;
  if (data.session !== desk.data?.session) desk.pending.clear();
  desk.data = { ...desk.data, ...data };
  desk.seq = Math.max(desk.seq, data.ack);
  if (data.settled) for (const [name, move] of desk.pending) if (move.seq <= data.ack) desk.pending.delete(name);
  const names = data.faders.map((fader) => fader.name);
  if (names.join("\n") !== [...desk.rows.keys()].join("\n")) build(desk, data.faders);
  clearTimeout(desk.late);
  desk.late = 0;
  desk.guessing = false;
  draw(desk);
  if (desk.due) flush(desk);
}

function build(desk, faders) {
  desk.root.replaceChildren();
  desk.rows.clear();
  for (const fader of faders) desk.rows.set(fader.name, row(desk, fader));
}

function row(desk, fader) {
  const box = make("div", desk.root, { class: "vp-row", "data-value": fader.name });
  box.style.setProperty("--hue", fader.colour);
  const head = make("div", box, { class: "vp-row-head" });
  const name = make("span", head, { class: "vp-row-name" });
  name.textContent = fader.title;
  if (fader.card) name.title = fader.card;
  const controls = make("div", head, { class: "vp-row-controls" });
  const mode = make("select", controls, { class: "vp-mode", "aria-label": `${fader.title}: what is asked` });
  for (const [value, label] of MODES) make("option", mode, { value }).textContent = label;
  // What changes at every move stands in boxes of a fixed size that are no items of a grid, so that it alone is laid out.
  const number = make("input", make("span", controls, { class: "vp-number-box" }), {
    class: "vp-number", type: "text", inputmode: "decimal", size: "4", autocomplete: "off",
  });
  // What is asked beyond averages is always asked and never lowered for others: it has neither mode nor lock.
  if (fader.protection) {
    box.dataset.protection = "true";
    make("span", controls, { class: "vp-unit" }).textContent = count(fader);
  }
  const lock = make("button", controls, { class: "vp-lock", type: "button" });
  make("i", lock, { "aria-hidden": "true" });
  const track = make("div", make("div", box, { class: "vp-lane" }), { class: "vp-track" });
  const parts = {};
  for (const part of ["rail", "left", "right", "want", "error", "base", "guess", "needle"]) {
    parts[part] = make("span", track, { class: `vp-f-${part}`, "aria-hidden": "true" });
  }
  const handle = make("span", track, {
    class: "vp-handle", role: "slider", tabindex: "0", "aria-label": fader.title,
    "aria-valuemin": "0", "aria-valuemax": "100", "aria-orientation": "horizontal",
  });
  const said = make("div", make("div", box, { class: "vp-row-foot" }), { class: "vp-row-said" });
  const one = { fader, box, mode, number, lock, track, handle, said, ...parts, typed: "", kept: fader.target };
  listen(desk, fader.name, one);
  return one;
}

// What a fader asks for now: what the hand did since the last answer, else what the answer says.
function now(desk, name) {
  const fader = desk.data.faders.find((one) => one.name === name);
  return { ...fader, ...desk.pending.get(name)?.told };
}

function modeOf(state) {
  if (state.protection) return "at_least";
  if (state.free) return "free";
  if (state.keep) return "keep";
  return state.percentile < state.base ? "may_drop" : "at_least";
}

function change(desk, name, told, gesture, final) {
  const before = desk.pending.get(name)?.told ?? {};
  desk.pending.set(name, { seq: desk.seq + 1, told: { ...before, ...told } });
  desk.due = { gesture: `${desk.id}${gesture}`, final };
  pieces.asked?.(desk.data.session, desk.seq + 1);
  flush(desk);
  draw(desk);
  desk.late ||= setTimeout(() => {
    desk.guessing = true;
    draw(desk);
  }, LATE);
}

function flush(desk) {
  clearTimeout(desk.timer);
  if (!desk.due) return;
  const waited = performance.now() - desk.sent;
  const outstanding = desk.seq - desk.data.ack;
  const wait = desk.due.final ? 0 : outstanding >= 1 ? PATIENCE - waited : PACE - waited;
  if (wait > 0) {
    desk.timer = setTimeout(() => flush(desk), wait);
    return;
  }
  desk.seq += 1;
  desk.sent = performance.now();
  const changes = {};
  for (const [name, one] of desk.pending) {
    one.seq = desk.seq;
    changes[name] = one.told;
  }
  const told = { session: desk.data.session, seq: desk.seq, changes, ...desk.due };
  desk.due = null;
  desk.root.dataset.covers = desk.seq;
  connect(desk.data.channel);
  if (!sent(told) || told.final) desk.send(told);
}

function listen(desk, name, one) {
  const { track, handle, mode, number, lock, box } = one;
  const at = (event) => {
    const place = track.getBoundingClientRect();
    const steps = desk.data.decimals ? 2 : 1; // a place is whole where no digits of it are shown
    return Math.round(clamp(((event.clientX - place.left) / place.width) * 100) * steps) / steps;
  };
  const to = (percentile, gesture, final) =>
    change(desk, name, { percentile: clamp(percentile), free: false, keep: false }, gesture, final);
  let drag = null;

  track.addEventListener("pointerdown", (event) => {
    if (event.button || now(desk, name).constant) return;
    const touch = event.pointerType === "touch" && event.target !== handle;
    drag = { id: event.pointerId, gesture: ++desk.gesture, x: event.clientX, y: event.clientY, waiting: touch };
    if (touch) return; // a finger on the track may want to scroll: it has to move sideways first
    begin(event);
  });
  const begin = (event) => {
    drag.waiting = false;
    try {
      track.setPointerCapture(event.pointerId);
    } catch {
      // The pointer is gone already: the moves that still come are heard all the same.
    }
    box.classList.add("vp-held");
    handle.focus({ preventScroll: true });
    // A press on the handle alone does not move it; one beside it does.
    if (event.target !== handle || event.type === "pointermove") to(at(event), drag.gesture, false);
    event.preventDefault();
  };
  track.addEventListener("pointermove", (event) => {
    if (!drag || event.pointerId !== drag.id) return;
    if (drag.waiting) {
      const dx = Math.abs(event.clientX - drag.x), dy = Math.abs(event.clientY - drag.y);
      if (dx < 6 || dx < dy) return;
      begin(event);
      return;
    }
    const next = at(event);
    const state = now(desk, name);
    drag.moved = true;
    if (next !== state.percentile || state.free || state.keep) to(next, drag.gesture, false);
  });
  const end = (event) => {
    if (!drag || event.pointerId !== drag.id) return;
    const { gesture, waiting } = drag;
    drag = null;
    box.classList.remove("vp-held");
    if (!waiting) settle(desk, `${desk.id}${gesture}`);
  };
  track.addEventListener("pointerup", end);
  track.addEventListener("pointercancel", end);
  const averages = () => !now(desk, name).protection;
  track.addEventListener("dblclick", () => averages() && change(desk, name, { free: true }, ++desk.gesture, true));

  handle.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || now(desk, name).constant) return;
    const state = now(desk, name), p = state.free || state.keep ? state.base : state.percentile;
    const step = event.shiftKey ? 0.1 : 1;
    const next = {
      ArrowRight: p + step, ArrowUp: p + step, ArrowLeft: p - step, ArrowDown: p - step,
      PageUp: p + 10, PageDown: p - 10, Home: 0, End: 100,
    }[event.key];
    if (next !== undefined) {
      const fresh = performance.now() - (one.typing ?? 0) > 1200;
      one.typing = performance.now();
      if (fresh) one.run = ++desk.gesture;
      to(event.key.startsWith("Arrow") && step === 1 ? Math.round(next) : Math.round(next * 10) / 10, one.run, false);
      one.keyed = true;
    } else if (/^\d$/.test(event.key)) {
      number.value = event.key;
      number.focus();
      number.setSelectionRange(1, 1);
    } else if (averages() && (event.key === "Delete" || event.key === "Backspace")) {
      change(desk, name, { free: !state.free }, ++desk.gesture, true);
    } else if (averages() && event.key.toLowerCase() === "l") {
      change(desk, name, { locked: !state.locked }, ++desk.gesture, true);
    } else {
      return;
    }
    event.preventDefault();
  });

  // Keys that are held down are one movement, which ends when they are let go.
  const released = () => {
    if (one.keyed) settle(desk, `${desk.id}${one.run}`);
    one.keyed = false;
  };
  handle.addEventListener("keyup", released);
  handle.addEventListener("blur", released);

  mode.addEventListener("change", () => {
    const state = now(desk, name), base = state.base;
    const own = state.percentile;
    const asked = {
      free: { free: true },
      keep: { keep: true, free: false, percentile: base },
      at_least: { keep: false, free: false, percentile: own > base + 0.05 ? own : clamp(Math.round(base) + 10) },
      may_drop: { keep: false, free: false, percentile: own < base - 0.05 ? own : clamp(Math.round(base) - 10) },
    }[mode.value];
    change(desk, name, asked, ++desk.gesture, true);
  });
  lock.addEventListener("click", () => change(desk, name, { locked: !now(desk, name).locked }, ++desk.gesture, true));

  const typed = (keep) => {
    const p = Number(number.value.trim().replace(/^p/i, "").replace(",", "."));
    const state = now(desk, name);
    const valid = keep && number.value !== one.text && number.value.trim() !== "" && Number.isFinite(p) && p >= 0 && p <= 100;
    if (valid && (state.free || state.keep || Math.abs(p - state.percentile) > 0.049)) to(p, ++desk.gesture, true);
    number.setAttribute("aria-invalid", String(keep && number.value.trim() !== "" && !valid && number.value !== one.text));
    one.editing = false;
    draw(desk);
  };
  number.addEventListener("focus", () => { one.editing = true; if (number.value.length > 1) number.select(); });
  number.addEventListener("blur", () => typed(true));
  number.addEventListener("keydown", (event) => {
    if (event.key === "Enter") { typed(true); handle.focus(); }
    if (event.key === "Escape") { typed(false); handle.focus(); }
  });
}

// The last word of a gesture: everything that was kept from the moves in between is computed now.
function settle(desk, gesture, final = true) {
  desk.due = { gesture, final };
  flush(desk);
}

function draw(desk) {
  const { faders, predict, settled } = desk.data;
  const waiting = desk.guessing && [...desk.pending.values()].some((one) => one.seq > desk.data.ack);
  set(desk.root, "data-settled", String(settled && !desk.pending.size));
  // What the next answer has to carry for the last move to be in it.
  desk.root.dataset.covers = desk.due ? desk.seq + 1 : desk.seq;
  const moved = faders.map((fader) => {
    const told = desk.pending.get(fader.name)?.told;
    if (!told || told.percentile === undefined || fader.free) return 0;
    return told.percentile - fader.percentile;
  });
  faders.forEach((fader, k) => drawRow(desk, desk.rows.get(fader.name), fader, waiting, k, moved, predict));
}

function drawRow(desk, one, fader, waiting, k, moved, predict) {
  if (!one) return;
  const state = now(desk, fader.name), mode = modeOf(state);
  const { box, handle, number, lock, said } = one;
  const p = state.free || state.keep ? state.base : state.percentile;
  set(box, "data-mode", mode);
  set(box, "data-locked", String(state.locked));
  set(box, "data-constant", String(fader.constant));
  style(handle, "left", `${p}%`);
  style(one.base, "left", `${fader.base}%`);
  // Hatched: not possible with the other targets. A range that is not known leaves only what is never possible.
  const [low, high] = fader.range ?? fader.ever;
  style(one.left, "width", `${clamp(low)}%`);
  style(one.right, "left", `${clamp(high)}%`);
  const from = Math.min(p, fader.base), to = Math.max(p, fader.base);
  style(one.want, "left", `${from}%`);
  style(one.want, "width", mode === "free" ? "0%" : `${to - from}%`);
  const has = fader.level !== null;
  prop(one.needle, "hidden", !has);
  prop(one.error, "hidden", !has || !fader.error);
  if (has) {
    const shift = waiting && predict ? predict[k].reduce((sum, slope, j) => sum + slope * moved[j], 0) : 0;
    style(one.needle, "left", `${clamp(fader.level)}%`);
    prop(one.guess, "hidden", Math.abs(shift) < 0.25);
    style(one.guess, "left", `${clamp(fader.level + shift)}%`);
    set(one.track, "data-stale", String(waiting));
    set(one.track, "data-near", String(fader.near));
    if (fader.error) {
      style(one.error, "left", `${clamp(fader.error[0])}%`);
      style(one.error, "width", `${clamp(fader.error[1]) - clamp(fader.error[0])}%`);
    }
  } else {
    prop(one.guess, "hidden", true);
  }
  if (document.activeElement !== one.mode && one.mode.value !== mode) one.mode.value = mode;
  const { decimals } = desk.data;
  const mark = fader.mark ?? desk.data.mark, place = fader.protection ? "target" : desk.data.place;
  const told = desk.pending.get(fader.name)?.told;
  const at = told && "percentile" in told ? `${mark}${shown(p, decimals)}` : fader.shown;
  const typed = mode === "free" ? NONE : at;
  set(number, "aria-label", `${fader.title}: ${place}`);
  if (!one.editing) {
    one.text = typed;
    if (number.value !== typed) number.value = typed;
  }
  set(lock, "aria-pressed", String(state.locked));
  set(lock, "aria-label", `${fader.title}: must not be lowered`);
  prop(lock, "title", state.locked ? "Locked: must not be lowered" : "Lock: must not be lowered");
  prop(lock, "disabled", mode === "free");
  tell(said, fader.said);
  set(handle, "aria-valuenow", shown(p, 1));
  const asked = {
    at_least: `at least ${at} ${count(fader)}`.trim(), may_drop: `may drop to ${at}`, keep: "keep as it is",
    free: "no preference",
  }[mode];
  set(handle, "aria-valuetext", `${asked}${state.locked && mode !== "free" ? ", locked" : ""}. ${fader.spoken}`);
  set(handle, "aria-disabled", String(fader.constant));
}
