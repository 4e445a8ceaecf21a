/** The conversation as the gateway and this browser know it: one list of lines, whatever brought them. */

import type { Identity } from "../protocol";
import { type Api, ApiError } from "./api";
import { Feed } from "./feed";
import { Outbox } from "./outbox";
import type { Storage } from "./storage";
import type { Attachment, Line, Message, Page, Pending, Queue, Session, Status } from "./types";

const BOT_ANSWERS_WITHIN_MS = 30_000;
const TYPING_FADES_MS = 5000;
const TYPING_EVERY_MS = 3000;

export interface ConversationEvents {
  /** Lines, status or connection changed: draw. */
  changed: () => void;
  /** Messages of the other side that came while the page was open. */
  arrived: (messages: Message[]) => void;
  /** The gateway opens no conversation for who the page says is signed in. */
  refused: (error: ApiError) => void;
}

export class Conversation {
  status: Status = "bot";
  queue: Queue | null = null;
  rating: number | null = null;
  connected = false;
  /** No conversation is opened for who is signed in: what is written waits for another proof. */
  refused = false;
  /** Whose typing shows. */
  typing: "bot" | "agent" | null = null;
  private readonly messages = new Map<string, Message>();
  private readonly outbox: Outbox;
  private readonly feed: Feed;
  private last = 0;
  private identity: Identity | null = null;
  private locale = "en";
  private opening: Promise<Session> | null = null;
  /** Counts the conversations that left the screen: what was asked for one of them is not shown. */
  private epoch = 0;
  private resumed = false;
  private typingTimer: ReturnType<typeof setTimeout> | undefined;
  private typedAt = 0;

  constructor(
    private readonly api: Api,
    base: URL,
    private readonly storage: Storage,
    private readonly events: ConversationEvents,
  ) {
    this.outbox = new Outbox(storage, api, {
      session: () => this.open(),
      acknowledged: (entry, seq, session) => {
        if (this.isCurrent(session)) this.acknowledged(entry, seq);
      },
      changed: () => this.events.changed(),
      gone: (session) => {
        if (this.isCurrent(session)) this.forget();
      },
    });
    this.feed = new Feed(base, {
      page: (page) => this.merge(page),
      status: (status, queue) => this.changeStatus(status, queue),
      typing: () => this.showTyping("agent", TYPING_FADES_MS),
      connected: (connected) => {
        this.connected = connected;
        this.events.changed();
      },
      poll: () => this.catchUp(),
    });
  }

  get exists(): boolean {
    return this.storage.session !== null || this.outbox.entries.length > 0;
  }

