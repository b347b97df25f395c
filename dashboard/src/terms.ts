// What every number is, in the words of docs/glossary.md: one table for every hover.

export interface Definition {
  name: string;
  is: string;
  formula?: string;
  /** The estimated parameter that says its horizon and confidence; none for what is no estimate. */
  estimate?: "margin" | "none";
}

const RISK = { estimate: "margin" } as const;

export const DEFINITIONS = {
  equity: { name: "Equity", is: "What an account is worth: collateral after haircuts less debts, plus marks and unrealised profit.", formula: "sum value (1 \u2212 haircut) + sum lots \u00d7 mark + unrealised" },
  im: { name: "IM, initial margin", is: "What must be there to open risk.", formula: "im_scale \u00d7 aggregate + guard + add-ons \u2212 premium relief + open orders", ...RISK },
  mm: { name: "MM, maintenance margin", is: "Below it an account is liquidatable.", formula: "mm_scale \u00d7 aggregate + guard + add-ons \u2212 premium relief", ...RISK },
  im_excess: { name: "IM excess", is: "What is left over to open risk with; a call below zero.", formula: "equity \u2212 im", ...RISK },
  mm_excess: { name: "MM excess", is: "What is left before liquidation; liquidatable below zero.", formula: "equity \u2212 mm", ...RISK },
  distance: { name: "Distance to liquidation", is: "What is left before liquidation, as a multiple of the maintenance margin.", formula: "mm_excess / mm", ...RISK },
  usage: { name: "Margin usage", is: "The share of equity that initial margin takes.", formula: "im / equity", ...RISK },
  aggregate: { name: "Aggregate", is: "Scan losses of all underlyings taken together, before scaling.", formula: "sum, factor, joint or span", ...RISK },
  addons: { name: "Add-ons", is: "Charges for what scenarios do not see.", formula: "sum of add-ons", ...RISK },
  scan_loss: { name: "Scan loss", is: "Worst loss of one underlying's positions over the scenarios (WCSL).", formula: "max(0, \u2212min_s sum_i q_i R[i][s])", ...RISK },
  netting: { name: "Netting benefit", is: "What taking positions together saves.", formula: "sum of standalone losses \u2212 aggregate", ...RISK },
  relief: { name: "Premium relief", is: "What is taken off so that no book is charged more than without its longs, plus their marks.", formula: "max(0, R(all) \u2212 R(without longs) \u2212 marks of longs)", ...RISK },
  guard: { name: "Rounding guard", is: "What makes an integer requirement never less than the unrounded one.", formula: "half a tick per lot held" },
  base: { name: "Scaled scan loss", is: "The aggregate of the scan losses, scaled.", formula: "im_scale \u00d7 aggregate, mm_scale \u00d7 aggregate", ...RISK },
  orders: { name: "Open orders", is: "What open orders add: the worst of none, all bids or all asks filled.", ...RISK },
  basis: { name: "Basis add-on", is: "Loss when forwards move and spot does not.", ...RISK },
  vega: { name: "Vega add-on", is: "Loss when volatilities of different tenors part.", ...RISK },
  liquidity: { name: "Liquidity add-on", is: "Spread and impact of closing the net delta against depth.", ...RISK },
  vega_liquidity: { name: "Vega liquidity add-on", is: "Impact of closing the net vega against what trades a day.", ...RISK },
  unrealised: { name: "Unrealised profit", is: "Profit since entry of futures and perpetuals, and premiums paid and received." },
  insurance: { name: "Insurance fund", is: "What covers losses of insolvent accounts before anybody else does." },
  backstop_lost: { name: "Backstop lost", is: "What the backstop has lost by taking over what nobody took." },
  accounts: { name: "Accounts", is: "All accounts, the backstop's included." },
  valued: { name: "Valued", is: "Accounts all of whose positions have a price." },
  healthy: { name: "Healthy", is: "Equity covers initial margin.", formula: "im_excess \u2265 0", ...RISK },
  call: { name: "Call", is: "Equity covers maintenance margin and not initial margin.", formula: "im_excess < 0 \u2264 mm_excess", ...RISK },
  liquidatable: { name: "Liquidatable", is: "Equity does not cover maintenance margin.", formula: "mm_excess < 0", ...RISK },
  insolvent: { name: "Insolvent", is: "Equity is below zero." },
  unvalued: { name: "Unvalued", is: "Something held has no price that may be relied on." },
  intents: { name: "Liquidations", is: "Liquidations that were ordered and are not over." },
  standing: { name: "Standing", is: "Healthy, call, unvalued, liquidatable or insolvent." },
  delta: { name: "Delta", is: "Change of value per unit of spot.", formula: "dV/dS, base units" },
  delta_cash: { name: "Delta, cash", is: "Delta at the present price.", formula: "S dV/dS" },
  gamma: { name: "Gamma", is: "Change of delta per unit of spot.", formula: "d\u00b2V/dS\u00b2" },
  vega_per_point: { name: "Vega per point", is: "Change of value per 0.01 of volatility.", formula: "0.01 dV/d\u03c3" },
  theta_per_day: { name: "Theta per day", is: "Change of value as a day passes." },
  rho_per_bp: { name: "Rho per basis point", is: "Change of value per 0.0001 of rate." },
  vanna: { name: "Vanna", is: "Change of delta per 0.01 of volatility.", formula: "d\u00b2V/(dS d\u03c3)" },
  volga: { name: "Volga", is: "Change of vega per 0.01 of volatility.", formula: "d\u00b2V/d\u03c3\u00b2" },
  pnl: { name: "Profit and loss", is: "Value after the move less value before it, by full reprice." },
  losses: { name: "Losses of losers", is: "Sum over accounts that lose of what they lose; a book that nets to zero still has losers.", formula: "sum_a max(0, \u2212pnl_a)" },
  notional: { name: "Liquidatable notional", is: "Notional, at the present index, of accounts whose equity after the move is below their present maintenance margin." },
  endangered: { name: "Liquidatable accounts", is: "Accounts whose equity after the move is below their present maintenance margin." },
  shortfall: { name: "Shortfall", is: "What accounts owe beyond what they have after the move, before the insurance fund.", formula: "sum_a max(0, \u2212equity_a)" },
  worst: { name: "Worst", is: "The scenario in which most is lost.", ...RISK },
  tails: { name: "Tails", is: "Moves far beyond the price scan, counted in part.", formula: "weight \u00d7 pnl", ...RISK },
  nearest: { name: "Nearest point", is: "The closest move at which the account is liquidatable, measured in price scans and halves of volatility.", ...RISK },
  boundary: { name: "Liquidation surface", is: "Where in spot, volatility and time maintenance margin equals equity.", formula: "mm_excess = 0", ...RISK },
  quantity: { name: "Quantity", is: "Long > 0, in the instrument's own unit." },
  cost: { name: "Cost", is: "What a position cost, funding and premiums included." },
  value: { name: "Value", is: "What a position is worth at the mark." },
  limit: { name: "Limit", is: "The price of an open order." },
  forward: { name: "Forward", is: "Price for delivery at an expiry." },
  index: { name: "Index", is: "The price in force: the median of sources that agree." },
  tau: { name: "Days to expiry", is: "Time to expiry, ACT/365 in seconds." },
  atm: { name: "ATM volatility", is: "Annualised implied volatility at the forward.", formula: "\u03c3(k = 0)" },
  rr25: { name: "Risk reversal", is: "Skew of a smile at 25 delta.", formula: "\u03c3(25C) \u2212 \u03c3(25P)" },
  bf25: { name: "Butterfly", is: "Curvature of a smile at 25 delta.", formula: "(\u03c3(25C) + \u03c3(25P))/2 \u2212 \u03c3(ATM)" },
  rmse: { name: "RMSE", is: "Distance of the fit from mids, in vol points (0.01)." },
  quotes: { name: "Quotes", is: "Quotes that the smile was fitted to, and those that were refused." },
  butterfly_arbitrage: { name: "Butterfly", is: "A smile has no butterfly arbitrage where Durrleman's function is not negative.", formula: "g(k) \u2265 0" },
  calendar_arbitrage: { name: "Calendar", is: "Total variance may not fall from one expiry to the next at any log-moneyness.", formula: "w(k, t) rises with t" },
  validity: { name: "Validity", is: "Normal: used in full. Degraded: no new risk, liquidation only where it follows at every price of the band. Halted: nobody is liquidated. Reducing risk and depositing are always allowed." },
  confidence: { name: "Half-width", is: "Half-width of the confidence interval of the price, relative." },
  age: { name: "Age", is: "The engine's time less the time of the price in force." },
  causes: { name: "Causes", is: "Why a feed is not normal." },
  quarantined: { name: "Quarantined", is: "Sources that are not listened to, and why." },
  sequence: { name: "Sequence", is: "The last event of the journal that a number takes in." },
  snapshot: { name: "Snapshot", is: "The instant of the market that was valued last." },
  parameters: { name: "Parameters", is: "Version of the parameters in force." },
  journal: { name: "Journal", is: "The last event applied; all before it are on disk." },
  saved: { name: "State saved", is: "The last event in the newest saved state; a restart reads it and what came after." },
  waiting: { name: "Waiting", is: "Events that were handed in and are not applied yet." },
  conflated: { name: "Conflated", is: "Market data that gave way to later of its kind while it waited." },
  refused: { name: "Refused", is: "Events that the engine refused, by code; they are in the journal too." },
  step: { name: "Recompute time", is: "From an event to its effects, margins of everybody touched included." },
  request: { name: "Answer time", is: "From a request to its answer." },
  initial: { name: "Initial", is: "What binds new risk now." },
  maintenance: { name: "Maintenance", is: "What binds existing positions now; it follows an announced path." },
  ramp: { name: "Announced path", is: "Where maintenance goes, published beforehand: notice, then a ramp." },
  bounds: { name: "Bounds", is: "Least and largest value that governance allows; no path goes around them." },
  causes_sum: { name: "Attribution", is: "What each cause added to the logarithm of the parameter; the parts add up to the change.", formula: "sum of causes = ln(to / from)" },
  readings: { name: "Readings", is: "The last readings of what may move parameters, by underlying." },
  regime: { name: "Regime", is: "Probability of the stressed state, from an online hidden Markov filter." },
  affected: { name: "Accounts affected", is: "Accounts that an announced path makes liquidatable, listed before it applies." },
  price_scan: { name: "Price scan", is: "Largest full-weight relative price move (PSR).", ...RISK },
  vol_scan: { name: "Vol scan", is: "Volatility move at 30 days (VSR).", ...RISK },
  compare: { name: "Other method", is: "What a preset asks for on the same book and market; entry prices are not told, so requirements alone are compared." },
  gain: { name: "Gain", is: "By how much a step of the plan raises IM excess." },
  plan: { name: "Plan", is: "The smallest reduction that restores initial margin, by relief per unit of impact." },
  plan_cost: { name: "Cost of closing", is: "What a step of the plan is expected to cost against depth." },
} satisfies Record<string, Definition>;

export type TermName = keyof typeof DEFINITIONS;

export function definition(term: TermName): Definition {
  return DEFINITIONS[term];
}

export function known(name: string): name is TermName {
  return name in DEFINITIONS;
}
