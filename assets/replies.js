// The panel of replies: a prompt, where the work is, averages of the candidates, and a reply a column. What is shown comes
// from the page's script and, while replies are written, by the channel (channel.js); the newest counts, by its number.
// Replies come as nodes of a few tags with text in them; everything else is set as text.
const panels = new WeakMap();
const PATIENCE = 1500; // milliseconds without the channel after which the page is asked to draw instead
const SILENCE = 4000; // milliseconds without a frame after which the whole state is asked for, and after as long again the page
const SEEN = 0.5; // replies that begin above this share of the window's height are seen
const RETRY = 4000; // milliseconds after which the page is told again that a generation has ended

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  const root = parentElement.querySelector(".vp-panel");
  if (!root || !data) return;
  let panel = panels.get(root);
  if (!panel) {
    panel = build(root);
    panels.set(root, panel);
  }
  panel.tell = setTriggerValue;
  panel.page = data;
  panel.owned = data.owned;
  if (panel.feed !== data.feed) {
    panel.feed = data.feed;
    panel.watched = null;
    panel.data = null;
  }
  pieces.replies = (brought) => take(panel, brought);
  channel.opened.add(panel.watch);
  connect(data.channel);
  panel.watch();
  show(panel, data);
  clearInterval(panel.timer);
  panel.timer = setInterval(() => look(panel), 500);
  return () => {
    clearInterval(panel.timer);
    channel.opened.delete(panel.watch);
    if (panel.watched && isOpen()) sent({ watch: "" });
    panel.watched = null;
  };
}

// What the channel brings: of each reply only the blocks that it has not brought before.
function take(panel, brought) {
  if (brought.feed !== panel.feed) return;
  const slots = brought.slots.map((slot) => {
    const nodes = [...(panel.wire.get(slot.key) ?? []).slice(0, slot.keep), ...slot.nodes];
    panel.wire.set(slot.key, nodes);
    return { ...slot, nodes };
  });
  panel.heard = performance.now();
  show(panel, { ...brought, slots });
}

function show(panel, data) {
  if (panel.data && panel.data.n > data.n) return;
  // What has ended stays so: the page may have begun to draw before that, and come after the channel.
  if (panel.data?.generation === data.generation && panel.data.ended && !data.ended) return;
  const begins = Boolean(panel.data) && panel.data.generation !== data.generation && !data.ended;
  if (panel.data?.generation !== data.generation) {
    panel.told = -Infinity;
    panel.open.clear();
    panel.heard = panel.again = performance.now();
    if (data.generation) panel.owned = panel.page.generation === data.generation ? panel.page.owned : true;
  }
  panel.data = data;
  draw(panel, data);
  if (begins && panel.owned) reveal(panel.root);
  look(panel);
}

// Scroll to the replies that somebody has just asked for, where they would come below what is seen.
function reveal(root) {
  if (root.getBoundingClientRect().top < innerHeight * SEEN) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  root.scrollIntoView({ block: "start", behavior: still ? "auto" : "smooth" });
}

// What only the page can do: what comes once all is written, and drawing where the channel is not there.
function look(panel) {
  const { data, page } = panel;
  if (!panel.root.isConnected) return clearInterval(panel.timer);
  if (!isOpen()) {
    panel.watched = null;
    connect(page.channel);
  }
  const now = performance.now();
  const behind = data.generation !== page.generation || data.ended !== page.ended;
  if (data.ended && behind && now - panel.told > RETRY) {
    panel.told = now;
    panel.tell("ended", data.generation);
  }
  if (!data.ended && data.generation === page.generation && data.candidates !== page.candidates && panel.asked !== data.candidates) {
    panel.asked = data.candidates; // weights are for so many candidates
    panel.tell("stale", data.candidates);
  }
  const open = isOpen() && !isSilent(panel, now);
  if (data.ended || open) panel.since = now;
  else if (now - panel.since > PATIENCE) {
    panel.since = now + 2 * RETRY;
    panel.tell("lost", Math.round(now));
  }
}

// Whether a socket that is open brings nothing, though it was asked: something on the way holds it back.
function isSilent(panel, now) {
  if (panel.data.ended || now - Math.max(panel.heard, panel.again) < SILENCE) return false;
  const silent = panel.again > panel.heard;
  panel.again = now;
  panel.watched = null;
  panel.watch();
  if (silent) panel.since = Math.min(panel.since, now - PATIENCE - 1);
  return silent;
}

function build(root) {
  root.replaceChildren();
  const panel = { root, slots: new Map(), wire: new Map(), open: new Set(), told: -Infinity, since: performance.now() };
  panel.heard = panel.again = performance.now();
  panel.prompt = make("div", root, { class: "vp-asked" });
  make("span", panel.prompt, {}, "Replies to");
  panel.askedText = make("p", panel.prompt);
  const progress = make("div", root, { class: "vp-progress" });
  panel.status = make("p", progress, { class: "vp-note", role: "status" });
  panel.stop = make("button", progress, { type: "button", class: "vp-link" }, "Stop");
  panel.stop.addEventListener("click", () => {
    if (!sent({ stop: panel.feed })) panel.tell("stop", Date.now());
  });
  panel.notes = make("div", root, { class: "vp-panel-notes" });
  panel.averages = make("div", root, { class: "vp-averages" });
  panel.averagesTitle = make("p", panel.averages, { class: "vp-note" });
  panel.bars = make("ul", panel.averages);
  panel.columns = make("div", root, { class: "vp-columns" });
  panel.watch = () => {
    if (panel.watched === panel.feed || !isOpen()) return;
    panel.watched = panel.feed;
    panel.wire.clear();
    sent({ watch: panel.feed });
  };
  return panel;
}

