/** What is new in the conversation: pushed by the socket, or asked for while there is none. */

import { io, type Socket } from "socket.io-client";

import type { Page, Queue, Session, Status } from "./types";

const POLL_MS = 4000;

export interface FeedEvents {
  /** Messages after the last sequence number; the first of each connection is the catch-up. */
  page: (page: Page) => void;
  status: (status: Status, queue: Queue | null) => void;
  typing: (author: string) => void;
  connected: (connected: boolean) => void;
  /** There is no socket: ask over HTTP. */
  poll: () => Promise<void>;
}

export class Feed {
  private socket: Socket | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly base: URL,
    private readonly events: FeedEvents,
  ) {}

  get connected(): boolean {
    return this.socket?.connected ?? false;
  }

  /** Follow a conversation; `after` is asked at each connection. */
  start(session: Session, after: () => number): void {
    this.stop();
    const socket = io(`${this.base.origin}/kefu`, {
      path: `${this.base.pathname}socket.io/`,
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      forceNew: true,
      withCredentials: false,
      reconnectionDelay: 500,
      reconnectionDelayMax: 10_000,
      randomizationFactor: 0.5,
      timeout: 10_000,
      auth: (give) => give({ conversation_id: session.id, token: session.token, after: after() }),
    });
    this.socket = socket;
    // A proxy may leave a socket hanging: until there is one, ask.
    this.pollSoon();
    socket.on("connect", () => {
      clearTimeout(this.timer);
      this.timer = undefined;
      this.events.connected(true);
    });
    socket.on("disconnect", (reason) => {
      this.events.connected(false);
      // Ended by the gateway: it is up to us to come back.
      if (reason === "io server disconnect") setTimeout(() => void this.comeBack(socket), 500 + 1000 * Math.random());
      this.pollSoon();
    });
    socket.on("connect_error", () => {
      this.events.connected(false);
      // A refusal by the server ends the tries of the library; ours go on, for it may be a limit that passes.
      if (!socket.active) setTimeout(() => this.socket === socket && socket.connect(), POLL_MS);
      this.pollSoon();
    });
    socket.on("messages", (page: Page) => this.events.page(page));
    socket.on("status", (news: { status: Status; queue?: Queue | null }) =>
      this.events.status(news.status, news.queue ?? null),
    );
    socket.on("typing", (news?: { author?: string }) => this.events.typing(news?.author ?? "agent"));
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.socket?.removeAllListeners();
    this.socket?.disconnect();
    this.socket = null;
  }

  /** Try again at once, as after the network came back. */
  hurry(): void {
    if (this.socket && !this.socket.connected) this.socket.connect();
  }

  typing(): void {
    if (this.connected) this.socket?.volatile.emit("typing", {});
  }

  /** Connect again, unless asking shows that the conversation is gone and following it has stopped. */
  private async comeBack(socket: Socket): Promise<void> {
    if (this.socket !== socket) return;
    await this.events.poll();
    if (this.socket === socket) socket.connect();
  }

  private pollSoon(): void {
    if (this.timer !== undefined) return;
    this.timer = setTimeout(async () => {
      this.timer = undefined;
      if (!this.socket || this.socket.connected) return;
      await this.events.poll();
      if (!this.connected) this.pollSoon();
    }, POLL_MS);
  }
}
