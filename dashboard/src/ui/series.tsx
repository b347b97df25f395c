// Time series on uPlot.
import uPlot from "uplot";
import { useEffect, useRef } from "preact/hooks";
import { clock, date, theme, zone } from "../app";
import { floatShort } from "../decimal";
import { useCell } from "../store";

export interface Line {
  name: string;
  color: string;
  dash?: number[];
  step?: boolean;
  fill?: boolean;
  axis?: "y" | "y2";
  width?: number;
}

export interface Mark {
  at: number;
  text: string;
}

export interface Band {
  from: number;
  to: number;
  color: string;
  text: string;
}

interface Props {
  label: string;
  /** Seconds, then one list per line. */
  columns: (number | null)[][];
  lines: Line[];
  height?: number;
  marks?: Mark[];
  bands?: Band[];
  format?: (value: number) => string;
  zero?: boolean;
  /** Each line of the grid so many times the one below: for amounts of different size. */
  times?: boolean;
  /** Counts: no marks between whole numbers. */
  whole?: boolean;
  legend?: boolean;
  /** Drawn through, such as a limit. */
  sync?: string;
}

export function css(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function Series({ label, columns, lines, height = 220, marks = [], bands = [], format = floatShort, zero = false, times = false, whole = false, legend = true, sync }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const said = useRef({ marks, bands, format });
  said.current = { marks, bands, format };
  const now = useCell(theme);
  const in_ = useCell(zone);
  const shape = JSON.stringify([lines, now, in_, zero, times, legend, sync, height]);

  useEffect(() => {
    const ink = css("--ink-3");
    const grid = { stroke: css("--line"), width: 1 };
    const font = `11px ${css("--font")}`;
    const axis: uPlot.Axis = {
      stroke: ink, font, grid, ticks: { show: false }, size: 62, gap: 6,
      values: (_, splits) => splits.map((value) => (value === null ? "" : said.current.format(value))),
      ...(times ? { splits: (_: uPlot, __: number, least: number, most: number) => rounds(least, most), filter: (_: uPlot, splits: number[]) => splits } : {}),
      ...(whole ? { incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] } : {}),
    };
    const options: uPlot.Options = {
      width: box.current!.clientWidth || 600,
      height,
      padding: [8, 8, 0, 0],
      tzDate: (at) => (in_ === "utc" ? uPlot.tzDate(new Date(at * 1000), "Etc/UTC") : new Date(at * 1000)),
      scales: {
        x: { time: true },
        y: times ? { distr: 3, range: (_, least, most) => factors(least, most) } : { range: (_, least, most) => range(least, most, zero) },
        y2: { range: (_, least, most) => range(least, most, false) },
      },
      axes: [
        {
          stroke: ink, font, grid: { show: false }, ticks: { show: true, stroke: css("--line"), size: 4, width: 1 }, size: 26, space: 90, gap: 4,
          incrs: [1, 5, 10, 15, 30, 60, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400, 172_800, 345_600, 691_200, 1_382_400, 2_764_800, 7_776_000, 31_536_000],
          values: (_, splits) => splits.map((at, i) => {
            const day = date(at * 1000);
            const first = i === 0 || day !== date((splits[i - 1] ?? 0) * 1000);
            const far = splits.length > 1 && (splits[1]! - splits[0]!) >= 86_400;
            return far ? day.slice(5) : first && i > 0 ? day.slice(5) : clock(at * 1000).slice(0, (splits[1] ?? 60) - splits[0]! < 60 ? 8 : 5);
          }),
        },
        axis,
        ...(lines.some((line) => line.axis === "y2") ? [{ ...axis, scale: "y2", side: 1 as const, grid: { show: false } }] : []),
      ],
      series: [
        { value: (_, at) => (at === null || at === undefined ? "" : `${date(at * 1000)} ${clock(at * 1000)}`), label: "At" },
        ...lines.map((line): uPlot.Series => ({
          label: line.name,
          scale: line.axis ?? "y",
          stroke: css(line.color),
          width: line.width ?? 1.5,
          points: { show: false },
          spanGaps: true,
          ...(line.dash ? { dash: line.dash } : {}),
          ...(line.fill ? { fill: css(line.color) + "1c" } : {}),
          ...(line.step ? { paths: uPlot.paths.stepped!({ align: 1 }) } : {}),
          value: (_, value) => (value === null || value === undefined ? "–" : said.current.format(value)),
        })),
      ],
      cursor: { y: false, points: { size: 6 }, drag: { x: true, y: false }, ...(sync ? { sync: { key: sync } } : {}) },
      legend: { show: legend, live: true },
      hooks: {
        drawClear: [(of) => paintBands(of, said.current.bands)],
        draw: [(of) => paintMarks(of, said.current.marks)],
      },
    };
    const made = new uPlot(options, columns as uPlot.AlignedData, box.current!);
    plot.current = made;
    const resize = new ResizeObserver(() => {
      const width = box.current?.clientWidth;
      if (width && width !== made.width) made.setSize({ width, height });
    });
    resize.observe(box.current!);
    return () => {
      resize.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => {
    const made = plot.current;
    if (!made) return;
    const [least, most] = [made.scales.x!.min, made.scales.x!.max];
    const old = made.data[0];
    const known = typeof least === "number" && typeof most === "number";
    const zoomed = known && old.length > 1 && (least > old[0]! || most < old[old.length - 1]!);
    // What somebody looks at closely stays where it is.
    made.setData(columns as uPlot.AlignedData, !zoomed);
    if (zoomed) made.redraw(true, false);
  });

  return <div class="series" ref={box} role="img" aria-label={describe(label, columns, lines, format)} style={{ minHeight: `${height}px` }} />;
}

function describe(label: string, columns: (number | null)[][], lines: Line[], format: (value: number) => string): string {
  const last = (at: number) => {
    const values = columns[at + 1] ?? [];
    for (let i = values.length - 1; i >= 0; i--) if (values[i] !== null && values[i] !== undefined) return format(values[i]!);
    return "nothing";
  };
  return `${label}: ${lines.map((line, at) => `${line.name} ${last(at)}`).join(", ")}`;
}

function range(least: number | null, most: number | null, zero: boolean): [number, number] {
  if (least === null || most === null || !Number.isFinite(least) || !Number.isFinite(most)) return [0, 1];
  const low = zero ? Math.min(0, least) : least;
  const high = zero ? Math.max(0, most) : most;
  const room = (high - low) * 0.08 || Math.abs(high) * 0.02 || 1;
  return [zero && low === 0 ? 0 : low - room, high + room];
}

/** On a scale of factors: the least and the largest, with some room, and never nothing. */
function factors(least: number | null, most: number | null): [number, number] {
  if (least === null || most === null || !(least > 0) || !Number.isFinite(most)) return [1, 10];
  return [least / 1.6, most * 1.6];
}

/** 1, 2 and 5 times powers of ten that lie between; the powers alone where there are many. */
function rounds(least: number, most: number): number[] {
  const found: number[] = [];
  const some = most / least > 1e4 ? [1] : [1, 2, 5];
  for (let power = 10 ** Math.floor(Math.log10(least)); power <= most; power *= 10) found.push(...some.map((of) => of * power));
  return found.filter((value) => value >= least && value <= most);
}

function paintBands(of: uPlot, bands: Band[]): void {
  const { ctx, bbox } = of;
  ctx.save();
  for (const band of bands) {
    const left = Math.max(bbox.left, of.valToPos(band.from, "x", true));
    const right = Math.min(bbox.left + bbox.width, of.valToPos(band.to, "x", true));
    if (right <= left) continue;
    ctx.fillStyle = css(band.color);
    ctx.fillRect(left, bbox.top, Math.max(right - left, 1), bbox.height);
  }
  ctx.restore();
}

function paintMarks(of: uPlot, marks: Mark[]): void {
  const { ctx, bbox } = of;
  ctx.save();
  ctx.strokeStyle = css("--ink-3");
  ctx.fillStyle = css("--ink-3");
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.globalAlpha = 0.8;
  let last = -Infinity;
  for (const mark of [...marks].sort((a, b) => a.at - b.at)) {
    const x = Math.round(of.valToPos(mark.at, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    // Where they crowd, their heads alone: the lines would hide what is beneath.
    if (x - last > 14 * devicePixelRatio) {
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    last = x;
    ctx.beginPath();
    ctx.moveTo(x - 4 * devicePixelRatio, bbox.top);
    ctx.lineTo(x + 4 * devicePixelRatio, bbox.top);
    ctx.lineTo(x, bbox.top + 6 * devicePixelRatio);
    ctx.fill();
  }
  ctx.restore();
}
