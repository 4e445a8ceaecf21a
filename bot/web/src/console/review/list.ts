/** A field with a list that narrows while one types: arrows move, Enter takes, Escape leaves. */

export interface Choice {
  value: string;
  text: string;
  hint?: string;
}

export interface Source {
  find: (typed: string) => Promise<Choice[]>;
  choose: (value: string, text: string) => void;
}

const MOST = 12;

export class ChoiceList {
  private choices: Choice[] = [];
  private at = 0;
  private asked = 0;

  constructor(
    private readonly input: HTMLInputElement,
    private readonly list: HTMLUListElement,
    private readonly source: Source,
  ) {
    input.addEventListener("input", () => void this.search());
    input.addEventListener("focus", () => void this.search());
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", this.onKey);
    // Before the field loses the focus, and with it the list.
    list.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      const option = (event.target as Element).closest<HTMLElement>("[role=option]");
      if (option) this.take(Number(option.dataset.number));
    });
  }

  private async search(): Promise<void> {
    const asked = ++this.asked;
    const found = await this.source.find(this.input.value.trim()).catch(() => []);
    // Answers may come in another order than they were asked for.
    if (asked !== this.asked || document.activeElement !== this.input) return;
    this.choices = found.slice(0, MOST);
    this.at = 0;
    this.show();
  }

  private show(): void {
    const id = this.list.id;
    this.list.replaceChildren(
      ...this.choices.map((choice, number) => {
        const option = document.createElement("li");
        option.id = `${id}-${number}`;
        option.setAttribute("role", "option");
        option.setAttribute("aria-selected", String(number === this.at));
        option.dataset.number = String(number);
        option.dir = "auto";
        option.textContent = choice.text;
        if (choice.hint) {
          const hint = document.createElement("span");
          hint.className = "muted";
          hint.textContent = choice.hint;
          option.append(document.createElement("br"), hint);
        }
        return option;
      }),
    );
    if (this.choices.length === 0 && this.list.dataset.none && this.input.value.trim()) {
      const nothing = document.createElement("li");
      nothing.className = "muted";
      nothing.setAttribute("role", "option");
      nothing.setAttribute("aria-disabled", "true");
      nothing.textContent = this.list.dataset.none;
      this.list.append(nothing);
    }
    this.list.hidden = this.list.childElementCount === 0;
    this.input.setAttribute("aria-expanded", String(!this.list.hidden));
    if (this.choices.length > 0) this.input.setAttribute("aria-activedescendant", `${id}-${this.at}`);
    else this.input.removeAttribute("aria-activedescendant");
    this.list.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
  }

  private close(): void {
    this.asked++;
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  private take(number: number): void {
    const choice = this.choices[number];
    if (!choice) return;
    this.close();
    this.source.choose(choice.value, choice.text);
  }

  private readonly onKey = (event: KeyboardEvent): void => {
    if (event.isComposing) return;
    const count = this.choices.length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (count > 0) this.at = (this.at + (event.key === "ArrowDown" ? 1 : count - 1)) % count;
      this.show();
    } else if (event.key === "Enter") {
      this.take(this.at);
    } else if (event.key === "Escape") {
      this.close();
      this.input.blur();
    } else {
      return;
    }
    event.preventDefault();
  };
}