  /** Bring the history back and follow the conversation, if there is one. */
  async resume(identity: Identity | null | undefined, locale: string): Promise<void> {
    this.locale = locale;
    if (identity !== undefined) {
      const session = this.storage.session;
      this.identity = identity;
      if (session && session.customer !== customerOf(identity)) this.forget();
      this.outbox.keepOf(customerOf(identity));
    }
    this.resumed = true;
    window.addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.hurry());
    if (this.storage.session || this.identity) await this.follow();
    this.outbox.hurry();
    void this.tellLocale();
  }

  /** Someone signed in or out: their conversation takes the place of the one on screen. */
  async identify(identity: Identity | null): Promise<void> {
    const same = customerOf(identity) === this.customer;
    this.identity = identity;
    if (same && !this.refused) return;
    if (!same) this.forget();
    this.refused = false;
    this.outbox.keepOf(customerOf(identity));
    this.events.changed();
    if (identity) await this.follow();
    this.outbox.hurry();
  }

  setLocale(locale: string): void {
    this.locale = locale;
    if (this.resumed) void this.tellLocale();
  }

  say(text: string, title?: string, attachments?: Attachment[]): void {
    const entry: Pending = {
      id: crypto.randomUUID ? crypto.randomUUID() : `${Date.now()}-${Math.random().toString(36).slice(2)}`,
      text,
      at: new Date().toISOString(),
      customer: this.customer,
      ...(title === undefined ? {} : { title }),
      ...(attachments ? { attachments } : {}),
    };
    this.outbox.put(entry);
    this.events.changed();
  }

  retry(id: string): void {
    this.outbox.retry(id);
  }

  discard(id: string): void {
    this.outbox.discard(id);
  }

  async upload(file: File, onProgress: (part: number) => void): Promise<Attachment> {
    return this.withSession((session) => this.api.upload(session, file, onProgress));
  }

  async judge(id: string, score: 1 | -1): Promise<void> {
    const session = this.storage.session;
    const message = this.messages.get(`out:${id}`);
    if (!session || !message) return;
    const before = message.feedback ?? null;
    message.feedback = score;
    this.events.changed();
    try {
      await this.api.judge(session, id, score);
    } catch (error) {
      message.feedback = before;
      this.events.changed();
      throw error;
    }
  }

  async rate(rating: number, comment: string): Promise<void> {
    const session = this.storage.session;
    if (!session) return;
    await this.api.rate(session, rating, comment);
    this.rating = rating;
    this.events.changed();
  }

  async askForPerson(): Promise<void> {
    // The answer comes at once, and in the language that the gateway knows of.
    await this.tellLocale();
    const said = await this.withSession((session) => this.api.askForPerson(session));
    this.changeStatus(said.status, said.queue ?? null);
    if (!this.connected) await this.catchUp();
  }

  async close(): Promise<void> {
    const session = this.storage.session;
    if (session) await this.api.close(session);
    this.changeStatus("closed", null);
  }

  /** Leave the ended conversation behind; the next message opens another. */
  restart(): void {
    this.forget();
    this.events.changed();
  }

  typed(): void {
    if (this.status !== "agent" && this.status !== "waiting") return;
    if (Date.now() - this.typedAt < TYPING_EVERY_MS) return;
    this.typedAt = Date.now();
    this.feed.typing();
  }

  /** What was on screen is read. */
  markSeen(): void {
    const session = this.storage.session;
    if (session && session.seen < this.last) this.storage.session = { ...session, seen: this.last };
  }

  get unread(): number {
    const seen = this.storage.session?.seen ?? 0;
    return [...this.messages.values()].filter((message) => message.direction === "out" && message.seq > seen).length;
  }

  lines(): Line[] {
    const known = [...this.messages.values()].sort((one, other) => one.seq - other.seq).map(lineOf);
    const waiting = this.outbox.entries.filter((entry) => !this.messages.has(`in:${entry.id}`)).map(pendingLine);
    return [...known, ...waiting];
  }

  private hurry(): void {
    this.feed.hurry();
    if (this.identity && !this.storage.session) void this.follow();
    this.outbox.hurry();
    void this.tellLocale();
  }

  /** Who the conversation on screen belongs to; null for an anonymous visitor. */
  private get customer(): string | null {
    const session = this.storage.session;
    return session ? session.customer : customerOf(this.identity);
  }

  private isCurrent(session: Session): boolean {
    return this.storage.session?.id === session.id;
  }

  private async open(): Promise<Session> {
    const known = this.storage.session;
    if (known) return known;
    this.opening ??= this.begin(this.identity, this.locale);
    return this.opening;
  }

  private async begin(identity: Identity | null, locale: string): Promise<Session> {
    const { epoch } = this;
    try {
      const said = await this.api.open(identity, locale);
      // Someone signed in or out meanwhile: this one is not theirs.
      if (epoch !== this.epoch) throw new ApiError(0, "superseded");
      const session = { id: said.conversation_id, token: said.token, seen: 0, customer: customerOf(identity), locale };
      this.storage.session = session;
      this.refused = false;
      this.feed.start(session, () => this.last);
      return session;
    } catch (error) {
      if (epoch === this.epoch && error instanceof ApiError && !error.passing) {
        this.refused = true;
        this.events.refused(error);
        this.events.changed();
      }
      throw error;
    } finally {
      if (epoch === this.epoch) this.opening = null;
    }
  }

  /** Call with the session; with a new one, once, when the gateway does not know it any more. */
  private async withSession<T>(call: (session: Session) => Promise<T>): Promise<T> {
    const session = await this.open();
    try {
      return await call(session);
    } catch (error) {
      if (!(error instanceof ApiError) || !error.gone || !this.isCurrent(session)) throw error;
      this.forget();
      return call(await this.open());
    }
  }

  /** The system's own words come in the conversation's language: let it be the one on screen. */
  private async tellLocale(): Promise<void> {
    const session = this.storage.session;
    const { locale } = this;
    if (!session || session.locale === locale) return;
    try {
      await this.api.setLocale(session, locale);
    } catch (error) {
      // Told again when the network is back, or at the next visit.
      if (error instanceof ApiError) return;
      throw error;
    }
    const now = this.storage.session;
    if (now && this.isCurrent(session)) this.storage.session = { ...now, locale };
  }

  private async follow(): Promise<void> {
    try {
      let session = await this.open();
      await this.catchUp({ quiet: true });
      if (!this.storage.session && this.identity) {
        // The token had expired: who is signed in gets the same conversation with a new one.
        session = await this.open();
        await this.catchUp({ quiet: true });
      }
      if (this.storage.session?.id === session.id) this.feed.start(session, () => this.last);
    } catch (error) {
      // The socket's own tries go on; without a session the first message opens one.
      if (this.storage.session) this.feed.start(this.storage.session, () => this.last);
      if (!(error instanceof ApiError)) throw error;
    }
  }

  private async catchUp({ quiet = false } = {}): Promise<void> {
    const session = this.storage.session;
    if (!session) return;
    for (let more = true; more; ) {
      let page: Page;
      try {
        page = await this.api.page(session, this.last);
      } catch (error) {
        if (!(error instanceof ApiError)) throw error;
        if (error.gone && this.isCurrent(session)) this.forget();
        this.events.changed();
        return;
      }
      if (!this.isCurrent(session)) return;
      more = page.messages.length > 0 && page.next_after > this.last;
      this.merge(page, { quiet });
    }
  }

  private merge(page: Page, { quiet = false } = {}): void {
    const arrived: Message[] = [];
    for (const message of page.messages) {
      const key = `${message.direction}:${message.id}`;
      if (!this.messages.has(key) && message.direction === "out") arrived.push(message);
      const known = this.messages.get(key);
      // The log keeps personal data out of texts; who wrote it goes on seeing what was written.
      const mine = known && message.direction === "in" ? { text: known.text } : {};
      this.messages.set(key, { ...known, ...message, ...mine });
      this.last = Math.max(this.last, message.seq);
    }
    if (page.rating !== undefined) this.rating = page.rating;
    if (arrived.length) this.stopTyping();
    this.status = page.status;
    if (page.queue !== undefined) this.queue = page.queue;
    if (arrived.length && !quiet) this.events.arrived(arrived);
    this.events.changed();
  }

  private acknowledged(entry: Pending, seq: number): void {
    this.messages.set(`in:${entry.id}`, {
      id: entry.id,
      seq,
      direction: "in",
      author: "customer",
      text: entry.text,
      created_at: entry.at,
      ...(entry.title === undefined ? {} : { title: entry.title }),
      ...(entry.attachments ? { attachments: entry.attachments } : {}),
    });
    const answered = [...this.messages.values()].some((other) => other.direction === "out" && other.seq > seq);
    if (this.status === "bot" && !answered) this.showTyping("bot", BOT_ANSWERS_WITHIN_MS);
    this.events.changed();
    if (!this.connected) void this.catchUp();
  }

  private changeStatus(status: Status, queue: Queue | null): void {
    const ended = status === "closed" && this.status !== "closed";
    this.status = status;
    this.queue = queue;
    if (status !== "bot" && this.typing === "bot") this.stopTyping();
    this.events.changed();
    // Whether it was rated before is on the page only.
    if (ended) void this.catchUp();
  }

  private showTyping(who: "bot" | "agent", for_ms: number): void {
    clearTimeout(this.typingTimer);
    this.typingTimer = setTimeout(() => this.stopTyping(), for_ms);
    if (this.typing === who) return;
    this.typing = who;
    this.events.changed();
  }

  private stopTyping(): void {
    clearTimeout(this.typingTimer);
    if (this.typing === null) return;
    this.typing = null;
    this.events.changed();
  }

  private forget(): void {
    this.epoch += 1;
    this.opening = null;
    this.feed.stop();
    this.storage.session = null;
    this.messages.clear();
    this.last = 0;
    this.status = "bot";
    this.queue = null;
    this.rating = null;
    this.connected = false;
    this.stopTyping();
  }
}

