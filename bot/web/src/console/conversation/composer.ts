/** Where an agent answers: a draft that is never lost, sent once, with files and ready answers. */

import { el } from "../../chat/dom";
import { get, post, unasked } from "../http";
import { live } from "../live";
import { newId, reason, tell, upload } from "./acts";
import { draftKey } from "./drafts";
import { Picker } from "./picker";
import type { Transcript } from "./transcript";

interface Suggestion {
  id: string;
  question: string;
  text: string;
  score: number;
}
interface Attached {
  id: string;
  name: string;
}

const TYPING_EVERY_MS = 1_000;

export class Composer {
  private readonly section: HTMLElement;
  private readonly form: HTMLFormElement;
  private readonly field: HTMLTextAreaElement;
  private readonly sendButton: HTMLButtonElement;
  private readonly told: HTMLElement;
  private readonly picker: Picker;
  private readonly id: string;
  private mine = false;
  private sending = false;
  private files: Attached[] = [];
  private suggestions: Suggestion[] = [];
  private suggestedFor = "";
  private typedAt = 0;

  constructor(
    private readonly page: HTMLElement,
    private readonly base: string,
    private readonly transcript: Transcript,
  ) {
    this.section = page.querySelector<HTMLElement>("#composer")!;
    this.form = page.querySelector<HTMLFormElement>("#reply-form")!;
    this.field = page.querySelector<HTMLTextAreaElement>("#reply")!;
    this.sendButton = page.querySelector<HTMLButtonElement>("#send")!;
    this.told = this.form.querySelector<HTMLElement>(".told")!;
    this.id = page.dataset.conversation ?? "";
    this.picker = new Picker(this.field, page.querySelector<HTMLElement>("#canned-list")!, {
      path: `${base}/canned`,
      none: page.dataset.sayCannedNone ?? "",
    });
    this.field.value = sessionStorage.getItem(this.key("draft")) ?? "";
    this.files = JSON.parse(sessionStorage.getItem(this.key("files")) ?? "[]") as Attached[];
    this.showFiles();
    this.field.addEventListener("input", () => this.typed());
    this.field.addEventListener("keydown", (event) => this.press(event));
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.send();
    });
    const chosen = this.form.querySelector<HTMLInputElement>("#file")!;
    chosen.closest<HTMLElement>(".attach")!.hidden = false;
    chosen.addEventListener("change", () => void this.attach(chosen));
  }

  /** Whether the conversation is the agent's own now. */
  update(mine: boolean): void {
    this.mine = mine;
    const hasDraft = Boolean(this.field.value.trim()) || this.files.length > 0;
    // What was written stays in sight when the conversation went to somebody else.
    this.section.hidden = !mine && !hasDraft;
    this.sendButton.disabled = !mine;
    const left = this.page.querySelector<HTMLElement>("#left-draft");
    if (left) left.hidden = mine || !hasDraft;
    this.suggestedFor = "";
    void this.suggest();
  }

  focus(): void {
    if (this.mine) this.field.focus();
  }

  /** Open the list of canned answers where the cursor is. */
  beginCanned(): void {
    if (!this.mine) return;
    this.field.focus();
    const joint = this.field.value && !/\s$/.test(this.field.value) ? " /" : "/";
    this.put(joint);
  }

  /** Put a suggestion into the field. */
  insert(position: number): void {
    const suggestion = this.suggestions[position];
    if (!this.mine || !suggestion) return;
    this.field.focus();
    const joint = this.field.value && !/\s$/.test(this.field.value) ? "\n" : "";
    this.put(joint + suggestion.text);
  }

  /** Look for answers to the customer's last message, once for each. */
  async suggest(): Promise<void> {
    const last = this.transcript.lastOfCustomer;
    const box = this.section.querySelector<HTMLElement>("#suggestions")!;
    if (!this.mine || !last || last === this.suggestedFor) return;
    this.suggestedFor = last;
    try {
      const found = await get<{ suggestions: Suggestion[]; problem?: string }>(`${this.base}/suggestions`, unasked);
      this.suggestions = found.suggestions;
      const list = box.querySelector("ol")!;
      list.replaceChildren(...this.suggestions.map((one, at) => this.suggestionItem(one, at)));
      if (!this.suggestions.length) {
        list.append(el("li", { class: "muted" }, found.problem ?? this.page.dataset.sayNone));
      }
      box.hidden = false;
    } catch {
      // Suggestions are an offer: without them the agent writes.
      this.suggestedFor = "";
    }
  }

  private suggestionItem(one: Suggestion, at: number): HTMLElement {
    const take = el(
      "button",
      { type: "button", class: "suggestion", click: () => this.insert(at) },
      el("kbd", {}, String(at + 1)),
      el("span", { class: "suggested-question", dir: "auto" }, one.question),
      el("span", { class: "suggested-text", dir: "auto" }, one.text),
    );
    return el("li", {}, take);
  }

  private put(text: string): void {
    const { selectionStart, selectionEnd } = this.field;
    this.field.setRangeText(text, selectionStart, selectionEnd, "end");
    this.field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  private typed(): void {
    sessionStorage.setItem(this.key("draft"), this.field.value);
    const now = Date.now();
    if (!this.mine || !this.field.value || now - this.typedAt < TYPING_EVERY_MS) return;
    this.typedAt = now;
    live().emit("typing", { conversation_id: this.id });
  }

  private press(event: KeyboardEvent): void {
    if (event.isComposing || this.picker.press(event)) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      void this.send();
    } else if (event.altKey && /^Digit[1-3]$/.test(event.code)) {
      event.preventDefault();
      this.insert(Number(event.code.slice(-1)) - 1);
    }
  }

  private async send(): Promise<void> {
    const text = this.field.value;
    const ids = this.files.map((file) => file.id);
    if (this.sending || !this.mine) return;
    if (!text.trim() && !ids.length) return this.field.focus();
    this.sending = true;
    this.sendButton.disabled = true;
    tell(this.told, "");
    const fields = new URLSearchParams([
      ["id", this.sendId(JSON.stringify([text, ids]))],
      ["text", text],
      ...ids.map((id) => ["attachments", id]),
    ]);
    try {
      await post(this.form.action, fields);
      sessionStorage.removeItem(this.key("send"));
      // What was typed meanwhile is the next message.
      if (this.field.value === text) this.field.value = "";
      this.files = this.files.filter((file) => !ids.includes(file.id));
      this.keep();
      await this.transcript.refresh();
    } catch (error) {
      tell(this.told, reason(error, this.page));
      void this.transcript.refresh();
    } finally {
      this.sending = false;
      this.sendButton.disabled = !this.mine;
    }
  }

  /** The id under which this very message is sent, also when it is tried again after a reload. */
  private sendId(body: string): string {
    const kept = JSON.parse(sessionStorage.getItem(this.key("send")) ?? "null") as { id: string; body: string } | null;
    if (kept?.body === body) return kept.id;
    const fresh = { id: newId(), body };
    sessionStorage.setItem(this.key("send"), JSON.stringify(fresh));
    return fresh.id;
  }

  private async attach(input: HTMLInputElement): Promise<void> {
    const state = this.form.querySelector<HTMLElement>("#uploading")!;
    tell(this.told, "");
    state.textContent = this.page.dataset.sayUploading ?? "";
    try {
      for (const file of [...(input.files ?? [])]) {
        const { id, name } = await upload(`${this.base}/files`, file);
        if (!this.files.some((one) => one.id === id)) this.files.push({ id, name });
      }
    } catch (error) {
      tell(this.told, reason(error, this.page));
    } finally {
      state.textContent = "";
      input.value = "";
      this.keep();
    }
  }

  private keep(): void {
    sessionStorage.setItem(this.key("draft"), this.field.value);
    sessionStorage.setItem(this.key("files"), JSON.stringify(this.files));
    this.showFiles();
  }

  private showFiles(): void {
    const list = this.form.querySelector<HTMLElement>("#attached")!;
    list.hidden = !this.files.length;
    list.replaceChildren(
      ...this.files.map((file) =>
        el(
          "li",
          {},
          el("span", { dir: "auto" }, file.name),
          " ",
          el(
            "button",
            {
              type: "button",
              class: "button-quiet",
              "aria-label": (this.page.dataset.sayRemove ?? "").replace("{name}", () => file.name),
              click: () => this.detach(file),
            },
            "×",
          ),
        ),
      ),
    );
  }

  private detach(file: Attached): void {
    this.files = this.files.filter((one) => one !== file);
    this.keep();
    this.field.focus();
  }

  private key(kind: "draft" | "send" | "files"): string {
    return draftKey(kind, this.id);
  }
}
