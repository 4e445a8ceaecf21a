/** The one socket of a page to the namespace /agent, opened on first use by the session's cookie. */

import { io, type Socket } from "socket.io-client";

let socket: Socket | undefined;

export function live(): Socket {
  if (socket) return socket;
  socket = io("/agent", {
    path: "/socket.io/",
    transports: ["websocket", "polling"],
    tryAllTransports: true,
    reconnectionDelay: 500,
    reconnectionDelayMax: 10_000,
  });
  const offline = document.querySelector<HTMLElement>("#offline");
  const mark = (gone: boolean): void => {
    if (offline) offline.hidden = !gone;
  };
  socket.on("connect", () => mark(false));
  socket.on("disconnect", (reason) => {
    mark(true);
    // The gateway ends a socket whose cookie is an earlier one: come back with today's.
    if (reason === "io server disconnect") setTimeout(() => socket?.connect(), 500 + 1000 * Math.random());
  });
  socket.on("connect_error", () => {
    mark(true);
    // Refused, not unreachable: socket.io itself does not try that again.
    if (!socket?.active) setTimeout(() => socket?.connect(), 3000 + 2000 * Math.random());
  });
  return socket;
}
