// A document in a frame without any rights: no script, no origin, no form.
export default function (component) {
  const { parentElement, data } = component;
  const frame = parentElement.querySelector("iframe");
  if (frame.srcdoc !== data.html) frame.srcdoc = data.html;
}
