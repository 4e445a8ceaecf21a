/**
 * Markdown to elements: paragraphs, lists, code, emphasis and links.
 *
 * What is not understood stays text. There is no way from a text to an attribute but `href`, which
 * `safeLink` has passed, and none to an element but the few that are created here by name.
 */

import { el } from "./dom";
import { safeLink } from "./links";

const MAX_DEPTH = 6;
const ITEM = /^\s{0,3}(?:[-*+•]|(\d{1,9})[.)])\s+(.*)$/;
const FENCE = /^\s{0,3}```/;

// In this order: code, [label](address), bold, italic, bare address. Every class is bounded, none nests.
const INLINE = new RegExp(
  [
    "`([^`\\n]{1,500})`",
    "(?<!!)\\[([^\\[\\]\\n]{1,300})\\]\\(\\s*<?([^\\s<>()]{1,2000}(?:\\([^\\s<>()]{0,200}\\))?)>?\\s*\\)",
    "\\*\\*(?=\\S)([^\\n]{1,1000}?\\S?)\\*\\*",
    "(?<![\\w*])\\*(?=[^\\s*])([^*\\n]{1,1000})\\*(?![\\w*])",
    "(?<![\\w_])_(?=[^\\s_])([^_\\n]{1,1000})_(?![\\w_])",
    "\\b(https?:\\/\\/[^\\s<>\"']{1,2000})",
  ].join("|"),
  "g",
);

export function markdown(text: string): DocumentFragment {
  const out = document.createDocumentFragment();
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  let paragraph: string[] = [];
  let list = null as HTMLElement | null;
  const flush = (): void => {
    if (paragraph.length) out.append(el("p", { dir: "auto" }, inline(paragraph.join("\n"), 0)));
    paragraph = [];
  };
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? "";
    const item = ITEM.exec(line);
    if (FENCE.test(line)) {
      flush();
      list = null;
      const code: string[] = [];
      for (at += 1; at < lines.length && !FENCE.test(lines[at] ?? ""); at += 1) code.push(lines[at] ?? "");
      out.append(el("pre", { dir: "ltr" }, code.join("\n")));
    } else if (item) {
      flush();
      const tag = item[1] === undefined ? "ul" : "ol";
      if (list?.localName !== tag) {
        list = tag === "ol" ? el("ol", { start: item[1] }) : el("ul");
        out.append(list);
      }
      list.append(el("li", { dir: "auto" }, inline(item[2] ?? "", 0)));
    } else if (line.trim() === "") {
      flush();
      list = null;
    } else {
      list = null;
      const heading = /^\s{0,3}#{1,6}\s+(.+)$/.exec(line);
      if (heading) {
        flush();
        out.append(el("p", { dir: "auto" }, el("strong", {}, inline(heading[1] ?? "", 0))));
      } else {
        paragraph.push(line);
      }
    }
  }
  flush();
  return out;
}

/** Text as it is, its line breaks kept. */
export function plain(text: string): DocumentFragment {
  const out = document.createDocumentFragment();
  text.split("\n").forEach((line, at) => {
    if (at) out.append(el("br"));
    out.append(line);
  });
  return out;
}

function inline(text: string, depth: number): DocumentFragment {
  const out = document.createDocumentFragment();
  if (depth > MAX_DEPTH) {
    out.append(plain(text));
    return out;
  }
  let last = 0;
  for (const found of text.matchAll(INLINE)) {
    const element = marked(found, depth);
    if (!element) continue;
    out.append(plain(text.slice(last, found.index)), ...element);
    last = found.index + found[0].length;
  }
  out.append(plain(text.slice(last)));
  return out;
}

function marked(found: RegExpMatchArray, depth: number): (Node | string)[] | null {
  const [, code, label, address, bold, star, underscore, bare] = found;
  if (code !== undefined) return [el("code", { dir: "ltr" }, code)];
  if (bold !== undefined) return [el("strong", {}, inline(bold, depth + 1))];
  const italic = star ?? underscore;
  if (italic !== undefined) return [el("em", {}, inline(italic, depth + 1))];
  if (label !== undefined && address !== undefined) {
    const href = safeLink(address);
    return href === null ? null : [link(href, label)];
  }
  if (bare !== undefined) {
    const end = /[.,;:!?)\]}*]+$/.exec(bare)?.[0] ?? "";
    const href = safeLink(bare.slice(0, bare.length - end.length));
    return href === null ? null : [link(href, bare.slice(0, bare.length - end.length)), end];
  }
  return null;
}

/** A link that opens beside the chat and tells the other site nothing. */
export function link(href: string, label: string): HTMLAnchorElement {
  return el("a", { href, target: "_blank", rel: "noopener noreferrer" }, el("bdi", {}, label));
}
