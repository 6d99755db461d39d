// Example replies: two texts that change as the faders move. Replies come as nodes of a few tags with text in them.
const examples = new WeakMap();

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  const root = parentElement.querySelector(".vp-example");
  if (!root || !data) return;
  let shown = examples.get(root);
  if (!shown) {
    shown = build(root);
    examples.set(root, shown);
  }
  shown.turn = (step) => setTriggerValue("turned", step);
  pieces.example = (brought) => draw(shown, brought);
  draw(shown, data);
}

function draw(shown, data) {
  tell(shown.prompt, data.prompt);
  tell(shown.place, data.place);
  read(shown.base, data.base, data.base_nodes, data.base_whole);
  if (data.same) read(shown.aligned, "The same reply.", ["The same reply."]);
  else read(shown.aligned, data.aligned, data.aligned_nodes, data.aligned_whole);
  prop(shown.aligned, "className", data.same ? "vp-reply vp-same" : "vp-reply");
  tell(shown.title, data.title);
  tell(shown.baseNote, data.base_note);
  tell(shown.alignedNote, data.aligned_note);
  while (shown.marks.children.length > data.marks.length) shown.marks.lastChild.remove();
  data.marks.forEach((mark, k) => {
    let node = shown.marks.children[k];
    if (!node) {
      node = make("span", shown.marks);
      make("i", node);
      make("span", node);
    }
    style(node.children[0], "background", mark.colour);
    tell(node.children[1], mark.text);
  });
}

function build(root) {
  root.replaceChildren();
  const shown = {};
  const top = make("div", root, { class: "vp-example-top" });
  make("h2", top, {}, "What it sounds like");
  const turn = make("div", top, { class: "vp-turn" });
  const back = make("button", turn, { type: "button", "aria-label": "Previous prompt" });
  make("i", back, { "aria-hidden": "true", class: "vp-back" });
  shown.place = make("span", turn);
  const on = make("button", turn, { type: "button", "aria-label": "Next prompt" });
  make("i", on, { "aria-hidden": "true" });
  back.addEventListener("click", () => shown.turn(-1));
  on.addEventListener("click", () => shown.turn(1));
  shown.prompt = make("p", root, { class: "vp-prompt" });
  const columns = make("div", root, { class: "vp-replies" });
  const base = make("article", columns);
  make("h3", base, {}, "Base model");
  shown.baseNote = make("p", base, { class: "vp-why" });
  shown.base = make("div", base, { class: "vp-reply" });
  const aligned = make("article", columns, { class: "vp-aligned" });
  shown.title = make("h3", aligned);
  shown.alignedNote = make("p", aligned, { class: "vp-why" });
  shown.aligned = make("div", aligned, { class: "vp-reply" });
  shown.marks = make("p", aligned, { class: "vp-marks" });
  return shown;
}
