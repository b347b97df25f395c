// A grid of numbers in colours: a real table, so that a keyboard and a screen reader walk it as well as an eye.
import { useRef, useState } from "preact/hooks";
import { theme } from "../app";
import { percent } from "../decimal";
import { useCell } from "../store";

export type Scale = "diverging" | "magnitude";

// Cividis, which everybody sees alike, in nine steps (Nuñez, Anderton, Renslow 2018).
const CIVIDIS: [number, number, number][] = [
  [0, 32, 77], [0, 48, 111], [57, 72, 107], [87, 92, 109], [112, 113, 115], [138, 134, 120], [165, 156, 116], [195, 179, 105], [255, 234, 70],
];
const LOSS: [number, number, number] = [213, 94, 0];
const GAIN: [number, number, number] = [0, 114, 178];

function mix(a: number[], b: number[], share: number): [number, number, number] {
  return [0, 1, 2].map((i) => Math.round(a[i]! + (b[i]! - a[i]!) * share)) as [number, number, number];
}

function colour(value: number, most: number, scale: Scale, dark: boolean): [number, number, number] {
  const share = most > 0 ? Math.min(1, Math.abs(value) / most) : 0;
  const paper = dark ? [27, 32, 38] : [247, 248, 249];
  // The root shows small numbers beside large ones.
  if (scale === "diverging") return mix(paper, value < 0 ? LOSS : GAIN, Math.sqrt(share) * 0.92);
  const steps = dark ? CIVIDIS : [...CIVIDIS].reverse();
  if (!dark && share === 0) return paper as [number, number, number];
  const at = Math.sqrt(share) * (steps.length - 1);
  const low = Math.floor(at);
  return mix(steps[low]!, steps[Math.min(low + 1, steps.length - 1)]!, at - low);
}

function luminance([r, g, b]: [number, number, number]): number {
  const linear = (c: number) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

/** Black or white, whichever is read more easily. */
function ink(paper: [number, number, number]): string {
  return luminance(paper) > 0.179 ? "#000" : "#fff";
}

interface Props {
  label: string;
  /** Relative moves, along the top. */
  spot: number[];
  /** Relative moves, down the side; drawn with the largest on top. */
  vol: number[];
  value: (vol: number, spot: number) => number;
  text: (vol: number, spot: number) => string;
  scale: Scale;
  worst?: readonly [number, number] | undefined;
  at: [number, number] | null;
  onAt: (at: [number, number]) => void;
  volName?: string;
}

export function HeatGrid({ label, spot, vol, value, text, scale, worst, at, onAt, volName = "vol" }: Props) {
  const dark = useCell(theme) === "dark";
  const box = useRef<HTMLTableElement>(null);
  const [focus, setFocus] = useState<[number, number]>([worst?.[0] ?? 0, worst?.[1] ?? 0]);
  const here: [number, number] = [Math.min(focus[0], vol.length - 1), Math.min(focus[1], spot.length - 1)];
  let most = 0;
  vol.forEach((_, v) => spot.forEach((_, s) => (most = Math.max(most, Math.abs(value(v, s))))));
  const keys = (event: KeyboardEvent) => {
    const step: Record<string, [number, number]> = { ArrowUp: [1, 0], ArrowDown: [-1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const by = step[event.key];
    if (!by) return;
    event.preventDefault();
    const to: [number, number] = [Math.max(0, Math.min(vol.length - 1, here[0] + by[0])), Math.max(0, Math.min(spot.length - 1, here[1] + by[1]))];
    setFocus(to);
    onAt(to);
    box.current?.querySelector<HTMLElement>(`[data-cell="${to[0]},${to[1]}"]`)?.focus();
  };
  const rows = vol.map((_, v) => v).reverse();
  const cell = (v: number, s: number) => {
    const number = value(v, s);
    const paper = colour(number, most, scale, dark);
    const marked = worst && worst[0] === v && worst[1] === s;
    const chosen = at && at[0] === v && at[1] === s;
    const now = vol[v] === 0 && Math.abs(spot[s]!) < 1e-9;
    return (
      <td key={s} role="gridcell" data-cell={`${v},${s}`} tabIndex={here[0] === v && here[1] === s ? 0 : -1}
        class={`${marked ? "worst " : ""}${chosen ? "chosen " : ""}${now ? "now" : ""}`}
        aria-label={`spot ${percent(spot[s]!, 0, true)}, ${volName} ${percent(vol[v]!, 0, true)}: ${text(v, s)}${marked ? ", worst" : ""}`}
        style={{ background: `rgb(${paper.join(" ")})`, color: ink(paper) }}
        onPointerEnter={() => onAt([v, s])} onFocus={() => { setFocus([v, s]); onAt([v, s]); }} onKeyDown={keys}>
        {text(v, s)}
      </td>
    );
  };
  return (
    <div class="heat-box" tabIndex={-1}>
      <table class="heat" role="grid" aria-label={label} ref={box}>
        <thead>
          <tr>
            <th scope="col" class="corner">{volName} \ spot</th>
            {spot.map((move) => <th scope="col" class={Math.abs(move) < 1e-9 ? "zero" : ""}>{percent(move, 0, true)}</th>)}
          </tr>
        </thead>
        <tbody>
          {rows.map((v) => (
            <tr key={v}>
              <th scope="row" class={vol[v] === 0 ? "zero" : ""}>{percent(vol[v]!, 0, true)}</th>
              {spot.map((_, s) => cell(v, s))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The same grid on a canvas, for a PNG. */
export function heatPng(name: string, props: Pick<Props, "spot" | "vol" | "value" | "text" | "scale" | "worst" | "label">): void {
  const { spot, vol, value, text, scale, worst } = props;
  const dark = theme.get() === "dark";
  const [wide, high, left, top] = [76, 34, 80, 60];
  const paper = document.createElement("canvas");
  paper.width = 2 * (left + spot.length * wide + 12);
  paper.height = 2 * (top + vol.length * high + 12);
  const pen = paper.getContext("2d")!;
  pen.scale(2, 2);
  const style = getComputedStyle(document.documentElement);
  pen.fillStyle = style.getPropertyValue("--panel");
  pen.fillRect(0, 0, paper.width, paper.height);
  pen.font = `12px ${style.getPropertyValue("--font")}`;
  pen.fillStyle = style.getPropertyValue("--ink");
  pen.fillText(props.label, 12, 20);
  let most = 0;
  vol.forEach((_, v) => spot.forEach((_, s) => (most = Math.max(most, Math.abs(value(v, s))))));
  pen.textAlign = "right";
  spot.forEach((move, s) => pen.fillText(percent(move, 0, true), left + (s + 1) * wide - 8, top - 8));
  vol.forEach((move, v) => {
    const y = top + (vol.length - 1 - v) * high;
    pen.fillStyle = style.getPropertyValue("--ink");
    pen.fillText(percent(move, 0, true), left - 8, y + 22);
    spot.forEach((_, s) => {
      const cell = colour(value(v, s), most, scale, dark);
      pen.fillStyle = `rgb(${cell.join(" ")})`;
      pen.fillRect(left + s * wide, y, wide - 1, high - 1);
      pen.fillStyle = ink(cell);
      pen.fillText(text(v, s), left + (s + 1) * wide - 8, y + 22);
      if (worst && worst[0] === v && worst[1] === s) {
        pen.lineWidth = 2;
        pen.strokeStyle = style.getPropertyValue("--ink");
        pen.strokeRect(left + s * wide + 1, y + 1, wide - 3, high - 3);
      }
    });
  });
  paper.toBlob((blob) => {
    if (!blob) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${name}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1_000);
  });
}