function draw(panel, data) {
  prop(panel.prompt, "hidden", !data.prompt);
  tell(panel.askedText, data.prompt);
  tell(panel.status, data.status);
  prop(panel.status, "hidden", !data.status);
  prop(panel.stop, "hidden", data.ended || !panel.owned);
  set(panel.root, "data-ended", String(data.ended));
  set(panel.root, "data-generation", data.generation);
  list(panel.notes, data.notes, (node, note) => tell(node, note), () => make("p", panel.notes, { class: "vp-note" }));
  prop(panel.averages, "hidden", !data.bars.length);
  tell(panel.averagesTitle, data.bars_title);
  list(panel.bars, data.bars, drawBar, () => buildBar(panel.bars));
  const keys = new Set(data.slots.map((slot) => slot.key));
  for (const [key, slot] of panel.slots) {
    if (keys.has(key)) continue;
    slot.box.remove();
    panel.slots.delete(key);
  }
  for (const slot of data.slots) {
    let place = panel.slots.get(slot.key);
    if (!place) panel.slots.set(slot.key, (place = buildSlot(panel, slot.key)));
    drawSlot(panel, place, slot);
  }
  prop(panel.columns, "hidden", !data.slots.length);
}

function buildBar(bars) {
  const bar = make("li", bars);
  make("span", bar, { class: "vp-bar-name" });
  make("b", bar);
  const rail = make("span", bar, { class: "vp-bar-rail", "aria-hidden": "true" });
  for (const part of ["before", "after", "target"]) make("i", rail, { class: `vp-${part}` });
  return bar;
}

function drawBar(bar, data) {
  const [name, text, rail] = bar.children, [before, after, target] = rail.children;
  tell(name, data.name);
  tell(text, data.text);
  prop(bar, "title", data.said);
  set(bar, "aria-label", data.said);
  style(before, "width", `${data.before}%`);
  style(after, "left", `${Math.min(data.before, data.after)}%`);
  style(after, "width", `${Math.abs(data.after - data.before)}%`);
  style(after, "background", data.colour);
  style(after, "opacity", data.after < data.before ? "0.45" : "1");
  style(target, "left", `${data.target}%`);
}

function buildSlot(panel, key) {
  const box = make("article", panel.columns, { class: "vp-slot", "data-column": key });
  const head = make("div", box, { class: "vp-name" });
  const place = { box, key, name: make("b", head), tag: make("span", head, { class: "vp-tag" }) };
  place.caption = make("p", box, { class: "vp-caption" });
  place.reply = make("div", box, { class: "vp-reply" });
  place.nodes = [];
  place.more = make("button", box, { type: "button", class: "vp-link vp-more" });
  place.more.addEventListener("click", () => {
    if (!panel.open.delete(key)) panel.open.add(key);
    draw(panel, panel.data);
  });
  place.note = make("p", box, { class: "vp-note" });
  return place;
}

function drawSlot(panel, place, slot) {
  set(place.box, "aria-label", slot.name);
  tell(place.name, slot.name);
  tell(place.tag, slot.tag);
  prop(place.tag, "hidden", !slot.tag);
  tell(place.caption, slot.caption);
  prop(place.caption, "hidden", !slot.caption);
  const whole = Boolean(slot.whole) && panel.open.has(slot.key);
  const nodes = whole ? slot.whole : slot.nodes;
  patch(place.reply, place.nodes, nodes);
  place.nodes = nodes;
  prop(place.reply, "hidden", !nodes.length);
  tell(place.more, whole ? "Show less" : "Show more");
  set(place.more, "aria-expanded", String(whole));
  prop(place.more, "hidden", !slot.whole);
  tell(place.note, slot.note);
  prop(place.note, "hidden", !slot.note);
}

// Make what is there, `old`, into `nodes`: a text that only grew grows in place, so that what was selected stays so.
function patch(parent, old, nodes) {
  let same = 0;
  while (same < old.length && same < nodes.length && alike(old[same], nodes[same])) same += 1;
  const grown = same < old.length && same < nodes.length && grow(parent.childNodes[same], old[same], nodes[same]);
  const kept = grown ? same + 1 : same;
  while (parent.childNodes.length > kept) parent.lastChild.remove();
  if (nodes.length > kept) appendNodes(parent, nodes.slice(kept));
}

const alike = (one, other) => one === other || JSON.stringify(one) === JSON.stringify(other);

// A list's first number, and what is in a node.
const numbered = (node) => (typeof node[1] === "number" ? [node[1], node.slice(2)] : [1, node.slice(1)]);

// Whether a node could be made into another one of the same kind.
function grow(node, old, freshNode) {
  if (!node) return false;
  if (!Array.isArray(old) || !Array.isArray(freshNode)) {
    if (Array.isArray(old) || Array.isArray(freshNode) || node.nodeType !== Node.TEXT_NODE) return false;
    const [before, after] = [String(old), String(freshNode)];
    if (after.startsWith(before)) node.appendData(after.slice(before.length));
    else node.data = after;
    return true;
  }
  if (old[0] !== freshNode[0] || !REPLY_TAGS.has(old[0])) return false;
  const [[start, oldParts], [startNow, parts]] = [numbered(old), numbered(freshNode)];
  if (start !== startNow) return false;
  patch(node, oldParts, parts);
  return true;
}
