/** The file that is about to be sent: what may be sent, a look at it, its progress. */

import { el, icon } from "./dom";
import type { Texts } from "./texts";

const TYPES = new Set(["image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf", "text/plain"]);

export class Tray {
  readonly element = el("section", { class: "tray", hidden: true });
  private file: File | null = null;
  private preview: string | null = null;

  constructor(
    private texts: Texts,
    private readonly maxBytes: number,
    private readonly send: (file: File, onProgress: (part: number) => void) => Promise<void>,
    private readonly done: () => void,
  ) {}

  label(texts: Texts): void {
    this.texts = texts;
    if (this.file) this.draw(this.file);
  }

  /** Offer a file for sending, or say why it cannot be. */
  offer(file: File): void {
    const values = { name: file.name, limit: this.texts.size(this.maxBytes) };
    if (!TYPES.has(file.type)) this.complain(this.texts.say("wrongType", values));
    else if (file.size > this.maxBytes) this.complain(this.texts.say("tooLarge", values));
    else if (file.size === 0) this.complain(this.texts.say("emptyFile", values));
    else this.draw(file);
  }

  private complain(text: string): void {
    this.clear();
    this.element.replaceChildren(el("p", { class: "problem", role: "alert" }, text), this.hint(), this.dismissal());
    this.element.hidden = false;
  }

  private draw(file: File): void {
    this.clear();
    this.file = file;
    const name = el("bdi", { class: "name" }, file.name);
    let face: Node = icon("file");
    if (file.type.startsWith("image/")) {
      this.preview = URL.createObjectURL(file);
      face = el("img", { src: this.preview, alt: "" });
    }
    const send = el("button", { type: "button", class: "primary", click: () => void this.go(file) }, this.texts.say("sendFile"));
    this.element.replaceChildren(
      el("div", { class: "row" }, face, el("div", { class: "what" }, name, el("small", {}, this.texts.size(file.size)))),
      this.hint(),
      el("div", { class: "row end" }, this.dismissal(), send),
    );
    this.element.hidden = false;
    send.focus();
  }

  private async go(file: File): Promise<void> {
    const label = this.texts.say("uploading", { name: file.name });
    const bar = el("progress", { max: 1, value: 0, "aria-label": label });
    this.element.replaceChildren(el("p", {}, label), bar);
    try {
      await this.send(file, (part) => (bar.value = part));
      this.clear();
      this.done();
    } catch (error) {
      const status = (error as { status?: number }).status;
      const values = { name: file.name, limit: this.texts.size(this.maxBytes) };
      const key = status === 415 ? "wrongType" : status === 413 ? "tooLarge" : "uploadFailed";
      this.draw(file);
      this.element.prepend(el("p", { class: "problem", role: "alert" }, this.texts.say(key, values)));
    }
  }

  private hint(): HTMLElement {
    return el("p", { class: "hint" }, this.texts.say("attachHint", { limit: this.texts.size(this.maxBytes) }));
  }

  private dismissal(): HTMLElement {
    const dismiss = (): void => {
      this.clear();
      this.done();
    };
    return el("button", { type: "button", class: "quiet", click: dismiss }, this.texts.say("removeFile"));
  }

  private clear(): void {
    if (this.preview) URL.revokeObjectURL(this.preview);
    this.preview = null;
    this.file = null;
    this.element.replaceChildren();
    this.element.hidden = true;
  }
}
