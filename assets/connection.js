// Says on every page when the connection to the app is lost, and when it is back. Streamlit keeps the state of its web
// socket in an attribute; what is on the page meanwhile is marked by a class of the document (style-frame.css). Where the
// app has a login, it asks once whether that has ended, because then the connection does not come back by itself.
const STATE = "data-test-connection-state";
const CONNECTED = ["CONNECTED", "STATIC_CONNECTED"];
const PATIENCE = 1000; // milliseconds; a socket that is back at once is nothing to speak of
const SHOWN = 5000; // for how long the page says that it is connected again

// Streamlit's own dialog speaks of a terminal and hides the bar from screen readers: the bar says it for everybody.
function closeDialog() {
  for (const dialog of document.querySelectorAll('[data-testid="stDialog"]')) {
    if (dialog.textContent.includes("Connection error")) dialog.querySelector('button[aria-label="Close"]')?.click();
  }
}

// Where Streamlit's part of the page fails as a whole nothing is left of it, not even a message. Everything that a person
// has made survives a reload, so the page is loaded again by itself; where that has just been tried, it says so instead.
const RELOADED = "value-palette-reloaded";
const APART = 60000; // milliseconds between two such reloads
function watchRoot(app, tellBroken) {
  if (!app) return;
  new MutationObserver(() => {
    if (app.childElementCount) return;
    let last = Date.now();
    try {
      last = Number(sessionStorage.getItem(RELOADED));
      sessionStorage.setItem(RELOADED, String(Date.now()));
    } catch {
      // Without storage nobody knows whether a reload has been tried.
    }
    if (Date.now() - last > APART) location.reload();
    else tellBroken();
  }).observe(app, { childList: true });
}

// Menus and dialogs lie outside of the app's element, which alone has the theme's scheme. It is the browser's unless the
// address names another: embed_options=dark_theme.
function followTheme(app) {
  if (!app) return;
  const follow = () => {
    document.body.style.colorScheme = getComputedStyle(app).colorScheme;
  };
  new MutationObserver(follow).observe(app, { attributeFilter: ["class"] });
  follow();
}

export default function ({ data }) {
  const root = document.documentElement;
  if (root.valuePaletteConnection || !data) return;
  const bar = document.createElement("div");
  bar.className = "vp-connection";
  bar.setAttribute("role", "alert");
  bar.hidden = true;
  document.body.append(bar);
  root.valuePaletteConnection = bar;
  document.getElementById("vp-waiting")?.remove(); // waiting.html: for pages that are never drawn
  let lost = false;
  let changing = 0;
  let hiding = 0;
  const say = (text, state) => {
    bar.textContent = text;
    bar.dataset.state = state;
    bar.hidden = !text;
  };
  const leaveWhereLoggedOut = async () => {
    const asked = await fetch(location.href, { cache: "no-store", headers: { accept: "text/plain" } }).catch(() => null);
    if (asked && asked.status === 401 && lost) location.reload(); // to the login, which leads back to this address
  };
  const change = (now) => {
    lost = now;
    clearTimeout(hiding);
    root.classList.toggle("vp-disconnected", lost);
    say(lost ? data.lost : data.back, lost ? "lost" : "back");
    if (lost && data.login) leaveWhereLoggedOut();
    if (!lost) hiding = setTimeout(() => say("", ""), SHOWN);
  };
  const look = () => {
    const state = document.querySelector(`[${STATE}]`)?.getAttribute(STATE);
    const now = state !== undefined && !CONNECTED.includes(state);
    clearTimeout(changing);
    if (now !== lost) changing = setTimeout(() => change(now), now ? PATIENCE : 0);
  };
  new MutationObserver(look).observe(document.body, { subtree: true, attributeFilter: [STATE] });
  look(); // the connection may have been lost before this was here
  watchRoot(document.getElementById("root"), () => say(data.broken, "lost"));
  new MutationObserver(closeDialog).observe(document.body, { childList: true });
  followTheme(document.querySelector('[data-testid="stApp"]'));
}
