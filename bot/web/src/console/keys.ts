/** Keyboard shortcuts, which never fire while somebody types or holds a modifier. */

export type Keys = Record<string, (event: KeyboardEvent) => void>;

export function isTyping(event: Event): boolean {
  const target = event.target;
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName))
  );
}

/** Listen for single keys on the page; returns how to stop. */
export function onKeys(keys: Keys): () => void {
  const listen = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTyping(event)) return;
    const run = keys[event.key];
    if (!run) return;
    event.preventDefault();
    run(event);
  };
  document.addEventListener("keydown", listen);
  return () => document.removeEventListener("keydown", listen);
}
