/**
 * The list of messages and the field to write in: deep-chat's element, filled with elements of ours.
 *
 * deep-chat renders texts as Markdown through innerHTML, with raw addresses in links. Its renderer is
 * replaced by one that escapes, and what a bubble shows is built in bubble.ts.
 */

import { DeepChat } from "deep-chat";

import { below, bubbleContent, type BubbleEvents, heading, type Place } from "./bubble";
import { el, icon } from "./dom";
import type { Texts } from "./texts";
import css from "./transcript.css";
import type { Line } from "./types";

const ROLES = { customer: "user", bot: "ai", agent: "agent", system: "system" } as const;
const SAME_GROUP_MS = 5 * 60_000;
const NEAR_BOTTOM_PX = 90;

export interface TranscriptEvents extends BubbleEvents {
  submit: (text: string) => void;
  input: () => void;
  attach: (files: File[]) => void;
}

interface Drawn {
  key: string;
  signature: string;
  outer: HTMLElement;
}

declare global {
  interface Window {
    remarkable_plugins?: { plugin: (renderer: { render: (text: string) => string }) => void }[];
  }
}

// Read by deep-chat when it makes its renderer.
window.remarkable_plugins = [
  {
    plugin: (renderer) => {
      renderer.render = (text) =>
        String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
    },
  },
];

export class Transcript {
  private readonly chat = new DeepChat();
  private readonly loading = { toggle: (): void => undefined };
  private drawn: Drawn[] = [];
  private typing = false;
  private greeting = "";
  /** The bubble that deep-chat made for the text that was just submitted. */
  private adoptable: HTMLElement | null = null;
  private texts: Texts;
  private attachButton: HTMLButtonElement | null = null;
  private latestButton: HTMLButtonElement | null = null;
  /** The newest message is in view, and stays so when the list gets smaller. */
  private stuck = true;

  constructor(
    parent: HTMLElement,
    texts: Texts,
    private readonly events: TranscriptEvents,
  ) {
    this.texts = texts;
    const { chat } = this;
    // Without a font of its own, deep-chat fetches one from a third party.
    chat.style.fontFamily = "inherit";
    Object.assign(chat.style, {
      display: "block",
      width: "100%",
      height: "100%",
      borderTop: "0px solid",
      borderRight: "0px solid",
      borderBottom: "0px solid",
      borderLeft: "0px solid",
      fontSize: "15px",
      backgroundColor: "transparent",
    });
    chat.connect = {
      // As a socket, a message does not lock the field until there is an answer.
      websocket: true,
      handler: (_, signals) => {
        signals.newUserMessage.listener = (body: { messages?: { text?: string }[] }) => this.submitted(body);
        signals.onOpen();
      },
    };
    chat.displayLoadingBubble = this.loading as unknown as NonNullable<typeof chat.displayLoadingBubble>;
    chat.textInput = { placeholder: { text: texts.say("placeholder") } };
    chat.onInput = ({ isUser }) => isUser && this.events.input();
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    chat.shadowRoot?.adoptedStyleSheets.push(sheet);
    parent.append(chat);
  }

  /** Resolves when there is a field to write in. */
  async ready(): Promise<void> {
    // Every property that is set has deep-chat render anew, in a later tick: what is added to the
    // result has to wait for the last time. None is set after that.
    const state = this.chat as unknown as { _waitingToRender_: boolean };
    while (!this.chat._hasBeenRendered || state._waitingToRender_) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    this.dress();
    this.label(this.texts);
  }

