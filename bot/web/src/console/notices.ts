/** Tells what happened, for eyes and screen readers alike. */

export function showNotice(text: string, kind: "" | "bad" | "good" = ""): void {
  const region = document.querySelector("#notices");
  if (!region) return;
  const notice = document.createElement("p");
  notice.className = kind ? `notice notice-${kind}` : "notice";
  notice.textContent = text;
  region.replaceChildren(notice);
}
