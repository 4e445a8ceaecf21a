/** Canned answers behind a slash: a list below the field, chosen by keyboard or pointer. */

import { el } from "../../chat/dom";
import { get } from "../http";

interface Answer {
  shortcut: string;
  title: string;
  text: string;
}
interface Options {
  path: string;
  none: string;
}

const TOKEN = /(?:^|\s)\/([\p{L}\p{N}_-]{0,30})$/u;
const MOST_SHOWN = 8;
const GOOD_FOR_MS = 60_000;

export class Picker {
  private answers: Answer[] = [];
  private readAt = -GOOD_FOR_MS;
  private shown: Answer[] = [];
  private chosen = 0;

  constructor(
    private readonly field: HTMLTextAreaElement,
    private readonly list: HTMLElement,
    private readonly options: Options,
  ) {
    field.addEventListener("input", () => void this.look());
    field.addEventListener("blur", () => this.close());
  }

  /** Whether the list took the key. */
  press(event: KeyboardEvent): boolean {
    if (this.list.hidden || event.ctrlKey || event.metaKey || event.altKey) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined && this.shown.length) {
      this.choose((this.chosen + step + this.shown.length) % this.shown.length);
    } else if ((event.key === "Enter" || event.key === "Tab") && this.shown.length) {
      this.pick(this.chosen);
    } else if (event.key === "Escape") {
      this.close();
    } else {
      return false;
    }
    event.preventDefault();
    return true;
  }

  private get token(): string | null {
    const before = this.field.value.slice(0, this.field.selectionStart);
    return TOKEN.exec(before)?.[1]?.toLowerCase() ?? null;
  }

  private async look(): Promise<void> {
    if (this.token === null) return this.close();
    if (performance.now() - this.readAt >= GOOD_FOR_MS) {
      try {
        ({ answers: this.answers } = await get<{ answers: Answer[] }>(this.options.path));
        this.readAt = performance.now();
      } catch {
        return this.close();
      }
    }
    // Typing went on while they were read.
    const token = this.token;
    if (token === null) return this.close();
    const begins = this.answers.filter((one) => one.shortcut.startsWith(token));
    const has = this.answers.filter((one) => !begins.includes(one) && one.title.toLowerCase().includes(token));
    this.shown = [...begins, ...has].slice(0, MOST_SHOWN);
    this.show();
  }

  private show(): void {
    const items = this.shown.map((one, at) =>
      el(
        "li",
        {
          role: "option",
          id: `canned-${at}`,
          "aria-selected": "false",
          mousedown: (event) => {
            event.preventDefault();
            this.pick(at);
          },
        },
        el("span", { class: "mono" }, `/${one.shortcut}`),
        el("strong", { dir: "auto" }, one.title),
        el("span", { class: "muted picked-text", dir: "auto" }, one.text),
      ),
    );
    if (!items.length) {
      items.push(el("li", { role: "option", "aria-disabled": "true", "aria-selected": "false", class: "muted" }, this.options.none));
    }
    this.list.replaceChildren(...items);
    this.list.hidden = false;
    if (this.shown.length) this.choose(0);
    else this.field.removeAttribute("aria-activedescendant");
  }

  private choose(at: number): void {
    this.chosen = at;
    [...this.list.children].forEach((item, place) => item.setAttribute("aria-selected", String(place === at)));
    this.list.children[at]?.scrollIntoView({ block: "nearest" });
    this.field.setAttribute("aria-activedescendant", `canned-${at}`);
  }

  private pick(at: number): void {
    const answer = this.shown[at];
    const token = this.token;
    if (!answer || token === null) return this.close();
    const end = this.field.selectionStart;
    this.field.setRangeText(answer.text, end - token.length - 1, end, "end");
    this.close();
    this.field.dispatchEvent(new Event("input", { bubbles: true }));
    this.close();
  }

  private close(): void {
    this.list.hidden = true;
    this.field.removeAttribute("aria-activedescendant");
  }
}