  /** Show these lines; what is on screen already stays as it is. */
  show(lines: Line[], greeting: string): void {
    const atBottom = this.isAtBottom();
    const keys = lines.map((line) => line.key);
    const inOrder = this.drawn.every((one, at) => one.key === keys[at]);
    if (!inOrder || greeting !== this.greeting) this.wipe(greeting);
    let added = 0;
    lines.forEach((line, at) => {
      const place = placeOf(lines, at);
      const signature = JSON.stringify([line, place, this.texts.locale]);
      const known = this.drawn[at];
      if (known?.signature === signature) return;
      const outer = known?.outer ?? this.bubbleFor(line);
      this.fill(outer, line, place);
      this.drawn[at] = { key: line.key, signature, outer };
      if (!known) added += 1;
    });
    if (added && (atBottom || lines.at(-1)?.author === "customer")) this.toBottom();
    else this.showLatest();
  }

  setTyping(typing: boolean): void {
    if (typing === this.typing) return;
    this.typing = typing;
    const atBottom = this.isAtBottom();
    this.loading.toggle();
    if (atBottom) this.toBottom();
  }

  /** Take the words of another locale. */
  label(texts: Texts): void {
    this.texts = texts;
    this.chat.setPlaceholderText(texts.say("placeholder"));
    this.field?.setAttribute("aria-multiline", "true");
    this.field?.setAttribute("dir", "auto");
    this.list?.setAttribute("aria-label", texts.say("conversation"));
    const submit = this.root.querySelector("#input .input-button");
    submit?.setAttribute("aria-label", texts.say("send"));
    this.attachButton?.setAttribute("aria-label", texts.say("attach"));
    this.attachButton?.setAttribute("title", texts.say("attach"));
    this.latestButton?.setAttribute("aria-label", texts.say("latest"));
  }

  /** Take or refuse new messages. */
  setOpen(open: boolean): void {
    this.root.querySelector("#input")?.toggleAttribute("inert", !open);
    this.chat.toggleAttribute("data-shut", !open);
  }

  /** Put a text into the field. */
  write(text: string): void {
    const { field } = this;
    if (!field) return;
    field.textContent = text;
    field.dispatchEvent(new Event("input"));
    field.focus();
  }

  focus(): void {
    this.field?.focus();
  }

  toBottom(): void {
    // After deep-chat's own scrolling, which waits for a tick.
    setTimeout(() => {
      const { list } = this;
      if (list) list.scrollTop = list.scrollHeight;
      this.showLatest();
    });
  }

  private get root(): ShadowRoot {
    return this.chat.shadowRoot as ShadowRoot;
  }

  private get list(): HTMLElement | null {
    return this.root.querySelector("#messages");
  }

  private get field(): HTMLElement | null {
    return this.root.querySelector("#text-input");
  }

  private isAtBottom(): boolean {
    const { list } = this;
    return !list || list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_BOTTOM_PX;
  }

  private showLatest(): void {
    if (this.latestButton) this.latestButton.hidden = this.isAtBottom();
  }

  /** Add what deep-chat lacks: labels, a way to scroll by keyboard, a button for files. */
  private dress(): void {
    const { list } = this;
    const panel = this.root.querySelector("#input");
    if (!list || !panel) return;
    list.setAttribute("role", "log");
    // New messages are announced once, by the page's own live region.
    list.setAttribute("aria-live", "off");
    list.setAttribute("tabindex", "0");
    list.addEventListener("scroll", () => {
      this.stuck = this.isAtBottom();
      this.showLatest();
    });
    new ResizeObserver(() => this.stuck && this.toBottom()).observe(list);
    const picker = el("input", {
      type: "file",
      class: "hidden",
      tabindex: -1,
      "aria-hidden": "true",
      accept: "image/jpeg,image/png,image/gif,image/webp,application/pdf,text/plain",
      change: () => {
        this.events.attach([...(picker.files ?? [])]);
        picker.value = "";
      },
    });
    this.attachButton = el("button", { type: "button", class: "attach", click: () => picker.click() }, icon("attach"));
    panel.prepend(this.attachButton, picker);
    this.latestButton = el(
      "button",
      { type: "button", class: "latest", hidden: true, click: () => this.toBottom() },
      icon("down"),
    );
    list.after(this.latestButton);
    const submit = this.root.querySelector("#input .input-button");
    submit?.replaceChildren(icon("send"));
    // deep-chat puts its own icon back after each change of state.
    new MutationObserver(() => {
      if (submit && !submit.querySelector(".icon-send")) submit.replaceChildren(icon("send"));
    }).observe(submit ?? panel, { childList: true });
    for (const name of ["dragover", "drop"] as const) {
      this.root.addEventListener(name, (event) => {
        const files = [...((event as DragEvent).dataTransfer?.files ?? [])];
        event.preventDefault();
        if (name === "drop" && files.length) this.events.attach(files);
      });
    }
    this.root.addEventListener("paste", (event) => {
      const files = [...((event as ClipboardEvent).clipboardData?.files ?? [])];
      if (!files.length) return;
      event.preventDefault();
      this.events.attach(files);
    });
  }

