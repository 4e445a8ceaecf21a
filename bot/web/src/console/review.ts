/** Reviewing: one turn after the other by keys or mouse, the next one ready before it is wanted. */

import { Desk } from "./review/desk";

export function start(root: ParentNode): void {
  const desk = root.querySelector<HTMLElement>("#review-desk");
  if (desk) new Desk(desk).start();
}
