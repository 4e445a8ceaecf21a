/** The forms that change how a conversation stands: sent without leaving the page, told beside it. */

import { headers, post, Refused } from "../http";
import { showNotice } from "../notices";
import { draftKey } from "./drafts";
import type { Transcript } from "./transcript";

export class Acts {
  onDone: () => void = () => undefined;
  private readonly told: HTMLElement | null;

  constructor(
    private readonly page: HTMLElement,
    private readonly transcript: Transcript,
  ) {
    this.told = page.querySelector<HTMLElement>("#act-told");
    page.addEventListener("submit", (event) => {
      const form = event.target;
      if (!(form instanceof HTMLFormElement) || form.dataset.act === undefined) return;
      event.preventDefault();
      void this.act(form);
    });
    const note = page.querySelector<HTMLFormElement>("#note-form");
    if (note) new NoteForm(page, note, transcript);
  }

  private async act(form: HTMLFormElement): Promise<void> {
    const button = form.querySelector("button");
    if (!button || button.disabled) return;
    button.disabled = true;
    tell(this.told, "");
    try {
      const { done } = await post<{ done: string }>(form.action, fieldsOf(form));
      showNotice(done, "good");
      await this.transcript.refresh();
      this.onDone();
    } catch (error) {
      tell(this.told, reason(error, this.page));
      // Somebody else was faster: show how it stands now.
      if (error instanceof Refused) await this.transcript.refresh();
    } finally {
      button.disabled = false;
    }
  }
}

/** Private notes: each has an id, so that what is sent twice is kept once. */
class NoteForm {
  private readonly field: HTMLTextAreaElement;
  private readonly draft: string;

  constructor(
    private readonly page: HTMLElement,
    private readonly form: HTMLFormElement,
    private readonly transcript: Transcript,
  ) {
    this.field = form.querySelector("textarea")!;
    this.draft = draftKey("note", page.dataset.conversation ?? "");
    this.field.value = sessionStorage.getItem(this.draft) ?? "";
    if (this.field.value) form.closest("details")?.setAttribute("open", "");
    this.field.addEventListener("input", () => sessionStorage.setItem(this.draft, this.field.value));
    this.field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.keep();
    });
  }

  private async keep(): Promise<void> {
    const button = this.form.querySelector("button");
    const told = this.form.querySelector<HTMLElement>(".told");
    if (!button || button.disabled || !this.field.value.trim()) return;
    button.disabled = true;
    tell(told, "");
    try {
      const { done } = await post<{ done: string }>(this.form.action, fieldsOf(this.form));
      this.field.value = "";
      sessionStorage.removeItem(this.draft);
      this.form.querySelector<HTMLInputElement>("input[name=id]")!.value = newId();
      showNotice(done, "good");
      await this.transcript.refresh();
    } catch (error) {
      tell(told, reason(error, this.page));
    } finally {
      button.disabled = false;
    }
  }
}

/** What went wrong, in words for who reads the page. */
export function reason(error: unknown, page: HTMLElement): string {
  return error instanceof Refused ? error.message : (page.dataset.sayOffline ?? String(error));
}

/** Show what went wrong beside a button; an empty text hides it. */
export function tell(region: HTMLElement | null, text: string): void {
  if (!region) return;
  region.textContent = text;
  region.hidden = !text;
}

/** An id of one's own: also on pages without TLS, where there is no randomUUID. */
export function newId(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Send a file as it is; the answer is how messages name it. */
export async function upload(path: string, file: File): Promise<{ id: string; name: string }> {
  const response = await fetch(`${path}?name=${encodeURIComponent(file.name)}`, {
    method: "POST",
    body: file,
    headers: { ...headers(), "Content-Type": file.type || "application/octet-stream" },
  });
  const body = (await response.json().catch(() => ({}))) as {
    id: string;
    name: string;
    error?: { field: string; message: string; remedy: string };
  };
  if (response.ok) return body;
  const { error } = body;
  throw new Refused(response.status, error?.field ?? "", error ? `${error.message}; ${error.remedy}` : String(response.status));
}

function fieldsOf(form: HTMLFormElement): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [name, value] of new FormData(form)) if (typeof value === "string") fields[name] = value;
  return fields;
}
