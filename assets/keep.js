// What a person has made in this visit, kept by the tab over a reload or a restart of the server. The text is the
// page's own; nothing here reads it. What an earlier visit of this tab has left is sent up once, and until the page has
// heard of it nothing is written over it.
let asked = "";

export default function ({ data, setTriggerValue }) {
  if (!data) return;
  let left = null;
  try {
    left = JSON.parse(sessionStorage.getItem(data.name));
  } catch {
    // Storage is not allowed here, or holds something else: then there is nothing to bring back.
  }
  if (!data.heard && left?.visit && left.visit !== data.visit) {
    if (asked !== data.visit) setTriggerValue("left", String(left.text));
    asked = data.visit;
    return;
  }
  try {
    sessionStorage.setItem(data.name, JSON.stringify({ visit: data.visit, text: data.text }));
  } catch {
    // Full, or not allowed: a reload begins with the address, as it would without this.
  }
}
