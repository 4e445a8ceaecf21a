/** What survives a reload: the session, the unsent messages, the language. */

import type { Pending, Session } from "./types";

const SESSION = "kefu.session";
const OUTBOX = "kefu.outbox";
const LOCALE = "kefu.locale";

export class Storage {
  // Private windows deny a frame its storage: then the host page keeps it, else it ends with the page.
  private readonly memory = new Map<string, string>();
  private denied: boolean;

  constructor(private readonly keep: (key: string, value: string | null) => void) {
    this.denied = !isAllowed();
  }

  /** Take what the host page kept. */
  restore(kept: Record<string, string>): void {
    if (!this.denied) return;
    for (const [key, value] of Object.entries(kept)) if (!this.memory.has(key)) this.memory.set(key, value);
  }

  get session(): Session | null {
    const found = this.read(SESSION) as Session | null;
    return found && typeof found.id === "string" && typeof found.token === "string" ? found : null;
  }

  set session(session: Session | null) {
    this.write(SESSION, session);
  }

  get outbox(): Pending[] {
    const found = this.read(OUTBOX);
    return Array.isArray(found) ? (found as Pending[]) : [];
  }

  /** Change the outbox as it is now, which another tab may have changed. */
  changeOutbox(change: (entries: Pending[]) => Pending[]): void {
    const entries = change(this.outbox);
    this.write(OUTBOX, entries.length ? entries : null);
  }

  get locale(): string | null {
    const found = this.read(LOCALE);
    return typeof found === "string" ? found : null;
  }

  set locale(locale: string | null) {
    this.write(LOCALE, locale);
  }

  private read(key: string): unknown {
    try {
      const text = this.denied ? this.memory.get(key) : localStorage.getItem(key);
      return typeof text === "string" ? JSON.parse(text) : null;
    } catch {
      return null;
    }
  }

  private write(key: string, value: unknown): void {
    const text = value === null ? null : JSON.stringify(value);
    if (!this.denied) {
      try {
        if (text === null) localStorage.removeItem(key);
        else localStorage.setItem(key, text);
        return;
      } catch {
        // It is full: what is there moves to memory, so that nothing is read from two places.
        for (const name of [SESSION, OUTBOX, LOCALE]) {
          const known = localStorage.getItem(name);
          if (known !== null) this.memory.set(name, known);
        }
        this.denied = true;
      }
    }
    if (text === null) this.memory.delete(key);
    else this.memory.set(key, text);
    this.keep(key, text);
  }
}

function isAllowed(): boolean {
  try {
    localStorage.setItem("kefu.probe", "1");
    localStorage.removeItem("kefu.probe");
    return true;
  } catch {
    return false;
  }
}
