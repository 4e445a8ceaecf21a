/** One message's elements: what goes into its bubble and what goes under it. */

import { el, icon } from "./dom";
import { safeImage, safeLink } from "./links";
import { link, markdown, plain } from "./markdown";
import type { Texts } from "./texts";
import type { Attachment, Button, Card, Line } from "./types";

export interface BubbleEvents {
  press: (button: Button) => void;
  judge: (line: Line, score: 1 | -1) => void;
  retry: (line: Line) => void;
  /** Back into the field, to be changed. */
  edit: (line: Line) => void;
  /** A picture got its size. */
  grown: () => void;
}

/** Where a message stands among the others. */
export interface Place {
  /** Its author did not write the one before. */
  first: boolean;
  /** Its buttons may still be pressed. */
  open: boolean;
}

export function bubbleContent(line: Line, texts: Texts, events: BubbleEvents): Node[] {
  const parts: Node[] = [el("span", { class: "hidden" }, `${authorOf(line, texts)}: `)];
  if (line.text) {
    // Customers write text, not Markdown: an asterisk of theirs is an asterisk.
    const written = line.author === "customer" ? el("p", { dir: "auto" }, plain(line.text)) : markdown(line.text);
    parts.push(el("div", { class: "text", dir: "auto" }, written));
  }
  const image = line.image === null ? null : safeImage(line.image);
  if (image) parts.push(picture(image, line.text || texts.say("image"), events));
  for (const file of line.attachments) parts.push(attachment(file, texts, events));
  return parts;
}

export function heading(line: Line, texts: Texts): HTMLElement {
  return el("div", { class: "heading", "aria-hidden": "true" }, el("bdi", {}, authorOf(line, texts)));
}

/** Cards, buttons, delivery state and thumbs, in this order. */
export function below(line: Line, place: Place, texts: Texts, events: BubbleEvents): Node[] {
  const parts: Node[] = [];
  if (line.cards.length) parts.push(cards(line.cards, place, texts, events));
  if (line.buttons.length) {
    const group = el("div", { class: "choices", role: "group", "aria-label": texts.say("choices") });
    for (const button of line.buttons) group.append(choice(button, place, events));
    parts.push(group);
  }
  const foot = el("div", { class: "foot" });
  if (line.author !== "system") foot.append(el("time", { datetime: line.at }, texts.time(line.at)));
  if (line.delivery) foot.append(delivery(line, texts, events));
  // An offer of choices is judged by which one is pressed.
  if (line.feedback !== undefined && !line.buttons.length) foot.append(thumbs(line, texts, events));
  if (foot.childElementCount) parts.push(foot);
  return parts;
}

export function authorOf(line: Pick<Line, "author" | "agentName">, texts: Texts): string {
  if (line.author === "customer") return texts.say("you");
  if (line.author === "agent") return line.agentName ?? texts.say("agent");
  return texts.say(line.author === "system" ? "notice" : "assistant");
}

function choice(button: Button, place: Place, events: BubbleEvents): HTMLElement {
  const title = String(button.title ?? button.payload ?? "");
  const href = typeof button.url === "string" ? safeLink(button.url) : null;
  if (href) {
    const anchor = link(href, title);
    anchor.className = "choice";
    return anchor;
  }
  return el(
    "button",
    { type: "button", class: "choice", disabled: !place.open, click: () => events.press(button) },
    el("bdi", {}, title),
  );
}

function cards(list: Card[], place: Place, texts: Texts, events: BubbleEvents): HTMLElement {
  const row = el("div", { class: "cards", role: "group", tabindex: 0, "aria-label": texts.say("cards") });
  for (const card of list.slice(0, 20)) {
    const image = typeof card.image === "string" ? safeImage(card.image) : null;
    const box = el("article", { class: "card" });
    if (image) box.append(picture(image, "", events));
    if (card.title) box.append(el("h3", { dir: "auto" }, String(card.title)));
    if (card.subtitle) box.append(el("p", { dir: "auto" }, String(card.subtitle)));
    for (const button of Array.isArray(card.buttons) ? card.buttons : []) box.append(choice(button, place, events));
    row.append(box);
  }
  return row;
}

function picture(src: string, alt: string, events: BubbleEvents): HTMLElement {
  return el("img", {
    src,
    alt,
    loading: "lazy",
    decoding: "async",
    referrerpolicy: "no-referrer",
    load: events.grown,
  });
}

function attachment(file: Attachment, texts: Texts, events: BubbleEvents): HTMLElement {
  const name = file.name || texts.say("image");
  const href = typeof file.url === "string" ? safeImage(file.url) : null;
  if (href && (file.kind === "image" || file.content_type?.startsWith("image/"))) {
    const anchor = el("a", { href, target: "_blank", rel: "noopener noreferrer", class: "picture" });
    anchor.append(picture(href, name, events));
    return anchor;
  }
  const size = typeof file.size === "number" ? texts.size(file.size) : "";
  const inside = [icon("file"), el("bdi", {}, name), size && el("small", {}, size)];
  if (!href) return el("span", { class: "file" }, ...inside);
  return el(
    "a",
    {
      href,
      target: "_blank",
      rel: "noopener noreferrer",
      class: "file",
      "aria-label": texts.say("openFile", { name }),
    },
    ...inside,
  );
}

function delivery(line: Line, texts: Texts, events: BubbleEvents): HTMLElement {
  const state = line.delivery ?? "sent";
  const label = texts.say(state);
  const mark = el("span", { class: `delivery ${state}`, title: label }, icon(state), el("span", { class: "hidden" }, label));
  if (state !== "failed") return mark;
  const why = texts.say(line.failure === "long" ? "failedLong" : "failedOther");
  // The same text would be too long again.
  const long = line.failure === "long";
  const act = (): void => (long ? events.edit(line) : events.retry(line));
  const again = el("button", { type: "button", class: "link", click: act }, texts.say(long ? "edit" : "retry"));
  return el(
    "span",
    { class: "failure" },
    mark,
    why,
    again,
  );
}

function thumbs(line: Line, texts: Texts, events: BubbleEvents): HTMLElement {
  const group = el("span", { class: "thumbs" });
  for (const [name, score] of [
    ["good", 1],
    ["bad", -1],
  ] as const) {
    group.append(
      el(
        "button",
        {
          type: "button",
          "aria-label": texts.say(name),
          "aria-pressed": String(line.feedback === score),
          title: texts.say(name),
          click: () => events.judge(line, score),
        },
        icon(name),
      ),
    );
  }
  return group;
}
