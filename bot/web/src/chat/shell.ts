/** Everything around the messages: head, menu, notices, foot, and the live region. */

import { authorOf } from "./bubble";
import type { Conversation } from "./conversation";
import { el, icon, type IconName } from "./dom";
import type { Key, Texts } from "./texts";
import type { Message } from "./types";

export interface ShellEvents {
  close: () => void;
  person: () => Promise<void>;
  language: () => void;
  end: () => Promise<void>;
}

export class Shell {
  readonly main = el("div", { class: "messages" });
  readonly bottom = el("div", { class: "bottom" });
  private readonly title = el("h1", {});
  private readonly subtitle = el("p", { class: "subtitle" });
  private readonly notice = el("p", { class: "notice", role: "status", hidden: true });
  private readonly live = el("div", { class: "hidden", "aria-live": "polite", "data-live": true });
  private readonly menu = el("div", { class: "menu", id: "menu", hidden: true });
  private readonly menuButton = el("button", { type: "button", "aria-controls": "menu", "aria-expanded": "false" }, icon("more"));
  private readonly closeButton = el("button", { type: "button", hidden: true }, icon("close"));
  private readonly personButton = el("button", { type: "button", class: "person" });
  private readonly question = el("div", { class: "question", role: "alertdialog", "aria-labelledby": "question", hidden: true });
  private texts: Texts;

  constructor(
    app: HTMLElement,
    texts: Texts,
    private readonly events: ShellEvents,
  ) {
    this.texts = texts;
    this.menuButton.addEventListener("click", () => this.showMenu(this.menu.hidden === true));
    this.closeButton.addEventListener("click", events.close);
    this.personButton.addEventListener("click", () => void this.attempt(this.personButton, events.person));
    const face = el("div", { class: "face", "aria-hidden": "true" }, icon("chat"));
    app.append(
      el("header", {}, face, el("div", { class: "names" }, this.title, this.subtitle), this.menuButton, this.closeButton, this.menu),
      el("main", {}, this.notice, this.main, this.question, this.bottom, el("div", { class: "under" }, this.personButton)),
      this.live,
    );
    document.addEventListener("click", (event) => {
      if (!this.menu.hidden && !event.composedPath().some((node) => node === this.menu || node === this.menuButton)) {
        this.showMenu(false);
      }
    });
    this.closeButton.hidden = true;
  }

  /** Let the chat be closed: it is shown by another page. */
  embedded(): void {
    this.closeButton.hidden = false;
  }

  draw(conversation: Conversation, texts: Texts, names: { title: string; subtitle: string }): void {
    this.texts = texts;
    const { status } = conversation;
    this.title.textContent = names.title || texts.say("title");
    const agent = [...conversation.lines()].reverse().find((line) => line.author === "agent");
    const withAgent = status === "agent";
    this.subtitle.textContent = withAgent
      ? texts.say("withAgent", { name: agent ? authorOf(agent, texts) : texts.say("agent") })
      : names.subtitle || texts.say("subtitle");
    const notice = this.noticeOf(conversation);
    if (this.notice.textContent !== notice) this.notice.textContent = notice;
    this.notice.hidden = notice === "";
    this.menuButton.setAttribute("aria-label", texts.say("menu"));
    this.closeButton.setAttribute("aria-label", texts.say("close"));
    const mayAsk = status === "bot";
    this.personButton.hidden = !mayAsk;
    this.personButton.replaceChildren(icon("person"), texts.say("person"));
    const mayEnd = status !== "closed" && conversation.exists;
    const items = `${texts.locale} ${mayEnd}`;
    if (this.menu.dataset.items === items) return;
    this.menu.dataset.items = items;
    this.menu.replaceChildren(this.item("language", "language", () => this.events.language()));
    if (mayEnd) this.menu.append(this.item("end", "end", () => this.askToEnd()));
  }

  /** Read new messages out, once. */
  announce(messages: Message[]): void {
    for (const message of messages) {
      const author = authorOf({ author: message.author ?? "bot", agentName: message.agent_name ?? null }, this.texts);
      const choices = (message.buttons ?? []).map((button) => button.title).join(", ");
      this.live.append(el("p", {}, `${author}: ${message.text ?? ""} ${choices}`.trim()));
    }
    while (this.live.childElementCount > 5) this.live.firstElementChild?.remove();
  }

  announceText(text: string): void {
    this.live.append(el("p", {}, text));
    while (this.live.childElementCount > 5) this.live.firstElementChild?.remove();
  }

  /** Close what Escape closes first; false when there was nothing. */
  dismiss(): boolean {
    if (!this.menu.hidden) {
      this.showMenu(false);
      this.menuButton.focus();
      return true;
    }
    if (!this.question.hidden) {
      this.question.hidden = true;
      this.menuButton.focus();
      return true;
    }
    return false;
  }

  private noticeOf(conversation: Conversation): string {
    if (!navigator.onLine) return this.texts.say("offline");
    if (conversation.refused) return this.texts.say("refused");
    if (conversation.status !== "waiting") return "";
    const { queue } = conversation;
    if (queue && !queue.open) return this.texts.say("queueShut");
    if (!queue) return this.texts.say("personAsked");
    return queue.position <= 1 ? this.texts.say("queueNext") : this.texts.say("queue", { position: queue.position });
  }

  private item(name: IconName, key: Key, act: () => void): HTMLElement {
    const choose = (): void => {
      this.showMenu(false);
      this.menuButton.focus();
      act();
    };
    const attributes = { type: "button", click: choose, lang: key === "language" && !this.texts.isChinese ? "zh-CN" : null };
    return el("button", attributes, icon(name), this.texts.say(key));
  }

  private showMenu(show: boolean): void {
    this.menu.hidden = !show;
    this.menuButton.setAttribute("aria-expanded", String(show));
    if (show) this.menu.querySelector("button")?.focus();
  }

  private askToEnd(): void {
    const { texts } = this;
    const yes = el("button", { type: "button", class: "primary" }, texts.say("endYes"));
    yes.addEventListener("click", () =>
      void this.attempt(yes, async () => {
        await this.events.end();
        this.question.hidden = true;
      }),
    );
    const no = el("button", { type: "button", class: "quiet", click: () => this.dismiss() }, texts.say("endNo"));
    this.question.replaceChildren(el("p", { id: "question" }, texts.say("endQuestion")), el("div", { class: "row end" }, no, yes));
    this.question.hidden = false;
    yes.focus();
  }

  private async attempt(button: HTMLButtonElement, act: () => Promise<void>): Promise<void> {
    button.disabled = true;
    try {
      await act();
    } catch {
      this.notice.textContent = this.texts.say("failedBusy");
      this.notice.hidden = false;
    } finally {
      button.disabled = false;
    }
  }
}
