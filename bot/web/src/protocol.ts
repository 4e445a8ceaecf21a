/** What the launcher on the host page and the chat in its frame say to each other. */

/** Set on every message, so that other scripts' messages are told apart. */
export const MARK = "kefu-chat-1";

/** How the host page wants the chat to look. Values of `vars` are CSS, checked by the chat. */
export interface Look {
  locale: string;
  theme: "auto" | "light" | "dark";
  title: string;
  subtitle: string;
  greeting: string;
  vars: Record<string, string>;
}

/** A signed-in customer, signed by the site's own server. */
export type Identity = { user_id: string; hmac: string } | { jwt: string };

export type ToChat =
  | { type: "hello"; look: Look; identity: Identity | null | undefined; kept: Record<string, string> }
  | { type: "look"; look: Look }
  | { type: "identify"; identity: Identity | null }
  | { type: "shown"; shown: boolean; full: boolean };

export type ToHost =
  | { type: "ready" }
  | { type: "close" }
  | { type: "unread"; count: number }
  | { type: "conversation"; exists: boolean }
  /** The browser denies the frame storage of its own: the host page keeps this for it. */
  | { type: "keep"; key: string; value: string | null }
  | { type: "event"; name: string; detail: Record<string, unknown> };

/** CSS variables of the host page that reach into the chat. */
export const VARIABLES = ["--kefu-accent", "--kefu-accent-text", "--kefu-radius", "--kefu-font"] as const;

export function wrap<T extends ToChat | ToHost>(message: T): T & { kefu: string } {
  return { ...message, kefu: MARK };
}

/** The message in an event's data, or null when it is someone else's. */
export function unwrap<T extends ToChat | ToHost>(data: unknown): T | null {
  if (typeof data !== "object" || data === null) return null;
  return (data as { kefu?: unknown }).kefu === MARK ? (data as T) : null;
}
