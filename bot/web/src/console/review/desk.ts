/** The desk: shows a turn, sends what is said of it, has the one after ready, takes keys. */

import { el } from "../../chat/dom";
import { get, headers, post, Refused } from "../http";
import { showMoments } from "../moments";
import { showNotice } from "../notices";
import { Item } from "./item";
import type { Names } from "./item";

interface Told {
  annotation_id: string;
  turn_id: string;
  state: string;
  count: number;
  minutes: number;
}

/** A turn with its form as it stands, or the words that there is none. */
interface Card {
  nodes: Node[];
  item: Item | null;
}

const ROOT = "/console/review";

export class Desk {
  private card: Card;
  /** What comes after, the first of it next. */
  private readonly waiting: Promise<Card>[] = [];
  private readonly held = new Set<string>();
  /** What was said and is not kept yet, in its order. */
  private sending: Promise<void> = Promise.resolve();
  private readonly names: Promise<Names>;
  private busy = false;

  constructor(private readonly root: HTMLElement) {
    this.names = get<Names>(`${ROOT}/labels`).catch(() => ({ intents: [], entities: [] }));
    this.card = this.cardOf([...root.childNodes]);
    this.card.item?.opened();
  }

  start(): void {
    if (!this.single && this.card.item) this.prefetch();
    document.addEventListener("keydown", this.onKey);
    this.root.addEventListener("submit", this.onSubmit);
    this.root.addEventListener("click", this.onClick);
  }

  private get single(): boolean {
    return "single" in this.root.dataset;
  }

  private cardOf(nodes: Node[]): Card {
    const element = nodes.find((node): node is HTMLElement => node instanceof HTMLElement && node.matches(".review-item"));
    const item = element ? new Item(element, this.names) : null;
    if (item) this.held.add(item.turn);
    return { nodes, item };
  }

  private show(card: Card): void {
    this.card = card;
    this.root.replaceChildren(...card.nodes);
    showMoments(this.root);
    card.item?.opened();
    this.root.querySelector<HTMLElement>(".review-text, .review-empty")?.focus();
  }

  private prefetch(): void {
    const coming = this.fetchNext();
    this.waiting.push(coming);
    // Who waits for it hears of a failure; while nobody does, it is fetched again when wanted.
    coming.catch(() => {
      const at = this.waiting.indexOf(coming);
      if (at >= 0) this.waiting.splice(at, 1);
    });
  }

  private async fetchNext(): Promise<Card> {
    const response = await fetch(`${ROOT}/next`, {
      method: "POST",
      body: new URLSearchParams([...this.held].map((turn) => ["holding", turn])),
      headers: { ...headers(), Accept: "text/html", "HX-Request": "true" },
    });
    if (!response.ok) throw new Refused(response.status, "next", `HTTP ${response.status}`);
    // Our own server's fragment: every value in it was escaped there.
    return this.cardOf([...new DOMParser().parseFromString(await response.text(), "text/html").body.childNodes]);
  }

  /** Put the next turn on the page, at once where it has come. */
  private async advance(): Promise<void> {
    if (this.waiting.length === 0) this.prefetch();
    this.busy = true;
    try {
      this.show(await this.waiting.shift()!);
      if (this.card.item && this.waiting.length === 0) this.prefetch();
    } catch (error) {
      this.showNoNext(error);
    } finally {
      this.busy = false;
    }
  }

  /** What was said leaves the page all the same: whether it was kept is told by itself. */
  private showNoNext(error: unknown): void {
    const { noNext, tryAgain } = this.root.dataset;
    const words = el("p", { class: "review-empty", tabindex: "-1" }, worded(noNext, error));
    const button = el("button", { type: "button", class: "button", "data-do": "next" }, tryAgain);
    this.show({ nodes: [el("div", { class: "card stack", role: "alert" }, words, button)], item: null });
  }

  private complain(error: unknown): void {
    showNotice(worded(this.root.dataset.notSaved, error), "bad");
  }

  private tell(told: Told, words: string): void {
    const progress = document.querySelector<HTMLElement>("#review-progress");
    const text = (progress?.dataset.words ?? "")
      .replace("{count}", String(told.count))
      .replace("{minutes}", String(told.minutes));
    if (progress) progress.textContent = text;
    showNotice(`${words} ${text}`.trim(), "good");
  }

  /** Send something about a turn after what was sent before; when it is refused the turn comes back. */
  private send(card: Card, act: () => Promise<void>): void {
    this.sending = this.sending.then(async () => {
      try {
        await act();
        if (card.item) this.held.delete(card.item.turn);
      } catch (error) {
        this.complain(error);
        // What another has now, or nobody any more, is not ours to put right.
        if (error instanceof Refused && [404, 409].includes(error.status)) return;
        if (card !== this.card) {
          if (this.card.item) this.waiting.unshift(Promise.resolve(this.card));
          this.show(card);
        }
      }
    });
  }

