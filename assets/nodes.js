// What the live components share: nodes that are made once, and texts that are set as text and only where they changed.
const make = (tag, parent, attributes = {}, text = "") => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  parent.appendChild(node);
  return node;
};
const tell = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};

// Pieces of one page by name: what the wire brings is drawn by the piece that it is for.
const pieces = (window.valuePalette ??= {});

