/** The page that shows the chat: who it is, and what it and the chat tell each other. */

import { type ToChat, type ToHost, unwrap, wrap } from "../protocol";

export class Bridge {
  readonly embedded = window.parent !== window;
  private host: string | null = null;

  constructor(private readonly receive: (message: ToChat) => void) {
    if (!this.embedded) return;
    window.addEventListener("message", (event) => {
      // Which pages may show the chat at all is decided by frame-ancestors; the first that greets is it.
      if (event.source !== window.parent || event.origin === "null") return;
      if (this.host !== null && event.origin !== this.host) return;
      const message = unwrap<ToChat>(event.data);
      if (!message) return;
      if (message.type === "hello") this.host = event.origin;
      if (this.host !== null) this.receive(message);
    });
    // Nobody is known yet, and there is nothing in it to keep from anyone.
    window.parent.postMessage(wrap<ToHost>({ type: "ready" }), "*");
  }

  say(message: ToHost): void {
    if (this.host !== null) window.parent.postMessage(wrap(message), this.host);
  }
}
