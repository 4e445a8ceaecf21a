/** Takes the host page's theme: colours and sizes that are checked before they are used. */

import type { Look } from "../protocol";
import { VARIABLES } from "../protocol";

const PROPERTY: Record<(typeof VARIABLES)[number], string> = {
  "--kefu-accent": "color",
  "--kefu-accent-text": "color",
  "--kefu-radius": "border-radius",
  "--kefu-font": "font-family",
};

export function applyLook(look: Look): void {
  const root = document.documentElement;
  root.dataset.theme = look.theme === "light" || look.theme === "dark" ? look.theme : "auto";
  for (const name of VARIABLES) {
    const value = look.vars[name];
    // A value that could fetch something is no colour; CSS.supports would let a font named url() pass.
    const good = typeof value === "string" && value.length < 200 && !/url\(|[;{}<]/i.test(value);
    if (good && CSS.supports(PROPERTY[name], value)) root.style.setProperty(name, value);
    else root.style.removeProperty(name);
  }
  if (look.vars["--kefu-accent"] && !look.vars["--kefu-accent-text"]) {
    root.style.setProperty("--kefu-accent-text", isLight() ? "#111" : "#fff");
  }
}

/** Whether black reads better on the accent than white does, by the contrast of WCAG 2. */
function isLight(): boolean {
  const probe = document.createElement("span");
  probe.style.color = "var(--kefu-accent)";
  document.body.append(probe);
  const channels = (getComputedStyle(probe).color.match(/[\d.]+/g) ?? []).slice(0, 3).map(Number);
  probe.remove();
  const [red = 0, green = 0, blue = 0] = channels.map((channel) => {
    const part = channel / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179;
}
