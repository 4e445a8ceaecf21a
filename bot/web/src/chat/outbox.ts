/** Unsent messages: kept until the gateway acknowledges them, sent in order, under the same id each time. */

import { type Api, ApiError } from "./api";
import type { Storage } from "./storage";
import type { Pending, Session } from "./types";

const FIRST_WAIT_MS = 1000;
const LONGEST_WAIT_MS = 30_000;

export interface OutboxEvents {
  /** The session to send with, opened when there is none yet. */
  session: () => Promise<Session>;
  acknowledged: (entry: Pending, seq: number, session: Session) => void;
  /** Something about an entry changed. */
  changed: () => void;
  /** The gateway does not know the session any more. */
  gone: (session: Session) => void;
}

export class Outbox {
  private running = false;
  private wait = FIRST_WAIT_MS;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly storage: Storage,
    private readonly api: Api,
    private readonly events: OutboxEvents,
  ) {}

  get entries(): Pending[] {
    return this.storage.outbox;
  }

  put(entry: Pending): void {
    this.storage.changeOutbox((entries) => [...entries, entry]);
    void this.flush();
  }

  /** Send a refused message once more. */
  retry(id: string): void {
    this.storage.changeOutbox((entries) => entries.map((entry) => (entry.id === id ? withoutFailure(entry) : entry)));
    this.events.changed();
    void this.flush();
  }

  /** Take a refused message back. */
  discard(id: string): void {
    this.storage.changeOutbox((entries) => entries.filter((entry) => entry.id !== id));
    this.events.changed();
  }

  /** Keep only what this customer wrote: nobody's message goes into the conversation of another. */
  keepOf(customer: string | null): void {
    this.storage.changeOutbox((entries) => entries.filter((entry) => (entry.customer ?? null) === customer));
  }

  /** Send what waits, now. */
  hurry(): void {
    this.wait = FIRST_WAIT_MS;
    void this.flush();
  }

  private async flush(): Promise<void> {
    if (this.running) return;
    this.running = true;
    clearTimeout(this.timer);
    try {
      await this.alone(() => this.drain());
      this.wait = FIRST_WAIT_MS;
    } catch (error) {
      // No conversation is opened for this customer: trying again needs another proof, or the customer.
      if (error instanceof Refused) return;
      const asked = error instanceof ApiError ? error.retryAfterMs : null;
      // Full jitter above a floor: many browsers come back at once after an outage.
      const pause = asked ?? FIRST_WAIT_MS / 2 + Math.random() * this.wait;
      this.wait = Math.min(2 * this.wait, LONGEST_WAIT_MS);
      this.timer = setTimeout(() => void this.flush(), pause);
    } finally {
      this.running = false;
    }
  }

  /** Two tabs share the outbox: one of them sends at a time, so that the order stays. */
  private async alone(work: () => Promise<void>): Promise<void> {
    let begun = false;
    const once = (): Promise<void> => {
      begun = true;
      return work();
    };
    try {
      if (navigator.locks) return await navigator.locks.request("kefu.outbox", once);
    } catch (error) {
      // Where the frame has no storage it has no locks either, and no outbox to share.
      if (begun) throw error;
    }
    return once();
  }

  private next(): Pending | undefined {
    return this.entries.find((one) => one.failed === undefined);
  }

  private async session(): Promise<Session> {
    try {
      return await this.events.session();
    } catch (error) {
      throw error instanceof ApiError && !error.passing ? new Refused(error.message) : error;
    }
  }

  /** Send entry after entry; throws ApiError when it is better to wait. */
  private async drain(): Promise<void> {
    while (this.next()) {
      const session = await this.session();
      // Whoever signed in or out meanwhile has taken theirs along.
      const entry = this.next();
      if (!entry) return;
      try {
        const said = await this.api.send(session, entry);
        this.storage.changeOutbox((entries) => entries.filter((one) => one.id !== entry.id));
        this.events.acknowledged(entry, said.message.seq, session);
      } catch (error) {
        if (!(error instanceof ApiError) || error.passing) throw error;
        if (error.gone) {
          this.events.gone(session);
          throw error;
        }
        const failed = error.status === 413 ? "long" : "other";
        this.storage.changeOutbox((entries) => entries.map((one) => (one.id === entry.id ? { ...one, failed } : one)));
        this.events.changed();
      }
    }
  }
}

/** No session can be had. */
class Refused extends Error {}

function withoutFailure(entry: Pending): Pending {
  const { failed: _, ...rest } = entry;
  return rest;
}
