/** The gateway over HTTP. */

import type { Identity } from "../protocol";
import type { Attachment, Page, Pending, Queue, Session, Status } from "./types";

const TIMEOUT_MS = 20_000;

/** A refusal of the gateway, or no answer (status 0). */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly retryAfterMs: number | null = null,
  ) {
    super(message);
  }

  /** Whether the same request may succeed later. */
  get passing(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }

  /** Whether the conversation or its token is no longer good. */
  get gone(): boolean {
    return this.status === 401 || this.status === 403 || this.status === 404;
  }
}

export class Api {
  constructor(private readonly base: URL) {}

  async open(identity: Identity | null, locale: string): Promise<{ conversation_id: string; token: string }> {
    return this.call("POST", "conversations", null, identity ? { identity, locale } : { locale });
  }

  async send(session: Session, pending: Pending): Promise<{ message: { seq: number } }> {
    const attachments = pending.attachments?.map((file) => file.id);
    const body = { id: pending.id, text: pending.text, ...(attachments ? { attachments } : {}) };
    return this.call("POST", this.path(session, "messages"), session, body);
  }

  async page(session: Session, after: number): Promise<Page> {
    return this.call("GET", `${this.path(session, "messages")}?after=${after}&limit=200`, session);
  }

  async setLocale(session: Session, locale: string): Promise<void> {
    await this.call("POST", this.path(session, "locale"), session, { locale });
  }

  async judge(session: Session, messageId: string, score: 1 | -1): Promise<void> {
    await this.call("POST", this.path(session, "feedback"), session, { message_id: messageId, score });
  }

  async rate(session: Session, rating: number, comment: string): Promise<void> {
    const body = comment ? { rating, comment } : { rating };
    await this.call("POST", this.path(session, "feedback"), session, body);
  }

  async askForPerson(session: Session): Promise<{ status: Status; queue?: Queue | null }> {
    return this.call("POST", this.path(session, "handoff"), session, {});
  }

  async close(session: Session): Promise<{ status: Status }> {
    return this.call("POST", this.path(session, "close"), session, {});
  }

  /** Send a file, telling how much of it (0 to 1) is on its way. */
  upload(session: Session, file: File, onProgress: (part: number) => void): Promise<Attachment> {
    return new Promise((resolve, reject) => {
      // fetch tells nothing about the progress of a request.
      const request = new XMLHttpRequest();
      const path = `${this.path(session, "files")}?name=${encodeURIComponent(file.name.slice(-120))}`;
      request.open("POST", new URL(path, this.base));
      request.timeout = 120_000;
      request.responseType = "json";
      request.setRequestHeader("Authorization", `Bearer ${session.token}`);
      request.setRequestHeader("Content-Type", file.type || "application/octet-stream");
      request.upload.onprogress = (event) => {
        if (event.lengthComputable) onProgress(event.loaded / event.total);
      };
      request.onload = () =>
        request.status === 201 ? resolve(request.response as Attachment) : reject(new ApiError(request.status, ""));
      request.onerror = request.ontimeout = () => reject(new ApiError(0, "no answer"));
      request.send(file);
    });
  }

  private path(session: Session, rest: string): string {
    return `conversations/${encodeURIComponent(session.id)}/${rest}`;
  }

  private async call<T>(method: string, path: string, session: Session | null, body?: unknown): Promise<T> {
    const headers: Record<string, string> = {};
    if (session) headers.Authorization = `Bearer ${session.token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response: Response;
    try {
      response = await fetch(new URL(path, this.base), {
        method,
        headers,
        body: body === undefined ? null : JSON.stringify(body),
        credentials: "omit",
        cache: "no-store",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch {
      throw new ApiError(0, "no answer");
    }
    const said = (await response.json().catch(() => null)) as { error?: { message?: string } } | null;
    if (!response.ok || said === null) {
      const seconds = Number(response.headers.get("Retry-After"));
      const wait = Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : null;
      throw new ApiError(response.ok ? 0 : response.status, said?.error?.message ?? "", wait);
    }
    return said as T;
  }
}
