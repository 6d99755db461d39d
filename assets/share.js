// Copies the address of the palette. Without a secure context the clipboard is closed to pages: then the older way is
// tried, and where that is closed too, the address is shown to be copied by hand.
const SHOWN = 2400; // milliseconds
const PROBLEM_SHOWN = 15000; // the same for why others cannot open the link
const EDGE = 12; // pixels that stay free at the window's right
// What each button copies, and what is wrong with it: of the newest data, while its listeners are added once.
const addresses = new WeakMap();
const problems = new WeakMap();

export default function (component) {
  const { parentElement, data } = component;
  const parts = ["button", "input", "[role=status]", "[role=alert]"];
  const [button, field, status, alarm] = parts.map((name) => parentElement.querySelector(name));
  const label = button.querySelector("span");
  const known = addresses.has(button);
  addresses.set(button, new URL(data.query, data.home || window.location.href.split(/[?#]/)[0]).href);
  problems.set(button, data.problem);
  if (known) return;
  button.addEventListener("click", async () => {
    const address = addresses.get(button);
    field.hidden = true;
    const done = (await modern(address)) || older(field, address);
    label.textContent = done ? "Copied" : "Copy it here";
    status.textContent = done ? "The link is copied." : "The link is in the field below the button.";
    alarm.textContent = problems.get(button);
    alarm.hidden = !alarm.textContent || !done; // the field takes its place
    keepInside(alarm);
    clearTimeout(alarm.timer);
    alarm.timer = setTimeout(() => { alarm.hidden = true; }, PROBLEM_SHOWN);
    if (!done) { show(field, address); return; }
    clearTimeout(button.timer);
    button.timer = setTimeout(() => { label.textContent = "Copy link"; status.textContent = ""; }, SHOWN);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    field.hidden = true;
    label.textContent = "Copy link";
    button.focus();
  });
}

// Move what hangs below the button to the left where the window ends before it does.
function keepInside(hanging) {
  hanging.style.left = "0";
  const beyond = hanging.getBoundingClientRect().right + EDGE - document.documentElement.clientWidth;
  if (beyond > 0) hanging.style.left = `${-beyond}px`;
}

async function modern(address) {
  try {
    await navigator.clipboard.writeText(address);
    return true;
  } catch {
    return false;
  }
}

function older(field, address) {
  show(field, address);
  const done = document.execCommand("copy");
  field.hidden = true;
  return done;
}

function show(field, address) {
  field.value = address;
  field.hidden = false;
  keepInside(field);
  field.focus();
  field.select();
}
