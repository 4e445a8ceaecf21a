/** Which addresses may become a link or a picture. */

const LINKS = new Set(["http:", "https:", "mailto:", "tel:"]);

/** The address in its normal form, or null for every scheme that is not plainly a link. */
export function safeLink(address: string): string | null {
  try {
    const url = new URL(address.trim());
    return LINKS.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** The address of a picture: https, or the chat's own gateway; null for everything else. */
export function safeImage(address: string): string | null {
  try {
    const url = new URL(address.trim(), location.origin);
    return url.protocol === "https:" || url.origin === location.origin ? url.href : null;
  } catch {
    return null;
  }
}
