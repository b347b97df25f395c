//! Who may do what: roles, the need of every route, and the matrix between them.
//!
//! **The one idea:** what is in no row may nobody. A route that is not in [`ROUTES`] is refused to every key, and a test fails until
//! it is there.

use crate::wire::EventBody;
use plimsoll_types::AccountId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a key may be used for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Looks at its own accounts and the market.
    Reader,
    /// The venue itself: accounts, money, orders, trades, listings, for all accounts.
    Protocol,
    /// Says what its own feeds say, and nothing else.
    Feeder,
    /// Looks at liquidations and reports what it took.
    Keeper,
    /// Looks at everything and may pause.
    Operator,
    /// Proposes and withdraws parameters, pardons sources.
    Governor,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Reader, Self::Protocol, Self::Feeder, Self::Keeper, Self::Operator, Self::Governor];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reader => "reader",
            Self::Protocol => "protocol",
            Self::Feeder => "feeder",
            Self::Keeper => "keeper",
            Self::Operator => "operator",
            Self::Governor => "governor",
        })
    }
}

/// What a route or an event needs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Need {
    /// Nothing: whether the service is alive, and what its routes are.
    Nothing,
    /// To see the market and the parameters.
    Market,
    /// To see one account, which the path names.
    Account,
    /// To see accounts that the body or a message names.
    Accounts,
    /// To see all accounts.
    Everybody,
    /// To hand in events; each has a need of its own.
    Submit,
    /// To propose parameters and take proposals back.
    Govern,
    /// To state a price or another reading of a feed.
    Feed,
    /// To move money, positions and listings.
    Positions,
    /// To report a liquidation that was taken.
    Liquidate,
    /// To pause.
    Pause,
}

impl Need {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Nothing,
        Self::Market,
        Self::Account,
        Self::Accounts,
        Self::Everybody,
        Self::Submit,
        Self::Govern,
        Self::Feed,
        Self::Positions,
        Self::Liquidate,
        Self::Pause,
    ];

    /// Whether a role has what is needed. Whose accounts and which feeds is asked apart.
    pub fn is_met_by(self, role: Role) -> bool {
        use Role::{Feeder, Governor, Keeper, Operator, Protocol, Reader};
        match self {
            Self::Nothing => true,
            Self::Market | Self::Account | Self::Accounts => role != Feeder,
            Self::Everybody => matches!(role, Reader | Protocol | Keeper | Operator | Governor),
            Self::Submit => role != Reader,
            Self::Govern => role == Governor,
            Self::Feed => role == Feeder,
            Self::Positions => role == Protocol,
            Self::Liquidate => matches!(role, Keeper | Protocol),
            Self::Pause => matches!(role, Operator | Governor),
        }
    }

    /// Whether nothing is changed by it.
    pub fn is_reading(self) -> bool {
        matches!(self, Self::Nothing | Self::Market | Self::Account | Self::Accounts | Self::Everybody)
    }

    /// The need of an event.
    pub fn of(event: &EventBody) -> Self {
        match event {
            EventBody::Price { .. }
            | EventBody::Heartbeat { .. }
            | EventBody::Chain { .. }
            | EventBody::OwnMarket { .. }
            | EventBody::Depth { .. }
            | EventBody::OpenInterest { .. }
            | EventBody::Pool { .. }
            | EventBody::Sentiment { .. }
            | EventBody::Uptime { .. } => Self::Feed,
            EventBody::Pause { .. } => Self::Pause,
            // Who may stop need not be who may let go on.
            EventBody::Resume {}
            | EventBody::Vote { .. }
            | EventBody::CancelVote { .. }
            | EventBody::Pardon { .. } => Self::Govern,
            EventBody::Liquidated { .. } => Self::Liquidate,
            _ => Self::Positions,
        }
    }
}

/// A route: what it needs, and how much work it is.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// In lower case, as the document of routes has it.
    pub verb: &'static str,
    /// As the router knows it.
    pub path: &'static str,
    /// What it needs.
    pub need: Need,
    /// Units of work, but for those of its legs.
    pub units: u32,
}

const fn get(path: &'static str, need: Need) -> Route {
    Route { verb: "get", path, need, units: 1 }
}

/// One that tries an account or the book on many markets.
const fn long(path: &'static str, need: Need) -> Route {
    Route { verb: "get", path, need, units: 500 }
}

const fn post(path: &'static str, need: Need) -> Route {
    Route { verb: "post", path, need, units: 1 }
}

const fn delete(path: &'static str, need: Need) -> Route {
    Route { verb: "delete", path, need, units: 1 }
}

