/** The transcript on the page: what is new is fetched as the server shows it and put in its place. */

import { el } from "../../chat/dom";
import { markdown } from "../../chat/markdown";
import { unasked } from "../http";
import { showMoments } from "../moments";
import { forgetDrafts } from "./drafts";

// So near to the end the list goes on with what is new.
const NEAR_PX = 80;
const RETRY_MS = 3_000;

export class Transcript {
  onStanding: (mine: boolean) => void = () => undefined;
  onEntries: () => void = () => undefined;
  onCustomer: () => void = () => undefined;
  private readonly list: HTMLElement;
  private readonly log: HTMLElement;
  private running: Promise<void> | undefined;
  private again = false;
  private gone = false;

  constructor(
    private readonly page: HTMLElement,
    private readonly base: string,
  ) {
    this.list = page.querySelector<HTMLElement>("#entries")!;
    this.log = page.querySelector<HTMLElement>("#log")!;
    this.dress(this.list);
    this.separateDays();
    this.log.scrollTop = this.log.scrollHeight;
    page.addEventListener("click", (event) => {
      const link = (event.target as Element).closest<HTMLAnchorElement>("#earlier");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      void this.loadEarlier(link);
    });
  }

  /** The sequence number of the last message on the page. */
  get last(): number {
    return Number(this.page.dataset.last ?? 0);
  }

  /** The id of the customer's last message on the page; empty until it is understood. */
  get lastOfCustomer(): string {
    const last = [...this.list.querySelectorAll<HTMLElement>('[data-author="customer"]')].at(-1);
    return !last || last.dataset.pending !== undefined ? "" : last.id;
  }

  /** Fetch what is new; calls that come while one is under way share the next one. */
  refresh(): Promise<void> {
    this.again = true;
    this.running ??= this.fetchAll().finally(() => (this.running = undefined));
    return this.running;
  }

  private async fetchAll(): Promise<void> {
    try {
      while (this.again && !this.gone) {
        this.again = false;
        if (await this.fetchNews()) this.again = true;
      }
    } catch {
      // Offline: the socket's next connect fetches again; this is for a request that failed alone.
      setTimeout(() => void this.refresh(), RETRY_MS);
    }
  }

  /** The conversation is no more. */
  erase(): void {
    this.gone = true;
    forgetDrafts(this.page.dataset.conversation);
    this.page.replaceChildren(el("p", { class: "notice notice-bad", role: "alert" }, this.page.dataset.sayErased));
  }

  /** Fetch and place what came; true when there is more. */
  private async fetchNews(): Promise<boolean> {
    const waiting = this.list.querySelector<HTMLElement>("[data-pending]");
    const before = this.last;
    const after = waiting ? Math.min(Number(waiting.dataset.seq) - 1, before) : before;
    const response = await fetch(`${this.base}/news?after=${after}`, {
      headers: { "HX-Request": "true", ...unasked },
    });
    if (response.status === 404) this.erase();
    if (response.status === 401) location.reload();
    if (response.status === 404 || response.status === 401) return false;
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const part = parse(await response.text());
    const reached = Math.max(before, Number(part.querySelector<HTMLElement>("[data-last]")?.dataset.last ?? 0));
    this.page.dataset.last = String(reached);
    this.place(part);
    this.replace(part);
    return reached > before;
  }

  private place(part: ParentNode): void {
    const atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < NEAR_PX;
    let isNews = false;
    for (const entry of [...part.querySelectorAll<HTMLElement>("[data-earlier] > ol > .entry")]) {
      const known = document.getElementById(entry.id);
      if (known && known.dataset.pending === undefined) continue;
      if (known) known.replaceWith(entry);
      else this.insert(entry);
      this.dress(entry);
      isNews = true;
      if (!known && entry.dataset.author === "customer") this.onCustomer();
    }
    if (!isNews) return;
    document.querySelector("#nothing-said")?.remove();
    this.separateDays();
    if (atEnd) this.log.scrollTop = this.log.scrollHeight;
    this.onEntries();
  }

  private insert(entry: HTMLElement): void {
    const rank = (one: HTMLElement): number => Number(one.dataset.seq) + (one.dataset.kind === "note" ? 0.5 : 0);
    let at = this.list.lastElementChild as HTMLElement | null;
    while (at && (at.dataset.seq === undefined || rank(at) > rank(entry))) {
      at = at.previousElementSibling as HTMLElement | null;
    }
    if (at) at.after(entry);
    else this.list.prepend(entry);
  }

  /** Put in how it stands and what is beside it; a form that somebody fills in stays while it holds. */
  private replace(part: ParentNode): void {
    const standing = part.querySelector<HTMLElement>("#standing");
    const shown = this.page.querySelector<HTMLElement>("#standing");
    if (standing && shown && standing.dataset.version !== shown.dataset.version) {
      shown.replaceWith(standing);
      showMoments(standing);
      this.onStanding(standing.dataset.mine === "yes");
    }
    const side = part.querySelector<HTMLElement>("#side");
    if (side) {
      this.page.querySelector("#side")?.replaceWith(side);
      showMoments(side);
    }
  }

  private async loadEarlier(link: HTMLAnchorElement): Promise<void> {
    const before = new URL(link.href).searchParams.get("before") ?? "";
    const response = await fetch(`${this.base}/entries?before=${before}`, {
      headers: { "HX-Request": "true" },
    }).catch(() => null);
    // Where that did not work, the link itself leads to the earlier messages.
    if (!response?.ok) return void location.assign(link.href);
    const part = parse(await response.text());
    const from = this.log.scrollHeight - this.log.scrollTop;
    // What is old is not read out as if it were new.
    this.log.ariaLive = "off";
    const entries = [...part.querySelectorAll<HTMLElement>("[data-earlier] > ol > .entry")].filter(
      (entry) => !document.getElementById(entry.id),
    );
    this.list.prepend(...entries);
    entries.forEach((entry) => this.dress(entry));
    this.separateDays();
    this.log.scrollTop = this.log.scrollHeight - from;
    const earlier = part.querySelector<HTMLElement>("[data-earlier]")?.dataset.earlier;
    if (earlier) link.href = `${this.base}?before=${earlier}`;
    else link.replaceWith(el("span", { class: "muted" }, this.page.dataset.sayBeginning));
    requestAnimationFrame(() => (this.log.ariaLive = "polite"));
  }

  /** Give new entries what the server does not: the reader's zone, safe Markdown, their buttons. */
  private dress(root: HTMLElement): void {
    showMoments(root);
    for (const said of root.querySelectorAll<HTMLElement>("[data-markdown]")) {
      said.removeAttribute("data-markdown");
      said.classList.add("rendered");
      said.replaceChildren(markdown(said.textContent ?? ""));
    }
    window.htmx.process(root);
  }

  private separateDays(): void {
    for (const line of this.list.querySelectorAll(".day")) line.remove();
    const language = document.body.dataset.locale === "zh" ? "zh-CN" : "en-GB";
    const format = new Intl.DateTimeFormat(language, { dateStyle: "full" });
    let before = "";
    for (const entry of this.list.querySelectorAll<HTMLElement>(".entry")) {
      const moment = entry.querySelector("time")?.dateTime;
      if (!moment) continue;
      const day = format.format(new Date(moment));
      if (day !== before) entry.before(el("li", { class: "day" }, el("span", {}, day)));
      before = day;
    }
  }
}

/** A fragment of our own server: every text in it was escaped there. */
function parse(html: string): Document {
  return new DOMParser().parseFromString(html, "text/html");
}