  private save(rejected = ""): void {
    const { card } = this;
    const { item } = card;
    if (!item || this.busy) return;
    const fields = item.fields(rejected);
    if (!rejected && !fields.intent) {
      showNotice(this.root.dataset.choose ?? "", "bad");
      return;
    }
    this.send(card, async () => {
      const told = await post<Told>(item.action, fields);
      let unproposed: unknown;
      await item.proposeWording().catch((error: unknown) => (unproposed = error));
      this.tell(told, this.root.dataset.saved ?? "");
      if (unproposed) showNotice(worded(this.root.dataset.notProposed, unproposed), "bad");
      if (!this.single) return;
      const next = item.action.endsWith("/settle") ? `${ROOT}/agreement` : location.pathname;
      location.assign(unproposed ? `${next}?notice=review.wording_not_proposed` : next);
    });
    if (!this.single) void this.advance();
  }

  private skip(): void {
    const { card } = this;
    const { item } = card;
    if (!item || this.single || this.busy) return;
    this.send(card, async () => {
      await post(`${ROOT}/turns/${item.turn}/skip`);
    });
    void this.advance();
  }

  private async undo(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    try {
      await this.sending;
      const told = await post<Told>(`${ROOT}/undo`);
      if (this.single || !["first", "second"].includes(told.state)) {
        location.assign(`${ROOT}/turns/${told.turn_id}`);
        return;
      }
      // It is leased to us again and not held, so it is what we are given.
      const card = await this.fetchNext();
      if (this.card.item) this.waiting.unshift(Promise.resolve(this.card));
      this.show(card);
      this.tell(told, this.root.dataset.undone ?? "");
    } catch (error) {
      this.complain(error);
    } finally {
      this.busy = false;
    }
  }

  private async propose(form: HTMLFormElement): Promise<void> {
    const { item } = this.card;
    const fields = [...new FormData(form)].map(([name, value]): [string, string] => [name, String(value)]);
    try {
      await post(form.action, Object.fromEntries(fields));
      item?.closeWriting();
      item?.choose("answer", "none");
      showNotice(this.root.dataset.proposed ?? "", "good");
    } catch (error) {
      this.complain(error);
    }
  }

  private readonly onSubmit = (event: SubmitEvent): void => {
    const form = event.target as HTMLFormElement;
    const button = event.submitter as HTMLButtonElement | null;
    event.preventDefault();
    if (form.closest("dialog")) void this.propose(form);
    else if (button?.dataset.do === "skip") this.skip();
    else if (button?.dataset.do === "undo") void this.undo();
    else this.save(button?.name === "reject_reason" ? button.value : "");
  };

  private readonly onClick = (event: MouseEvent): void => {
    const control = (event.target as Element).closest<HTMLElement>("[data-do]");
    if (control?.dataset.do === "write") {
      event.preventDefault();
      this.card.item?.openWriting();
    }
    if (control?.dataset.do === "next" && !this.busy) void this.advance();
    if (control?.dataset.do === "close") this.card.item?.closeWriting();
  };

  private readonly onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    if (this.card.item?.onKey(event)) {
      event.preventDefault();
      return;
    }
    const onControl = event.target instanceof Element && event.target.closest("button, a, summary");
    const acts: Record<string, () => void> = {
      a: () => this.save(),
      Enter: () => this.save(),
      s: () => this.skip(),
      u: () => void this.undo(),
      "?": toggleKeys,
    };
    const act = acts[event.key];
    if (!act || (event.key === "Enter" && onControl)) return;
    event.preventDefault();
    act();
  };
}

/** Words with what went wrong put in. */
function worded(words: string | undefined, error: unknown): string {
  const why = error instanceof Error ? error.message : String(error);
  return (words ?? "{why}").replace("{why}", () => why);
}

function toggleKeys(): void {
  const keys = document.querySelector<HTMLDetailsElement>("#review-keys");
  if (!keys) return;
  keys.open = !keys.open;
  if (keys.open) keys.scrollIntoView({ block: "nearest" });
}

/** Whether keys write: choices and buttons are no place to write. */
function isTyping(target: EventTarget | null): boolean {
  if (target instanceof HTMLInputElement) return !["radio", "checkbox", "button", "submit"].includes(target.type);
  return (
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement ||
    (target instanceof HTMLElement && target.isContentEditable)
  );
}
