/** What was written and not sent yet: kept in this tab, under the conversation that it is for. */

type Kind = "draft" | "note" | "send" | "files";

const KINDS: readonly Kind[] = ["draft", "note", "send", "files"];

/** The name under which something of a conversation is kept. */
export function draftKey(kind: Kind, conversation: string): string {
  return `kefu.${kind}.${conversation}`;
}

/** Forget what was written for a conversation, or for all of them. */
export function forgetDrafts(conversation = ""): void {
  const starts = KINDS.map((kind) => draftKey(kind, conversation));
  for (const key of Object.keys(sessionStorage)) {
    if (conversation ? starts.includes(key) : starts.some((start) => key.startsWith(start))) {
      sessionStorage.removeItem(key);
    }
  }
}
