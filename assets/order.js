// A list that is sorted by hand: by mouse, by finger, by keyboard, or by two buttons a row. Names are set as text only.
const lists = new WeakMap();
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

const make = (tag, parent, kind, attributes = {}) => {
  const node = document.createElement(tag);
  if (kind) node.className = kind;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  parent.appendChild(node);
  return node;
};

export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector("ol");
  let list = lists.get(root);
  if (!list) {
    list = { root, live: parentElement.querySelector(".live"), told: "", names: new Map(), lifted: null, drag: null };
    lists.set(root, list);
    root.addEventListener("keydown", (event) => key(event, list));
    root.addEventListener("click", (event) => click(event, list));
    root.addEventListener("focusout", (event) => {
      if (list.lifted && !list.lifted.row.contains(event.relatedTarget)) drop(list, false);
    });
    root.addEventListener("pointerdown", (event) => press(event, list));
    root.addEventListener("pointermove", (event) => move(event, list));
    root.addEventListener("pointerup", (event) => release(event, list, false));
    root.addEventListener("pointercancel", (event) => release(event, list, true));
  }
  list.send = () => {
    list.sent = { order: JSON.stringify(order(list)), until: Date.now() + 1500 };
    setTriggerValue("order", order(list));
  };
  take(list, data);
}

const rows = (list) => [...list.root.children];
const order = (list) => rows(list).map((row) => Number(row.dataset.value));
const name = (list, row) => list.names.get(Number(row.dataset.value));

function take(list, data) {
  clearTimeout(list.late);
  const told = JSON.stringify(data.rows);
  if (told === list.told) return;
  // The answer to an earlier move must not take back the latest one, or what is in the hand.
  const wait = list.drag || list.lifted ? 300 : list.sent ? list.sent.until - Date.now() : 0;
  if (wait > 0 && JSON.stringify(data.rows.map((row) => row.value)) !== list.sent?.order) {
    list.late = setTimeout(() => take(list, data), wait);
    return;
  }
  list.told = told;
  list.root.setAttribute("aria-label", data.label);
  list.names = new Map(data.rows.map((row) => [row.value, row.name]));
  const known = new Map(rows(list).map((row) => [Number(row.dataset.value), row]));
  for (const [value, row] of known) if (!list.names.has(value)) row.remove();
  const wanted = data.rows.map((one) => fill(known.get(one.value) || build(list, one.value), one));
  if (wanted.some((row, place) => list.root.children[place] !== row)) {
    glide(list, () => {
      const focused = list.root.getRootNode().activeElement;
      list.root.append(...wanted);
      focused?.focus({ preventScroll: true });
    });
  }
  number(list);
}

function build(list, value) {
  const row = make("li", list.root, "row", { "data-value": value });
  const grip = make("button", row, "grip", { type: "button", "aria-describedby": "how" });
  make("span", grip, "dots", { "aria-hidden": "true" });
  make("span", row, "place", { "aria-hidden": "true" });
  make("span", row, "name");
  make("span", row, "note");
  for (const way of ["up", "down"]) make("button", row, way, { type: "button" });
  return row;
}

function fill(row, one) {
  row.style.setProperty("--value-colour", one.colour);
  row.querySelector(".name").textContent = one.name;
  row.querySelector(".note").textContent = one.note;
  row.querySelector(".up").setAttribute("aria-label", `Move ${one.name} up`);
  row.querySelector(".down").setAttribute("aria-label", `Move ${one.name} down`);
  return row;
}

function number(list) {
  const all = rows(list);
  all.forEach((row, place) => {
    row.querySelector(".place").textContent = place + 1;
    row.querySelector(".grip").setAttribute("aria-label", `${name(list, row)}, place ${place + 1} of ${all.length}`);
    // Not disabled: a button that loses the focus under somebody's fingers sends them to the top of the page.
    row.querySelector(".up").setAttribute("aria-disabled", place === 0);
    row.querySelector(".down").setAttribute("aria-disabled", place === all.length - 1);
  });
}

const say = (list, text) => { list.live.textContent = text; };
const where = (list, row) => `place ${rows(list).indexOf(row) + 1} of ${list.root.children.length}`;

