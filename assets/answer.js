// The answer to a palette: built once, then only its texts and states change, so that a screen reader hears what
// changed. All text is set as text.
const panels = new WeakMap();
const PATIENCE = 10000; // milliseconds for which a press without an answer keeps the panel from asking
const LATE = 300; // milliseconds without an answer after which what is shown is marked as not current

// A text that is there or is not: an empty one takes no room.
const say = (node, text) => {
  tell(node, text);
  prop(node, "hidden", !text);
};

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  const root = parentElement.querySelector(".vp-answer");
  if (!root || !data) return;
  let panel = panels.get(root);
  if (!panel) {
    panel = build(root);
    panels.set(root, panel);
  }
  panel.press = (what) => {
    panel.pressed = { at: performance.now(), what };
    wait(panel, "press");
    setTriggerValue("pressed", what);
  };
  clearInterval(panel.timer);
  const last = panel;
  pieces.answer = (brought) => take(last, brought);
  pieces.asked = (session, ack) => {
    if (last.asked.some((one) => one.ack === ack)) return;
    last.asked.push({ session, ack, at: performance.now() });
    if (!last.awaited.has("move")) wait(last, "move");
  };
  pieces.ran = (running) => {
    if (!running) arrived(last, "run");
    else if (performance.now() - pieces.hand < PATIENCE && !last.awaited.has("run")) wait(last, "run");
  };
  watch();
  // What is computed in the background is asked for again until it is there: this function is not called for an answer
  // that is equal to the one before.
  if (data.again) panel.timer = setInterval(() => ask(panel, setTriggerValue, data.again), data.again);
  take(panel, data);
}

function ask(panel, setTriggerValue, again) {
  if (!panel.root.isConnected) clearInterval(panel.timer); // another page is open
  else if (!isOnItsWay(panel)) setTriggerValue("again", again);
}

// Whether a press has not been answered yet: where the page is busy, a question after it would take its place.
function isOnItsWay({ pressed, data }) {
  return Boolean(pressed) && pressed.what !== data.pressed && performance.now() - pressed.at < PATIENCE;
}

// What is awaited, by name: a timer while it may still come in time, 0 once it is late.
function wait(panel, what, since = performance.now()) {
  clearTimeout(panel.awaited.get(what));
  const left = since + LATE - performance.now();
  panel.awaited.set(what, left > 0 ? setTimeout(() => wait(panel, what, -Infinity), left) : 0);
  mark(panel);
}

function arrived(panel, what) {
  clearTimeout(panel.awaited.get(what));
  panel.awaited.delete(what);
  mark(panel);
}

// An answer that is late is said at once, here and in the line of a narrow screen (style-frame.css).
function mark(panel) {
  const late = panel.root.isConnected && [...panel.awaited.values()].includes(0);
  document.documentElement.classList.toggle("vp-calculating", late);
  set(panel.status, "aria-busy", String(late || !panel.data?.settled));
}

// What else may change the palette (a preset, a slider, the use case) runs the page's script: one that runs for long
// after a hand did something is an answer that is late. The panel's own questions run it too, without a hand.
function touched({ target, type }) {
  const place = target.closest?.(".vp-desk, .vp-answer, [data-testid=stMain], [data-testid=stPopoverBody]");
  if (!place?.matches("[data-testid]")) return;
  pieces.hand = performance.now();
  // A button runs the script for certain, even if the server takes a while to say that it does.
  if (type === "click" && target.closest("[data-testid=stButton] button:enabled")) pieces.ran?.(true);
}

function watch() {
  if (pieces.watching) return;
  pieces.watching = true;
  for (const deed of ["click", "change", "pointerup", "keyup"]) addEventListener(deed, touched, true);
  const state = "data-test-script-state";
  const see = (changes) => changes.forEach(({ target }) => {
    const running = target.getAttribute(state) === "running";
    pieces.ran?.(running);
    if (!running) pieces.hand = -Infinity;
  });
  new MutationObserver(see).observe(document.body, { subtree: true, attributeFilter: [state] });
}

function take(panel, brought) {
  if (overtaken(panel.data, brought)) return;
  const data = (panel.data = { ...panel.data, ...brought });
  panel.asked = panel.asked.filter(({ session, ack }) => session === data.session && ack > data.ack);
  if (panel.asked.length) wait(panel, "move", panel.asked[0].at);
  else arrived(panel, "move");
  if (panel.pressed?.what === data.pressed) arrived(panel, "press");
  if (!data.settled) clearInterval(panel.timer);
  still(panel, !data.settled);
  draw(panel, data);
  if (panel.height) grow(panel);
  // The same in one line, in sight on a narrow screen.
  const strip = document.querySelector(".vp-strip");
  if (strip) {
    if (!strip.classList.contains(`vp-${data.verdict}`)) strip.className = `vp-strip vp-${data.verdict}`;
    const words = strip.querySelector("b");
    if (words.textContent !== data.headline) words.textContent = data.headline; // drawn by the page as well
  }
}

// While the hand moves the panel only grows: what is below stays where it is, and need not be looked at again.
function still(panel, moving) {
  if (moving === Boolean(panel.height)) return;
  panel.height = moving ? panel.root.offsetHeight : 0;
  panel.root.classList.toggle("vp-still", moving);
  panel.root.style.height = moving ? `${panel.height}px` : "";
}

function grow(panel) {
  const needed = panel.root.scrollHeight;
  if (needed <= panel.height) return;
  panel.height = needed;
  panel.root.style.height = `${needed}px`;
}

