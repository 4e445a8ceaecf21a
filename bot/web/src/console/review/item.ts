/** One turn on the desk: its choices, the words of its text, and the keys that choose. */

import { get, post } from "../http";
import { ChoiceList } from "./list";
import { Spans } from "./spans";

export interface Names {
  intents: string[];
  entities: string[];
}

interface Pair {
  id: string;
  question: string;
  answer: string;
}

const MAX_CHOICES = 9;

export class Item {
  readonly turn: string;
  readonly action: string;
  private readonly form: HTMLFormElement;
  private readonly spans: Spans;
  private readonly dialog: HTMLDialogElement;
  /** What the next key completes: an emotion's letter, a reason's. */
  private half: "" | "emotion" | "reject" = "";
  private since = 0;
  private answered = false;

  constructor(
    readonly element: HTMLElement,
    names: Promise<Names>,
  ) {
    this.turn = element.dataset.turn ?? "";
    this.form = element.querySelector<HTMLFormElement>(".review-form")!;
    this.dialog = element.querySelector<HTMLDialogElement>(".review-write")!;
    this.action = this.form.getAttribute("action") ?? "";
    this.spans = new Spans(this.form.querySelector<HTMLElement>(".review-entities")!);
    this.offerIntents(names);
    this.offerPairs();
    this.form.addEventListener("change", this.onChange);
  }

  /** It is on the page now: the time that it takes begins. */
  opened(): void {
    this.since = performance.now();
  }

  /** What the form says, as the server takes it. */
  fields(rejected: string): Record<string, string> {
    const data = new FormData(this.form);
    const fields: Record<string, string> = {};
    for (const name of ["queued", "reason", "intent", "emotion", "answer", "answer_pair_id"]) {
      fields[name] = String(data.get(name) ?? "");
    }
    fields.entities = JSON.stringify(this.spans.all());
    fields.spent_ms = String(Math.round(performance.now() - this.since));
    if (fields.answer !== "pair") fields.answer_pair_id = "";
    else if (!fields.answer_pair_id) fields.answer = "";
    if (rejected) fields.reject_reason = rejected;
    return fields;
  }

  /** Check one of the choices. */
  choose(name: string, value: string): void {
    for (const input of this.form.querySelectorAll<HTMLInputElement>(`input[type=radio][name=${name}]`)) {
      if (input.value === value) {
        input.checked = true;
        input.dispatchEvent(new Event("change", { bubbles: true }));
        input.scrollIntoView({ block: "nearest" });
      }
    }
  }

  openWriting(): void {
    const intent = this.dialog.querySelector<HTMLInputElement>("input[name=intent]");
    if (intent) intent.value = String(new FormData(this.form).get("intent") ?? "");
    this.dialog.showModal();
    this.dialog.querySelector<HTMLElement>("textarea")?.focus();
  }

  closeWriting(): void {
    if (this.dialog.open) this.dialog.close();
    this.element.querySelector<HTMLElement>(".review-text")?.focus();
  }

  /** With the answer that was right, perhaps its new wording too. */
  async proposeWording(): Promise<void> {
    const wanted = this.form.querySelector<HTMLInputElement>(".review-wording");
    const pair = this.form.querySelector<HTMLInputElement>("input[name=answer_pair_id]")?.value;
    const answer = new FormData(this.form).get("answer");
    if (!wanted?.checked || !pair || answer !== "pair") return;
    const question = this.dialog.querySelector<HTMLInputElement>("input[name=question]")?.value ?? "";
    await post("/console/review/answers", { kind: "wording", pair_id: pair, turn_id: this.turn, question });
  }

  /** Whether a key was for this turn. */
  onKey(event: KeyboardEvent): boolean {
    const { key } = event;
    if (this.half) return this.complete(key);
    if (this.spans.onKey(event)) return true;
    if (/^[1-9]$/.test(key)) return this.chooseNumber(Number(key));
    const starts: Record<string, () => void> = {
      "/": () => this.form.querySelector<HTMLInputElement>(".review-search input")?.focus(),
      e: () => this.begin("emotion"),
      x: () => this.begin("reject"),
      n: () => this.spans.enter(),
      f: () => this.choose("answer", "wrong"),
      p: () => {
        this.choose("answer", "pair");
        this.form.querySelector<HTMLInputElement>(".review-pair-search")?.select();
      },
      w: () => this.openWriting(),
    };
    const act = starts[key];
    if (!act) return false;
    act();
    return true;
  }

