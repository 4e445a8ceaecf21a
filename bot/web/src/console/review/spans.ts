/** Entities of a text, marked word by word; offsets are the server's, in code points. */

export interface Span {
  start: number;
  end: number;
  entity: string;
  text: string;
  value?: string;
  role?: string;
  group?: string;
}

export class Spans {
  private readonly words: HTMLButtonElement[];
  private readonly list: HTMLUListElement;
  private readonly other: HTMLInputElement;
  private spans: Span[];
  /** The first and the last chosen word; -1: none. */
  private from = -1;
  private to = -1;

  constructor(private readonly root: HTMLElement) {
    root.hidden = false;
    this.words = [...root.querySelectorAll<HTMLButtonElement>(".review-word")];
    this.list = root.querySelector<HTMLUListElement>(".review-spans")!;
    this.other = root.querySelector<HTMLInputElement>(".review-other-entity")!;
    this.spans = [...this.list.querySelectorAll<HTMLElement>("li")].map((item) => this.read(item));
    for (const [number, word] of this.words.entries()) {
      word.addEventListener("click", (event) => this.pick(number, event.shiftKey));
    }
    for (const button of root.querySelectorAll<HTMLButtonElement>("[data-entity]:not(li)")) {
      button.addEventListener("click", () => this.mark(button.dataset.entity ?? ""));
    }
    root.querySelector("[data-do=mark]")?.addEventListener("click", () => this.mark(this.other.value.trim()));
    this.other.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault();
      this.mark(this.other.value.trim());
    });
    this.show();
  }

  /** What is marked, in the order of the text. */
  all(): Span[] {
    return [...this.spans].sort((one, other) => one.start - other.start);
  }

  /** Go to the words, to mark them by keyboard. */
  enter(): void {
    (this.words[Math.max(this.to, 0)] ?? this.root).focus();
  }

  /** Whether a key was for the words. */
  onKey(event: KeyboardEvent): boolean {
    const at = this.words.indexOf(event.target as HTMLButtonElement);
    if (at < 0) return false;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step !== undefined) {
      const next = Math.min(Math.max(at + step, 0), this.words.length - 1);
      if (event.shiftKey) {
        if (this.from < 0) this.from = at;
        this.to = next;
        this.show();
      }
      this.words[next]?.focus();
      return true;
    }
    if (event.key === "Escape") {
      this.clear();
      this.root.closest(".review-item")?.querySelector<HTMLElement>(".review-text")?.focus();
      return true;
    }
    if (event.key === "Delete" || event.key === "Backspace") {
      const span = this.spanOf(at);
      if (span) this.remove(span);
      return true;
    }
    if (/^[1-9]$/.test(event.key)) {
      if (this.from < 0) this.pick(at, false);
      const buttons = this.root.querySelectorAll<HTMLButtonElement>(".review-names [data-entity]");
      const button = buttons[Number(event.key) - 1];
      if (button) this.mark(button.dataset.entity ?? "");
      return true;
    }
    return false;
  }

  private read(item: HTMLElement): Span {
    const { start, end, entity, value, role, group } = item.dataset;
    const span: Span = { start: Number(start), end: Number(end), entity: entity ?? "", text: "" };
    span.text = this.slice(span.start, span.end);
    if (value && value !== span.text) span.value = value;
    if (role) span.role = role;
    if (group) span.group = group;
    return span;
  }

  /** The text between two code points. */
  private slice(start: number, end: number): string {
    const heading = this.root.closest(".review-item")?.querySelector(".review-text");
    return [...(heading?.lastChild?.textContent ?? "")].slice(start, end).join("");
  }

  private pick(number: number, extend: boolean): void {
    if (extend && this.from >= 0) {
      this.to = number;
    } else if (this.from === number && this.to === number) {
      this.from = this.to = -1;
    } else if (this.from >= 0 && this.from === this.to) {
      // A first word was chosen: this is the last one.
      this.to = number;
    } else {
      this.from = this.to = number;
    }
    this.show();
  }

  private mark(entity: string): void {
    if (this.from < 0 || !/^[A-Za-z_][\w-]*$/.test(entity)) return;
    const first = this.words[Math.min(this.from, this.to)]!;
    const last = this.words[Math.max(this.from, this.to)]!;
    const start = Number(first.dataset.start);
    const end = Number(last.dataset.end);
    this.spans = this.spans.filter((span) => span.end <= start || end <= span.start);
    this.spans.push({ start, end, entity, text: this.slice(start, end) });
    this.other.value = "";
    this.clear();
  }

  private remove(span: Span): void {
    this.spans = this.spans.filter((one) => one !== span);
    this.show();
  }

  private clear(): void {
    this.from = this.to = -1;
    this.show();
  }

  private spanOf(word: number): Span | undefined {
    const start = Number(this.words[word]?.dataset.start);
    return this.spans.find((span) => span.start <= start && start < span.end);
  }

  private show(): void {
    const [low, high] = [Math.min(this.from, this.to), Math.max(this.from, this.to)];
    for (const [number, word] of this.words.entries()) {
      word.setAttribute("aria-pressed", String(this.from >= 0 && number >= low && number <= high));
      const entity = this.spanOf(number)?.entity;
      word.classList.toggle("review-marked", entity !== undefined);
      if (entity === undefined) word.removeAttribute("title");
      else word.title = entity;
    }
    for (const button of this.root.querySelectorAll<HTMLButtonElement>(".review-names button")) {
      button.disabled = this.from < 0;
    }
    this.list.replaceChildren(...this.all().map((span) => this.row(span)));
    if (this.spans.length === 0) {
      const none = document.createElement("li");
      none.className = "muted";
      none.textContent = this.list.dataset.none ?? "";
      this.list.append(none);
    }
  }

  private row(span: Span): HTMLLIElement {
    const row = document.createElement("li");
    const name = document.createElement("code");
    name.textContent = span.entity;
    const text = document.createElement("span");
    text.dir = "auto";
    text.textContent = ` ${span.text} `;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "button-quiet";
    remove.textContent = "×";
    const label = this.list.dataset.remove ?? "";
    remove.setAttribute("aria-label", label.replace("{entity}", span.entity).replace("{text}", span.text));
    remove.addEventListener("click", () => this.remove(span));
    row.append(name, text, remove);
    return row;
  }
}
