/** The list of conversations: moved through by keys, kept up to date by the socket. */

import { onKeys } from "./keys";
import { live } from "./live";

const SETTLE_MS = 400;
// Between two refreshes; with as much by chance that not all pages ask at once.
const REST_MS = 3000;
const JITTER_MS = 2000;
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
  const soon = throttled(refresh);
  socket.on("queue", soon);
  socket.on("conversation", soon);
  // What happened while there was no connection is not told again.
  socket.io.on("reconnect", soon);
}

/** Runs `work` soon after a call: one at a time, at rest in between, never while the page is hidden. */
function throttled(work: () => Promise<void>): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let isMissed = false;
  let isBusy = false;
  let restUntil = 0;
  const soon = (): void => {
    if (isBusy || document.hidden) {
      isMissed = true;
      return;
    }
    const wait = Math.max(SETTLE_MS, restUntil - performance.now());
    timer ??= setTimeout(() => void run(), wait);
  };
  const run = async (): Promise<void> => {
    timer = undefined;
    isMissed = document.hidden;
    if (isMissed) return;
    isBusy = true;
    try {
      await work();
    } finally {
      isBusy = false;
      restUntil = performance.now() + REST_MS + Math.random() * JITTER_MS;
      if (isMissed) soon();
    }
  };
  document.addEventListener("visibilitychange", () => {
    if (isMissed && !document.hidden) soon();
  });
  return soon;
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
  const focused = document.activeElement?.closest("#inbox-list") ? document.activeElement.id : "";
  const { scrollX, scrollY } = window;
  await window.htmx.ajax("get", location.pathname + location.search, {
    target: "#inbox-list",
    swap: "outerHTML show:none",
  });
  // Who has gone elsewhere meanwhile is not fetched back.
  if (focused && document.activeElement === document.body) {
    document.getElementById(focused)?.focus({ preventScroll: true });
  }
  window.scrollTo(scrollX, scrollY);
}
