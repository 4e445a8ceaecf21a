/** Requests of the console's scripts to its own routes. */

export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly field: string,
    message: string,
  ) {
    super(message);
  }
}

/** For requests that nobody clicked for: they keep no session open that nobody works in. */
export const unasked = { "X-Kefu-Live": "1" };

// A browser finishes no more than 64 KiB for a page that was left.
const MOST_KEPT_ALIVE = 60_000;

/** POST a form's fields and read the JSON answer; throws Refused, or TypeError while offline. */
export async function post<Answer>(path: string, fields: Record<string, string> | URLSearchParams = {}): Promise<Answer> {
  const body = new URLSearchParams(fields);
  const keepalive = body.toString().length < MOST_KEPT_ALIVE;
  return read<Answer>(await fetch(path, { method: "POST", body, headers: headers(), keepalive }));
}

/** GET a JSON answer. */
export async function get<Answer>(path: string, also: Record<string, string> = {}): Promise<Answer> {
  return read<Answer>(await fetch(path, { headers: { ...headers(), ...also } }));
}

/** Headers that say who asks, and what for. */
export function headers(): Record<string, string> {
  return { Accept: "application/json", "X-CSRF-Token": document.body.dataset.csrf ?? "" };
}

async function read<Answer>(response: Response): Promise<Answer> {
  const body: unknown = await response.json().catch(() => ({}));
  if (response.ok) return body as Answer;
  const { error } = body as { error?: { field: string; message: string; remedy: string } };
  throw new Refused(
    response.status,
    error?.field ?? "",
    error ? `${error.message}; ${error.remedy}` : `HTTP ${response.status}`,
  );
}
