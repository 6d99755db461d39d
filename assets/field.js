// The live field of candidates: dots that move and grow. Data are numbers and names; names are set as text only.
const SVG = "http://www.w3.org/2000/svg";
const fields = new WeakMap();

const make = (tag, parent, attributes = {}) => {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  parent.appendChild(node);
  return node;
};

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  const svg = parentElement.querySelector("svg");
  let field = fields.get(svg);
  if (!field) {
    field = { dots: new Map(), frame: make("g", svg), crowd: make("g", svg) };
    fields.set(svg, field);
    new ResizeObserver(() => draw(svg, field)).observe(svg);
    svg.addEventListener("keydown", (event) => move(event, field));
  }
  (window.valuePalette ??= {}).field = (brought) => {
    field.data = brought;
    draw(svg, field);
  };
  field.data = data;
  field.choose = (k) => setTriggerValue("chosen", k);
  draw(svg, field);
}

function draw(svg, field) {
  const { data } = field;
  const width = svg.clientWidth, height = svg.clientHeight;
  if (!width || !data) return;
  const box = { left: 46, right: width - 18, top: 16, bottom: height - 46 };
  field.x = (p) => box.left + ((box.right - box.left) * p) / 100;
  field.y = (p) => box.bottom - ((box.bottom - box.top) * p) / 100;
  svg.setAttribute("aria-label", data.title);
  frame(field, box);
  const most = Math.min(44, width / 12);
  const seen = new Set();
  for (const dot of data.dots) {
    seen.add(dot.k);
    one(field, dot, Math.max(4.5, most * Math.sqrt(dot.p)), box);
  }
  for (const [k, shown] of field.dots) {
    if (!seen.has(k)) { shown.group.remove(); field.dots.delete(k); }
  }
  // Small ones last, so that a large one never hides them.
  const order = [...field.dots.values()].toSorted((a, b) => b.radius - a.radius).map((shown) => shown.group);
  if (order.some((group, place) => field.crowd.children[place] !== group)) field.crowd.append(...order);
  const current = [...field.dots.values()].find((shown) => shown.group.tabIndex === 0);
  if (!current && order.length) order[0].setAttribute("tabindex", "0");
}

function frame(field, box) {
  const { data, x, y } = field;
  field.frame.replaceChildren();
  for (const p of [0, 25, 50, 75, 100]) {
    make("line", field.frame, { class: "grid", x1: x(p), x2: x(p), y1: box.top, y2: box.bottom });
    make("line", field.frame, { class: "grid", x1: box.left, x2: box.right, y1: y(p), y2: y(p) });
    make("text", field.frame, { class: "tick", x: x(p), y: box.bottom + 17, "text-anchor": "middle" }).textContent = p;
    make("text", field.frame, { class: "tick", x: box.left - 8, y: y(p) + 4, "text-anchor": "end" }).textContent = p;
  }
  const middle = (box.left + box.right) / 2;
  make("text", field.frame, { class: "title", x: middle, y: box.bottom + 37, "text-anchor": "middle" })
    .textContent = data.across.title;
  const turned = `translate(13 ${(box.top + box.bottom) / 2}) rotate(-90)`;
  make("text", field.frame, { class: "title", transform: turned, "text-anchor": "middle" })
    .textContent = data.upwards.title;
  if (data.across.target !== null) {
    const at = x(data.across.target);
    make("line", field.frame, { class: "target", x1: at, x2: at, y1: box.top, y2: box.bottom });
    make("text", field.frame, { class: "tick", x: at + 4, y: box.bottom - 5 }).textContent = "target";
  }
  if (data.upwards.target !== null) {
    const at = y(data.upwards.target);
    make("line", field.frame, { class: "target", x1: box.left, x2: box.right, y1: at, y2: at });
    make("text", field.frame, { class: "tick", x: box.left + 4, y: at - 4 }).textContent = "target";
  }
}

function one(field, dot, radius, box) {
  let shown = field.dots.get(dot.k);
  if (!shown) {
    const group = make("g", field.crowd, { role: "button", tabindex: "-1", "data-candidate": dot.k + 1 });
    shown = {
      group,
      hit: make("circle", group, { class: "hit" }),
      ring: make("circle", group, { class: "ring", r: 1 }),
      shape: make("path", group, { d: "" }),
      label: make("text", group, { class: "label", y: 4 }),
      title: make("title", group),
    };
    group.addEventListener("click", () => field.choose(dot.k));
    field.dots.set(dot.k, shown);
  }
  shown.radius = radius;
  const { group, hit, ring, shape, label, title } = shown;
  const reading = field.data.reading === dot.k;
  const chosen = dot.labels.length > (dot.base ? 1 : 0);
  group.setAttribute("class", ["dot", dot.base && "base", dot.partial && "partial", chosen && "chosen"]
    .filter(Boolean).join(" "));
  group.style.transform = `translate(${field.x(dot.x)}px, ${field.y(dot.y)}px)`;
  group.setAttribute("aria-label", dot.said);
  group.setAttribute("aria-pressed", reading);
  title.textContent = dot.said;
  // A square for the base model, a disc for all others; both of the same area.
  const half = 0.886;
  shape.setAttribute("d", dot.base ? `M${-half} ${-half}H${half}V${half}H${-half}Z` : "M-1 0A1 1 0 1 1 1 0A1 1 0 1 1 -1 0Z");
  shape.style.transform = `scale(${radius})`;
  hit.setAttribute("r", Math.max(radius, 12));  // small ones are hit by a finger too
  ring.style.transform = `scale(${radius + 6})`;
  ring.style.visibility = reading ? "visible" : "hidden";
  label.textContent = dot.labels.join(", ");
  const leftwards = field.x(dot.x) > (box.left + box.right) / 2;
  label.setAttribute("x", leftwards ? -(radius + 8) : radius + 8);
  label.setAttribute("text-anchor", leftwards ? "end" : "start");
}

function move(event, field) {
  const now = [...field.dots].find(([, shown]) => shown.group === event.target);
  if (!now) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    field.choose(now[0]);
    return;
  }
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const order = [...field.dots.keys()].toSorted((a, b) => a - b);
  const next = order[(order.indexOf(now[0]) + step + order.length) % order.length];
  now[1].group.setAttribute("tabindex", "-1");
  const { group } = field.dots.get(next);
  group.setAttribute("tabindex", "0");
  group.focus();
}
