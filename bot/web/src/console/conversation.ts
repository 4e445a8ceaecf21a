/** The page of one conversation: followed live, acted on, and told on any page when one is left to you. */

import { el } from "../chat/dom";
import { Acts } from "./conversation/acts";
import { Composer } from "./conversation/composer";
import { Transcript } from "./conversation/transcript";
import { onKeys } from "./keys";
import { live } from "./live";

const TYPING_MS = 4_000;
const RETRY_MS = 3_000;

/** What the socket says to an event: nothing wrong, or why it was refused. */
interface Told {
  error?: { status: number; message: string };
}

let isTold = false;

export function start(root: ParentNode): void {
  if (!isTold && document.querySelector("#notices[data-left-you]")) {
    isTold = true;
    live().on("assigned", tellAssigned);
  }
  const page = root.querySelector<HTMLElement>(".conversation[data-conversation]");
  if (page) open(page);
}

function open(page: HTMLElement): void {
  const id = page.dataset.conversation ?? "";
  const base = `/console/conversations/${encodeURIComponent(id)}`;
  const transcript = new Transcript(page, base);
  const acts = new Acts(page, transcript);
  const composer = page.querySelector("#composer") ? new Composer(page, base, transcript) : null;
  transcript.onStanding = (mine) => composer?.update(mine);
  transcript.onEntries = () => void composer?.suggest();
  composer?.update(page.querySelector<HTMLElement>("#standing")?.dataset.mine === "yes");
  acts.onDone = () => composer?.focus();
  keys(page, composer);
  if (page.dataset.newest !== undefined) follow(id, transcript);
}

function follow(id: string, transcript: Transcript): void {
  const socket = live();
  const refresh = (data: { conversation_id?: string; id?: string }): void => {
    if ((data.conversation_id ?? data.id) === id) void transcript.refresh();
  };
  const watch = (): void => {
    socket.emit("watch", { conversation_id: id, after: transcript.last }, (told?: Told) => {
      // While the database was away; a socket that is gone by then watches when it is back.
      if (told?.error?.status === 503) setTimeout(() => socket.connected && watch(), RETRY_MS);
    });
    // What happened before the socket was there, or while it was gone.
    void transcript.refresh();
  };
  socket.on("connect", watch);
  if (socket.connected) watch();
  for (const event of ["messages", "status", "notes", "conversation"]) socket.on(event, refresh);
  socket.on("gone", (data: { conversation_id: string }) => {
    if (data.conversation_id === id) transcript.erase();
  });
  const typing = document.querySelector<HTMLElement>("#typing");
  let hide = 0;
  socket.on("typing", (data: { conversation_id: string }) => {
    if (data.conversation_id !== id || !typing) return;
    typing.hidden = false;
    clearTimeout(hide);
    hide = window.setTimeout(() => (typing.hidden = true), TYPING_MS);
  });
  transcript.onCustomer = () => {
    if (typing) typing.hidden = true;
  };
}

function keys(page: HTMLElement, composer: Composer | null): void {
  const dialog = document.querySelector<HTMLDialogElement>("#keys");
  const button = document.querySelector<HTMLElement>("#show-keys");
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => dialog?.showModal());
  }
  const unfold = (selector: string): void => {
    const box = page.querySelector<HTMLDetailsElement>(selector);
    if (!box) return;
    box.open = true;
    box.querySelector<HTMLElement>("select, textarea")?.focus();
  };
  onKeys({
    "?": () => dialog?.showModal(),
    t: () => page.querySelector<HTMLElement>("#take")?.click(),
    r: () => composer?.focus(),
    n: () => unfold("#note-box"),
    h: () => unfold("#hand-back"),
    "/": () => composer?.beginCanned(),
    "1": () => composer?.insert(0),
    "2": () => composer?.insert(1),
    "3": () => composer?.insert(2),
  });
}

/** Somebody has left you a conversation: told on whatever page you are. */
function tellAssigned(data: { conversation_id: string; by: string }): void {
  const region = document.querySelector<HTMLElement>("#notices");
  if (!region) return;
  const text = (region.dataset.leftYou ?? "").replace("{by}", () => data.by);
  const href = `/console/conversations/${encodeURIComponent(data.conversation_id)}`;
  region.replaceChildren(
    el("p", { class: "notice" }, text, " ", el("a", { href }, region.dataset.open ?? "")),
  );
}
