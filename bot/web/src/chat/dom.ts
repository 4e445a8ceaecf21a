/** Builds elements: names, attributes and text only, so that no text is ever parsed as HTML. */

type Attributes = Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>;
type Child = Node | string | null | undefined | false;

/** An element; a function is a listener, true an empty attribute, false, null and undefined none. */
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child): child is Node | string => Boolean(child)));
  return element;
}

const PATHS = {
  send: ["M4.5 12h14", "M12.5 6l6 6-6 6"],
  attach: ["M19 11.5l-7.3 7.3a4.6 4.6 0 0 1-6.5-6.5l7.6-7.6a3.1 3.1 0 0 1 4.4 4.4l-7.5 7.5a1.5 1.5 0 0 1-2.2-2.2l6.8-6.7"],
  more: ["M12 5.5v.01", "M12 12v.01", "M12 18.5v.01"],
  close: ["M6 6l12 12", "M18 6L6 18"],
  person: ["M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8z", "M4.5 20a7.5 7.5 0 0 1 15 0"],
  language: ["M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z", "M3 12h18", "M12 3c5 5.5 5 12.5 0 18c-5-5.5-5-12.5 0-18z"],
  end: ["M5 12h10", "M11 8l4 4-4 4", "M14 4h4a1.5 1.5 0 0 1 1.5 1.5v13a1.5 1.5 0 0 1-1.5 1.5h-4"],
  good: ["M7.5 10.5l3.8-7a2.2 2.2 0 0 1 2.1 2.7l-.7 3.3h5.3a2 2 0 0 1 2 2.4l-1.3 6.2a2.3 2.3 0 0 1-2.2 1.9h-9z", "M7.5 10.5H4V20h3.5"],
  bad: ["M16.5 13.5l-3.8 7a2.2 2.2 0 0 1-2.1-2.7l.7-3.3H6a2 2 0 0 1-2-2.4l1.3-6.2A2.3 2.3 0 0 1 7.5 4h9z", "M16.5 13.5H20V4h-3.5"],
  star: ["M12 3.5l2.6 5.4 5.9.8-4.3 4.1 1 5.9-5.2-2.8-5.2 2.8 1-5.9-4.3-4.1 5.9-.8z"],
  file: ["M13.5 3.5H7A1.5 1.5 0 0 0 5.5 5v14A1.5 1.5 0 0 0 7 20.5h10a1.5 1.5 0 0 0 1.5-1.5V8.5z", "M13.5 3.5v5h5"],
  sent: ["M5 12.5l4.5 4.5L19 7.5"],
  waiting: ["M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16z", "M12 8v4.5l2.8 1.6"],
  failed: ["M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16z", "M12 8v5", "M12 16v.01"],
  down: ["M12 5v14", "M6 13l6 6 6-6"],
  chat: ["M4 12a8 7 0 1 1 3.4 5.8L4 19l1-3.3A7 7 0 0 1 4 12z"],
} as const;

export type IconName = keyof typeof PATHS;

export function icon(name: IconName): SVGElement {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon icon-${name}`);
  for (const line of PATHS[name]) {
    const path = document.createElementNS(space, "path");
    path.setAttribute("d", line);
    svg.append(path);
  }
  return svg;
}
