/** Charts of the customers' voice, drawn from the tables beside them: a bundle of its own. */

import {
  CategoryScale,
  Chart,
  Filler,
  Legend,
  LinearScale,
  LineController,
  LineElement,
  PointElement,
  Title,
  Tooltip,
  type ChartConfiguration,
  type ChartDataset,
} from "chart.js";

Chart.register(CategoryScale, Filler, Legend, LinearScale, LineController, LineElement, PointElement, Title, Tooltip);

type Unit = "count" | "share" | "rating" | "ms";

interface Series {
  name: string;
  label: string;
  values: (number | null)[];
}

interface Source {
  title: string;
  subtitle: string;
  unit: Unit;
  stacked: boolean;
  labels: string[];
  series: Series[];
}

interface Look {
  ink: string;
  muted: string;
  line: string;
  paper: string;
  colours: string[];
}

const PNG_WIDTH = 1600;
const PNG_HEIGHT = 900;
// Told apart without colour, too.
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3], [1, 4], [12, 4]];
const POINTS = ["circle", "rect", "triangle", "rectRot", "cross", "star"] as const;

function readSource(figure: HTMLElement): Source {
  const heads = [...figure.querySelectorAll<HTMLElement>("thead [data-series]")];
  const rows = [...figure.querySelectorAll<HTMLTableRowElement>("tbody tr")];
  const cells = rows.map((row) => [...row.querySelectorAll<HTMLElement>("[data-value]")]);
  return {
    title: figure.querySelector("h3")?.textContent ?? "",
    subtitle: figure.dataset.subtitle ?? "",
    unit: (figure.dataset.unit ?? "count") as Unit,
    stacked: figure.dataset.chart === "stacked",
    labels: rows.map((row) => row.querySelector("th")?.textContent ?? ""),
    series: heads.map((head, column) => ({
      name: head.dataset.series ?? "",
      label: head.textContent ?? "",
      values: cells.map((row) => {
        const value = row[column]?.dataset.value;
        return value ? Number(value) : null;
      }),
    })),
  };
}

function readLook(): Look {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string): string => style.getPropertyValue(name).trim();
  return {
    ink: of("--ink"),
    muted: of("--muted"),
    line: of("--line"),
    paper: of("--raised"),
    colours: [1, 2, 3, 4, 5, 6].map((number) => of(`--chart-${number}`)),
  };
}

/** Emotions have a colour each, wherever they are shown; other series take them in order. */
function colourOf(series: Series, place: number, look: Look): string {
  const emotion = ["angry", "disappointed", "anxious", "confused", "neutral", "happy"].indexOf(
    series.name.replace("emotion.", ""),
  );
  // Blue, green and amber first: red is kept for anger.
  const order = [2, 5, 1, 3, 4, 0];
  const index = series.name.startsWith("emotion.") && emotion >= 0 ? emotion : order[place % order.length];
  return look.colours[index ?? 0] ?? look.ink;
}

function language(): string {
  return document.body.dataset.locale === "zh" ? "zh-CN" : "en-GB";
}

function shown(value: number, unit: Unit): string {
  if (unit === "share") return `${(value * 100).toFixed(1)} %`;
  if (unit === "rating") return value.toFixed(2);
  if (unit === "count") return new Intl.NumberFormat(language()).format(value);
  if (value < 1000) return `${Math.round(value)} ms`;
  if (value < 60_000) return `${(value / 1000).toFixed(1)} s`;
  return value < 3_600_000 ? `${(value / 60_000).toFixed(1)} min` : `${(value / 3_600_000).toFixed(1)} h`;
}

function datasets(source: Source, look: Look, scale: number): ChartDataset<"line", (number | null)[]>[] {
  return source.series.map((series, place) => {
    const colour = colourOf(series, place, look);
    return {
      label: series.label,
      data: series.values,
      borderColor: colour,
      backgroundColor: source.stacked ? `${colour}b0` : colour,
      borderWidth: 2 * scale,
      borderDash: source.stacked ? [] : (DASHES[place % DASHES.length] ?? []).map((length) => length * scale),
      pointStyle: POINTS[place % POINTS.length] ?? "circle",
      pointRadius: source.labels.length > 40 ? 0 : 3 * scale,
      pointHitRadius: 12,
      fill: source.stacked ? "stack" : false,
      spanGaps: false,
      tension: 0,
    };
  });
}