function customerOf(identity: Identity | null): string | null {
  if (!identity) return null;
  if ("user_id" in identity) return `user:${identity.user_id}`;
  try {
    // Only to tell one customer's token from another's; the gateway checks it.
    const claims = JSON.parse(atob((identity.jwt.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/")));
    return `sub:${(claims as { sub?: string }).sub ?? ""}`;
  } catch {
    return "jwt";
  }
}

function lineOf(message: Message): Line {
  const inbound = message.direction === "in";
  return {
    key: `${message.direction}:${message.id}`,
    id: message.id,
    seq: message.seq,
    author: message.author ?? (inbound ? "customer" : "bot"),
    agentName: message.agent_name ?? null,
    text: (inbound ? message.title : null) ?? message.text ?? "",
    at: message.created_at,
    buttons: Array.isArray(message.buttons) ? message.buttons : [],
    cards: Array.isArray(message.custom?.cards) ? message.custom.cards : [],
    image: typeof message.image === "string" ? message.image : null,
    attachments: message.attachments ?? [],
    feedback: message.feedback,
    delivery: inbound ? "sent" : null,
    failure: null,
  };
}

function pendingLine(entry: Pending): Line {
  return {
    key: `in:${entry.id}`,
    id: entry.id,
    seq: null,
    author: "customer",
    agentName: null,
    text: entry.title ?? entry.text,
    at: entry.at,
    buttons: [],
    cards: [],
    image: null,
    attachments: entry.attachments ?? [],
    feedback: undefined,
    delivery: entry.failed === undefined ? "waiting" : "failed",
    failure: entry.failed ?? null,
  };
}