/// Every route.
pub const ROUTES: &[Route] = &[
    get("/v1/health", Need::Nothing),
    get("/metrics", Need::Market),
    get("/v1/journal", Need::Market),
    get("/v1/overview", Need::Everybody),
    get("/v1/history/totals", Need::Everybody),
    get("/v1/history/compare", Need::Everybody),
    get("/v1/whoami", Need::Market),
    get("/v1/accounts", Need::Everybody),
    get("/v1/accounts/{account}", Need::Account),
    get("/v1/accounts/{account}/margin", Need::Account),
    get("/v1/accounts/{account}/explain", Need::Account),
    get("/v1/accounts/{account}/greeks", Need::Account),
    long("/v1/accounts/{account}/heatmap", Need::Account),
    long("/v1/accounts/{account}/liquidation", Need::Account),
    post("/v1/accounts/{account}/what-if", Need::Account),
    post("/v1/accounts/{account}/check", Need::Account),
    post("/v1/margins", Need::Accounts),
    post("/v1/checks", Need::Accounts),
    get("/v1/instruments", Need::Market),
    get("/v1/surface/{underlying}", Need::Market),
    get("/v1/validity", Need::Market),
    get("/v1/greeks", Need::Everybody),
    long("/v1/greeks/{underlying}/accounts", Need::Everybody),
    get("/v1/parameters", Need::Market),
    get("/v1/parameters/history", Need::Market),
    get("/v1/published", Need::Market),
    get("/v1/proposals", Need::Market),
    post("/v1/proposals", Need::Govern),
    delete("/v1/proposals/{id}", Need::Govern),
    get("/v1/liquidations", Need::Everybody),
    post("/v1/events", Need::Submit),
    get("/v1/ws", Need::Nothing),
    long("/v1/heatmap", Need::Everybody),
    long("/v1/accounts/{account}/heatmap/legs", Need::Account),
    get("/v1/surface/{underlying}/quotes", Need::Market),
    long("/v1/compare", Need::Everybody),
    get("/v1/presets", Need::Market),
    get("/v1/terms", Need::Market),
    // Each of its methods has a need of its own.
    post("/rpc", Need::Nothing),
    get("/rpc", Need::Nothing),
];

/// The route of a verb and a path; nothing is known of one that is not there.
pub fn route(verb: &str, path: &str) -> Option<&'static Route> {
    ROUTES.iter().find(|route| route.verb.eq_ignore_ascii_case(verb) && route.path == path)
}

/// A method of JSON-RPC: what it needs, and how much work it is.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// As it is called.
    pub name: &'static str,
    /// What it needs.
    pub need: Need,
    /// Units of work, but for those of its legs.
    pub units: u32,
    /// Whether it says something of a socket, and has no meaning elsewhere.
    pub of_socket: bool,
}

const fn method(name: &'static str, need: Need) -> Method {
    Method { name, need, units: 1, of_socket: false }
}

/// One that a socket is told; which channels it may hear is asked of each.
const fn of_socket(name: &'static str) -> Method {
    Method { name, need: Need::Nothing, units: 1, of_socket: true }
}

/// Every method of JSON-RPC. What is not here is not found.
pub const METHODS: &[Method] = &[
    method("public/test", Need::Nothing),
    method("public/get_time", Need::Nothing),
    method("public/get_margin", Need::Market),
    method("private/get_margin", Need::Account),
    method("private/simulate_portfolio", Need::Account),
    method("private/pme/simulate", Need::Account),
    of_socket("public/auth"),
    of_socket("public/subscribe"),
    of_socket("private/subscribe"),
    of_socket("subscribe"),
    of_socket("public/unsubscribe"),
    of_socket("private/unsubscribe"),
    of_socket("unsubscribe"),
];

/// The method of a name.
pub fn rpc_method(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name)
}

/// Which accounts and feeds a key is for.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scope {
    /// Accounts it may see; nothing: for readers none, for the others all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<AccountId>,
    /// A reader of all accounts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub everybody: bool,
    /// What a feeder may state, as [`feed`] names it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub feeds: Vec<String>,
}

impl Scope {
    /// Whether a key of this role may see an account.
    pub fn sees(&self, role: Role, account: &AccountId) -> bool {
        self.sees_everybody(role) || self.accounts.contains(account)
    }

    /// Whether it may see all accounts.
    pub fn sees_everybody(&self, role: Role) -> bool {
        match role {
            Role::Reader => self.everybody,
            Role::Feeder => false,
            _ => self.accounts.is_empty(),
        }
    }

    /// Whether it may state what an event states.
    pub fn feeds(&self, event: &EventBody) -> bool {
        feed(event).is_some_and(|name| self.feeds.contains(&name))
    }
}

/// The name of the feed an event is of: `price/BTC/SOURCE`, `chain/BTC`, `market/BTC`, `depth/BTC/VENUE`, `open_interest/BTC`, `pool`,
/// `sentiment`, `uptime`.
pub fn feed(event: &EventBody) -> Option<String> {
    Some(match event {
        EventBody::Price { asset, source, .. } | EventBody::Heartbeat { asset, source, .. } => {
            format!("price/{asset}/{source}")
        }
        EventBody::Chain { underlying, .. } => format!("chain/{underlying}"),
        EventBody::OwnMarket { asset, .. } => format!("market/{asset}"),
        EventBody::Depth { underlying, venue, .. } => format!("depth/{underlying}/{venue}"),
        EventBody::OpenInterest { underlying, .. } => format!("open_interest/{underlying}"),
        EventBody::Pool { .. } => "pool".to_owned(),
        EventBody::Sentiment { .. } => "sentiment".to_owned(),
        EventBody::Uptime { .. } => "uptime".to_owned(),
        _ => return None,
    })
}
