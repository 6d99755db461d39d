// What the live components share: nodes that are made once, and texts that are set as text and only where they changed.
const make = (tag, parent, attributes = {}, text = "") => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  parent.appendChild(node);
  return node;
};
// Only what changed is written: browsers look again at whatever is written, the same or not. What was written last is
// remembered, because reading it back would make them look as well.
const written = new WeakMap();
const fresh = (node, name, value) => {
  let held = written.get(node);
  if (!held) written.set(node, (held = {}));
  if (held[name] === value) return false;
  held[name] = value;
  return true;
};
const tell = (node, text) => {
  if (!fresh(node, "text", text)) return;
  if (node.firstChild?.nodeType === Node.TEXT_NODE && !node.firstChild.nextSibling) node.firstChild.data = text;
  else node.textContent = text;
};
const set = (node, name, value) => {
  if (fresh(node, name, value)) node.setAttribute(name, value);
};
const prop = (node, name, value) => {
  if (fresh(node, `.${name}`, value)) node[name] = value;
};
const style = (node, name, value) => {
  if (fresh(node, `:${name}`, value)) node.style[name] = value;
};

// As many children as there are items, each filled by `fill`.
const list = (parent, items, fill, add) => {
  while (parent.children.length > items.length) parent.lastChild.remove();
  items.forEach((item, k) => fill(parent.children[k] ?? add(), item, k));
  prop(parent, "hidden", !items.length);
};

// A reply: nodes of a few tags, each a text or [tag, ...nodes], of a list with the number that it begins with. Any other
// tag is text, as everything in a reply is.
const REPLY_TAGS = new Set(["p", "br", "hr", "ul", "ol", "li", "blockquote", "pre", "code", "strong", "em"]);
const appendNodes = (parent, nodes) => {
  for (const node of nodes) {
    if (!Array.isArray(node) || !REPLY_TAGS.has(node[0])) {
      parent.append(String(node));
      continue;
    }
    const [tag, ...parts] = node;
    const made = make(tag, parent);
    if (typeof parts[0] === "number") made.start = parts.shift();
    appendNodes(made, parts);
  }
};
// Of one that was cut, up to its last complete sentence; the `whole` one is a click away, which asks nobody.
const read = (place, text, nodes, whole) => {
  if (!fresh(place, "reply", text)) return;
  place.replaceChildren();
  if (!whole) return appendNodes(place, nodes);
  appendNodes(make("div", place, { class: "vp-part vp-short" }), nodes);
  const box = make("details", place, { class: "vp-whole" });
  const summary = make("summary", box);
  make("span", summary, {}, "Show more");
  make("span", summary, {}, "Show less");
  appendNodes(make("div", box, { class: "vp-part" }), whole);
};

// Whether an answer comes too late: to an earlier message than the one that is shown, or to the same while a hand moved
// that now rests.
const overtaken = (last, brought) =>
  last?.session === brought.session &&
  (brought.ack < last.ack || (brought.ack === last.ack && last.settled && !brought.settled));

// Pieces of one page by name: what the wire brings is drawn by the piece that it is for.
const pieces = (window.valuePalette ??= {});

