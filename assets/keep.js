// What a person has made in this visit, kept by the tab over a reload or a restart of the server. The text is the
// page's own; nothing here reads it. What an earlier visit of this tab has left is sent up once, and until the page has
// heard of it nothing is written over it. Whether numbers are shown is kept for a year, in a cookie.
let asked = "";

export default function ({ data, setTriggerValue }) {
  if (!data) return;
  // A choice of the person, for every tab and later visit; the server reads it before it draws anything.
  if (data.numbers) {
    document.cookie = `${data.cookie}=${data.numbers}; path=/; max-age=31536000; SameSite=Lax`;
  }
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