function configuration(source: Source, look: Look, picture: boolean): ChartConfiguration<"line", (number | null)[]> {
  const scale = picture ? 2 : 1;
  const font = { size: 12 * scale };
  const most = source.stacked ? { max: 1 } : {};
  const bounds = source.unit === "rating" ? { min: 1, max: 5 } : { beginAtZero: true, ...most };
  return {
    type: "line",
    data: { labels: source.labels, datasets: datasets(source, look, scale) },
    options: {
      animation: false,
      responsive: !picture,
      maintainAspectRatio: false,
      ...(picture ? { devicePixelRatio: 1 } : {}),
      interaction: { mode: "index", intersect: false },
      layout: { padding: picture ? 32 : 0 },
      scales: {
        x: {
          ticks: { color: look.muted, font, maxRotation: 0, autoSkipPadding: 16 * scale },
          grid: { color: look.line },
        },
        y: {
          ...bounds,
          stacked: source.stacked,
          ticks: {
            color: look.muted,
            font,
            callback: (value) => shown(Number(value), source.unit).replace(".0 ", " "),
          },
          grid: { color: look.line },
        },
      },
      plugins: {
        title: {
          display: picture,
          text: [source.title, source.subtitle],
          color: look.ink,
          font: { size: 18 * scale },
          padding: { bottom: 20 },
        },
        legend: { position: "bottom", labels: { color: look.ink, font, usePointStyle: true } },
        tooltip: {
          callbacks: {
            label: (item) => `${item.dataset.label ?? ""}: ${shown(Number(item.parsed.y), source.unit)}`,
          },
        },
      },
    },
    plugins: picture
      ? [
          {
            id: "ground",
            beforeDraw: (chart) => {
              chart.ctx.fillStyle = look.paper;
              chart.ctx.fillRect(0, 0, chart.width, chart.height);
            },
          },
        ]
      : [],
  };
}

/** The chart anew and large, with title, period and legend, as a file. */
function save(source: Source, name: string): void {
  const canvas = document.createElement("canvas");
  canvas.width = PNG_WIDTH;
  canvas.height = PNG_HEIGHT;
  const chart = new Chart(canvas, configuration(source, readLook(), true));
  canvas.toBlob((blob) => {
    chart.destroy();
    if (!blob) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    // The download has begun; the browser keeps what it needs.
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }, "image/png");
}

function open(figure: HTMLElement): void {
  const holder = figure.querySelector<HTMLElement>(".voice-canvas");
  const canvas = holder?.querySelector("canvas");
  if (!holder || !canvas) return;
  const source = readSource(figure);
  if (!source.series.some((series) => series.values.some((value) => value !== null))) return;
  holder.hidden = false;
  const chart = new Chart(canvas, configuration(source, readLook(), false));
  const redraw = (): void => {
    Object.assign(chart, { options: configuration(source, readLook(), false).options });
    chart.data.datasets = datasets(source, readLook(), 1);
    chart.update();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  const button = figure.querySelector<HTMLButtonElement>("[data-png]");
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => save(source, figure.dataset.file ?? "chart.png"));
  }
  figure.dataset.drawn = "true";
}

/** Whoever chooses dates means the dates, and whoever chooses a period means that. */
function tieDates(form: HTMLFormElement): void {
  const period = form.querySelector<HTMLSelectElement>("select[name=period]");
  for (const date of form.querySelectorAll("input[type=date]")) {
    date.addEventListener("change", () => {
      if (period) period.value = "custom";
    });
  }
}

for (const figure of document.querySelectorAll<HTMLElement>("[data-chart]")) open(figure);
for (const form of document.querySelectorAll<HTMLFormElement>(".voice-filters")) tieDates(form);
