// One entry of the browser's history for a page and one for each view of it: what else the address says changes the
// entry that is there, so that Back leads to the page or the view before and not through every choice on the way.
export default function () {
  if (history.pushState.sparing) return;
  const push = history.pushState.bind(history);
  history.pushState = (state, title, to) => {
    const here = new URL(location.href), next = new URL(to ?? here, here);
    const [before, after] = [here, next].map((address) => address.searchParams.get("view"));
    // The view that a page says first is the page that was opened.
    const same = next.pathname === here.pathname && (before === null || before === after);
    if (same) history.replaceState(state, title, to);
    else push(state, title, to);
  };
  history.pushState.sparing = true;
}
