/** The list of conversations: moved through by keys, kept up to date by the socket. */

import { onKeys } from "./keys";
import { live } from "./live";

const SETTLE_MS = 400;
let isWired = false;

export function start(root: ParentNode): void {
  const list = document.querySelector<HTMLElement>("#inbox-list");
  if (!list || isWired || root !== document) return;
  isWired = true;
  onKeys({
    j: () => move(1),
    k: () => move(-1),
    "/": () => document.querySelector<HTMLInputElement>("#f-q")?.focus(),
  });
  if (list.dataset.live === undefined) return;
  const socket = live();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const soon = (): void => {
    timer ??= setTimeout(() => {
      timer = undefined;
      void refresh();
    }, SETTLE_MS);
  };
  socket.on("queue", soon);
  socket.on("conversation", soon);
  // What happened while there was no connection is not told again.
  socket.io.on("reconnect", soon);
}

function links(): HTMLAnchorElement[] {
  return [...document.querySelectorAll<HTMLAnchorElement>(".inbox-row .inbox-what > a")];
}

function move(step: number): void {
  const all = links();
  const here = all.findIndex((link) => link === document.activeElement);
  const next = here < 0 ? 0 : Math.min(all.length - 1, Math.max(0, here + step));
  all[next]?.focus();
}

/** Fetch the list anew; who is at a row stays there, and nothing scrolls. */
async function refresh(): Promise<void> {
  if (document.hidden) {
    document.addEventListener("visibilitychange", () => void refresh(), { once: true });
    return;
  }
  const focused = document.activeElement?.closest("#inbox-list") ? document.activeElement.id : "";
  const { scrollX, scrollY } = window;
  await window.htmx.ajax("get", location.pathname + location.search, {
    target: "#inbox-list",
    swap: "outerHTML show:none",
  });
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  window.scrollTo(scrollX, scrollY);
}
