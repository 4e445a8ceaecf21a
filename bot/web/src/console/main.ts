/** The console's pages: htmx, moments in the browser's zone, and each area's own behaviour. */

import htmx from "htmx.org";

import { start as startConversation } from "./conversation";
import { forgetDrafts } from "./conversation/drafts";
import { unasked } from "./http";
import { start as startInbox } from "./inbox";
import { showMoments } from "./moments";
import { showNotice } from "./notices";
import { start as startReview } from "./review";

/** What an area does to a page or to a fragment that htmx has put in. */
type Start = (root: ParentNode) => void;

// An area is one import above and one entry here.
const areas: Start[] = [showMoments, startInbox, startConversation, startReview];

function start(root: ParentNode): void {
  for (const area of areas) area(root);
}

declare global {
  interface Window {
    htmx: typeof htmx;
  }
}
window.htmx = htmx;

document.addEventListener("htmx:load", (event) => {
  const { elt } = (event as CustomEvent<{ elt: HTMLElement }>).detail;
  if (elt !== document.body) start(elt);
});
// What no click or key began, such as looking again every two seconds.
document.addEventListener("htmx:configRequest", (event) => {
  const { triggeringEvent, headers } = (event as CustomEvent<{ triggeringEvent?: Event; headers: Record<string, string> }>)
    .detail;
  if (!triggeringEvent) Object.assign(headers, unasked);
});
// What a form was refused for comes as a fragment with the error's status.
document.addEventListener("htmx:responseError", (event) => {
  const { xhr } = (event as CustomEvent<{ xhr: XMLHttpRequest }>).detail;
  const text = new DOMParser().parseFromString(xhr.responseText, "text/html").body.textContent?.trim();
  showNotice(text || `${xhr.status}`, "bad");
});
document.addEventListener("htmx:sendError", () => {
  const offline = document.querySelector<HTMLElement>("#offline");
  if (offline) offline.hidden = false;
});

const menu = document.querySelector<HTMLDetailsElement>("header .menu");
const narrow = matchMedia("(max-width: 800px)");
const fold = (): void => {
  if (menu) menu.open = !narrow.matches;
};
narrow.addEventListener("change", fold);
fold();

// Whoever signs in next at this browser finds nothing that was meant for a customer.
if (document.querySelector('form[action="/console/sign-in"]')) forgetDrafts();

// A notice belongs to one showing of the page.
const address = new URL(location.href);
if (address.searchParams.has("notice")) {
  address.searchParams.delete("notice");
  history.replaceState(history.state, "", address);
}
start(document);
