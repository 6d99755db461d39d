// The channel: a web socket beside the page's own, by which answers come while a hand moves and replies while they are
// written. Where it is not available, whoever wanted to send is told so, and sends by way of the page.
const channel = (pieces.channel ??= { socket: null, last: -Infinity, opened: new Set() });
const AGAIN = 3000; // milliseconds before another try

function connect(path) {
  if (!path || channel.socket || performance.now() - channel.last < AGAIN) return;
  channel.last = performance.now();
  const address = new URL(path, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address);
  channel.socket = socket;
  socket.addEventListener("open", () => channel.opened.forEach((hear) => hear()));
  socket.addEventListener("close", () => {
    if (channel.socket === socket) channel.socket = null;
  });
  socket.addEventListener("message", (event) => {
    const brought = JSON.parse(event.data);
    if (brought.unknown !== undefined) {
      // The server has been started again: the page must be told instead.
      socket.close();
      channel.socket = null;
      channel.last = performance.now();
      pieces.lost?.();
      return;
    }
    for (const name of ["desk", "answer", "example", "replies", "field"]) {
      if (brought[name]) pieces[name]?.(brought[name]);
    }
    if (brought.frame) drawn(socket, brought.frame);
  });
}

// A frame is drawn once the browser has painted it: the next one is sent after that. A page that is not in sight paints
// nothing, and goes on once a second.
function drawn(socket, frame) {
  let told = false;
  const tell = () => {
    if (!told && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ got: frame }));
    told = true;
  };
  requestAnimationFrame(() => setTimeout(tell));
  setTimeout(tell, 1000);
}

// Whether the channel is there.
const isOpen = () => channel.socket?.readyState === WebSocket.OPEN;

// Whether it is on its way.
function sent(message) {
  const open = isOpen();
  if (open) channel.socket.send(JSON.stringify(message));
  return open;
}

