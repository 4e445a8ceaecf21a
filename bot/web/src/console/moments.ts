/** Moments in the reader's own zone and language; the exact one is the title. */

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

function language(): string {
  return document.body.dataset.locale === "zh" ? "zh-CN" : "en-GB";
}

function relative(moment: Date): string {
  const seconds = (moment.getTime() - Date.now()) / 1000;
  const format = new Intl.RelativeTimeFormat(language(), { numeric: "auto", style: "narrow" });
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return format.format(Math.round(seconds / size), unit);
  }
  return format.format(Math.round(seconds), "second");
}

export function showMoments(root: ParentNode): void {
  const exact = new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll<HTMLTimeElement>("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    const shown = exact.format(moment);
    time.textContent = "relative" in time.dataset ? relative(moment) : shown;
    time.title = shown;
  }
}

setInterval(() => showMoments(document), 30_000);
