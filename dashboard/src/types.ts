// Answers of the server, as /openapi.json describes them.
import type { Decimal } from "./decimal";

export type Validity = "normal" | "degraded" | "halted";
export type Standing = "healthy" | "call" | "unvalued" | "liquidatable" | "insolvent";

/** What a number was read from. */
export interface Basis {
  sequence: number;
  as_of: string;
  snapshot: string;
  parameters: number;
  validity: Validity;
}

export interface Answer<T> extends Basis {
  data: T;
}

export interface Totals {
  equity: Decimal;
  im: Decimal;
  mm: Decimal;
  im_excess: Decimal;
  mm_excess: Decimal;
  aggregate: Decimal;
  addons: Decimal;
  unrealised: Decimal;
}

export interface Bucket {
  from?: number;
  to?: number;
  accounts: number;
  mm: Decimal;
}

export interface Feed {
  asset: string;
  validity: Validity;
  causes: string[];
  price?: number;
  confidence?: number;
  age_ms?: number;
  quarantined: string[];
}

export interface Overview {
  accounts: number;
  valued: number;
  equity: Decimal;
  im: Decimal;
  mm: Decimal;
  standings: Record<Standing, number>;
  distance: Bucket[];
  insurance: Decimal;
  backstop_lost: Decimal;
  intents: number;
  feeds: Feed[];
  refused: Record<string, number>;
}

export interface Sample {
  at: string;
  accounts: number;
  equity: Decimal;
  im: Decimal;
  mm: Decimal;
  call: number;
  unvalued: number;
  liquidatable: number;
  insolvent: number;
  insurance: Decimal;
  /** Of each underlying by itself; the server's samples alone have it. */
  underlyings?: { asset: string; im: Decimal; mm: Decimal }[];
}

export interface AccountRow {
  account: string;
  standing: Standing;
  validity: Validity;
  totals?: Totals;
}

export interface Position {
  instrument: string;
  quantity: Decimal;
  cost: Decimal;
  value?: Decimal;
}

export interface Account {
  account: string;
  standing: Standing;
  totals?: Totals;
  positions: Position[];
  collateral: { asset: string; amount: Decimal }[];
  orders: { id: number; instrument: string; quantity: Decimal; limit: Decimal }[];
  intent?: number;
}

export interface Added {
  part: string;
  asset?: string;
  im: Decimal;
  mm: Decimal;
  inputs?: string[];
}

export interface Margin {
  account: string;
  totals: Totals;
  base: Added;
  guard: Added;
  addons: Added[];
  relief: Added;
  orders: Added;
  netting_benefit: Decimal;
  scenarios: string[];
  underlyings: {
    asset: string;
    scan_loss: Decimal;
    worst?: string;
    mm_scan_loss: Decimal;
    pnl: Decimal[];
    contributions: { instrument: string; quantity: Decimal; pnl: Decimal }[];
  }[];
}

export interface Check {
  allowed: boolean;
  reason: string;
  im_excess_before: Decimal;
  im_excess_after: Decimal;
  mm_excess_before: Decimal;
  mm_excess_after: Decimal;
  unconfirmed: Decimal;
}

export interface WhatIf {
  before: Margin;
  after: Margin;
  check: Check;
}

export interface Greeks {
  underlying: string;
  expiry?: string;
  delta: number;
  delta_cash: number;
  gamma: number;
  vega_per_point: number;
  theta_per_day: number;
  rho_per_bp: number;
  vanna: number;
  volga: number;
}

export interface Heat {
  spot: number[];
  vol: number[];
  pnl: Decimal[][];
  worst: [number, number];
}

export interface Leg {
  instrument: string;
  expiry?: string;
  pnl: Decimal[][];
}

export interface BookCell {
  pnl: Decimal;
  losses: Decimal;
  accounts: number;
  notional: Decimal;
  shortfall: Decimal;
}

export interface BookHeat {
  spot: number[];
  vol: number[];
  cells: BookCell[][];
  worst: [number, number];
  tails: { spot: number; vol: number; cell: BookCell }[];
  /** What those that lose, lose on which expiry: `losses[vol][spot]`. */
  parts: { underlying: string; expiry?: string; losses: Decimal[][] }[];
}

export interface Contributors {
  accounts: number;
  sum: number;
  rows: { account: string; greeks: Greeks }[];
}

export interface Boundary {
  points: { days: number; vol: number; spot_down?: number; spot_up?: number; mm_excess: Decimal }[];
  nearest?: { spot: number; vol: number; days: number; distance: number };
  first_expiry_days?: number;
}

export interface Smile {
  expiry: string;
  tau: number;
  forward: number;
  atm: number;
  svi: { a: number; b: number; rho: number; m: number; sigma: number };
  rmse_vol_points: number;
  quotes: number;
  refused: number;
  points: { strike: number; fit: number; bid?: number; ask?: number; mark?: number }[];
  validity: Validity;
}

export interface Surface {
  underlying: string;
  index: number;
  confidence: number;
  expiries: Smile[];
  marks: { instrument: string; price: number }[];
}

export interface QuotedSmile {
  expiry: string;
  points: Smile["points"];
}

export interface Ramp {
  from: Decimal;
  legs: { starts: string; ends: string; rise: Decimal }[];
}

export interface Parameter {
  name: string;
  initial: Decimal;
  maintenance: Decimal;
  ramp: Ramp;
  minimum?: Decimal;
  maximum?: Decimal;
}

export interface Parameters {
  policy: string;
  params: string;
  params_id: string;
  values: Parameter[];
  readings: Record<string, Record<string, number>>;
}

export interface Change {
  key: { knob: string; scope: Record<string, string> };
  from: Decimal;
  to: Decimal;
  causes: [string, number][];
  maintenance: Ramp;
  text: string;
}

export interface Happened<T = Record<string, unknown>> {
  sequence: number;
  at: string;
  what: T;
  /** What was read when it was decided, by underlying and cause. */
  readings?: Record<string, Record<string, number>>;
}

export interface DecisionEffect {
  effect: "parameters";
  decision: { changes: Change[]; version: number; made: string; notes: Record<string, unknown>[]; refused: boolean; glide: unknown };
  endangered: unknown[];
}

export interface Step {
  instrument: string;
  quantity: Decimal;
  cost: Decimal;
  gain: Decimal;
}

export interface Plan {
  steps: Step[];
  im_excess_before: Decimal;
  im_excess_after: Decimal;
  restores: boolean;
}

export interface Liquidations {
  open: { intent: number; account: string; since: string; plan: Plan }[];
  happened: Happened[];
}

export interface JournalPosition {
  applied: number;
  snapshot: number;
  waiting: number;
  conflated: number;
  events: number;
}

export interface Terms {
  /** Whom proofs are for. */
  audience: string;
  currency: string;
  estimates: { knob: string; confidence: number; horizon_seconds: number }[];
}

export interface Method {
  preset: string;
  im: Decimal;
  mm: Decimal;
  own_im: Decimal;
  own_mm: Decimal;
  accounts: number;
  failures: number;
  reason?: string;
}

/** Other methods on the book and market of an instant. */
export interface ComparedAt {
  sequence: number;
  at: string;
  methods: Omit<Method, "reason">[];
}

/** What whoever asks may see. */
export interface Whoami {
  key?: string;
  everybody: boolean;
  accounts: string[];
}

export interface Problem {
  code: string;
  detail: string;
}
