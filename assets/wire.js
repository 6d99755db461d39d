// The wire: while a hand moves, messages go out and answers come in through this one small component, so that nothing
// else on the page is drawn again.
export default function (component) {
  const { data, setStateValue } = component;
  pieces.send = (told) => setStateValue("moved", told);
  for (const name of ["desk", "answer", "example"]) {
    if (data?.[name]) pieces[name]?.(data[name]);
  }
}
