/** In the place of socket.io-client: a socket that never connects. */

export const io = () => ({
  connected: false,
  active: true,
  on: () => undefined,
  connect: () => undefined,
  disconnect: () => undefined,
  removeAllListeners: () => undefined,
});