  private begin(half: "emotion" | "reject"): void {
    this.half = half;
    this.element.dataset.half = half;
    const reject = this.form.querySelector<HTMLDetailsElement>(".review-reject");
    if (half === "reject" && reject) {
      reject.open = true;
      reject.scrollIntoView({ block: "nearest" });
    }
  }

  private complete(key: string): boolean {
    const { half } = this;
    if (key === "Shift") return true;
    this.half = "";
    delete this.element.dataset.half;
    const kind = half === "emotion" ? "input" : "button";
    const control = [...this.form.querySelectorAll<HTMLInputElement | HTMLButtonElement>(`${kind}[data-letter]`)].find(
      (one) => one.dataset.letter === key.toLowerCase(),
    );
    if (control instanceof HTMLInputElement) this.choose("emotion", control.value);
    else control?.click();
    return true;
  }

  private chooseNumber(number: number): boolean {
    const inputs = this.form.querySelectorAll<HTMLInputElement>(".review-intents input[type=radio]");
    const input = number <= MAX_CHOICES ? inputs[number - 1] : undefined;
    if (input) this.choose("intent", input.value);
    return input !== undefined;
  }

  private readonly onChange = (event: Event): void => {
    const input = event.target;
    if (!(input instanceof HTMLInputElement)) return;
    if (input.name === "answer") {
      this.answered = true;
      const pairs = this.form.querySelector<HTMLElement>(".review-pairs");
      if (pairs) pairs.hidden = input.value !== "pair";
    }
    const guess = this.form.querySelector<HTMLElement>(".review-intents")?.dataset.guess;
    if (input.name === "intent" && input.value !== guess && !this.answered) {
      // Who corrects the intent has not said that the answer was right.
      const unsaid = this.form.querySelector<HTMLInputElement>("input[name=answer][value='']");
      if (unsaid) unsaid.checked = true;
    }
  };

  private offerIntents(names: Promise<Names>): void {
    const input = this.form.querySelector<HTMLInputElement>(".review-search input")!;
    input.removeAttribute("list");
    const list = this.form.querySelector<HTMLUListElement>(".review-search ul")!;
    new ChoiceList(input, list, {
      find: async (typed) => {
        const { intents } = await names;
        const wanted = typed.toLowerCase().split(/[\s_]+/);
        return intents
          .filter((intent) => wanted.every((part) => intent.includes(part)))
          .map((intent) => ({ value: intent, text: intent }));
      },
      choose: (intent) => {
        input.value = "";
        this.addIntent(intent);
        this.element.querySelector<HTMLElement>(".review-text")?.focus();
      },
    });
  }

  private addIntent(intent: string): void {
    const known = [...this.form.querySelectorAll<HTMLInputElement>("input[name=intent]")];
    if (!known.some((input) => input.value === intent)) {
      const label = document.createElement("label");
      label.className = "review-choice";
      const input = document.createElement("input");
      input.type = "radio";
      input.name = "intent";
      input.value = intent;
      const name = document.createElement("span");
      name.className = "mono";
      name.textContent = intent;
      label.append(input, " ", name);
      this.form.querySelector(".review-intents .review-choices")?.append(label);
    }
    this.choose("intent", intent);
  }

  private offerPairs(): void {
    const input = this.form.querySelector<HTMLInputElement>(".review-pair-search")!;
    const list = input.parentElement!.querySelector<HTMLUListElement>("ul")!;
    const chosen = this.form.querySelector<HTMLInputElement>("input[name=answer_pair_id]")!;
    const shown = this.form.querySelector<HTMLElement>(".review-pair")!;
    new ChoiceList(input, list, {
      find: async (typed) => {
        const { pairs } = await get<{ pairs: Pair[] }>(`/console/review/pairs?${new URLSearchParams({ q: typed })}`);
        return pairs.map((pair) => ({ value: pair.id, text: pair.question, hint: pair.answer }));
      },
      choose: (id, text) => {
        chosen.value = id;
        shown.textContent = text;
        this.element.querySelector<HTMLElement>(".review-text")?.focus();
      },
    });
  }
}
