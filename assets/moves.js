// Moves of faders that the page has not heard of when it is left, kept by the tab: a reload of the same address makes
// them again, so that a key pressed just before it is not lost.
const MOVES = "value-palette-moves";
pieces.leaving ??= addEventListener("pagehide", () => pieces.leave?.()) ?? true;

function keepMoves(changes) {
  try {
    if (changes.length) sessionStorage.setItem(MOVES, JSON.stringify({ address: location.href, changes }));
    else sessionStorage.removeItem(MOVES);
  } catch {
    // Storage is full, or not allowed: a reload begins with the address, as it would without this.
  }
}

// Pairs of a fader's name and what was told of it; each is given out once.
function takeMoves() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(MOVES));
    sessionStorage.removeItem(MOVES);
    return kept?.address === location.href && Array.isArray(kept.changes) ? kept.changes : [];
  } catch {
    return [];
  }
}

