/** `/kefu.js`: the launcher that one script tag puts on a page; the chat itself loads when it is opened. */

import { type Identity, type Look, type ToChat, type ToHost, unwrap, VARIABLES, wrap } from "../protocol";
import css from "./style.css";
import { wordsOf } from "./texts";

const FLAG = "kefu.conversation";
const KEPT = "kefu.kept.";
const CHAT_ICON = ["M4 12a8 7 0 1 1 3.4 5.8L4 19l1-3.3A7 7 0 0 1 4 12z", "M8.5 12h.01M12 12h.01M15.5 12h.01"];
const SHUT_ICON = ["M6 9.5l6 6 6-6"];

type Listener = (detail: Record<string, unknown>) => void;

function start(script: HTMLScriptElement): void {
  const chat = new URL("widget/", script.src);
  const options = script.dataset;
  let locale = options.locale || document.documentElement.lang || navigator.language || "en";
  let words = wordsOf(locale);
  let identity: Identity | null | undefined;
  let frame: HTMLIFrameElement | null = null;
  let ready = false;
  let open = false;
  let unread = 0;
  const listeners = new Map<string, Set<Listener>>();

  const host = document.createElement("kefu-chat");
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  root.adoptedStyleSheets = [sheet];
  if (options.position === "left") host.dataset.position = "left";

  const panel = document.createElement("div");
  panel.className = "panel";
  panel.id = "panel";
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("aria-controls", "panel");
  const badge = document.createElement("span");
  badge.className = "badge";
  button.append(icon("chat", CHAT_ICON), icon("shut", SHUT_ICON), badge);
  root.append(panel, button);

  button.addEventListener("click", () => (open ? close() : show()));
  root.addEventListener("keydown", (event) => {
    if ((event as KeyboardEvent).key === "Escape" && open) close();
  });
  window.addEventListener("message", listen);
  (document.body ?? document.documentElement).append(host);
  draw();

  // A visitor who has a conversation sees the badge without opening; the frame waits for a calm moment.
  if (read(FLAG)) {
    const idle = window.requestIdleCallback ?? ((run: () => void) => setTimeout(run, 1500));
    idle(() => load());
  }

  function look(): Look {
    const style = getComputedStyle(host);
    const vars: Record<string, string> = {};
    for (const name of VARIABLES) {
      const value = style.getPropertyValue(name).trim();
      if (value) vars[name] = value;
    }
    const theme = options.theme === "light" || options.theme === "dark" ? options.theme : "auto";
    return {
      locale,
      theme,
      title: options.title ?? "",
      subtitle: options.subtitle ?? "",
      greeting: options.greeting ?? "",
      vars,
    };
  }

  function load(): void {
    if (frame) return;
    frame = document.createElement("iframe");
    frame.src = chat.href;
    frame.title = words.chat;
    panel.append(frame);
  }

  function say(message: ToChat): void {
    if (ready) frame?.contentWindow?.postMessage(wrap(message), chat.origin);
  }

  function listen(event: MessageEvent): void {
    if (!frame || event.source !== frame.contentWindow || event.origin !== chat.origin) return;
    const message = unwrap<ToHost>(event.data);
    if (!message) return;
    if (message.type === "ready") {
      ready = true;
      say({ type: "hello", look: look(), identity, kept: kept() });
      tellShown();
    } else if (message.type === "close") {
      close();
    } else if (message.type === "unread") {
      const news = unread !== message.count;
      unread = message.count;
      draw();
      if (news) emit("unread", { count: message.count });
    } else if (message.type === "conversation") {
      write(FLAG, message.exists ? "1" : null);
    } else if (message.type === "keep") {
      write(KEPT + message.key, message.value);
    } else if (message.type === "event") {
      emit(message.name, message.detail);
    }
  }

  function show(): void {
    if (open) return;
    open = true;
    load();
    draw();
    tellShown();
    frame?.focus();
    emit("open", {});
  }

  function close(): void {
    if (!open) return;
    open = false;
    draw();
    tellShown();
    button.focus();
    emit("close", {});
  }

  function tellShown(): void {
    say({ type: "shown", shown: open, full: matchMedia("(max-width: 480px), (max-height: 480px)").matches });
  }

  function draw(): void {
    host.toggleAttribute("data-open", open);
    const news = !open && unread > 0;
    badge.hidden = !news;
    badge.textContent = unread > 99 ? "99+" : String(unread);
    const label = open ? words.close : words.open;
    button.setAttribute("aria-label", news ? `${label}, ${words.unread(unread)}` : label);
    button.setAttribute("aria-expanded", String(open));
    if (frame) frame.title = words.chat;
  }

  function emit(name: string, detail: Record<string, unknown>): void {
    for (const listener of listeners.get(name) ?? []) listener(detail);
  }

  const api = {
    open: show,
    close,
    /** Tell who is signed in, as signed by your own server; null after signing out. */
    identify(who: Identity | null): void {
      identity = who;
      say({ type: "identify", identity: who });
    },
    setLocale(name: string): void {
      locale = name;
      words = wordsOf(name);
      draw();
      say({ type: "look", look: look() });
    },
    /** Read the CSS variables again, after the page changed them. */
    refresh(): void {
      say({ type: "look", look: look() });
    },
    /** Call `listener` at "open", "close", "unread", "message", "rated", "refused"; returns what stops it. */
    on(name: string, listener: Listener): () => void {
      const all = listeners.get(name) ?? new Set();
      listeners.set(name, all.add(listener));
      return () => all.delete(listener);
    },
  };
  Object.defineProperty(window, "kefu", { value: api, configurable: true });
  window.dispatchEvent(new CustomEvent("kefu:ready"));
}

function icon(name: string, paths: string[]): SVGElement {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", name);
  for (const line of paths) {
    const path = document.createElementNS(space, "path");
    path.setAttribute("d", line);
    svg.append(path);
  }
  return svg;
}

// The host page may forbid storage; then there is no badge before the first opening.
function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/** What the chat asked to keep, where the browser gives a frame of another site no storage. */
function kept(): Record<string, string> {
  const found: Record<string, string> = {};
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(KEPT)) found[key.slice(KEPT.length)] = localStorage.getItem(key) ?? "";
    }
  } catch {
    // Then nothing was kept.
  }
  return found;
}

function write(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // Nothing depends on it.
  }
}

const script = document.currentScript;
if (script instanceof HTMLScriptElement && !("kefu" in window)) {
  if (document.body) start(script);
  else document.addEventListener("DOMContentLoaded", () => start(script), { once: true });
}
