// The tour goes to what it speaks of: it marks those parts of the page (style-welcome.css) and scrolls to the first of
// them where it is out of sight or behind the strip, once for each stop.
const MARK = "data-tour-shown";
const SETTLING = [150, 900]; // milliseconds until the page has drawn the stop; on a slow machine the second counts
const GAP = 12; // pixels between the strip and what it speaks of
const HANDS = ["wheel", "touchmove", "keydown", "pointerdown"];
let shown = "";
let timers = [];

function forget() {
  timers.forEach(clearTimeout);
  timers = [];
  HANDS.forEach((hand) => removeEventListener(hand, forget, true));
}

function unmark() {
  document.querySelectorAll(`[${MARK}]`).forEach((part) => part.removeAttribute(MARK));
}

function go(data) {
  unmark();
  const parts = data.parts.map((part) => document.querySelector(part)).filter(Boolean);
  parts.forEach((part) => part.setAttribute(MARK, ""));
  const main = document.querySelector("[data-testid=stMain]");
  const strip = document.querySelector(".st-key-tour")?.getBoundingClientRect();
  if (!main || !strip) return;
  if (!parts.length) return main.scrollTo({ top: 0, behavior: "auto" });
  const box = parts[0].getBoundingClientRect();
  const top = strip.bottom + GAP;
  if (box.top >= top && Math.min(box.bottom, box.top + (innerHeight - top) / 2) <= innerHeight) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  main.scrollBy({ top: box.top - top, behavior: still ? "auto" : "smooth" });
}

export default function ({ data }) {
  if (data && data.stop !== shown) {
    shown = data.stop;
    forget();
    timers = SETTLING.map((wait) => setTimeout(() => go(data), wait));
    // Whoever moves the page by hand is not moved away again.
    HANDS.forEach((hand) => addEventListener(hand, forget, true));
  }
  return () => {
    shown = "";
    forget();
    unmark();
  };
}