function build(root) {
  root.replaceChildren();
  const status = make("div", root, { class: "vp-verdict", role: "status", "aria-live": "polite", id: "answer" });
  make("i", status, { class: "vp-icon", "aria-hidden": "true" });
  const texts = make("div", status);
  const panel = { root, status, asked: [], awaited: new Map(), headline: make("h2", texts), sentence: make("p", texts) };
  panel.falls = make("ul", root, { class: "vp-falls", "aria-label": "Falls" });
  panel.ways = make("div", root, { class: "vp-ways" });
  panel.waysTitle = make("h3", panel.ways);
  panel.waysWhy = make("p", panel.ways);
  panel.waysList = make("div", panel.ways, { class: "vp-ways-list" });
  const cost = make("div", root, { class: "vp-cost" });
  panel.costBox = cost;
  const money = make("div", cost, { class: "vp-fact" });
  make("h3", money, {}, "What it costs");
  panel.cost = make("b", money);
  panel.bar = make("span", money, { class: "vp-bar", "aria-hidden": "true" });
  panel.fill = make("i", panel.bar);
  panel.costDetail = make("span", money);
  const gives = make("div", cost, { class: "vp-fact" });
  make("h3", gives, {}, "Hardest target");
  panel.bottleneck = make("b", gives);
  panel.bottleneckDetail = make("span", gives);
  panel.slack = make("span", gives);
  const sure = make("div", cost, { class: "vp-fact" });
  make("h3", sure, {}, "How sure");
  panel.sure = make("span", sure);
  panel.sureVerdict = make("span", sure);
  panel.linesTitle = make("h3", root);
  panel.lines = make("ul", root, { class: "vp-lines" });
  panel.unasked = make("p", root, { class: "vp-unasked" });
  panel.tagsTitle = make("h3", root, {}, "Cost of asking for a little more");
  panel.tags = make("ul", root, { class: "vp-tags" });
  panel.form = make("p", root, { class: "vp-unasked" });
  panel.foot = make("div", root, { class: "vp-foot" });
  panel.undo = make("button", panel.foot, { type: "button", class: "vp-link", "data-press": "undo" }, "Undo");
  panel.redo = make("button", panel.foot, { type: "button", class: "vp-link", "data-press": "redo" }, "Redo");
  panel.last = make("span", panel.foot, { class: "vp-last" });
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-press]");
    if (button && !button.disabled) panel.press(`${button.dataset.press}#${Date.now()}`);
  });
  return panel;
}

function draw(panel, data) {
  const { root, status } = panel;
  set(root, "data-verdict", data.verdict);
  set(root, "data-ack", data.ack);
  prop(status, "className", `vp-verdict vp-${data.verdict}`);
  mark(panel);
  say(panel.headline, data.headline);
  say(panel.sentence, data.sentence);
  list(panel.falls, data.falls, (node, fall, k) => {
    if (!node.firstChild) {
      make("span", node);
      make("button", node, { type: "button", class: "vp-link" }, "Keep it");
    }
    say(node.children[0], `${k ? "" : "Falls: "}${fall.text}`);
    set(node.children[1], "data-press", `keep ${fall.value}`);
    set(node.children[1], "aria-label", `Keep it: ${fall.text.replace(/ by \d+$/, "")} at its original level`);
    prop(node.children[1], "disabled", !data.settled);
  }, () => make("li", panel.falls));
  // While the hand moves the repairs are those of a moment ago: they stay in place, and cannot be pressed.
  const none = data.verdict === "reachable" || data.verdict === "failed";
  prop(panel.ways, "hidden", none);
  say(panel.waysTitle, none ? "" : data.ways.length || !data.settled || data.again ? "How to fix it" : "");
  say(panel.waysWhy, data.why || (none || data.settled ? "" : "Looking for what would work."));
  list(panel.waysList, data.ways, (node, way, k) => {
    if (!node.firstChild) {
      make("b", node);
      make("span", node);
    }
    set(node, "data-press", `way ${k}`);
    prop(node, "disabled", !data.settled);
    say(node.children[0], way.label);
    say(node.children[1], way.meaning);
  }, () => make("button", panel.waysList, { type: "button", class: "vp-way" }));
  prop(panel.costBox, "hidden", !data.cost);
  say(panel.cost, data.cost);
  say(panel.costDetail, data.cost_detail);
  style(panel.fill, "width", `${Math.min(100, 100 * data.share)}%`);
  say(panel.bottleneck, data.bottleneck);
  say(panel.bottleneckDetail, data.bottleneck_detail);
  say(panel.slack, data.slack);
  say(panel.sure, data.sure);
  say(panel.sureVerdict, data.sure_verdict);
  say(panel.linesTitle, data.lines.length ? data.lines_title : "");
  list(panel.lines, data.lines, (node, line) => {
    if (!node.firstChild) for (const tag of ["i", "span", "b", "em"]) make(tag, node);
    const [swatch, name, change, meaning] = node.children;
    style(swatch, "background", line.colour);
    say(name, line.name);
    say(change, line.text);
    say(meaning, line.meaning);
  }, () => make("li", panel.lines));
  say(panel.unasked, data.unasked);
  say(panel.tagsTitle, data.tags.length ? "Cost of asking for a little more" : "");
  list(panel.tags, data.tags, (node, tag) => {
    if (!node.firstChild) for (const part of ["i", "span", "b", "em", "u"]) make(part, node);
    const [swatch, name, cost, takes, grade] = node.children;
    set(node, "data-grade", tag.grade);
    style(swatch, "background", tag.colour);
    say(name, `${tag.name} ${tag.step}`);
    say(cost, tag.cost);
    say(takes, tag.takes);
    say(grade, tag.grade);
  }, () => make("li", panel.tags));
  prop(panel.undo, "disabled", !data.undo);
  prop(panel.redo, "disabled", !data.redo);
  prop(panel.undo, "title", data.undo);
  prop(panel.redo, "title", data.redo);
  say(panel.last, data.last);
  say(panel.form, data.form);
}