// Changes the order, and lets every row but the one in the hand glide to its new place.
function glide(list, change, held = null) {
  const before = new Map(rows(list).map((row) => [row, row.getBoundingClientRect().top]));
  change();
  for (const row of rows(list)) {
    const by = before.has(row) ? before.get(row) - row.getBoundingClientRect().top : 0;
    if (row !== held && by && !still()) {
      row.animate([{ transform: `translateY(${by}px)` }, { transform: "none" }], { duration: 170, easing: "ease-out" });
    }
  }
}

// One place up or down. The neighbours are moved around the row, which so keeps focus and pointer.
function step(list, row, by, held = null) {
  const other = by < 0 ? row.previousElementSibling : row.nextElementSibling;
  if (!other) return false;
  glide(list, () => (by < 0 ? row.after(other) : row.before(other)), held);
  number(list);
  return true;
}

function click(event, list) {
  const button = event.target.closest(".up, .down");
  if (!button) return;
  const row = button.closest(".row");
  if (step(list, row, button.className === "up" ? -1 : 1)) {
    say(list, `${name(list, row)}, ${where(list, row)}.`);
    list.send();
  }
}

function key(event, list) {
  if (event.key === "Escape" && list.drag) { release(event, list, true); return; }
  if (!event.target.classList.contains("grip")) return;
  const row = event.target.closest(".row");
  if (event.key === " " || event.key === "Enter") {
    event.preventDefault();
    if (list.lifted) drop(list, false);
    else {
      list.lifted = { row, from: rows(list).indexOf(row) };
      row.classList.add("lifted");
      say(list, `${name(list, row)} lifted, ${where(list, row)}. Arrow keys move it, Space puts it down, Escape puts it back.`);
    }
  } else if (event.key === "Escape" && list.lifted) {
    event.preventDefault();
    drop(list, true);
  } else if ((event.key === "ArrowUp" || event.key === "ArrowDown") && list.lifted) {
    event.preventDefault();
    step(list, row, event.key === "ArrowUp" ? -1 : 1);
    say(list, `${name(list, row)}, ${where(list, row)}.`);
  }
}

function back(list, row, from, held = null) {
  for (let at = rows(list).indexOf(row); at !== from; at = rows(list).indexOf(row)) step(list, row, Math.sign(from - at), held);
}

function drop(list, undo) {
  const { row, from } = list.lifted;
  list.lifted = null;
  row.classList.remove("lifted");
  if (undo) back(list, row, from);
  say(list, `${name(list, row)} ${undo ? "put back" : "put down"}, ${where(list, row)}.`);
  if (rows(list).indexOf(row) !== from) list.send();
}

function press(event, list) {
  const row = event.target.closest(".row");
  // A finger on the row scrolls the page, as everywhere; on the grip it drags.
  if (!row || event.button || event.target.closest(".up, .down")) return;
  if (event.pointerType !== "mouse" && !event.target.closest(".grip")) return;
  if (list.lifted) drop(list, false);
  list.drag = { row, from: rows(list).indexOf(row), pointer: event.pointerId, y: event.clientY, moved: false };
  list.root.setPointerCapture(event.pointerId);
}

function move(event, list) {
  const { drag } = list;
  if (!drag || event.pointerId !== drag.pointer) return;
  if (!drag.moved && Math.abs(event.clientY - drag.y) < 4) return;
  drag.moved = true;
  drag.row.classList.add("dragged");
  for (const by of [-1, 1]) {
    for (;;) {
      const other = by < 0 ? drag.row.previousElementSibling : drag.row.nextElementSibling;
      const place = drag.row.offsetTop, off = event.clientY - drag.y;
      if (!other || by * off < Math.abs(other.offsetTop - place) / 2) break;
      step(list, drag.row, by, drag.row);
      drag.y += drag.row.offsetTop - place;
    }
  }
  drag.row.style.transform = `translateY(${event.clientY - drag.y}px)`;
}

function release(event, list, undo) {
  const { drag } = list;
  if (!drag || (event.pointerId !== undefined && event.pointerId !== drag.pointer)) return;
  list.drag = null;
  drag.row.classList.remove("dragged");
  if (undo) back(list, drag.row, drag.from, drag.row);
  glide(list, () => { drag.row.style.transform = ""; });
  if (!drag.moved) { drag.row.querySelector(".grip").focus(); return; }
  say(list, `${name(list, drag.row)} ${undo ? "put back" : "put down"}, ${where(list, drag.row)}.`);
  if (rows(list).indexOf(drag.row) !== drag.from) list.send();
}