  private submitted(body: { messages?: { text?: string }[] }): void {
    const text = body.messages?.at(-1)?.text?.trim() ?? "";
    this.adoptable = this.lastBubble();
    if (text) this.events.submit(text);
    // Not taken over by a line: it must not stay as if it had been sent.
    this.adoptable?.remove();
    this.adoptable = null;
  }

  private lastBubble(): HTMLElement | null {
    const all = this.root.querySelectorAll<HTMLElement>(
      ".outer-message-container:not(:has(.deep-chat-loading-message-bubble))",
    );
    return all[all.length - 1] ?? null;
  }

  private bubbleFor(line: Line): HTMLElement {
    if (line.author === "customer" && this.adoptable) {
      const adopted = this.adoptable;
      this.adoptable = null;
      return adopted;
    }
    // The text is only what deep-chat remembers; "…" where there is none, for it drops empty messages.
    this.chat.addMessage({ role: ROLES[line.author], text: line.text || "…" });
    const bubble = this.lastBubble();
    if (!bubble) throw new Error("deep-chat made no bubble");
    return bubble;
  }

  private fill(outer: HTMLElement, line: Line, place: Place): void {
    const inner = outer.querySelector(".inner-message-container");
    const bubble = outer.querySelector(".message-bubble");
    if (!inner || !bubble) return;
    bubble.replaceChildren(...bubbleContent(line, this.texts, this.events));
    outer.querySelectorAll(":scope > .heading, :scope > .below").forEach((old) => old.remove());
    if (place.first && line.author !== "customer" && line.author !== "system") {
      inner.before(heading(line, this.texts));
    }
    const under = below(line, place, this.texts, this.events);
    if (under.length) inner.after(el("div", { class: "below" }, ...under));
    outer.classList.toggle("first", place.first);
    outer.dataset.key = line.key;
    outer.dataset.author = line.author;
  }

  private wipe(greeting: string): void {
    const { typing } = this;
    this.setTyping(false);
    this.chat.clearMessages(false);
    this.adoptable = null;
    this.drawn = [];
    this.greeting = greeting;
    if (greeting) {
      const line: Line = {
        key: "greeting",
        id: "greeting",
        seq: null,
        author: "bot",
        agentName: null,
        text: greeting,
        at: new Date().toISOString(),
        buttons: [],
        cards: [],
        image: null,
        attachments: [],
        feedback: undefined,
        delivery: null,
        failure: null,
      };
      const outer = this.bubbleFor(line);
      this.fill(outer, line, { first: true, open: false });
      outer.querySelector(":scope > .below")?.remove();
    }
    this.setTyping(typing);
  }
}

function placeOf(lines: Line[], at: number): Place {
  const line = lines[at] as Line;
  const before = lines[at - 1];
  const apart = before ? Date.parse(line.at) - Date.parse(before.at) : Number.POSITIVE_INFINITY;
  const first = !before || before.author !== line.author || before.agentName !== line.agentName || apart > SAME_GROUP_MS;
  // Once the customer has gone on, by a press or in words, the offer stands no longer.
  const open = !lines.slice(at + 1).some((later) => later.author === "customer");
  return { first, open };
}
