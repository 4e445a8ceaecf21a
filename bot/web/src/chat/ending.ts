/** What stands in the place of the field when the conversation has ended: stars, and a new start. */

import { el, icon } from "./dom";
import type { Texts } from "./texts";

export class Ending {
  readonly element = el("section", { class: "ending", hidden: true });
  private drawn = "";

  constructor(
    private readonly rate: (stars: number, comment: string) => Promise<void>,
    private readonly restart: () => void,
  ) {}

  show(closed: boolean, rating: number | null, texts: Texts): void {
    this.element.hidden = !closed;
    const now = closed ? `${rating} ${texts.locale}` : "";
    if (now === this.drawn) return;
    this.drawn = now;
    this.element.replaceChildren();
    if (!closed) return;
    this.element.append(el("p", { class: "closed" }, texts.say("closed")));
    this.element.append(rating === null ? this.form(texts) : el("p", { role: "status" }, texts.say("rated")));
    this.element.append(el("button", { type: "button", class: "quiet", click: this.restart }, texts.say("restart")));
  }

  private form(texts: Texts): HTMLElement {
    const stars = el("fieldset", { class: "stars" }, el("legend", {}, texts.say("rateQuestion")));
    const more = el("div", { class: "more", hidden: true });
    const problem = el("p", { class: "problem", role: "alert" });
    const comment = el("textarea", { rows: 2, maxlength: 1000, dir: "auto", "aria-label": texts.say("comment") });
    comment.placeholder = texts.say("comment");
    const send = el("button", { type: "submit", class: "primary" }, texts.say("rate"));
    for (let count = 1; count <= 5; count += 1) {
      const input = el("input", { type: "radio", name: "stars", value: count, "aria-label": texts.say("star", { count }) });
      input.addEventListener("change", () => {
        stars.dataset.count = input.value;
        more.hidden = false;
      });
      stars.append(el("label", {}, input, icon("star")));
    }
    more.append(comment, send, problem);
    const form = el("form", {}, stars, more);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      send.disabled = true;
      problem.textContent = "";
      try {
        await this.rate(Number(stars.dataset.count), comment.value.trim());
      } catch {
        problem.textContent = texts.say("failedBusy");
        send.disabled = false;
      }
    });
    return form;
  }
}
